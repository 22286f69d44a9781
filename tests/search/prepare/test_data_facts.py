"""The label counts in provenance.json, worked out by hand."""

from __future__ import annotations

import json

import numpy as np

from thaw.search.prepare.data_facts import label_facts
from thaw.trainables.data.splits import Split

LABELS = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [1, 1, 1], [0, 0, 0], [1, 1, 1]], dtype=bool)


def test_counts_by_split_and_together() -> None:
    # The last row is in no split, as a damaged image would be.
    facts = label_facts(LABELS, Split(train=np.array([0, 1, 4]), validation=np.array([3]), test=np.array([2])))
    assert facts["counts"] == {"train": [2, 1, 0], "validation": [1, 1, 1], "test": [0, 1, 0]}
    assert facts["per_image"] == {"train": {"0": 1, "1": 1, "2": 1}, "validation": {"3": 1}, "test": {"1": 1}}
    assert facts["cooccurrence"] == [[3, 2, 1], [2, 3, 1], [1, 1, 1]]
    assert json.loads(json.dumps(facts)) == facts


def test_an_empty_split_counts_nothing() -> None:
    facts = label_facts(LABELS, Split(np.array([0, 1]), np.array([3]), np.array([], dtype=int)))
    assert facts["counts"]["test"] == [0, 0, 0] and facts["per_image"]["test"] == {}
