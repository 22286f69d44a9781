"""The report: its sentences worked out by hand, its files, and texts that try to break out of the page."""

from __future__ import annotations

import json
import math
import resource
import subprocess
import sys
from contextlib import ExitStack, suppress
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from tests.confirmations import leader, outcome
from tests.conftest import ROOT
from tests.hostile import HOSTILE
from tests.mounts import read_only
from tests.page_elements import Elements
from tests.synthetic_runs import synthetic_run
from thaw.analysis.plots import PLOTS, NotEnough
from thaw.analysis.report import write_report
from thaw.analysis.report.answer import answer
from thaw.analysis.report.beside import beside
from thaw.analysis.report.confirmation import confirmation
from thaw.analysis.report.place import MARK, replaced_report
from thaw.analysis.report.spending import spending
from thaw.analysis.report.trial_rows import trial_rows
from thaw.analysis.run import Run, load_run
from thaw.analysis.words import duration
from thaw.search.cli import run as command
from thaw.spaces import ConfigError, TrialConfig, measured


def metrics(value: float, **others: float) -> dict[str, float]:
    row = {name: value for name in measured(False, 2)} | {"loss": 1 - value} | others
    return {f"{prefix}_{name}": number for prefix in ("val", "train") for name, number in row.items()}


def by_hand(folder: Path, confirmed: bool = False) -> Run:
    """Three trials of at most 10 epochs: one early stopped after 2, one pruned after 1, one failed."""
    folder.mkdir()
    settings = {
        "weights": "imagenet",
        "space": {"dropout": {"float": [0.0, 0.5]}},
        "training": {"architecture": "resnet18", "epochs": 10},
        "search": {"metric": "val_map", "algorithm": "tpe", "seed": 0},
        "scheduler": {"type": "asha", "grace_period": 1, "reduction_factor": 3},
    }
    (folder / "search.yaml").write_text(yaml.safe_dump(settings))
    trivial = {name: 0.2 for name in measured(False, 2)} | {"loss": 0.3, "inclusion_accuracy": 0.9}
    facts = {"classes": ["a"], "images": {"train": 8, "validation": 2, "test": 0}, "fingerprint": "f", "rejected": 0}
    provenance = {
        **{"thaw": "0", "python": "3", "packages": {}, "git_revision": None, "precision": "fp32", "data": facts},
        "hardware": {"processor": "p", "cpus": 2, "gpus": []},
        "trivial": {"nothing": {**trivial, "map": 0.1}, "most_frequent_label": trivial},
    }
    (folder / "provenance.json").write_text(json.dumps(provenance))
    events: list[dict[str, Any]] = [{"time": 0.0, "event": "session_started", "overrides": {}}]

    def trial(number: int, start: float, dropout: float, values: list[float], status: str, reason: str = "") -> None:
        config = TrialConfig(architecture="resnet18", epochs=10, dropout=dropout).model_dump()
        events.append({"time": start, "event": "trial_started", "trial": number, "config": config})
        for epoch, value in enumerate(values, 1):
            row = {"metrics": metrics(value), "seconds": {"train": 3.0, "validate": 1.0}, "label_ap": [value]}
            row |= {"learning_rate": 0.1, "gradient_norm": 1.0, "parameters": 5, "worker": "w", "decision": "continue"}
            events.append({"time": start + 5 * epoch, "event": "epoch", "trial": number, "epoch": epoch, **row})
        end = start + 5 * len(values)
        events.append({"time": end, "event": "trial_ended", "trial": number, "status": status, "reason": reason})

    trial(0, 1.0, 0.5, [0.3], "pruned")
    trial(1, 10.0, 0.25, [0.5, 0.6], "early_stopped", "patience")
    trial(2, 30.0, 0.1, [], "failed", HOSTILE[1])
    events.append({"time": 100.0, "event": "session_ended", "reason": "done", "seconds": 100.0})
    (folder / "events.jsonl").write_text("".join(json.dumps({"session": 1, **event}) + "\n" for event in events))
    if confirmed:
        chosen = leader(1, 0.5, interval=[0.4, 0.62])
        other = leader(0, 0.2, pooled=None, search_value=0.3, interval=[0.1, 0.3])
        (folder / "confirm.json").write_text(json.dumps(outcome(chosen, other)))
    return load_run(folder)


