"""Many trials: the search, and the command line."""
