"""Where trials run: in this process, or under Ray Tune on this machine or a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING

from thaw.spaces import ConfigError, did_you_mean

if TYPE_CHECKING:
    from thaw.analysis.run_folder import RunFolder
    from thaw.search.engine.backend import Backend
    from thaw.search.settings.schema import ResourcesConfig
    from thaw.trainables.context import RunContext

BACKENDS = {
    "ray": "thaw.search.backends.ray.backend:RayBackend",
    "inline": "thaw.search.backends.inline:InlineBackend",
}
"""Name → location of its class, which is imported on request because Ray takes seconds to import."""

DEFAULT = "ray"


def build_backend(name: str, resources: ResourcesConfig, folder: RunFolder, context: RunContext) -> Backend:
    """The backend of a session.

    Args:
        name: a key of :data:`BACKENDS`.
        resources: resources of one trial.
        folder: the run folder.
        context: what all trials share.
    """
    check_backend(name)
    module, _, kind = BACKENDS[name].partition(":")
    backend: Backend = getattr(import_module(module), kind)(resources, folder, context)
    return backend


def check_backend(name: str) -> None:
    """Reject a backend that does not exist or cannot start here, before anything is created for it.

    Raises:
        ConfigError: names the existing backends, or the reason.
    """
    if name not in BACKENDS:
        raise ConfigError(f"must be {' or '.join(BACKENDS)}{did_you_mean(name, BACKENDS)}, got {name!r}", "--backend")
    if name == "ray":
        from thaw.search.backends.ray.session import session_place

        session_place()


@contextmanager
def starting(name: str) -> Iterator[Callable[[int], None]]:
    """Within, what is yielded begins the backend's own start, for so many trials at once, beside other work.

    Args:
        name: a key of :data:`BACKENDS`.
    """
    if name != "ray":
        yield lambda slots: None
        return
    from thaw.search.backends.ray.session import starting_ray

    with starting_ray() as begin:
        yield begin
