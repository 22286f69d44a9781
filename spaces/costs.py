"""Costs that a search may keep small beside its metric (``search.objectives``): name and meaning. Less is better."""

from __future__ import annotations

COSTS = {
    "seconds": "seconds of an epoch of the trial by itself, averaged so far, with the activations that trials share",
    "parameters": "weights of the whole network at inference, head included",
    "macs": "multiply-accumulate operations of the whole network for one image at inference",
    "latency": "seconds of the whole network for one image, measured once an architecture before the search",
}
"""Cost → meaning."""
