"""The leading configurations again by cross-validation."""
