"""Feature maps: computed from images by networks, or precomputed by the user."""
