"""Recorded tables and the searches that are replayed on them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from benchmarks.constructed import KINDS, constructed
from benchmarks.replay import METRIC, Setting, Table, search_config, simulate
from benchmarks.table import SPACE, append, done
from tests.conftest import ROOT

DIGITS = ROOT / "benchmarks" / "tables" / "digits.csv"


@pytest.fixture(scope="module")
def table() -> Table:
    return Table(DIGITS)


def test_only_complete_depths_are_searched(table: Table) -> None:
    assert len(table) == 60 and table.epochs == 6
    assert table.space()["freeze_depth"] == {"int": [4, 5]} and table.space()["learning_rate"] == {"log": [1e-4, 1e-2]}
    assert len(Table(DIGITS, shallowest=5)) == 20


def test_a_configuration_has_the_value_of_the_nearest_recorded_one(table: Table) -> None:
    config = {"architecture": "mobilenet_v2", "freeze_depth": 4, "learning_rate": 6e-4, "dropout": 0.15}
    assert table.key({**config, "backbone_lr_scale": 0.4}) == ("mobilenet_v2", 4, 0.001, 0.0, 1.0), (
        "nearest by logarithm"
    )
    assert table.key({**config, "backbone_lr_scale": 0.3}) == ("mobilenet_v2", 4, 0.001, 0.0, 0.1)


def test_the_cost_of_the_frozen_part_counts_once_or_always(table: Table) -> None:
    """One worker, nothing stopped: the costs differ by the frozen part of every epoch but the first of each network."""
    config = search_config(table, "random", "none", seed=0, trials=8)
    (stored, state), (live, _) = (simulate(table, config, is_live, workers=1) for is_live in (False, True))
    frozen = [table.seconds(record.config)[0] for record in state.records.values()]
    networks = {
        (r.config["architecture"], r.config["freeze_depth"]): table.seconds(r.config)[0] for r in state.records.values()
    }
    assert live.end - stored.end == pytest.approx(table.epochs * sum(frozen) - sum(networks.values()))
    assert stored.epochs == live.epochs == 8 * table.epochs
    best = max(row[METRIC] for record in state.records.values() for row in table.rows(record.config))
    assert stored.curve[-1][1] == best and stored.reached(best) <= stored.end and stored.reached(2.0) == float("inf")


def test_a_search_is_replayed_to_the_bit() -> None:
    setting = Setting(DIGITS, None, 20, live=False, workers=2)
    first, again = (setting.outcome("tpe+asha", 3) for _ in range(2))
    assert (first.curve, first.end, first.epochs) == (again.curve, again.end, again.epochs)


def test_a_table_is_continued_by_whole_configurations(tmp_path: Path) -> None:
    file, row = tmp_path / "table.csv", dict.fromkeys(SPACE, 1.0) | {"architecture": "a", "freeze_depth": 5}
    assert done(file) == set()
    append(file, [{"seed": 0, **row, "epoch": epoch, METRIC: 0.5} for epoch in (1, 2)])
    append(file, [{"seed": 1, **row, "epoch": 1, METRIC: 0.4}])
    assert done(file) == {(0, "a", 5, 1.0, 1.0, 1.0), (1, "a", 5, 1.0, 1.0, 1.0)}
    assert len(file.read_text().splitlines()) == 4, "one header"


@pytest.mark.parametrize("number", range(8))
def test_constructed_tables_have_their_stated_optimum(number: int, tmp_path: Path) -> None:
    rows = constructed(number)
    pd.testing.assert_frame_equal(rows, constructed(number))
    assert (
        rows.loc[rows[METRIC].idxmax(), "freeze_depth"]
        in {"heads": (5,), "middle": (3, 4, 5), "deep": (0, 1, 2)}[KINDS[number]]
    )
    rows.to_csv(tmp_path / "table.csv", index=False)
    assert len(Table(tmp_path / "table.csv", shallowest=0)) == 220


@pytest.mark.parametrize(("name", "cells", "noise"), [("photos", 110, 0.015), ("photos-two-labels", 30, 0.02)])
def test_tables_of_photos(name: str, cells: int, noise: float) -> None:
    table = Table(ROOT / "benchmarks" / "tables" / f"{name}.csv")
    assert len(table) == cells and table.epochs == 8 and 0 < table.noise < noise
