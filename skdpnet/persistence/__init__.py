"""Fitted estimators to files and back, without pickle."""
