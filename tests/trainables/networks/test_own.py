"""The user's own networks: cut as registered, identified by their code, refused with a reason."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.conftest import ROOT
from thaw.search.import_files import import_files
from thaw.spaces import ConfigError
from thaw.trainables.networks.backbone import resolve
from thaw.trainables.networks.contract import check_contract
from thaw.trainables.networks.own import register_backbone
from thaw.trainables.networks.table import OWN
from thaw.trainables.networks.weights import load_pretrained

SIDE = 64
NAMES = [f"parts.{number}" for number in range(5)]


class Parts(nn.Module):
    """Five convolutions, and a row of numbers that is read while it is built."""

    def __init__(self, *parts: nn.Module) -> None:
        super().__init__()
        self.rates = [float(rate) for rate in torch.linspace(0, 1, 5)]
        widths = (3, 4, 4, 8, 8, 16)
        self.parts = nn.ModuleList([nn.Conv2d(a, b, 2, 2) for a, b in pairwise(widths)])
        for number, part in enumerate(parts):
            self.parts[number] = part


class Two(nn.Module):
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return images, images


class Raising(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        raise KeyError("no such thing")


pytestmark = pytest.mark.usefixtures("own_code")


def refusal(build: Any = Parts, **options: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        register_backbone("mine", build, **({"stages": NAMES} | options))
        resolve("mine", "none", SIDE).check()
    return str(caught.value)


def test_the_example_keeps_the_contract() -> None:
    import_files([ROOT / "examples" / "own_network.py"])
    backbone = resolve("tinynet", "none", SIDE)
    check_contract(backbone)
    assert [stage.shape for stage in backbone.cost.stages] == [
        (24, 32, 32),
        (48, 16, 16),
        (96, 8, 8),
        (192, 4, 4),
        (192, 2, 2),
    ]
    assert backbone.features == 192 and backbone.preprocessing.mean == (0.485, 0.456, 0.406)


def test_a_network_that_reads_values_while_it_is_built_is_taken() -> None:
    register_backbone("mine", Parts, stages=NAMES, mean=(0, 0, 0), std=(1, 1, 1))
    check_contract(resolve("mine", "none", SIDE))


def test_build_gets_the_image_size_if_it_takes_it() -> None:
    heard = []

    def build(classes: int = 7, image_size: int = 0) -> nn.Module:
        heard.append((classes, image_size))
        return Parts()

    register_backbone("mine", build, stages=NAMES)
    resolve("mine", "none", SIDE).check()
    assert set(heard) == {(7, SIDE)}


def test_functions_cut_what_names_cannot() -> None:
    register_backbone(
        "mine",
        Parts,
        stages=lambda network: [*network.parts[:4], nn.Sequential(network.parts[4], nn.Flatten(2))],
        pool=lambda _: nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Flatten()),
    )
    check_contract(backbone := resolve("mine", "none", SIDE))
    assert backbone.cost.stages[-1].shape == (16, 4)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"stages": NAMES[:3]}, "mine needs 5 stages, got 3"),
        ({"stages": lambda network: [network]}, "mine needs 5 stages, got 1"),
        ({"stages": [*NAMES[:4], "parts.9"]}, "a stage of mine must be a submodule.*it has parts"),
        ({"stages": "parts"}, "mine needs 5 stages, got one name"),
        ({"stages": lambda network: [*network.parts[:4], 3]}, "stages and pool of mine must be torch modules, got 3"),
        (
            {"stages": lambda network: network.absent},
            r"stages of mine raised an exception: .*test_own.py, line \d+: A",
        ),
        ({"build": lambda: 3}, "must return a torch module"),
        ({"build": lambda: [][0]}, r"build of mine raised an exception: .*test_own.py, line \d+: IndexError: list"),
        ({"build": lambda: sys.exit(3)}, r"build of mine raised an exception: .*line \d+: SystemExit: 3"),
        (
            {"build": lambda: Parts(nn.LazyConv2d(4, 2))},
            r"mine must have all its weights when it is built, and parts\.0\.weight has no shape yet",
        ),
        ({"mean": (0.5,)}, r"mean of mine must be three numbers, one for each colour, got \(0\.5,\)"),
        ({"mean": "x"}, "mean of mine must be three numbers"),
        ({"std": (0, 1, 1)}, "std of mine must be three numbers > 0"),
        ({"std": (float("inf"),) * 3}, "std of mine must be three numbers > 0"),
        ({"version": 2}, "version of mine must be text, got 2"),
        ({"build": Two()}, "needs a function or class that builds a new network each time it is called, got Two"),
        ({"pool": 3}, "pool of mine raised an exception: .*TypeError"),
        ({"build": lambda: Parts(nn.Identity(), Two())}, "stage 2 of mine must return one tensor, got 2 of them"),
        (
            {"build": lambda: Parts(Raising())},
            "stage 1 of mine fails on images of 64 pixels: KeyError",
        ),
        (
            {"build": lambda: Parts(nn.Conv2d(5, 4, 2))},
            "stage 1 of mine fails on images of 64 pixels: .*; give larger images, or correct the network",
        ),
        ({"stages": [*NAMES[:4], NAMES[3]]}, "its weight weight belongs to stages 4 and 5"),
        ({"pool": lambda _: nn.Linear(5, 5)}, "the pool of mine"),
        ({"pool": lambda _: None}, "stages and pool of mine must be torch modules, got None"),
        ({"pool": lambda _: nn.Sequential()}, r"the pool of mine must give \(images, features\)"),
        ({"pool": lambda _: nn.Identity()}, r"the pool of mine must give \(images, features\)"),
    ],
)
def test_modules_that_are_not_backbones_are_refused(options: dict[str, Any], words: str) -> None:
    from re import search

    assert search(words, found := refusal(**options)), found


def test_names_of_thaw_are_not_taken_over() -> None:
    for name in ("resnet50", "vit_small", "timm:mine", "", 5):
        with pytest.raises(ConfigError, match="the name .* choose another"):
            register_backbone(name, Parts, stages=NAMES)


def test_code_or_version_names_the_network(
    tmp_path: Path, own_code: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    file, digests = tmp_path / "code.py", []
    source = "import thaw\nfrom tests.trainables.networks.test_own import NAMES, Parts\ndef build(): return Parts()\n"
    for text, option in ((source, ""), (source + "# 2\n", ""), (source, ", version='2'"), (source, ", version='2'")):
        file.write_text(f"{text}thaw.register_backbone('mine', build, stages=NAMES{option})\n")
        own_code()
        import_files([file])
        code = OWN["mine"].code
        assert code is not None and code.file == "code.py"
        digests.append(resolve("mine", "none", SIDE).digest)
    assert len({*digests}) == 3 and digests[2] == digests[3] == "random, code 2"
    monkeypatch.setattr(inspect, "getsourcefile", lambda _: None)
    monkeypatch.setattr(inspect, "getsource", lambda _: (_ for _ in ()).throw(OSError("typed in")))
    with pytest.raises(ConfigError, match="cannot be read .*needs a version"):
        register_backbone("mine", Parts, stages=NAMES)


def test_registering_again_replaces_the_network() -> None:
    register_backbone("mine", Parts, stages=NAMES)
    first = resolve("mine", "none", SIDE)
    assert resolve("mine", "none", SIDE) is first
    register_backbone("mine", lambda: Parts(nn.Conv2d(3, 4, 4, 2, 1)), stages=NAMES)
    assert resolve("mine", "none", SIDE).cost.stages[0].parameters > first.cost.stages[0].parameters


def test_own_weights_fit_by_name_and_the_classifier_is_left(tmp_path: Path) -> None:
    import_files([ROOT / "examples" / "own_network.py"])
    network = OWN["tinynet"].build(SIDE)
    state = {f"module.{name}": tensor for name, tensor in network.state_dict().items()}
    torch.save(state, tmp_path / "own.pth")
    loaded = load_pretrained("tinynet", {"tinynet": str(tmp_path / "own.pth")}, SIDE)
    assert "55 of 55 tensors matched" in loaded.note, loaded.note
    with pytest.raises(ConfigError, match="no ImageNet weights of tinynet are published"):
        load_pretrained("tinynet", "imagenet", SIDE)
