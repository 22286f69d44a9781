"""Architectures, cut into five stages; weights, heads, freezing."""