def without_trials(folder: Path) -> Run:
    """A search that has only just begun; there is nothing to draw."""
    run = by_hand(folder)
    first, *_ = run.folder.events_file.read_text().splitlines(keepends=True)
    run.folder.events_file.write_text(first)
    return load_run(folder)


def test_the_first_screen_by_hand(tmp_path: Path) -> None:
    found = answer(by_hand(tmp_path / "run"))
    assert found.headline == (
        "The best configuration is trial 1, with dropout 0.25: val_map 0.6 after epoch 2 of at most 10. "
        "1 of 3 trials was pruned by epoch 1: what it would have reached is unknown."
    )
    assert found.configuration == {"dropout": "0.25"} and found.fixed["architecture"] == "resnet18"
    assert found.facts == [
        "The best predictor that never looks at an image (most frequent label) has val_map 0.2.",
        "The first configuration tried, trial 0, reached 0.3.",
        "The importance of hyperparameters cannot be estimated from fewer than 12 comparable trials, fewer than 4 that "
        "went on after the first were stopped, or from trials this similar.",
        "3 trials: 1 stopped by patience, 1 pruned and 1 failed.",
        "3 epochs took 12 s of training and validation; the search took 1 min 40 s.",
        # 9 and 8 epochs at 4 seconds each.
        "Early stopping saved up to 17 epochs: about 1 min 8 s of training at the pace of those trials.",
    ]
    assert found.caveats == [
        "The best of 2 values on the same validation images is partly luck: expect slightly worse results on new "
        "images.",
        "A predictor that never looks at an image does as well or better on loss (0.4 against 0.3 for nothing) and "
        "inclusion_accuracy (0.6 against 0.9 for nothing).",
        f"1 trial of 3 failed; the reason for all: {HOSTILE[1]}.",
    ]


def test_a_trial_at_the_edge_of_the_space_is_named(tmp_path: Path) -> None:
    run = by_hand(tmp_path / "run")
    text = run.folder.events_file.read_text().replace('"dropout": 0.25', '"dropout": 0.499')
    run.folder.events_file.write_text(text)
    assert any(
        "boundary of the space in dropout (upper end)" in line for line in answer(load_run(run.folder.path)).caveats
    )


def test_a_loss_of_another_kind_has_no_trivial_rival(tmp_path: Path) -> None:
    run = by_hand(tmp_path / "run")
    run.folder.events_file.write_text(run.folder.events_file.read_text().replace('"loss": "bce"', '"loss": "focal"'))
    found = beside(load_run(run.folder.path))
    assert found is not None and found.best_trivial("loss") is None and found.not_beaten == ["inclusion_accuracy"]
    assert found.best_trivial("map") == ("most frequent label", 0.2)


def test_spending_counts_every_trial(tmp_path: Path) -> None:
    run = synthetic_run(tmp_path / "run", 60)
    spent = spending(run)
    assert sum(spent.trials.values()) == 60 and spent.epochs == len(run.history)
    assert spent.training == pytest.approx(run.trials["seconds"].sum(), abs=0.1)
    pruned = run.trials[run.trials["status"] == "pruned"]
    assert spent.saved_epochs >= int((6 - pruned["last_epoch"]).sum()) > 0


