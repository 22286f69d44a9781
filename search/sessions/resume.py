"""Resumes a run: the state is rebuilt from its events, and a new session does what is left."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from thaw.analysis.run import Run, load_run
from thaw.analysis.run_folder import RunFolder
from thaw.search.backends import DEFAULT, check_backend, check_resources, starting
from thaw.search.engine.events import seconds_used
from thaw.search.engine.observers import Observer
from thaw.search.engine.proposers import build_proposer
from thaw.search.observers.mirror import StudyMirror
from thaw.search.prepare.earlier import earlier_trials
from thaw.search.prepare.preflight import Prepared, prepare
from thaw.search.prepare.provenance import recorded_precision
from thaw.search.prepare.same_inputs import check_same_inputs
from thaw.search.prepare.stages import Stages, say
from thaw.search.sessions.interruptible import interruptible
from thaw.search.sessions.lock import driving
from thaw.search.sessions.tuner import new_state, run_session, send_report, trackers_of
from thaw.search.settings.config import SearchConfig, load_config
from thaw.search.settings.finite import searched_once
from thaw.spaces import ConfigError
from thaw.spaces.files import check_writable
from thaw.spaces.words import counted

CHANGEABLE = (
    "resources",
    "search.trials",
    "search.time_budget",
    "search.concurrency",
    "checkpoints",
    "cache",
    "max_failures",
    "trackers",
    # Where things are; their content is compared by `check_same_inputs`.
    "data.images",
    "data.labels",
    "data.classes",
    "weights",
)
"""Keys of the search file that do not change the meaning of a trial's results."""

AS_BEFORE = {
    # Images with equal pixels were not detected.
    "data.split.duplicates": "apart",
    # Preprocessing did not follow the weights.
    "data.interpolation": "bilinear",
    "data.crop_pct": 1,
}
"""Keys that a run of an earlier version lacks → the value for what it did."""


def resume_search(
    path: str | Path,
    overrides: Sequence[str] = (),
    console: Console | None = None,
    *,
    backend: str = DEFAULT,
    observers: Sequence[Observer] = (),
    began: float | None = None,
) -> Run:
    """Resume an interrupted run, or add trials to a finished one.

    Finished trials are kept. Interrupted ones continue first, from their last epoch.

    Args:
        path: the run folder.
        overrides: ``dotted.key=value`` texts; they may change resources, budgets, what is kept, and where images,
            labels and weights are, nothing else.
        console: where progress is printed; nowhere by default.
        backend: ``ray``, ``local`` or ``inline``, regardless of the one that the run began with.
        observers: your own observers, see :class:`~thaw.search.engine.observers.Observer`.
        began: when the user began to wait, in Unix seconds; now by default.

    Raises:
        ConfigError: it is not a run folder, another process drives it, the data have changed, or an override would make
            its results incomparable; or its folder is read-only or full.
        RunStopped: the event log could not be written.
    """
    began = began or time.time()
    check_backend(backend)
    console = console or Console(quiet=True)
    folder = RunFolder(Path(path).resolve()).require()
    check_writable(folder.path)
    with (
        driving(folder),
        starting(backend) as begin,
        interruptible(console, folder.path, f"thaw resume {folder.path}"),
    ):
        config = changed_config(folder, overrides)
        past = list(folder.events())
        config, notes = searched_once(config, past)
        for note in notes:
            say(console, note)
        if _nothing_left(past, config):
            console.print("All trials have ended; --trials N adds more", highlight=False)
            return load_run(folder.path)
        used = seconds_used(past)
        if config.search.time_budget is not None and used >= config.search.time_budget:
            raise ConfigError(
                f"{used:.0f} s are used of {config.search.time_budget:.0f}; raise it with --time-budget",
                "search.time_budget",
                folder.search_file,
            )
        prepared = _prepared(folder, config, console, backend, begin)
        session = 1 + max((event["session"] for event in past), default=0)
        proposer = build_proposer(prepared.config)
        state = new_state(prepared.config, proposer, folder, session, past)
        # A log without it ends before the first trial: the run was killed as it began.
        known = any(event["event"] == "earlier_trials" for event in past)
        earlier = None if known else earlier_trials(prepared)
        folder.write_text(folder.search_file, prepared.config.to_yaml())
        run = run_session(
            prepared,
            folder,
            state,
            console,
            backend=backend,
            observers=[StudyMirror(folder, proposer.study), *trackers_of(prepared.config, folder), *observers],
            began=began,
            overrides=list(overrides),
            past=past,
            earlier=earlier,
        )
    send_report(run, prepared.config.trackers, console)
    return run


def as_before(folder: RunFolder) -> list[str]:
    """Overrides with which a run of an earlier version continues unchanged."""
    known = _flat(folder.settings())
    return [f"{key}={value}" for key, value in AS_BEFORE.items() if key not in known]


def changed_config(folder: RunFolder, overrides: Sequence[str]) -> SearchConfig:
    """The run's configuration with the overrides applied.

    Raises:
        ConfigError: an override is not in `CHANGEABLE`.
    """
    then = as_before(folder)
    before = load_config(folder.search_file, then)
    names = [override.partition("=")[0].strip() for override in overrides]
    # As many concurrent trials as the new resources allow, unless given.
    fresh = ["search.concurrency=null"] if any(name.split(".")[0] == "resources" for name in names) else []
    config = load_config(folder.search_file, [*then, *fresh, *overrides])
    old, new = _flat(before.model_dump()), _flat(config.model_dump())
    for key in {**old, **new}:
        if old.get(key) != new.get(key) and not any(f"{key}.".startswith(f"{name}.") for name in CHANGEABLE):
            raise ConfigError(
                f"is part of what the run's results mean: it stays {old.get(key)!r}, got {new.get(key)!r}; "
                "start a new run with another name",
                key,
                folder.search_file,
            )
    return config


def _flat(settings: Any, path: str = "") -> dict[str, Any]:
    """Dotted key → value."""
    if not isinstance(settings, dict):
        return {path: settings}
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= _flat(value, f"{path}.{name}" if path else name)
    return flat


def _nothing_left(past: Sequence[dict[str, Any]], config: SearchConfig) -> bool:
    started = sum(event["event"] == "trial_started" for event in past)
    if config.search.trials is not None and config.search.trials < started:
        raise ConfigError(
            f"{counted(started, 'trial has', 'trials have')} started, got {config.search.trials}; name at least "
            f"as many",
            "search.trials",
        )
    last = past[-1] if past else {}
    return last.get("event") == "session_ended" and last["reason"] == "done" and started >= config.trials


def _prepared(
    folder: RunFolder, config: SearchConfig, console: Console, backend: str, begin: Callable[[int], None]
) -> Prepared:
    """As for a new run, but with the precision and latencies that it has and only with its data."""
    recorded = folder.provenance()
    precision, suits = recorded_precision(recorded), partial(check_resources, backend)
    prepared = prepare(config, Stages(console), precision, recorded.get("latency"), suits, begin)
    check_same_inputs(folder, prepared)
    return prepared
