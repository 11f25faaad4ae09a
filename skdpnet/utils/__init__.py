"""What has no place of its own: validation, devices, batches of images."""
