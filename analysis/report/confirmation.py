"""The results of `thaw confirm` for a run's leaders, if it was run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from thaw.analysis.optimism import optimism
from thaw.analysis.run_data import RunData
from thaw.analysis.words import number
from thaw.spaces.words import counted


@dataclass(frozen=True)
class Confirmation:
    """Sentences, the leaders ordered by confirmed mean, and their paired comparison."""

    sentences: list[str]
    leaders: pd.DataFrame
    paired: pd.DataFrame


def confirmation(run: RunData) -> Confirmation | None:
    """None if the run was not confirmed."""
    outcome = run.folder.confirmation()
    if outcome is None:
        return None
    leaders = pd.DataFrame(
        {
            "trial": leader["trial"],
            f"{outcome['metric']} in the search": number(leader["search_value"]),
            "confirmed mean": number(leader["mean"]),
            "95 % interval": _interval(leader["interval"]),
            "standard deviation": number(leader["std"]),
            "pooled": _pooled(leader["pooled"]),
        }
        for leader in outcome["leaders"]
    )
    paired = pd.DataFrame(
        {
            "trial": f"{pair['a']} against {pair['b']}",
            "better by": number(pair["difference"]),
            "95 % interval": _interval(pair["interval"]),
            "folds won": pair["wins"],
        }
        for pair in outcome["paired"]
    )
    return Confirmation(_sentences(outcome), leaders, paired)


def _sentences(outcome: dict[str, Any]) -> list[str]:
    chosen = next(leader for leader in outcome["leaders"] if leader["trial"] == outcome["chosen"])
    times = f" with {counted(outcome['seeds'], 'seed')}" if outcome["seeds"] > 1 else ""
    sentences = [
        f"Retrained on {counted(outcome['folds'], 'fold')} of {counted(outcome['images'], 'image')}{times}, trial "
        f"{chosen['trial']} is the choice: {outcome['metric']} {number(chosen['mean'])} "
        f"(95 % interval {_interval(chosen['interval'])}).",
        *optimism(outcome).sentences,
    ]
    if chosen["pooled"]:
        sentences.append(
            f"Over all images together, each predicted by a network that was not trained on it, it reaches "
            f"{_pooled(chosen['pooled'])}: an estimate for other images of the same kind."
        )
    return sentences


def _pooled(estimate: dict[str, float] | None) -> str:
    if estimate is None:
        return "–"
    return f"{number(estimate['value'])} (95 % interval {_interval([estimate['low'], estimate['high']])})"


def _interval(bounds: list[float]) -> str:
    return f"{number(bounds[0])} to {number(bounds[1])}"
