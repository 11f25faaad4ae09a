"""Part learners, one file or folder a method, and what they share."""
