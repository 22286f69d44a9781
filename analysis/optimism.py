"""How optimistic a search's best value was, and how much of that optimism is selection bias.

The best of many values is partly luck. But a confirmed value also differs from the search's for other reasons: a fold
trains on different, often fewer images and is validated on different ones. These affect the other leaders in the same
way, so their mean difference is subtracted. What remains is the selection bias of the best. (The other leaders were
selected too, if less strongly, so this estimate is too small rather than too large.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from thaw.spaces import metric
from thaw.spaces.words import counted


@dataclass(frozen=True)
class Optimism:
    """Differences between the search's value and the mean over folds; positive if the search's value was better.

    Args:
        trial: the search's best trial.
        lost: its difference.
        others: the mean difference of the other leaders; None without any.
        count: number of other leaders.
        fold_images: approximate number of images that each fold trains on.
        search_images: number of images that the search trained on; None if unknown.
    """

    trial: int
    lost: float
    others: float | None
    count: int
    fold_images: int
    search_images: int | None

    @property
    def selection_bias(self) -> float | None:
        """The part due to being selected as the best; None without other leaders to compare with."""
        return None if self.others is None else self.lost - self.others

    @property
    def sentences(self) -> list[str]:
        """The wording shared by terminal, report and model card."""
        trained = f"A fold trains on about {counted(self.fold_images, 'image')}"
        if self.search_images is not None:
            trained += f" (the search on {self.search_images:,})"
        sentences = [
            f"The search's best value (trial {self.trial}) minus its mean over folds: {self.lost:+.3f}. {trained} "
            "and is validated on different ones, which explains part of it."
        ]
        if self.others is None or self.selection_bias is None:
            sentences.append("With only one leader, the part due to selection cannot be estimated.")
        else:
            others = "for the other leader" if self.count == 1 else f"on average for the {self.count} other leaders"
            bias = f"Selecting the best added {self.selection_bias:+.3f}."
            sentences.append(f"The same difference {others}: {self.others:+.3f}. {bias}")
        return sentences


def optimism(outcome: Mapping[str, Any]) -> Optimism:
    """The optimism of a search, from the content of a ``confirm.json`` of any version.

    Example:
        ``optimism(run.folder.confirmation()).selection_bias``
    """
    measure = metric(outcome["metric"])
    sign = 1.0 if measure.maximize else -1.0
    lost = {leader["trial"]: sign * (leader["search_value"] - leader["mean"]) for leader in outcome["leaders"]}
    best = max(outcome["leaders"], key=lambda leader: (sign * leader["search_value"], -leader["trial"]))["trial"]
    rest = [value for trial, value in lost.items() if trial != best]
    return Optimism(
        trial=best,
        lost=lost[best],
        others=sum(rest) / len(rest) if rest else None,
        count=len(rest),
        fold_images=round(outcome["images"] * (outcome["folds"] - 1) / outcome["folds"]),
        search_images=outcome.get("search_images"),
    )
