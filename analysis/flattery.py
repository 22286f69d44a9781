"""By how much a search's best value looked better than it is, and how much of that is due to being the best.

The best of many values is partly luck. But a confirmed value differs from the search's for other reasons, too: a fold
trains on other, often fewer images and is validated on others. These meet the leaders that were not the search's best
just as well, so what these have lost on average is taken off. What is left is what being the best had added. (The other
leaders are chosen ones, too, if less so: the part for being the best is rather too small than too large.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from thaw.spaces import metric


@dataclass(frozen=True)
class Flattery:
    """Differences between the search's value and the mean over folds; positive: the search's was better.

    Args:
        trial: the search's best.
        lost: by it.
        others: lost on average by the other leaders; None without any.
        count: of the other leaders.
        fold_images: each fold trains on about so many images.
        search_images: the search trained on so many; None where that is not known.
    """

    trial: int
    lost: float
    others: float | None
    count: int
    fold_images: int
    search_images: int | None

    @property
    def selection(self) -> float | None:
        """What is left for being the best; None where there is nothing to compare with."""
        return None if self.others is None else self.lost - self.others

    @property
    def sentences(self) -> list[str]:
        """The same words in terminal, report and model card."""
        trained = f"A fold trains on about {self.fold_images:,} images"
        if self.search_images is not None:
            trained += f" (the search on {self.search_images:,})"
        sentences = [
            f"The search's best, trial {self.trial}, less its mean over the folds: {self.lost:+.3f}. {trained} and is "
            "validated on others, which is part of it."
        ]
        if self.others is None or self.selection is None:
            sentences.append("How much of it is due to being chosen, one leader alone does not say.")
        else:
            others = "of the other leader" if self.count == 1 else f"on average of the {self.count} other leaders"
            sentences.append(f"The same {others}: {self.others:+.3f}. Being the best added {self.selection:+.3f}.")
        return sentences


def flattery(outcome: Mapping[str, Any]) -> Flattery:
    """From the content of ``confirm.json``, of any version.

    Example:
        ``flattery(run.folder.confirmation()).selection``
    """
    measure = metric(outcome["metric"])
    sign = 1.0 if measure.maximize else -1.0
    lost = {leader["trial"]: sign * (leader["search_value"] - leader["mean"]) for leader in outcome["leaders"]}
    best = max(outcome["leaders"], key=lambda leader: (sign * leader["search_value"], -leader["trial"]))["trial"]
    rest = [value for trial, value in lost.items() if trial != best]
    return Flattery(
        trial=best,
        lost=lost[best],
        others=sum(rest) / len(rest) if rest else None,
        count=len(rest),
        fold_images=round(outcome["images"] * (outcome["folds"] - 1) / outcome["folds"]),
        search_images=outcome.get("search_images"),
    )
