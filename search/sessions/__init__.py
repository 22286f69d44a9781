"""One session of a run, from its lock to its last event; and how a run continues."""
