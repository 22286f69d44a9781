"""What came out of a run. Imports neither torch nor Ray."""
