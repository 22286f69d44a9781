"""Trials under Ray Tune, on this machine or a cluster."""
