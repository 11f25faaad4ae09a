"""What parts say about images and classes: data, without drawing."""
