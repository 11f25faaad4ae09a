"""The base classes of estimators: `MapEstimator`, and `PartEstimator` above it."""
