"""Parts learned in two stages: linear detectors, refined by soft assignment."""
