"""`--import`: files named on the command line are run, and their code is used from search to prediction."""

from __future__ import annotations

import json
import math
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from tests.conftest import ROOT
from tests.searches import search_file, small_config
from thaw.search.cli import run
from thaw.search.import_files import import_files
from thaw.spaces import ConfigError
from thaw.trainables.data.provided import dataset_of
from thaw.trainables.data.source import SOURCES
from thaw.trainables.networks.table import OWN

EXAMPLES = ROOT / "examples"

Call = Callable[..., tuple[int, str]]


pytestmark = pytest.mark.usefixtures("own_code")


@pytest.fixture
def call(own_code: Callable[[], None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """The command in a process that has imported nothing yet: (exit status, standard error)."""

    def anew(*arguments: object) -> tuple[int, str]:
        own_code()
        monkeypatch.setattr(sys, "argv", ["thaw", *map(str, arguments)])
        status = run()
        return status, capsys.readouterr().err

    return anew


def test_ctrl_c_while_a_file_runs(call: Call, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("import os, signal\n\nos.kill(os.getpid(), signal.SIGINT)\n")
    # A shell's job in the background ignores Ctrl-C, and so would these tests.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert call("search", tmp_path / "s.yaml", "--import", tmp_path / "own.py") == (130, "interrupted\n")
    finally:
        signal.signal(signal.SIGINT, before)


def test_files_that_cannot_run_say_where(tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("import math\n\nmath.nothing\n")
    (leaving := tmp_path / "leaving.py").write_text("import sys\n\nsys.exit(3)\n")
    for file, words in (
        (broken, r"broken.py, line 3: AttributeError"),
        (leaving, r"leaving.py, line 3: SystemExit: 3"),
        (tmp_path / "absent.py", "there is no file"),
    ):
        with pytest.raises(ConfigError, match=words):
            import_files([file])
    (tmp_path / "text.txt").write_text("x = 1")
    with pytest.raises(ConfigError, match="must be a Python file"):
        import_files([tmp_path / "text.txt"])


def test_files_next_to_it_are_found_and_hide_nothing(tmp_path: Path) -> None:
    (tmp_path / "beside_it.py").write_text("VALUE = 3\n")
    (tmp_path / "random.py").write_text("raise SystemExit('the wrong module')\n")
    (tmp_path / "mine.py").write_text("import random, beside_it\nassert random.random and beside_it.VALUE == 3\n")
    import_files([tmp_path / "mine.py"])


def test_an_own_network_from_search_to_prediction(tmp_path: Path, squares: Path, cache: Path, call: Call) -> None:
    import_files([EXAMPLES / "own_network.py"])
    torch.manual_seed(0)
    torch.save(OWN["tinynet"].build(32).state_dict(), tmp_path / "own.pth")
    changes = {
        "weights": {"tinynet": str(tmp_path / "own.pth")},
        "space": {"freeze_depth": [2, 5]},
        "training": {"architecture": "tinynet", "epochs": 1, "learning_rate": 0.01},
    }
    file = search_file(tmp_path, squares, cache, **changes)
    assert call("search", file, "--backend", "inline")[0] == 2
    bring = ("--import", EXAMPLES / "own_network.py")
    status, errors = call("search", file, "--backend", "inline", *bring)
    assert status == 0, errors
    folder, bundle = tmp_path / "results" / "squares", tmp_path / "bundle"
    status, errors = call("export", folder, "--to", bundle)
    assert status == 2 and "unknown architecture 'tinynet'" in errors and "--import" in errors
    status, errors = call("export", folder, "--to", bundle, *bring)
    assert status == 0, errors
    assert json.loads((bundle / "bundle.json").read_text())["code"]["file"] == "own_network.py"
    images = squares / "images"
    status, errors = call("predict", bundle, images, "--to", tmp_path / "out.csv")
    assert status == 2 and "'tinynet' comes from own_network.py, which must be imported" in errors
    status, errors = call("predict", bundle, images, "--to", tmp_path / "out.csv", *bring)
    assert status == 0 and len((tmp_path / "out.csv").read_text().splitlines()) == 121, errors


def test_images_in_one_file(tmp_path: Path, cache: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    example = EXAMPLES / "images_in_one_file.py"
    monkeypatch.setenv("IMAGES", str(tmp_path / "digits.parquet"))
    done = subprocess.run([sys.executable, example], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    settings = yaml.safe_load((EXAMPLES / "images-in-one-file.yaml").read_text())
    settings |= {"cache": {"directory": str(cache)}, "output": str(tmp_path / "results"), "space": {}}
    settings["training"] |= {"epochs": 1, "batch_size": 256, "head_units": 16}
    (file := tmp_path / "search.yaml").write_text(yaml.safe_dump(settings))
    status, errors = call("data", file)
    assert status == 2 and "no data source 'digits-in-parquet' is registered" in errors, errors
    status, errors = call("search", file, "--backend", "inline", "--trials", 1, "--import", example)
    assert status == 0, errors
    recorded = json.loads((tmp_path / "results" / "images-in-one-file" / "provenance.json").read_text())["data"]
    assert recorded["classes"][:3] == ["0", "1", "2"] and sum(recorded["images"].values()) == 1797


class Squares:
    """Images of one colour with a grey corner; the fourth cannot be used."""

    labels = ("red", "blue") * 30
    digest = "1"

    def __len__(self) -> int:
        return 60

    def decode(self, i: int) -> object:
        from PIL import Image

        image = Image.new("RGB", (40, 40), self.labels[i])
        image.paste((i, i, i), (0, 0, 20, 20))
        return "no image" if i == 3 else image


def test_a_source_says_why_an_image_cannot_be_used(tmp_path: Path, squares: Path, cache: Path) -> None:
    from thaw import register_data_source
    from thaw.search.prepare.preflight import prepare

    register_data_source("plain", Squares())
    settings = {"images": None, "labels": None, "source": "plain"}
    prepared = prepare(small_config(tmp_path, squares, cache, data=settings))
    assert prepared.dataset.classes == ("blue", "red"), "a text alone is one label"
    assert [file for file, _ in prepared.rejected] == ["3"] and "AttributeError" in prepared.rejected[0][1]
    for labels, words in (
        ([1, 2] * 30, "plain: labels must have a name or a collection of names for each image, got 1 for image 0"),
        (["red", None] * 30, "got None for image 1; correct the source"),
        (["red", "blue"] * 29, "plain: labels must have one entry per image, got 58 for 60 images"),
        (
            property(lambda self: 1 / 0),
            r"data source plain raised an exception: .*test_import_files.py, line \d+: Z",
        ),
    ):
        with pytest.raises(ConfigError, match=words):
            dataset_of("plain", type("Wrong", (Squares,), {"labels": labels, "__module__": __name__})())
    with pytest.raises(ConfigError, match="plain: part must have one entry per image, got 3 for 60 images"):
        dataset_of("plain", type("Wrong", (Squares,), {"columns": {"part": ["a", "b", "c"]}})())
    with pytest.raises(ConfigError, match="plain: digest must be text, got 5; correct the source"):
        dataset_of("plain", type("Wrong", (Squares,), {"digest": 5})())
    with pytest.raises(ConfigError, match="the name of a data source must be text, got 5"):
        register_data_source(5, Squares())  # type: ignore[arg-type]
    partly = dataset_of("plain", type("Partly", (Squares,), {"columns": {"who": [None, "a", math.nan] * 20}})())
    assert partly.columns["who"].tolist() == ["", "a", ""] * 20, "no group, as an empty cell of a label file"
    with pytest.raises(ConfigError, match=r"must have __len__, labels, decode, digest; add decode, digest"):
        register_data_source("no", type("No", (), {"labels": (), "__len__": lambda self: 0})())


WORKER = """
import pickle, sys
from pathlib import Path
context, stage = pickle.loads(Path(sys.argv[1]).read_bytes())
assert not any(name.startswith("thaw_imported") for name in sys.modules)
[row] = context.networks
assert row.name == "tinynet" and row.build(32).classifier.out_features == 1000
assert len(context.images.source) == 3 and context.images.source.decode(2).size == (2, 2)
"""


def test_own_code_is_sent_to_workers_that_do_not_have_it(tmp_path: Path, squares: Path, cache: Path) -> None:
    from dataclasses import replace

    from ray import cloudpickle

    from thaw.search.backends.ray.by_value import send_by_value
    from thaw.search.prepare.preflight import prepare

    (tmp_path / "near_it.py").write_text("from PIL import Image\ndef picture():\n    return Image.new('RGB', (2, 2))\n")
    (tmp_path / "mine.py").write_text(
        "import thaw, near_it\n"
        "class Three:\n"
        "    labels, digest = ['a', 'b', 'a'], '1'\n"
        "    def __len__(self):\n        return 3\n"
        "    def decode(self, i):\n        return near_it.picture()\n"
        "thaw.register_data_source('three', Three())\n"
    )
    import_files([EXAMPLES / "own_network.py", tmp_path / "mine.py"])
    config = small_config(tmp_path, squares, cache, weights="none", training={"architecture": "tinynet"})
    context = prepare(config).context
    context = replace(context, images=replace(context.images, source=SOURCES["three"]))
    send_by_value(context)
    (tmp_path / "context").write_bytes(cloudpickle.dumps((context, None)))
    done = subprocess.run(
        [sys.executable, "-c", WORKER, tmp_path / "context"],
        cwd="/",
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert pickle.loads((tmp_path / "context").read_bytes())[1] is None


@pytest.mark.slow
@pytest.mark.ray
def test_workers_of_ray_train_an_own_network_on_an_own_source(tmp_path: Path, cache: Path) -> None:
    environment = {"IMAGES": str(tmp_path / "digits.parquet")}
    files = (EXAMPLES / "own_network.py", EXAMPLES / "images_in_one_file.py")
    subprocess.run([sys.executable, files[1]], env={**__import__("os").environ, **environment}, check=True, timeout=300)
    arguments: list[object] = [*("search", EXAMPLES / "images-in-one-file.yaml", "--trials", 1, "--output", tmp_path)]
    for file in files:
        arguments += ["--import", file]
    for change in ("training.architecture=tinynet", "weights=none", "training.epochs=1", f"cache.directory={cache}"):
        arguments += ["--set", change]
    done = subprocess.run(
        [sys.executable, "-m", "thaw", *map(str, arguments)],
        env={**__import__("os").environ, **environment, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0 and "1 completed" in done.stdout, done.stdout + done.stderr
