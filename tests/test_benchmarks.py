"""The benchmarks run, on a handful of images, and their stated bounds are right."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks import limits, live, scale, speed
from benchmarks.jobs import JOBS, bound
from benchmarks.machine import cell, print_table
from benchmarks.photos import add_options, bench, repeated, subset
from tests.conftest import ROOT
from thaw.spaces import ConfigError, TrialConfig
from thaw.trainables.data.splits import Split
from thaw.trainables.networks.backbone import resolve

SPLIT = Split(np.arange(80), np.arange(80, 100), np.arange(0))
SMALL = ("--images", "90", "--image-size", "64", "--architecture", "mobilenet_v3_small")


def _heads(trials: int, epochs: int, depth: int = 5) -> list[TrialConfig]:
    return [TrialConfig(freeze_depth=depth, epochs=epochs, dropout=number / 100) for number in range(trials)]


@pytest.mark.parametrize(
    ("configs", "fresh_views", "expected"),
    [
        (_heads(12, 8), False, 96.0),
        # 12 x 8 x (80 + 20) passes without reuse; 8 x 80 + 20 with it.
        (_heads(12, 8), True, 9600 / 660),
        (_heads(2, 3, depth=0), False, 1.0),
    ],
)
def test_bound_of_pure_jobs(configs: list[TrialConfig], fresh_views: bool, expected: float) -> None:
    assert bound(configs, SPLIT, 64, fresh_views) == pytest.approx(expected)


def test_bound_of_a_mixed_job_is_amdahls() -> None:
    """One head trial and one full one, one epoch each, so that nothing is saved: 1; two epochs save one prefix pass."""
    macs = sum(stage.macs for stage in resolve("mobilenet_v2", "none", 64).cost.stages)
    mixed = [TrialConfig(freeze_depth=5, epochs=2), TrialConfig(freeze_depth=0, epochs=2)]
    live = 2 * 100 * macs + 2 * (3 * 80 + 20) * macs
    assert bound(mixed, SPLIT, 64, False) == pytest.approx(live / (live - 100 * macs))
    assert bound([config.model_copy(update={"epochs": 1}) for config in mixed], SPLIT, 64, False) == 1.0


def test_jobs_are_those_of_the_benchmark() -> None:
    cells = {name: np.prod([len(values) for values in job.space.values()]) for name, job in JOBS.items()}
    assert (cells["head"], cells["fresh"], cells["mixed"]) == (12, 12, 12)
    assert JOBS["head"].epochs == JOBS["fresh"].epochs == 8


CHILDREN = """
import subprocess, sys, time
from benchmarks.machine import Usage
spin = "import time; end = time.process_time() + 1.0\\nwhile time.process_time() < end: pass\\ntime.sleep(1)"
with Usage(interval=0.1) as usage:
    subprocess.run([sys.executable, "-c", spin], check=True)
with Usage(interval=0.1) as idle:
    time.sleep(0.3)
print(usage.cpu, usage.wall, idle.cpu)
"""
MEMORY = """
import sys, time
import numpy as np
from benchmarks.machine import Usage
np.ones(100_000_000, np.uint8).tofile(sys.argv[1])
with Usage(interval=0.05) as before:
    time.sleep(0.1)
mapped = np.memmap(sys.argv[1], np.uint8, mode="r")
with Usage(interval=0.05) as reading:
    assert mapped.sum(dtype=np.int64) == 100_000_000
    time.sleep(0.1)
with Usage(interval=0.05) as holding:
    kept = np.ones(100_000_000, np.uint8)
    time.sleep(0.1)
