"""Trials as Ray Tune runs them, on this machine or a cluster."""
