"""The cost of trials here and by themselves, worked out by hand."""

from __future__ import annotations

from thaw.analysis.cost import shared_seconds
from thaw.analysis.records import TrialRecord
from thaw.analysis.tables import history_table, trials_table
from thaw.spaces import TrialConfig


def record(number: int, depth: int, *epochs: dict[str, float]) -> TrialRecord:
    rows = {
        epoch: {"metrics": {"val_map": 0.5}, "seconds": seconds, "learning_rate": 0.1, "gradient_norm": 1.0}
        for epoch, seconds in enumerate(epochs, 1)
    }
    config = TrialConfig(freeze_depth=depth).model_dump()
    return TrialRecord(number, config, status="completed", epochs=rows)


RECORDS = [
    record(0, 5, {"prefix": 40.0, "train": 0.3, "validate": 0.2}, {"prefix": 4.0, "train": 0.3, "validate": 0.2}),
    record(1, 5, {"prefix": 0.0, "train": 0.4, "validate": 0.1}),
    record(2, 3, {"prefix": 7.0, "train": 2.0, "validate": 1.0}),
    record(3, 0, {"train": 9.0, "validate": 1.0}),
]


def test_the_first_trial_is_not_charged_for_all() -> None:
    table = trials_table(RECORDS, "val_map").set_index("trial")
    assert table["seconds"].to_dict() == {0: 1.0, 1: 0.5, 2: 3.0, 3: 10.0}
    assert table["seconds_alone"].to_dict() == {0: 45.0, 1: 40.5, 2: 10.0, 3: 10.0}, "trial 1 needs those of one epoch"
    shared = {place: sum(epochs.values()) for place, epochs in shared_seconds(RECORDS).items()}
    assert shared == {("mobilenet_v2", 5): 44.0, ("mobilenet_v2", 3): 7.0, ("mobilenet_v2", 0): 0.0}


def test_history_keeps_the_seconds_by_phase() -> None:
    assert history_table(RECORDS)["seconds_prefix"].tolist()[:3] == [40.0, 4.0, 0.0]
