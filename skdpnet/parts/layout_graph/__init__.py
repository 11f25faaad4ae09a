"""A graph of an image's regions, and the classifier that reads it."""
