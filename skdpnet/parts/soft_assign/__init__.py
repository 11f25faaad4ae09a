"""Two-stage parts: detectors refined by soft assignment."""
