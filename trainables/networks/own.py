"""User-defined networks, registered from Python."""

from __future__ import annotations

import functools
import hashlib
import inspect
import math
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from thaw.spaces import STAGES, ConfigError
from thaw.spaces.errors import own_code
from thaw.trainables.networks.architecture import (
    RGB,
    Architecture,
    Code,
    Layers,
    Preprocessing,
    global_pool,
    named_layers,
)
from thaw.trainables.networks.table import NAMES, OWN
from thaw.trainables.networks.timm_cut import check_weights

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

Stages = Sequence[str | Sequence[str]] | Callable[[Any], Sequence[nn.Module]]


def register_backbone(
    name: str,
    build: Callable[..., nn.Module],
    *,
    stages: Stages,
    pool: str | Callable[[Any], nn.Module] | None = None,
    mean: RGB = IMAGENET_MEAN,
    std: RGB = IMAGENET_STD,
    version: str | None = None,
) -> None:
    """Register a network for use in search files, as ``architecture: NAME``.

    On the command line, ``--import FILE.py`` runs the file that calls this function. Registering a name again replaces
    its network.

    Args:
        name: any name that is not one of Thaw's own.
        build: builds the whole network with random weights. Its argument ``image_size``, if it has one, is the side of
            the square images in pixels. The network may include a classifier, which is not used.
        stages: five stages in forward order, each the dotted name of a submodule, or of several that run in sequence;
            or a function from the network to five modules. Each stage maps one tensor to one tensor; the first takes
            images (N, 3, S, S).
        pool: from the output of the last stage to (N, features): name of a submodule, or a function from the network
            to a module. Default: the mean over the positions of feature maps (N, C, H, W).
        mean, std: of each channel, for pixels in [0, 1]. Default: those of ImageNet.
        version: identifies the code. Default: a hash of the file that defines `build`, so that any change to the file
            makes it another network: activations stored for the old one are not used, and its runs are not resumed.

    Raises:
        ConfigError: the name is taken, there are not five stages, an argument has another form, or the code cannot be
            read and `version` is missing.

    Example:
        ```python
        thaw.register_backbone("tiny", Tiny, stages=["stem", "block1", "block2", "block3", "block4"])
        ```
    """
    if name in NAMES or not (isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name)):
        taken = name in NAMES
        rule = "is Thaw's own" if taken else "must consist of letters, digits, dots, hyphens and underscores"
        raise ConfigError(f"the name {name!r} {rule}; choose another", "register_backbone")
    if isinstance(build, nn.Module) or not callable(build):
        rule = f"{name} needs a function or class that builds a new network each time it is called"
        raise ConfigError(f"{rule}, got {type(build).__name__}; give the class, or a lambda", "register_backbone")
    if not callable(stages) and (isinstance(stages, str) or len(stages) != STAGES):
        got = "one name" if isinstance(stages, str) else len(stages)
        raise ConfigError(f"{name} needs {STAGES} stages, got {got}; cut it differently", "register_backbone")
    if not (version is None or isinstance(version, str)):
        raise ConfigError(f"version of {name} must be text, got {version!r:.60}", "register_backbone")
    preprocessing = Preprocessing(_channels(name, "mean", mean, -math.inf), _channels(name, "std", std, 0.0))
    takes_size = "image_size" in inspect.signature(build).parameters
    code = _code(name, build, version)

    def build_own(image_size: int) -> nn.Module:
        with _own_code(name, "build", code):
            network = build(image_size=image_size) if takes_size else build()
        if not isinstance(network, nn.Module):
            raise ConfigError(f"the function that builds {name} must return a torch module, got {type(network)}")
        for weight, tensor in network.state_dict(keep_vars=True).items():
            if is_lazy(tensor):
                raise ConfigError(
                    f"{name} must have all its weights when it is built, and {weight} has no shape yet; give lazy "
                    "modules the number of their inputs"
                )
        return network

    def cut_own(network: nn.Module, _: nn.Module, __: int) -> Layers:
        with _own_code(name, "stages", code):
            parts = list(stages(network)) if callable(stages) else [_sequence(name, network, group) for group in stages]
        if len(parts) != STAGES:
            raise ConfigError(f"{name} needs {STAGES} stages, got {len(parts)}; cut it differently")
        with _own_code(name, "pool", code):
            if pool is None:
                pooling = global_pool()
            else:
                pooling = pool(network) if callable(pool) else _sequence(name, network, pool)
        for part in (*parts, pooling):
            if not isinstance(part, nn.Module):
                raise ConfigError(f"stages and pool of {name} must be torch modules, got {part!r}; correct them")
        try:
            check_weights([*parts, pooling])
        except ValueError as error:
            raise ConfigError(f"{name} cannot be cut: {error}; cut it differently") from None
        return named_layers(parts, pooling)

    OWN[name] = Architecture(name, build_own, cut_own, preprocessing, None, code=code)


def _channels(name: str, what: str, values: RGB, above: float) -> RGB:
    """Three finite numbers, each above a bound."""
    with suppress(TypeError, ValueError, OverflowError):
        red, green, blue = map(float, values)
        if all(above < value < math.inf for value in (red, green, blue)):
            return red, green, blue
    rule = f"{what} of {name} must be three {'numbers > 0' if above == 0 else 'numbers'}, one for each colour"
    raise ConfigError(f"{rule}, got {values!r:.60}", "register_backbone")


def _own_code(name: str, part: str, code: Code) -> AbstractContextManager[None]:
    file = getattr(sys.modules.get(code.module), "__file__", None) or code.file
    return own_code(f"{part} of {name}", file, passing=(torch.OutOfMemoryError,))


def _sequence(name: str, network: nn.Module, group: str | Sequence[str]) -> nn.Module:
    """The submodule of that name, or several in sequence."""
    names = [group] if isinstance(group, str) else list(group)
    try:
        parts = [network.get_submodule(part) for part in names]
    except AttributeError as error:
        known = ", ".join(child for child, _ in network.named_children())
        raise ConfigError(f"a stage of {name} must be a submodule: {error}; it has {known}") from None
    return parts[0] if len(parts) == 1 else nn.Sequential(*parts)


def _code(name: str, build: Callable[..., nn.Module], version: str | None) -> Code:
    """Where a network is defined, and what identifies its code."""
    while isinstance(build, functools.partial):
        build = build.func
    definition = build if inspect.isfunction(build) or inspect.isclass(build) else type(build)
    try:
        file = Path(inspect.getsourcefile(definition) or "")
        content = file.read_bytes() if file.is_file() else inspect.getsource(definition).encode()
    except (OSError, TypeError) as error:
        if version is None:
            rule = f"the code of {name} cannot be read ({error}), so it needs a version"
            raise ConfigError(f"{rule}; give one, such as version='1'", "register_backbone") from None
        file, content = Path(definition.__module__), b""
    return Code(definition.__module__, file.name, version or hashlib.blake2b(content, digest_size=16).hexdigest())
