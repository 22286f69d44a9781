"""Exported models: network, files, predictions."""
