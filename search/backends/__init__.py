"""Where trials run: in this process, in processes of this machine, or under Ray Tune on this machine or a cluster."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from thaw.spaces import ConfigError, did_you_mean

if TYPE_CHECKING:
    from thaw.analysis.run_folder import RunFolder
    from thaw.search.engine.backend import Backend
    from thaw.search.settings.schema import ResourcesConfig
    from thaw.trainables.context import RunContext

BACKENDS = {
    "ray": "thaw.search.backends.ray.backend:RayBackend",
    "local": "thaw.search.backends.local.backend:LocalBackend",
    "inline": "thaw.search.backends.inline:InlineBackend",
}
"""Name → location of its class, which is imported on request because Ray takes seconds to import."""

STARTS = {
    "ray": "thaw.search.backends.ray.session:starting_ray",
    "local": "thaw.search.backends.local.processes:starting_server",
}
"""Name → location of the context within which it can be started ahead of the first trial, where that takes long."""

DEFAULT = "ray"

SYSTEMS = {"darwin": "macOS", "win32": "Windows"}
"""Python's name of an operating system → what its users call it."""


def build_backend(name: str, resources: ResourcesConfig, folder: RunFolder, context: RunContext) -> Backend:
    """The backend of a session.

    Args:
        name: a key of :data:`BACKENDS`.
        resources: resources of one trial.
        folder: the run folder.
        context: what all trials share.
    """
    check_backend(name)
    backend: Backend = _located(BACKENDS[name])(resources, folder, context)
    return backend


def _located(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


def check_backend(name: str) -> None:
    """Reject a backend that does not exist or cannot start here, before anything is created for it.

    Raises:
        ConfigError: names the existing backends, or the reason.
    """
    if name not in BACKENDS:
        raise ConfigError(f"must be {', '.join(BACKENDS)}, got {name!r}{did_you_mean(name, BACKENDS)}", "--backend")
    check_system(name)
    if name == "ray":
        from thaw.search.backends.ray.session import session_place

        session_place()


def check_system(name: str) -> None:
    """Reject a backend that this operating system does not have.

    Raises:
        ConfigError: says which ones it has.
    """
    if name == "local" and sys.platform != "linux":
        here = SYSTEMS.get(sys.platform, sys.platform)
        raise ConfigError(f"local needs Linux, as it forks processes, got {here}; use ray or inline", "--backend")


def check_resources(name: str, resources: ResourcesConfig) -> None:
    """Reject resources that a backend cannot give to trials.

    Args:
        name: a key of :data:`BACKENDS`.
        resources: of one trial, resolved.

    Raises:
        ConfigError: trials are to use a GPU, and the backend has none; or heads are to be trained together, and each of
            its workers trains one trial.
    """
    if name != "inline" and resources.heads_per_trial > 1:
        raise ConfigError(
            f"backend {name} trains one trial in a worker, got {resources.heads_per_trial}; use --backend inline, or "
            "set it to 1",
            "resources.heads_per_trial",
        )
    if name == "local" and resources.gpu:
        raise ConfigError(
            f"backend local trains on processors only, got {resources.gpu:g}; set it to 0, or use --backend ray",
            "resources.gpu",
        )


@contextmanager
def starting(name: str) -> Iterator[Callable[[int], None]]:
    """A context that yields a function: it begins the backend's start, for a number of concurrent trials, in parallel.

    Args:
        name: of a backend; nothing begins if there is none of this name, or it needs no start.
    """
    if name not in STARTS:
        yield lambda slots: None
        return
    with _located(STARTS[name])() as begin:
        yield begin


@contextmanager
def starting_ahead(name: str) -> Iterator[None]:
    """A context in which the backend starts at once if it can, while the caller imports what a search needs.

    Ray cannot, as it must know how many trials there will be at once. Entering may take seconds, for the imports of
    its module, so the terminal should say something by then.

    Args:
        name: as for :func:`starting`.

    Raises:
        ConfigError: this operating system does not have it.
    """
    check_system(name)
    with starting(name) as begin:
        if name == "local":
            begin(0)
        yield
