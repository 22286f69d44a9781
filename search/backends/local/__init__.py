"""Trials in worker processes of this machine, forked from one that has imported what trials need."""
