"""Retraining of the leading configurations by cross-validation."""
