"""The images that a benchmark runs on, and the search files for them."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import yaml

from thaw.search.prepare.resources import this_machine
from thaw.search.settings.config import SearchConfig, load_config
from thaw.spaces import ConfigError
from thaw.trainables.data.digits import write_digits
from thaw.trainables.networks.table import architecture


def add_options(parser: argparse.ArgumentParser, images: int | None) -> None:
    """The options that all benchmarks share."""
    parser.add_argument("--data", default="digits", help="digits (built in), or a folder with images/ and labels.csv")
    parser.add_argument("--images", type=int, default=images, help="use only the first N (default: %(default)s)")
    parser.add_argument("--image-size", type=int, default=128, help="side length in pixels (default: %(default)s)")
    parser.add_argument("--architecture", default="mobilenet_v2", help="(default: %(default)s)")
    parser.add_argument("--weights", help="file of ImageNet weights (default: random weights, which cost the same)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--concurrency", type=int, help="concurrent trials (default: the number of processors)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, help="an empty folder for everything written (default: a temporary one)")
    parser.add_argument("--json", type=Path, help="also write all figures to this file")


@dataclass(frozen=True)
class Bench:
    """The settings shared by all searches of one benchmark.

    Args:
        data: folder with ``images/`` and ``labels.csv``.
        weights: file with the weights of `architecture`.
        work: folder for everything that is written.
        concurrency: number of concurrent trials.
    """

    data: Path
    weights: Path
    work: Path
    architecture: str
    image_size: int
    device: str
    concurrency: int
    seed: int

    def config(self, name: str, folder: str, /, **sections: Any) -> SearchConfig:
        """The configuration of a search, validated like a hand-written file.

        Args:
            name: name of its run folder.
            folder: name of its cache folder; with a new one, nothing has been decoded or stored yet.
            sections: replace or extend the sections below, key by key; None removes a key.
        """
        content: dict[str, Any] = {
            "name": name,
            "data": {
                "images": str(self.data / "images"),
                "labels": str(self.data / "labels.csv"),
                "image_size": self.image_size,
                "augment": "none",
            },
            "weights": {self.architecture: str(self.weights)},
            # In every arm, every trial trains for all its epochs.
            "training": {"architecture": self.architecture, "patience": 0},
            "search": {"algorithm": "grid", "seed": self.seed, "concurrency": self.concurrency},
            "scheduler": {"type": "none"},
            "resources": {"cpu": 1, "gpu": 1 / self.concurrency if self.device == "cuda" else 0.0},
            "cache": {"directory": str(self.work / "cache" / folder), "budget": "100GB"},
            "output": str(self.work / "runs"),
        }
        for section, values in sections.items():
            merged = {**content.get(section, {}), **values}
            content[section] = {key: value for key, value in merged.items() if value is not None}
        file = self.work / f"{name}.yaml"
        file.write_text(yaml.safe_dump(content))
        return load_config(file)


def bench(options: argparse.Namespace, work: Path) -> Bench:
    """Prepare the requested images and weights; the images are read once, so that all arms find them in memory.

    Raises:
        ConfigError: there is no such data set.
    """
    data = subset(options.data, options.images, work)
    weights = Path(options.weights).resolve() if options.weights else random_weights(options.architecture, work)
    # Ray assigns whole processors.
    concurrency = options.concurrency or this_machine().cpus
    size, device = options.image_size, options.device
    return Bench(data, weights, work, options.architecture, size, device, concurrency, options.seed)


def subset(source: str, images: int | None, work: Path) -> Path:
    """A folder with links to the first `images` of a data set (all of them if None), and their labels."""
    if source == "digits":
        folder = write_digits(work)[0].parent
    elif (Path(source) / "labels.csv").is_file():
        folder = Path(source).resolve()
    else:
        raise ConfigError(f"must be digits or a folder with images/ and labels.csv, got {source}", "--data")
    return repeated(folder, images, 1, work)


def repeated(folder: Path, images: int | None, times: int, work: Path) -> Path:
    """A folder with the first `images` of `folder`, each linked `times` times under different names."""
    labels = pd.read_csv(folder / "labels.csv", dtype=str, usecols=["filename", "labels"]).iloc[:images]
    target = work / f"images-{len(labels)}x{times}"
    (target / "images").mkdir(parents=True)
    rows = []
    for row, (name, kept) in enumerate(zip(labels["filename"], labels["labels"], strict=True)):
        original = folder / "images" / name
        original.read_bytes()  # so that it is in the page cache
        for number in range(times):
            link = f"{row:05d}-{number}{original.suffix}"
            os.symlink(original, target / "images" / link)
            rows.append((link, kept))
    pd.DataFrame(rows, columns=["filename", "labels"]).to_csv(target / "labels.csv", index=False)
    return target


def random_weights(name: str, work: Path) -> Path:
    """A file with a network's randomly initialised weights, in the format of pretrained ones."""
    torch.manual_seed(0)
    file = work / f"{name}.pth"
    torch.save(architecture(name).build(64).state_dict(), file)
    return file
