"""The command line as a user meets it: exit statuses, output and signals."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
import torch
import yaml

from tests.conftest import ROOT
from tests.searches import search_file
from thaw.analysis.run_folder import RunFolder
from thaw.search.cli import run
from thaw.spaces import TrialConfig

LIMIT = 300
"""Timeout for a process of these tests, in seconds."""

EXPLODING: dict[str, Any] = {
    "space": {"learning_rate": [10.0, 9.0]},
    "training": {"optimizer": "sgd", "momentum": 0.99, "weight_decay": 1.0, "epochs": 20, "patience": 0},
}
ENDLESS: dict[str, Any] = {"space": {"dropout": [0.0, 0.1, 0.2]}, "training": {"epochs": 5000, "patience": 0}}

LINES = (
    r"\d+ images; \d labels: .+",
    r"labels per image: .+; split: .+",
    r"labels in 'labels' are separated by blanks",
    r"trial \d+  epoch \d+/\d+  val_map \d\.\d{4}  val_loss \d+\.\d{4}  \d+\.\d s  dropout=\S+ learning_rate=\S+",
    r"trial \d+  completed  \[\d+/2 done; best val_map \d\.\d{4} \(trial \d\)\]",
    r"2 trials in [^:]+: 2 completed",
    r"(loading PyTorch|looking at networks and their weights|reading labels|reading images|splitting images|"
    r"scoring trivial predictors|starting trials) …",
)
"""All that a search prints outside a terminal before its summary."""


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "thaw", *map(str, arguments)]


def thaw(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), cwd=ROOT, capture_output=True, text=True, timeout=LIMIT)


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """The command in this process: (exit status, standard output, standard error)."""

    def in_process(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["thaw", *map(str, arguments)])
        status = run()
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return in_process


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, squares: Path, cache: Path
) -> tuple[RunFolder, subprocess.CompletedProcess[str]]:
    """A search of two trials, started with every option."""
    folder = tmp_path_factory.mktemp("finished")
    file = search_file(folder, squares, cache)
    options = ("--output", folder / "2026", "--trials", 2, "--time-budget", "1h30m", "--set", "training.head_units=8")
    done = thaw("search", file, *options, "--set", "name=chosen", "--set", "search.seed=7")
    return RunFolder(folder / "2026" / "chosen"), done


@pytest.mark.ray
def test_a_search_prints_its_progress_and_nothing_of_rays(
    finished: tuple[RunFolder, subprocess.CompletedProcess[str]],
) -> None:
    _, done = finished
    assert (done.returncode, done.stderr) == (0, "")
    progress, summary = done.stdout.split("\nThe best trial next to predictors that never look at an image")
    for line in filter(None, progress.splitlines()):
        assert any(re.fullmatch(pattern, line) for pattern in LINES), line
    assert len(re.findall(r"^trial \d  epoch", progress, re.MULTILINE)) == 4, "one line an epoch"
    for text in ("hamming_accuracy ↑", "Best configuration", "architecture: convnet", "thaw best", "trials.csv"):
        assert text in summary
    assert not re.search(r"\b[Rr]ay\b|\bTune\b", done.stdout)


@pytest.mark.ray
def test_options_reach_the_resolved_file(finished: tuple[RunFolder, subprocess.CompletedProcess[str]]) -> None:
    folder, _ = finished
    resolved = folder.settings()
    assert resolved["search"]["trials"] == 2 and resolved["search"]["time_budget"] == 5400.0
    assert resolved["search"]["seed"] == 7 and resolved["training"]["head_units"] == 8
    assert resolved["name"] == "chosen" and resolved["output"] == str(folder.path.parent)


@pytest.mark.ray
def test_best_prints_a_configuration(
    finished: tuple[RunFolder, subprocess.CompletedProcess[str]], call: Callable[..., tuple[int, str, str]]
) -> None:
    folder, _ = finished
    status, out, err = call("best", folder.path)
    assert (status, err) == (0, "")
    config = TrialConfig.model_validate(yaml.safe_load(out))
    trials = pd.read_csv(folder.trials_file)
    leader = trials.sort_values("val_map", kind="stable", ascending=False).iloc[0]
    assert (config.dropout, config.learning_rate) == (leader["dropout"], leader["learning_rate"])
    assert f"trial {leader['trial']} of chosen: val_map {leader['val_map']:.4f}" in out.splitlines()[0]


def test_no_finished_trial_is_status_1(
    tmp_path: Path, squares: Path, cache: Path, call: Callable[..., tuple[int, str, str]]
) -> None:
    status, out, _ = call("search", search_file(tmp_path, squares, cache, **EXPLODING), "--backend", "inline")
    assert status == 1
    assert "2 failed" in out and "No trial finished" in out and "try a smaller learning_rate" in out
    status, out, err = call("best", tmp_path / "results" / "squares")
    assert (status, out) == (1, "") and "no trial has finished yet" in err


def _absent_images(folder: Path) -> dict[str, Any]:
    names = [f"lost-{i}.png" for i in range(7)]
    rows = "".join(f"{name},{'red' if i % 2 else 'blue'}\n" for i, name in enumerate(names))
    (folder / "own.csv").write_text(f"filename,labels\n{rows}")
    return {"data": {"labels": str(folder / "own.csv")}}


def _labels(text: str) -> Callable[[Path], dict[str, Any]]:
    """A label file for the first twelve squares, `text` with an index for each."""

    def write(folder: Path) -> dict[str, Any]:
        rows = "\n".join(f"{i}.png," + text.format(colour=("red", "blue")[i % 2]) for i in range(12))
        (folder / "own.csv").write_text(f"filename,labels,part\n{rows}\n")
        return {"data": {"labels": str(folder / "own.csv"), "split": {"column": "part"}}}

    return write


WRONG: dict[str, tuple[Callable[[Path], dict[str, Any]], tuple[str, ...]]] = {
    "unknown key": (lambda _: {"trainng": {}}, ("trainng", "did you mean training?")),
    "unknown hyperparameter": (lambda _: {"space": {"learning_rat": [1]}}, ("space.learning_rat", "learning_rate?")),
    "no image folder": (lambda f: {"data": {"images": str(f / "nowhere")}}, ("data.images", "nowhere", "120 images")),
    "no label file": (lambda f: {"data": {"labels": str(f / "no.csv")}}, ("data.labels", "no.csv does not exist")),
    "absent images": (_absent_images, ("data.images", "7 images", "lost-0.png, lost-1.png, lost-2.png")),
    "architecture": (
        lambda _: {"space": {"architecture": ["convnet", "resnet5"]}, "training": {"architecture": None}},
        ("space.architecture", "'resnet5'", "did you mean resnet50?"),
    ),
    "softmax": (lambda _: {"training": {"loss": "softmax"}}, ("training.loss", "60 of 120 images", "use bce")),
    "one label": (_labels("red,train"), ("data.labels", "two labels or more, got red")),
    "empty split": (_labels("{colour},test"), ("data.split", "split is empty")),
    "split column": (_labels("{colour},somewhere"), ("data.split.column", "'somewhere'")),
    "grid": (
        lambda _: {"space": {"learning_rate": {"log": [1e-4, 1e-2]}}},
        ("space.learning_rate", "continuous", "use algorithm: tpe"),
    ),
    "weights": (
        lambda f: {"training": {"architecture": "resnet18"}, "weights": {"resnet18": str(f / "gone.pth")}},
        ("weights.resnet18", "gone.pth"),
    ),
    "output": (
        lambda f: {"output": str(f / "search.yaml" / "below")},
        ("must be writable", "choose another name or --output"),
    ),
    "too many processors": (lambda _: {"resources": {"cpu": 4096}}, ("resources.cpu", "4096", "request less")),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_status_2_and_starts_nothing(
    case: str, tmp_path: Path, squares: Path, cache: Path, call: Callable[..., tuple[int, str, str]]
) -> None:
    sections, messages = WRONG[case]
    file = search_file(tmp_path, squares, cache, **sections(tmp_path))
    before = set(tmp_path.rglob("*"))
    status, out, err = call("search", file)
    assert status == 2 and all(line.endswith(" …") for line in out.splitlines()), "only stages"
    assert err.startswith(f"error: {tmp_path}") and err.count("\n") == 1
    for text in messages:
        assert text in err
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_missing_gpu(tmp_path: Path, squares: Path, cache: Path, call: Callable[..., tuple[int, str, str]]) -> None:
    status, _, err = call("search", search_file(tmp_path, squares, cache, resources={"gpu": 0.5}))
    assert status == 2 and "resources.gpu: a trial requests 0.5, there are 0 GPUs" in err
    assert not (tmp_path / "results").exists()


def test_a_run_is_never_overwritten(
    tmp_path: Path, squares: Path, cache: Path, call: Callable[..., tuple[int, str, str]]
) -> None:
    file = search_file(tmp_path, squares, cache)
    (tmp_path / "results" / "squares").mkdir(parents=True)
    for options in ((), ("--dry-run",)):
        status, _, err = call("search", file, *options)
        assert status == 2 and "exists already" in err and "--output" in err
    assert not list((tmp_path / "results" / "squares").iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("search", "no-such-file.yaml"), "no-such-file.yaml"),
        (("search", "--frobnicate", "x.yaml"), "No such option"),
        (("search",), "Missing argument"),
        (("serch", "x.yaml"), "No such command"),
        (("search", "x.yaml", "--trials", "0"), "greater than or equal to 1"),
        (("search", "x.yaml", "--address", "auto", "--backend", "local"), "--address: joins a Ray cluster"),
        (("best", "."), "not a run folder"),
        (("describe", "resnet5"), "did you mean resnet50?"),
        (("describe", "resnet18", "--freeze-depth", "6"), "less than or equal to 5"),
    ],
)
def test_wrong_arguments_are_status_2(
    arguments: tuple[str, ...], message: str, call: Callable[..., tuple[int, str, str]]
) -> None:
    status, out, err = call(*arguments)
    assert (status, out) == (2, "") and message in err


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, "the search did not come so far"
        time.sleep(0.1)


def _epochs(folder: RunFolder) -> int:
    return sum(event["event"] == "epoch" for event in folder.events()) if folder.events_file.exists() else 0


def _check_interrupted(folder: RunFolder, children: list[psutil.Process], reason: str) -> None:
    *_, last = folder.events()
    assert last["event"] == "session_ended" and last["reason"] == reason
    trials = pd.read_csv(folder.trials_file)
    assert len(trials) and set(trials["status"]) == {"interrupted"}
    assert not psutil.wait_procs(children, timeout=5)[1], "workers survive the search"


@pytest.fixture
def killed_at_the_end() -> Iterator[list[subprocess.Popen[Any]]]:
    """Processes that are killed at the end, with all their children, even if the test fails."""
    processes: list[subprocess.Popen[Any]] = []
    yield processes
    for process in processes:
        if process.poll() is None:
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
            process.kill()
            process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("backend", [pytest.param("ray", marks=pytest.mark.ray), "local"])
def test_sigterm_is_status_143_and_leaves_no_process(
    backend: str, tmp_path: Path, squares: Path, cache: Path, killed_at_the_end: list[subprocess.Popen[Any]]
) -> None:
    file = search_file(tmp_path, squares, cache, **ENDLESS)
    folder = RunFolder(tmp_path / "results" / "squares")
    process = subprocess.Popen(
        command("search", file, "--backend", backend),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    killed_at_the_end.append(process)
    _wait(lambda: _epochs(folder) >= 3)
    children = psutil.Process(process.pid).children(recursive=True)
    started = time.monotonic()
    process.terminate()
    out, err = process.communicate(timeout=LIMIT)
    assert time.monotonic() - started < 30
    assert (process.returncode, err) == (143, "")
    assert "Interrupted by SIGTERM; what was finished is kept" in out and str(folder.trials_file) in out
    assert f"Continue with: thaw resume {folder.path}" in out
    _check_interrupted(folder, children, "SIGTERM")
    best = thaw("best", folder.path)
    assert best.returncode == 1 and not best.stdout


@pytest.mark.parametrize(
    "backend", [pytest.param("ray", marks=pytest.mark.ray), pytest.param("local", marks=pytest.mark.slow)]
)
def test_a_terminal_shows_a_live_table_and_ctrl_c_is_status_130(
    backend: str, tmp_path: Path, squares: Path, cache: Path, killed_at_the_end: list[subprocess.Popen[Any]]
) -> None:
    file = search_file(tmp_path, squares, cache, **ENDLESS)
    folder = RunFolder(tmp_path / "results" / "squares")
    terminal, inside = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))

    def attach() -> None:
        # The terminal's own: Ctrl-C then reaches the whole foreground group, Ray's processes too.
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"} | {"TERM": "xterm"}
    process = subprocess.Popen(
        command("search", file, "--backend", backend),
        cwd=ROOT,
        stdin=inside,
        stdout=inside,
        stderr=inside,
        env=environment,
        preexec_fn=attach,
    )
    killed_at_the_end.append(process)
    os.close(inside)
    os.set_blocking(terminal, False)
    shown = bytearray()

    def read() -> None:
        try:
            while piece := os.read(terminal, 65536):
                shown.extend(piece)
        except OSError:  # nothing there now, or nobody writes any more
            pass

    def runs() -> bool:
        read()
        return _epochs(folder) >= 3 and b"running" in shown

    _wait(runs)
    children = psutil.Process(process.pid).children(recursive=True)
    started = time.monotonic()
    os.write(terminal, b"\x03")

    def ended() -> bool:
        read()
        return process.poll() is not None

    _wait(ended)
    assert time.monotonic() - started < 30
    os.close(terminal)
    assert process.returncode == 130
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    assert re.search(r"trial\W+epoch\W+value\W+best\W+seconds\W+dropout\W+status", text)
    assert re.search(r"0 of 3 trials done", text) and re.search(r"0\W+\d+/5000.+running", text)
    assert "epoch 1/5000" not in text, "no lines an epoch beside the table"
    assert "Interrupted by SIGINT; what was finished is kept" in text and "Traceback" not in text
    _check_interrupted(folder, children, "SIGINT")


def test_one_search_file_and_any_number_of_runs_to_learn_from(
    call: Callable[..., tuple[int, str, str]], tmp_path: Path, squares: Path, cache: Path
) -> None:
    file = search_file(tmp_path, squares, cache, search={"algorithm": "tpe", "trials": 2})
    status, _, error = call("search", file, file)
    assert status == 2 and "takes one search file" in error
    for runs in (("--from", "a", "b"), ("--from", "a", "--from", "b")):
        status, _, error = call("search", file, *runs, "--dry-run", "--set", "name=next")
        assert status == 2 and "search.learn_from: " in error and "not a run folder" in " ".join(error.split())


@pytest.mark.parametrize(
    "arguments", [["list", ""], ["predict", "m", "a.png", "--to="], ["search", "s.yaml", "--set", ""]]
)
def test_an_empty_argument_is_not_the_current_folder(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["thaw", *arguments])
    assert run() == 2
    assert capsys.readouterr().err == (
        f"error: argument {len(arguments)}: must not be empty, which would mean the current folder, got "
        f"{arguments[-1]!r}; is a variable of the shell not set?\n"
    )
