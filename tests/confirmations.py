"""Results of a confirmation without one."""

from __future__ import annotations

from typing import Any

from thaw.spaces import TrialConfig


def leader(trial: int, mean: float, **changes: Any) -> dict[str, Any]:
    """One entry of ``leaders`` in ``confirm.json``; `changes` replace its fields."""
    config = TrialConfig(architecture="resnet18").model_dump()
    return {
        **{"trial": trial, "config": config, "epochs": 1, "search_value": 0.6, "values": [mean], "mean": mean},
        **{"std": 0.1, "interval": [0.1, 0.9]},
        "pooled": {"value": mean - 0.05, "low": 0.3, "high": 0.55},
        **changes,
    }


def outcome(*leaders: dict[str, Any]) -> dict[str, Any]:
    """The content of ``confirm.json``: five folds of ten images, and the first leader is chosen."""
    first = leaders[0]["trial"]
    pairs = [
        {"a": first, "b": other["trial"], "difference": 0.3, "interval": [0.1, 0.5], "wins": 5} for other in leaders[1:]
    ]
    return {
        **{"metric": "val_map", "folds": 5, "seeds": 1, "images": 10, "leaders": list(leaders), "chosen": first},
        **{"shrinkage": 0.1, "paired": pairs, "trivial": {}},
    }
