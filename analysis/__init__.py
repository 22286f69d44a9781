"""Analysis of a run's results. Imports neither torch nor Ray."""
