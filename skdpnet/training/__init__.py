"""Training: the skorch net, its data set, and the convex fits of the classifier."""
