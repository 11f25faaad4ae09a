"""DP-Net: parts and a classifier that are learned together by gradient descent."""
