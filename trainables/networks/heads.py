"""Heads of networks: features in, one logit per label out."""

from __future__ import annotations

from torch import nn


def build_head(features: int, classes: int, units: int, dropout: float) -> nn.Sequential:
    """The head of a pretrained network: dropout → dense (`units`) with ReLU → dropout → logits.

    Args:
        features: width of the pooled features, (N, features).
        classes: number of labels.
        units: width of the hidden dense layer; 0 leaves it out: dropout → logits.
        dropout: fraction of activations dropped before each dense layer, in [0, 1).

    Returns:
        A module from (N, features) to logits (N, classes).
    """
    return nn.Sequential(nn.Dropout(dropout), *_dense_layers(features, classes, units, dropout))


def build_flat_head(features: int, classes: int, units: int, dropout: float) -> nn.Sequential:
    """The head of ``convnet``: :func:`build_head` without the first dropout, which its last stack already has."""
    return nn.Sequential(*_dense_layers(features, classes, units, dropout))


def _dense_layers(features: int, classes: int, units: int, dropout: float) -> list[nn.Module]:
    if units == 0:
        return [nn.Linear(features, classes)]
    return [nn.Linear(features, units), nn.ReLU(), nn.Dropout(dropout), nn.Linear(units, classes)]