def test_what_mattered_is_reported_by_architecture_with_counts(tmp_path: Path) -> None:
    facts = answer(synthetic_run(tmp_path / "run", 100, failures=0)).facts
    mattered = [fact for fact in facts if "most at the last epoch" in fact]
    assert mattered[0].startswith("Over all architectures, ")
    assert mattered[0].endswith("most at the last epoch, according to a model of all epochs of 100 trials.")
    assert [fact.split(",")[0] for fact in mattered[1:]] == [
        f"Within {name}" for name in ("convnet", "mobilenet_v2", "resnet50")
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (9.54, "9.54 s"), (59.96, "60 s"), (60, "1 min"), (190.4, "3 min 10 s"), (3599.9, "1 h"),
     (7500, "2 h 5 min"), (90000, "1 d 1 h")],
)  # fmt: skip
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_rows_are_best_first_and_json(tmp_path: Path) -> None:
    content = trial_rows(by_hand(tmp_path / "run"))
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert [row[0] for row in content["rows"]] == [1, 0, 2] and content["best"] == 1
    names = [column["name"] for column in content["columns"]]
    assert names[:5] == ["trial", "status", "val_map", "best_epoch", "dropout"] and names[-1] == "error"
    assert content["rows"][2][names.index("val_map")] is None and content["rows"][2][-1].startswith("</script>")
    down = {column["name"]: column["descending"] for column in content["columns"]}
    assert down["val_map"] and not down["val_loss"] and not down["seconds"]


def test_one_label_per_image_is_reported_as_accuracy(tmp_path: Path) -> None:
    run = by_hand(tmp_path / "run")
    assert not any("accuracy)" in fact for fact in answer(run).facts)
    text = run.folder.events_file.read_text().replace('"val_map"', '"val_accuracy": 0.75, "val_balanced_accuracy": 0.5')
    text = text.replace('"val_balanced_accuracy": 0.5', '"val_balanced_accuracy": 0.5, "val_map"')
    run.folder.events_file.write_text(text)
    single = load_run(run.folder.path)
    first, *_ = answer(single).facts
    assert first == (
        "Its most probable label is correct for 75.0% of the validation images (accuracy), and for 50.0% of a label's "
        "images, averaged over the labels (balanced accuracy)."
    )
    columns = [column["name"] for column in trial_rows(single)["columns"]]
    assert "val_accuracy" in columns and "val_top1_accuracy" not in columns
    table = beside(single)
    assert table is not None and table.value("accuracy", table.best) == 0.75
    assert math.isnan(table.value("accuracy", "nothing")), "a run begun by 0.1.0 has none"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (json.dumps(outcome(leader(1, 0.5, pooled=0.45))), r"damaged: leaders\.0\.pooled: .*, got 0\.45"),
        (json.dumps(outcome(leader(1, math.inf))), r"damaged: leaders\.0\.values\.0: Input should be a finite number"),
        (json.dumps(outcome(leader(1, 0.5)) | {"chosen": 2}), "damaged: .*chosen must be one of the leaders, 1"),
        ('{"leaders": []}', "damaged"),
        ("{", "damaged"),
        ("[]", "damaged"),
    ],
)
def test_a_confirmation_that_cannot_be_read_says_what_to_do(tmp_path: Path, text: str, message: str) -> None:
    run = by_hand(tmp_path / "run")
    run.folder.confirm_file.write_text(text)
    with pytest.raises(ConfigError, match=rf"confirm\.json: {message}.*run the same `thaw confirm` again"):
        confirmation(run)


