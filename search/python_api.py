"""A search from Python: a dictionary in, a run out that can be inspected, confirmed and exported."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from thaw.analysis.run import Run
from thaw.analysis.run_folder import RunFolder
from thaw.search.backends import DEFAULT
from thaw.search.engine.observers import Observer
from thaw.search.settings.config import config_from, load_config
from thaw.spaces import ConfigError

if TYPE_CHECKING:
    from thaw.trainables.bundles.bundle import Bundle


class SearchRun(Run):
    """A run with the commands as methods; ``best``, ``trials``, ``history`` and ``plot`` only inspect it."""

    def report(self, output: str | Path | None = None, photos: bool = True) -> Path:
        """Write the page of ``thaw report`` and return its path.

        Args:
            output: the page's folder; ``report`` in the run folder by default.
            photos: show photos, if they can still be found.
        """
        from thaw.analysis.report import write_report
        from thaw.search.photos import run_gallery

        galleries = [run_gallery(self)] if photos else []
        return write_report([self], None if output is None else Path(output), galleries)

    def confirm(
        self, top: int = 5, folds: int = 5, seeds: int = 1, *, backend: str = DEFAULT, progress: bool = True
    ) -> dict[str, Any] | None:
        """Retrain the best configurations by cross-validation, like ``thaw confirm``.

        Returns:
            The content of ``confirm.json``, see ``docs/architecture.md``; None if it was interrupted.
        """
        from thaw.search.confirmation.confirm import run_confirm

        console = _console(progress)
        return run_confirm(self.folder.path, top=top, folds=folds, seeds=seeds, console=console, backend=backend)[0]

    def export(self, to: str | Path, *, trial: int | None = None, progress: bool = True, **options: Any) -> Bundle:
        """Write the confirmed best trial, or else the best, as a bundle, like ``thaw export``, and load it.

        Args:
            to: a folder that does not exist.
            trial: number of another trial.
            progress: print progress.
            options: options of :func:`thaw.search.delivery.export.export_run` for a bundle, such as ``onnx=True``;
                :func:`thaw.search.delivery.timm_folder.bundle_to_timm` makes a folder for timm of one.
        """
        from thaw.search.delivery.export import export_run
        from thaw.trainables.bundles.bundle import load_bundle

        export_run(self, Path(to), _console(progress), trial=trial, format="bundle", **options)
        return load_bundle(to)


def search(
    settings: Mapping[str, Any] | str | Path | None = None,
    /,
    *,
    backend: str = DEFAULT,
    observers: Sequence[Observer] = (),
    progress: bool = True,
    **sections: Any,
) -> SearchRun:
    """Search for the best configuration for a data set: ``thaw.search(…)``.

    Args:
        settings: the content of a search file as a dictionary, or a search file.
        backend: ``ray``, ``local`` for processes of this machine, or ``inline`` to train in this process.
        observers: your own observers, see :class:`~thaw.search.engine.observers.Observer`.
        progress: show progress, in a notebook below the cell.
        sections: sections of a search file, such as ``space={…}``; they replace those of `settings`. Without a name,
            the run is named after the current time.

    Raises:
        ConfigError: the input is wrong; nothing was started.

    ```python
    run = thaw.search(
        data={"images": "photos"},
        space={"freeze_depth": {"int": [0, 5]}, "learning_rate": {"log": [1e-4, 1e-2]}},
        search={"trials": 20},
    )
    print(run.best.config)
    ```
    """
    from thaw.search.sessions.tuner import run_search

    if isinstance(settings, str | Path):
        config = (
            load_config(settings) if not sections else config_from({**load_config(settings).model_dump(), **sections})
        )
    elif not isinstance(settings or {}, Mapping):
        rule = "takes the content of a search file as a dictionary, or a search file"
        raise ConfigError(f"{rule}, got {type(settings).__name__}; run_search takes a SearchConfig", "thaw.search")
    else:
        config = config_from({"name": time.strftime("search-%Y%m%d-%H%M%S"), **(settings or {}), **sections})
    run = run_search(config, _console(progress), backend=backend, observers=observers)
    return SearchRun(run.folder)


def load_run(path: str | Path) -> SearchRun:
    """Read a run folder.

    Raises:
        ConfigError: it is not a run folder.
    """
    return SearchRun(RunFolder(Path(path)).require())


def _console(progress: bool) -> Console:
    return Console(markup=False, quiet=not progress)
