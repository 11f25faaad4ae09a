"""DP-Net: parts and classifier learned together by gradient descent."""
