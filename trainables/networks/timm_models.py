"""Networks of the package timm, of any family, and the image sizes that they take."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from functools import cache
from typing import Any

from torch import nn

from thaw.spaces import STAGES, ConfigError, did_you_mean
from thaw.trainables.networks.architecture import (
    Architecture,
    Layers,
    Preprocessing,
    Published,
    global_pool,
    named_layers,
)
from thaw.trainables.networks.restoring import skeleton
from thaw.trainables.networks.timm_cut import cut, trace_features

FAULTS = (ValueError, RuntimeError, AssertionError, AttributeError, TypeError, IndexError, KeyError)
"""Exceptions that third-party code raises for images or settings that it does not support."""

CROP_MODE = {"crop": "center", "squash": "squash", "pad": "border"}
"""``data.resize`` → what timm calls it."""

RESIZE_OF = {mode: resize for resize, mode in CROP_MODE.items()}

SIZES = range(32, 1025, 32)
"""Image sizes that are tried to find the nearest supported one; nearly every network takes some of them."""

SMALLEST, LARGEST = SIZES[0], SIZES[-1]

UNFIT = "one of its parts does not fit them"

TRIES = 4
"""Number of sizes that are tried in each direction."""


@cache
def timm_architecture(name: str, model: str, own_pool: bool = False) -> Architecture:
    """A network of timm.

    Args:
        name: as in the search file.
        model: name of the model in timm.
        own_pool: as for :func:`thaw.trainables.networks.timm_cut.cut`.

    Raises:
        ConfigError: timm has no such network.
    """
    import timm

    if not timm.is_model(model):
        close = difflib.get_close_matches(model, timm.list_models(), n=1)
        hint = did_you_mean(model, close) if close else "; timm.list_models() lists them"
        raise ConfigError(f"timm has no model {model!r}{hint}")
    config = _config(model)

    def build(image_size: int) -> nn.Module:
        try:
            network = timm_build(model, image_size)
        except FAULTS as error:
            raise _refused_size(name, model, image_size, error) from error
        if image_size % (patch := _patch(network)):
            reason = f"the side must be a multiple of its patch size, {patch} pixels"
            whole = [size for size in range(patch, LARGEST + 1, patch) if size >= SMALLEST]
            raise _refused(name, image_size, reason, sorted(sorted(whole, key=lambda size: abs(size - image_size))[:2]))
        return network

    def cut_timm(network: nn.Module, shadow: nn.Module, image_size: int) -> Layers:
        try:
            stages, pool = cut(network, shadow, image_size, own_pool)
        except FAULTS as error:
            native = config.input_size[-1]
            if image_size != native and not _takes(model, image_size) and _takes(model, native):
                raise _refused_size(name, model, image_size, error) from error
            rule = f"cannot be cut into {STAGES} stages: each must pass a single tensor to the next, but"
            raise ConfigError(f"{name} {rule} {str(error) or repr(error)}; choose another") from error
        return named_layers(stages, global_pool() if pool is None else pool)

    preprocessing = Preprocessing(
        tuple(config.mean),
        tuple(config.std),
        config.interpolation,
        config.crop_pct,
        RESIZE_OF[config.crop_mode],
        input_size=config.input_size[-1] if config.fixed_input_size else None,
    )
    published = Published("hub", config.hf_hub_id, config.license or "see its page") if config.hf_hub_id else None
    return Architecture(name, build, cut_timm, preprocessing, published, timm=model)


def timm_build(model: str, image_size: int, **options: Any) -> nn.Module:
    """A network of timm for images of one size, with position embeddings to match.

    Args:
        options: further arguments of ``timm.create_model``.
    """
    import timm  # takes half a second, which other architectures need not wait for

    config = _config(model)
    if not config.fixed_input_size:
        return timm.create_model(model, **options)
    try:
        return timm.create_model(model, img_size=image_size, **options)
    except TypeError:  # it has no argument img_size
        if image_size != config.input_size[-1]:
            raise
        return timm.create_model(model, **options)


def _config(model: str) -> Any:
    import timm

    return timm.get_pretrained_cfg(model)


def _patch(network: nn.Module) -> int:
    """Side in pixels of the patches that an image must consist of; 1 for a network without patches."""
    size = getattr(getattr(network, "patch_embed", None), "patch_size", 1)
    return int(size[0] if isinstance(size, tuple | list) else size)


def _takes(model: str, image_size: int) -> bool:
    try:
        network = skeleton(lambda: timm_build(model, image_size))
        return not image_size % _patch(network) and bool(trace_features(network, network, image_size).steps)
    except FAULTS:
        return False


def _reason(error: Exception) -> str:
    """Why a size does not fit: the network's own words, but not those of a tensor operation deep inside."""
    return UNFIT if isinstance(error, RuntimeError) or not str(error) else str(error).splitlines()[0]


def _refused_size(name: str, model: str, image_size: int, error: Exception) -> ConfigError:
    native = _config(model).input_size[-1]
    sizes = {*SIZES, native}
    below = sorted((size for size in sizes if size < image_size), reverse=True)[:TRIES]
    above = sorted(size for size in sizes if size > image_size)[:TRIES]
    taken = (next((size for size in side if _takes(model, size)), None) for side in (below, above))
    return _refused(name, image_size, _reason(error), [size for size in taken if size] or [native])


def _refused(name: str, image_size: int, reason: str, nearest: Sequence[int]) -> ConfigError:
    sizes = f"size that it takes is {nearest[0]}" if len(nearest) == 1 else "sizes that it takes are {} and {}"
    return ConfigError(
        f"{name} does not take images of {image_size} pixels: {reason}; the nearest {sizes.format(*nearest)}",
        "data.image_size",
    )