print(reading.driver_mb - before.driver_mb, holding.driver_mb - reading.driver_mb)
"""


def _printed(code: str, *arguments: str) -> list[float]:
    """The figures that a fresh process prints: in this one other tests leave processes and free memory at any time."""
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [float(word) for word in done.stdout.split()]


def test_usage_sees_the_work_of_children_and_not_of_others() -> None:
    cpu, wall, idle = _printed(CHILDREN)
    assert 0.9 < cpu < 3 and wall > 1.9 and idle < 0.25


def test_usage_counts_private_memory_and_no_mapped_file(tmp_path: Path) -> None:
    mapped, private = _printed(MEMORY, str(tmp_path / "mapped"))
    assert mapped < 40 and private > 60


def test_tables_are_markdown(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("Title", ["what", "s"], [["a", 1234.5], ["bb", 0.12345]])
    expected = ["", "Title", "", "| what |      s |", "|------|-------:|", "| a    |   1234 |", "| bb   | 0.1235 |"]
    assert capsys.readouterr().out.splitlines() == expected
    assert [cell(value) for value in (None, 3, "x", 0.0, 12.345, 123.45)] == ["-", "3", "x", "0", "12.35", "123.5"]


def test_images_are_repeated_under_other_names(squares: Path, tmp_path: Path) -> None:
    labels = pd.read_csv(squares / "labels.csv", dtype=str)
    table = pd.read_csv(repeated(squares, 3, 2, tmp_path) / "labels.csv", dtype=str)
    assert table["labels"].tolist() == [label for label in labels["labels"][:3] for _ in range(2)]
    files = [tmp_path / "images-3x2" / "images" / name for name in table["filename"]]
    originals = [squares / "images" / name for name in labels["filename"][:3] for _ in range(2)]
    assert len(set(files)) == 6 and [os.path.realpath(file) for file in files] == list(map(str, originals))


def test_a_missing_data_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--data: must be digits or a folder .* got nowhere"):
        subset("nowhere", None, tmp_path)


@pytest.mark.parametrize("name", ["speed", "limits", "scale", "live"])
def test_help_needs_no_data(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    module: Any = {"speed": speed, "limits": limits, "scale": scale, "live": live}[name]
    with pytest.raises(SystemExit) as stopped:
        module.main(["--help"])
    assert stopped.value.code == 0
    assert "--data" in capsys.readouterr().out


def test_warm_needs_cold(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        speed.parse(["--arms", "thaw-warm"])
    assert "add thaw-cold" in capsys.readouterr().err


def test_limits_without_ray(tmp_path: Path, squares: Path) -> None:
    parser = ArgumentParser()
    add_options(parser, images=None)
    common = bench(parser.parse_args([*SMALL, "--data", str(squares)]), tmp_path)
    head = limits.head_trial(common, repeat=1)
    speeds = limits.bandwidth(common, repeat=1)
    rates = limits.chunks(common, repeat=1)
    assert head["ratio"] == pytest.approx(head["thaw_seconds"] / head["bare_seconds"]) and head["ratio"] > 0.5
    assert rates.pop("chosen") == 32 and len(rates) == 6 and all(rate > 1 for rate in rates.values())
    assert speeds["pixels_gb_s"] > 0.05 and speeds["activations_gb_s"] > 0.05


@pytest.mark.slow
def test_all_arms_train_the_same_trials(tmp_path: Path, squares: Path) -> None:
    """On small square PNG files all arms see the same pixels, so even the tutorial's figures agree."""
    small = [*SMALL, "--data", str(squares), "--image-size", "32", "--work", str(tmp_path / "work")]
    file = tmp_path / "figures.json"
    # As a command, from a clone: its workers do not share the imports of this process.
    command = [sys.executable, "-m", "benchmarks.speed", *small, "--trials", "2", "--epochs", "2", "--jobs", "head"]
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([*command, "--json", str(file)], cwd=ROOT, env=inherited, check=True)
    report = json.loads(file.read_text())
    for job in report["jobs"].values():
        assert job["identical_to_live"]
        thaw, *others = (job["arms"][arm]["trials"] for arm in ("thaw-live", "tuned", "tutorial"))
        ours = [[row["val_map"] for row in rows] for rows in thaw]
        assert np.shape(ours) == (2, 2)
        for theirs in others:
            np.testing.assert_allclose(ours, [[row["val_map"] for row in rows] for rows in theirs], atol=0.02)


def test_the_live_check_compares_times_to_the_same_value() -> None:
    """Thaw is the best at once; without ASHA, plain Ray Tune gets within 0.005 of that late, and with it never."""
    seed = {
        "thaw": live.Search([(2.0, 3.0, 0.41)], 5, 9.0, 9.0),
        "ray-tpe": live.Search([(4.0, 5.0, 0.38), (20.0, 30.0, 0.406)], 8, 30.0, 40.0),
        "ray-tpe-asha": live.Search([(6.0, 7.0, 0.39)], 6, 8.0, 8.0),
    }
    assert live.targets(seed) == pytest.approx((0.405, 0.401))
    figures = live.summary([seed])
    assert figures["thaw"] == [0.41, 5, 9.0, 9.0, 2.0, 3.0, 2.0, 3.0]
    assert figures["ray-tpe"][4:] == [20.0, 30.0] * 2 and figures["ray-tpe-asha"][4:] == [None] * 4
    assert live.speedup(figures) == 10.0


@pytest.mark.slow
def test_the_live_check_runs_all_arms_on_the_same_budget(tmp_path: Path, squares: Path) -> None:
    small = [*SMALL, "--data", str(squares), "--image-size", "32", "--trials", "3", "--epochs", "2"]
    report = live.main([*small, "--concurrency", "2", "--json", str(tmp_path / "a"), "--plot", str(tmp_path / "a.png")])
    (searches,) = report["seeds"]
    assert searches["thaw"]["epochs"] == searches["ray-tpe"]["epochs"] == 6 >= searches["ray-tpe-asha"]["epochs"] >= 4
    for search in searches.values():
        walls, _, values = zip(*search["curve"], strict=True)
        assert list(values) == sorted(values) and 0 < walls[0] <= walls[-1] <= search["wall"] and search["cpu"] > 0
    assert (tmp_path / "a").stat().st_size and (tmp_path / "a.png").stat().st_size


@pytest.mark.slow
def test_limits_and_scale_run(tmp_path: Path, squares: Path) -> None:
    small = [*SMALL, "--data", str(squares), "--work"]
    report = limits.main([*small, str(tmp_path / "limits"), "--repeat", "3", "--trials", "3"])
    assert 0 < report["prefix"]["share"] < 1.5
    parts = dict(report["breakdown"])
    assert parts.pop("wall") * parts.pop("workers") == pytest.approx(sum(parts.values()), abs=0.01)
    figures = scale.main([*small, str(tmp_path / "scale"), "--quick", "--tables", "views"])
    stored = scale.COLUMNS.index("stored MB") + 1
    assert [row[0] for row in figures["views"]] == [1, 2]
    assert figures["views"][1][stored] > figures["views"][0][stored]