@pytest.fixture
def few_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only three plots, as drawing all of them takes ten seconds."""
    few = ("best_so_far", "learning_curves", "label_distribution")
    monkeypatch.setattr("thaw.analysis.report.page.PLOTS", {name: PLOTS[name] for name in few})


@pytest.mark.usefixtures("few_plots")
def test_a_report_of_a_run_that_cannot_be_written_goes_elsewhere(tmp_path: Path) -> None:
    run = by_hand(tmp_path / "run", confirmed=True)
    with read_only(run.folder.path):
        page = write_report([load_run(run.folder.path)], tmp_path / "page")
        with pytest.raises(ConfigError, match=r"cannot be created: Read-only file system; choose another --output"):
            write_report([load_run(run.folder.path)])
    assert page == tmp_path / "page" / "index.html" and page.is_file()


def test_a_disk_that_fills_up_is_an_error_of_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = by_hand(tmp_path / "run")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    monkeypatch.setattr(sys, "argv", ["thaw", "report", str(run.folder.path), "--no-photos"])
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        status = command()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert status == 1 and list(run.folder.report.iterdir()) == [], "nothing unfinished is left"
    assert capsys.readouterr().err == "error: cannot be written: File too large; make room, or choose another place\n"


def test_a_confirmation_is_shown(tmp_path: Path) -> None:
    assert confirmation(by_hand(tmp_path / "plain")) is None
    found = confirmation(by_hand(tmp_path / "run", confirmed=True))
    assert found is not None
    assert found.sentences == [
        "Retrained on 5 folds of 10 images, trial 1 is the choice: val_map 0.5 (95 % interval 0.4 to 0.62).",
        "The search's best value (trial 1) minus its mean over folds: +0.100. A fold trains on about 8 images and is "
        "validated on different ones, which explains part of it.",
        "The same difference for the other leader: +0.100. Selecting the best added +0.000.",
        "Over all images together, each predicted by a network that was not trained on it, it reaches 0.45 "
        "(95 % interval 0.3 to 0.55): an estimate for other images of the same kind.",
    ]
    assert found.leaders["pooled"].to_list() == ["0.45 (95 % interval 0.3 to 0.55)", "–"]
    assert found.leaders["trial"].to_list() == [1, 0] and found.paired["folds won"].to_list() == [5]


@pytest.mark.usefixtures("few_plots")
def test_unusual_runs_and_several_of_them(tmp_path: Path) -> None:
    """No trial yet, one trial, only failures and one still going, side by side."""
    runs = [
        without_trials(tmp_path / "none"),
        synthetic_run(tmp_path / "one", 1, failures=0),
        synthetic_run(tmp_path / "elsewhere" / "one", 4, failures=2.0),
        synthetic_run(tmp_path / "going", 8, running=3),
    ]
    assert set(runs[2].trials["status"]) == {"failed"} and "running" in set(runs[3].trials["status"])
    headlines = [answer(run).headline for run in runs]
    assert headlines[0] == "No trial has been started yet."
    assert headlines[1].startswith("The best configuration is trial 0, with ")
    assert headlines[2] == "No trial finished: 4 trials failed."
    assert "has not ended: 3 trials" in " ".join(answer(runs[3]).caveats)
    for plot, run in product(PLOTS.values(), runs):
        with suppress(NotEnough):
            data = plot.compute(run)
            assert plot.finding(data) and plot.figure(data).axes and plot.table(data) is not None
    page = write_report(runs, tmp_path / "together")
    text = page.read_text(encoding="utf-8")
    assert "4 runs side by side" in text and str(tmp_path / "one") in text, "equal names are distinguished"
    table = pd.read_csv(tmp_path / "together" / "tables" / "runs.csv", keep_default_na=False)
    assert list(table["trials"]) == [0, 1, 4, 8] and table["best"][0] == table["best"][2] == "–"
    assert (tmp_path / "together" / "plots" / "best_so_far.svg").exists()
    assert (tmp_path / "together" / "runs" / "4" / "tables" / "trials.csv").exists()
    page = Elements(page)
    identities = [element["id"] for _, element in page.found if element.get("id")]
    assert len(identities) == len(set(identities))


@pytest.mark.usefixtures("few_plots")
def test_equal_plots_of_several_runs_appear_once(tmp_path: Path) -> None:
    """Two runs on the same data that maximise different metrics."""
    runs = [
        synthetic_run(tmp_path / objective, 6, failures=0, objective=objective)
        for objective in ("val_map", "val_f1_macro")
    ]
    page = Elements(write_report(runs, tmp_path / "together"))
    pictures = [str(picture["alt"]) for picture in page.all("img")]
    assert len([alt for alt in pictures if alt.startswith(PLOTS["label_distribution"].title)]) == 1
    assert len([alt for alt in pictures if alt.startswith(PLOTS["learning_curves"].title)]) == 2
    text = (tmp_path / "together" / "index.html").read_text(encoding="utf-8")
    assert "<h5>val_map</h5>" in text and "<h5>val_map and val_f1_macro</h5>" in text
    assert text.count("<dt>Python</dt>") == 1 and text.count(PLOTS["learning_curves"].question) == 1


def test_an_older_report_is_replaced_and_other_files_are_not(tmp_path: Path) -> None:
    run = without_trials(tmp_path / "run")
    page = write_report([run])
    assert page == run.folder.path / "report" / "index.html"
    (page.parent / "plots").mkdir(exist_ok=True)
    (page.parent / "plots" / "stale.png").write_text("")
    (page.parent / "notes.txt").write_text("mine")
    assert write_report([run]) == page
    assert not (page.parent / "plots" / "stale.png").exists() and (page.parent / "notes.txt").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "index.html").write_text("<h1>mine</h1>")
    (tmp_path / "file").write_text("")
    for place in ("mine", "file"):
        with pytest.raises(ConfigError, match="holds files that are not a report"):
            write_report([run], tmp_path / place)
    with pytest.raises(ConfigError, match="cannot be created"):
        write_report([run], tmp_path / "file" / "below")


def test_a_report_that_is_killed_leaves_the_old_one_and_locks_nobody_out(tmp_path: Path) -> None:
    run = without_trials(tmp_path / "run")
    kill = (
        "import os, sys; from pathlib import Path; from thaw.analysis.report import place\n"
        "with place.replaced_report(Path(sys.argv[1])) as new:\n"
        "    (new / 'plots').mkdir(); (new / 'index.html').write_text('half'); os.kill(os.getpid(), 9)"
    )
    folder = run.folder.report
    for _ in range(2):
        before = {path.name for path in folder.iterdir()} if folder.exists() else set()
        assert subprocess.run([sys.executable, "-c", kill, str(folder)], cwd=ROOT, timeout=60).returncode == -9
        assert len({path.name for path in folder.iterdir()} - before) == 1
        page = write_report([run])
        assert "half" not in page.read_text(encoding="utf-8")
        assert {path.name for path in folder.iterdir()} == {"index.html", "tables"}


def test_simultaneous_reports_are_each_complete(tmp_path: Path) -> None:
    folder = tmp_path / "report"
    with ExitStack() as several:
        for number in (1, 2, 3):
            making = several.enter_context(replaced_report(folder))
            (making / "index.html").write_text(f"{MARK} {number}")
            (making / "plots").mkdir()
            (making / "plots" / f"{number}.png").touch()
    # They end in the order 3, 2, 1.
    assert (folder / "index.html").read_text() == f"{MARK} 1"
    assert [path.name for path in (folder / "plots").iterdir()] == ["1.png"]
    assert {path.name for path in folder.iterdir()} == {"index.html", "plots"}


def test_the_command_loads_neither_torch_nor_ray(tmp_path: Path) -> None:
    by_hand(tmp_path / "run", confirmed=True)
    check = (
        "import sys; from thaw.__main__ import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "sys.exit(' '.join(m for m in ('torch', 'ray') if m in sys.modules) or None)"
    )
    line = [
        sys.executable,
        "-c",
        check,
        "report",
        str(tmp_path / "run"),
        "--output",
        str(tmp_path / "page"),
        "--no-photos",
    ]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(tmp_path / "page" / "index.html") and not done.stderr
    assert "Selecting the best added +0.000" in (tmp_path / "page" / "index.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_five_thousand_trials_make_a_page_that_can_be_mailed(tmp_path: Path) -> None:
    synthetic_run(tmp_path / "run", 5000, epochs=20, labels=18, scheduler="none", failures=0.0)
    line = [sys.executable, "-m", "tests.largest_memory", "report", str(tmp_path / "run")]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "report" / "index.html").stat().st_size < 15e6
    assert int(done.stderr.split()[-1]) < 1.5e9, "bytes"


def test_the_command_refuses_other_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["thaw", "report", str(tmp_path)])
    assert command() == 2
    assert "not a run folder" in capsys.readouterr().err
