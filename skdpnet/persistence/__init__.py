"""Saving of fitted estimators to files and loading from them, without pickle."""
