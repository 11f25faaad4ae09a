"""Training: the skorch net, its data, and the convex fits of the classifier."""
