"""Everything that is checked or measured before a run folder exists."""
