"""Costs that a search may minimise besides its metric (``search.objectives``): name and meaning. Less is better."""

from __future__ import annotations

COSTS = {
    "seconds": "seconds per epoch of the trial alone, averaged so far, including activations that trials share",
    "parameters": "weights of the whole network at inference, head included",
    "macs": "multiply-accumulate operations of the whole network for one image at inference",
    "latency": "seconds of the whole network for one image, measured once for each architecture before the search",
}
"""Cost → meaning."""
