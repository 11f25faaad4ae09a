"""Helpers that several folders share: validation, devices, batches, crops, colours."""
