"""Proposers learn from trials of other runs, and the log has all of these."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.search.engine.test_auto import SPACE, worth
from tests.search.engine.test_replay import Workers, config, facts, state_of
from thaw.analysis.run_folder import RunFolder
from thaw.search.engine.proposers import build_proposer
from thaw.search.settings.config import SearchConfig
from thaw.spaces import TrialConfig


def earlier(*configs: dict[str, Any]) -> dict[str, Any]:
    """Fields of the event, of completed and pruned trials."""
    trials = [
        {
            "run": 0,
            "number": number,
            "config": TrialConfig(**values).model_dump(),
            "status": ("completed", "pruned")[number % 2],
            "values": [worth(values) - 0.1, worth(values)],
        }
        for number, values in enumerate(configs)
    ]
    return {
        "runs": [{"name": "before", "path": "before", "trials": len(configs), "known": len(configs), "left_out": {}}],
        "trials": trials,
    }


def tried(architecture: str, freeze_depth: int, *rates: float) -> list[dict[str, Any]]:
    place = {"architecture": architecture, "freeze_depth": freeze_depth, "dropout": 0.25}
    return [{**place, "learning_rate": rate} for rate in rates]


RATES = tuple(10.0**-exponent for exponent in (1, 2, 3, 4, 5))


def first_draft(algorithm: str, event: dict[str, Any]) -> dict[str, Any]:
    search = {"algorithm": algorithm, "trials": 30}
    content = {"name": "a", "data": {"builtin": "digits"}, "space": SPACE, "search": search}
    proposer = build_proposer(SearchConfig.model_validate(content))
    proposer.apply({"event": "earlier_trials", **event}, None)
    return proposer.draft(0)


def test_it_learns_before_its_first_trial() -> None:
    known = earlier(*tried("resnet18", 3, *RATES), *tried("resnet18", 4, *RATES), *tried("mobilenet_v2", 5, *RATES))
    assert first_draft("tpe", known)["reason"] == "tpe, from 15 trials (15 of earlier runs)"
    assert first_draft("gp", known)["reason"] == "gp, from 15 trials (15 of earlier runs)"
    # The even spread leaves out what was tried: new places come first.
    auto = first_draft("auto", known)
    assert auto["reason"] == "1 of 5 spread evenly over the space"
    assert (auto["config"]["architecture"], auto["config"]["freeze_depth"]) == ("resnet18", 5)
    everywhere = [
        values for name in SPACE["architecture"] for depth in (3, 4, 5) for values in tried(name, depth, *RATES)
    ]
    auto = first_draft("auto", earlier(*everywhere))
    assert auto["reason"].startswith("a Gaussian process of 30 trials (30 of earlier runs) expects 0.9")
    assert worth(auto["config"]) > 0.9


@pytest.mark.parametrize("algorithm", ["tpe", "auto"])
@pytest.mark.parametrize("rule", ["asha_promotion", "median"])
def test_replay_knows_them(algorithm: str, rule: str, tmp_path: Path) -> None:
    """A search whose log ends after any event continues as the one that wrote it."""
    settings = config(
        tmp_path,
        search={"algorithm": algorithm, "trials": 14},
        scheduler={"type": rule, "reduction_factor": 2},
    )
    common = {"optimizer": "adamw", "epochs": 4, "freeze_depth": 5, "architecture": "mobilenet_v2"}
    event = earlier(*({**common, "learning_rate": rate} for rate in (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)))
    (tmp_path / "run").mkdir()
    state = state_of(settings, folder := RunFolder(tmp_path / "run"))
    state.start_session(earlier=event)
    workers, seen = Workers(state, 0), []
    while workers.step():
        seen.append((sum(1 for _ in folder.events()), facts(state)))
    events = list(folder.events())
    assert events[1]["event"] == "earlier_trials" and len(state.records) == 14
    for length, known in seen[::5]:
        (tmp_path / str(length)).mkdir(exist_ok=True)
        rebuilt = state_of(settings, RunFolder(tmp_path / str(length)), 2, events[:length])
        assert facts(rebuilt) == known
        assert [t.params["learning_rate"] for t in rebuilt.proposer.study.study.trials[:5]] == [
            1e-4,
            3e-4,
            1e-3,
            3e-3,
            1e-2,
        ]
        rebuilt.events.close()
