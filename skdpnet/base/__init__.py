"""The two contracts of the estimators: images to maps, and parts on maps."""
