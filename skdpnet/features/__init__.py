"""Images to feature maps: the one place that runs networks."""
