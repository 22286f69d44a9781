"""The label counts of ``provenance.json`` as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from thaw.analysis.plots.plot import NotEnough
from thaw.analysis.run_data import RunData

SPLITS = {"train": "training", "validation": "validation", "test": "test"}


@dataclass(frozen=True)
class LabelFacts:
    """Counts of the L labels, in the order of `classes`.

    Args:
        classes: label names.
        images: split → number of images.
        counts: split → (L,) images with each label.
        per_image: split → number of labels → number of images.
        cooccurrence: (L, L) images with both labels; the diagonal holds the images with the label.
    """

    classes: list[str]
    images: dict[str, int]
    counts: dict[str, np.ndarray]
    per_image: dict[str, dict[int, int]]
    cooccurrence: np.ndarray

    @cached_property
    def support(self) -> np.ndarray:
        """Images with each label in all splits (L,)."""
        return np.sum([self.counts[split] for split in SPLITS], axis=0)

    @property
    def total(self) -> int:
        return sum(self.images.values())


def label_facts(run: RunData) -> LabelFacts:
    """Raises NotEnough if the run was made by a version that did not write label counts."""
    data: dict[str, Any] = run.provenance["data"]
    facts = data.get("labels")
    if facts is None:
        raise NotEnough("the run's provenance.json has no label counts; an earlier version wrote it")
    return LabelFacts(
        data["classes"],
        {split: int(data["images"][split]) for split in SPLITS},
        {split: np.array(facts["counts"][split], dtype=int) for split in SPLITS},
        {split: {int(k): int(n) for k, n in facts["per_image"][split].items()} for split in SPLITS},
        np.array(facts["cooccurrence"], dtype=int),
    )
