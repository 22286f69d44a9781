"""Hyperparameters in short forms that stay readable, for tables that have to fit a terminal."""

from __future__ import annotations

from collections.abc import Sequence

HEADS = {
    "architecture": "network",
    "freeze_depth": "depth",
    "learning_rate": "lr",
    "backbone_lr_scale": "lr scale",
    "optimizer": "optim",
    "weight_decay": "wd",
    "head_units": "units",
    "positive_weight": "pos",
    "label_smoothing": "smooth",
    "batch_size": "batch",
    "layer_decay": "lr decay",
    "clip_norm": "clip",
}
"""Hyperparameter → its short name; the others are short already."""

LONGEST = 16
"""Characters of the short form of a network's name."""


def head(name: str) -> str:
    """``learning_rate`` → ``lr``."""
    return HEADS.get(name, name)


def network_names(names: Sequence[str]) -> dict[str, str]:
    """Name → short form: all are distinct, or they stay unchanged.

    >>> network_names(["efficientnet_lite0", "resnet50"])
    {'efficientnet_lite0': 'effnet_lite0', 'resnet50': 'resnet50'}
    """
    short = {name: _cut(name.removeprefix("timm:").replace("efficientnet", "effnet")) for name in names}
    return short if len(set(short.values())) == len(short) else {name: name for name in names}


def _cut(name: str) -> str:
    """The beginning says what kind of network it is, the end which one."""
    half = (LONGEST - 1) // 2
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1 - half]}…{name[-half:]}"
