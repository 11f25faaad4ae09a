"""Parts of all classes, from which boosting selects those of each class."""
