"""`auto` on searches with a known optimum: its first trials, what it learns, and that it repeats itself."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from thaw.analysis.records import TrialRecord
from thaw.search.engine.auto import FIRST, MOST, Auto
from thaw.search.engine.surrogate import Encoder, Surrogate, expected_improvement
from thaw.search.settings.config import SearchConfig
from thaw.spaces import SearchSpace

SPACE: dict[str, Any] = {
    "architecture": ["resnet18", "mobilenet_v2"],
    "freeze_depth": {"int": [3, 5]},
    "learning_rate": {"log": [1e-5, 1e-1]},
    "dropout": {"float": [0.0, 0.5]},
}


def worth(config: dict[str, Any]) -> float:
    """At most 1: resnet18, three stages frozen, a learning rate of 1e-3."""
    rate = 0.1 * (math.log10(config["learning_rate"]) + 3) ** 2
    return 1 - rate - 0.1 * (config["architecture"] != "resnet18") - 0.05 * (config["freeze_depth"] - 3)


class Searched:
    """A search of `trials` with values of `worth`, one trial at a time."""

    def __init__(self, trials: int, metric: str = "val_map", known: int = 0, **search: Any) -> None:
        search = {"algorithm": "auto", "trials": trials, "metric": metric, **search}
        content = {"name": "a", "data": {"builtin": "digits"}, "space": SPACE, "search": search}
        self.proposer, self.column = Auto(SearchConfig.model_validate(content)), metric
        self.drafts: list[dict[str, Any]] = []
        self.records: dict[int, TrialRecord] = {}
        for number in range(known, trials):
            self.add(number, self.proposer.draft(number))

    def add(self, number: int, draft: dict[str, Any]) -> None:
        value = worth(draft["config"])
        value = value if self.column == "val_map" else 2 - value
        row = {"event": "epoch", "trial": number, "epoch": 1, "metrics": {self.column: value}}
        record = self.records[number] = TrialRecord(number, draft["config"])
        self.proposer.apply({"event": "trial_started", "trial": number, **draft}, record)
        record.epochs[1], record.status = row, "completed"
        self.proposer.apply(row, record)
        self.proposer.apply({"event": "trial_ended", "trial": number}, record)
        self.drafts.append(draft)


@pytest.mark.parametrize("metric", ["val_map", "val_loss"])
def test_it_gets_close_to_the_optimum_and_says_why(metric: str) -> None:
    search = Searched(30, metric)
    values = [worth(draft["config"]) for draft in search.drafts]
    assert max(values) > 0.99
    assert sum(values[FIRST:]) / 20 > sum(values[:FIRST]) / FIRST + 0.1
    reasons = [draft["reason"] for draft in search.drafts]
    # The process begins before the spread is used up.
    spread = [number for number, reason in enumerate(reasons) if reason.endswith("of 10 spread evenly over the space")]
    assert spread == [0, 1, 2, 3, 4, 5, 6, 7, 9, 11]
    assert all("Gaussian process of" in reason for reason in reasons[8::2])
    assert reasons[13] == "tpe, from 13 trials"


def test_the_even_spread_is_used_until_a_trial_has_a_value() -> None:
    """Many workers start at once: the process knows nothing yet, and no configuration is proposed twice."""
    search = Searched(20, known=20)
    drafts = []
    for number in range(12):
        drafts.append(search.proposer.draft(number))
        event = {"event": "trial_started", "trial": number, **drafts[-1]}
        search.proposer.apply(event, TrialRecord(number, drafts[-1]["config"]))
    reasons = [draft["reason"] for draft in drafts]
    assert reasons[:10] == [f"{place} of 10 spread evenly over the space" for place in range(1, 11)]
    assert reasons[10].startswith("drawn at random")


def test_it_depends_on_the_log_alone() -> None:
    whole, again = Searched(24), Searched(24)
    assert whole.drafts == again.drafts
    assert Searched(24, seed=1).drafts != whole.drafts
    replayed = Searched(24, known=24)
    for number, draft in enumerate(whole.drafts[:18]):
        replayed.add(number, draft)
    assert [replayed.proposer.draft(18)] == whole.drafts[18:19]


def test_given_configurations_come_first() -> None:
    search = Searched(12, start_with=[{"learning_rate": 1e-3}])
    assert search.drafts[0]["config"]["learning_rate"] == 1e-3
    assert search.drafts[0]["reason"].startswith("entry 1 of start_with, architecture, freeze_depth, dropout drawn")
    # Half of twelve trials.
    assert [draft["reason"] for draft in search.drafts[1:8:6]] == [
        "1 of 6 spread evenly over the space",
        search.drafts[7]["reason"],
    ]
    assert "spread" not in search.drafts[7]["reason"]


def test_a_stopped_trial_gets_the_typical_gain_of_its_depth() -> None:
    proposer = Searched(1).proposer
    proposer._records.clear()

    def trial(number: int, depth: int, status: str, *values: float) -> None:
        epochs = {epoch: {"metrics": {"val_map": value}} for epoch, value in enumerate(values, 1)}
        proposer._records[number] = TrialRecord(number, {"freeze_depth": depth}, status=status, epochs=epochs)

    trial(0, 5, "completed", 0.5, 0.52, 0.51)
    trial(1, 3, "completed", 0.2, 0.5, 0.7)
    trial(2, 3, "pruned", 0.3)
    trial(3, 5, "pruned", 0.4)
    trial(4, 0, "pruned", 0.1)
    trial(5, 3, "failed", 0.9)
    trial(6, 3, "pruned", math.nan)
    found = {record.number: value for record, value in proposer._learnt_from()}
    assert found == pytest.approx({0: 0.52, 1: 0.7, 2: 0.8, 3: 0.42, 4: 0.1 + 0.5})
    for number in range(10, 400):
        trial(number, 3, "completed", number / 1000)
    numbers = [record.number for record, _ in proposer._learnt_from()]
    assert len(numbers) == MOST == len(set(numbers)) and {0, 1, 398, 399} <= set(numbers)


def test_surrogate() -> None:
    space = SearchSpace.parse({**SPACE, "batch_size": [8, 16, 128]}, {})
    encoder = Encoder(space)
    assert encoder.kinds == ["nominal", "freeze_depth", "learning_rate", "dropout", "batch_size"]
    configs = [
        {"architecture": name, "freeze_depth": 5, "learning_rate": rate, "dropout": 0.25, "batch_size": 32}
        for name in ("resnet18", "mobilenet_v2")
        for rate in (1e-5, 1e-3, 1e-1)
    ]
    rows = encoder.rows(configs)
    assert rows[:3, 2] == pytest.approx([0, 0.5, 1]) and rows[0, 4] == pytest.approx(0.5)
    surrogate = Surrogate(encoder.kinds, rows, np.array([0.1, 0.8, 0.1, 0.2, 0.9, 0.2]))
    mean, deviation = surrogate.predict(encoder.rows([configs[4], {**configs[4], "freeze_depth": 3}]))
    assert mean[0] == surrogate.predict(rows)[0].max() > 0.6 and deviation[1] > deviation[0] > 0
    assert 0 < surrogate.noise < 0.3
    gain = expected_improvement(np.array([1.0, 0.0, 0.0]), np.array([1e-9, 1.0, 2.0]), 0.0)
    assert gain == pytest.approx([1.0, 0.39894, 0.79788], rel=1e-4)
