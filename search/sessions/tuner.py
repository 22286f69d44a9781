"""Runs a search: from a checked configuration to a run folder full of results."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from thaw.analysis.run import Run
from thaw.analysis.run_folder import RunFolder
from thaw.search.backends import DEFAULT, build_backend, check_backend, check_resources, starting
from thaw.search.engine.events import EventLog, seconds_used, seconds_waited
from thaw.search.engine.front_rules import FRONT_RULES
from thaw.search.engine.interruption import LogUnwritable, RunStopped, SearchStopped, StopRequest
from thaw.search.engine.observers import Observer, Observers
from thaw.search.engine.proposals import Proposer
from thaw.search.engine.proposers import build_proposer
from thaw.search.engine.rules import RULES
from thaw.search.engine.signals import noted_signals
from thaw.search.engine.state import SearchState
from thaw.search.observers.checkpoints import CheckpointKeeper
from thaw.search.observers.live import TRIALS, Clock, LiveView, Names
from thaw.search.observers.mirror import StudyMirror
from thaw.search.observers.progress import Progress
from thaw.search.observers.tables import TableFiles
from thaw.search.observers.tensorboard import TensorBoard
from thaw.search.observers.trackers import build_trackers, send
from thaw.search.prepare.earlier import earlier_lines, earlier_runs, earlier_trials
from thaw.search.prepare.preflight import Prepared, prepare, run_folder
from thaw.search.prepare.provenance import provenance
from thaw.search.prepare.stages import Stages, say
from thaw.search.sessions.interruptible import interruptible
from thaw.search.sessions.lock import driving
from thaw.search.sessions.new_folder import new_folder
from thaw.search.settings.config import SearchConfig
from thaw.search.settings.finite import searched_once
from thaw.spaces import ConfigError, metric
from thaw.trainables.activations.filling import being_filled


def run_search(
    config: SearchConfig,
    console: Console | None = None,
    *,
    backend: str = DEFAULT,
    observers: Sequence[Observer] = (),
    began: float | None = None,
) -> Run:
    """Run a search in a new run folder and return the run.

    Args:
        config: from :func:`thaw.load_config`.
        console: where progress is printed; nowhere by default.
        backend: ``ray``, ``local`` for processes of this machine, or ``inline`` to train in this process.
        observers: your own observers, see :class:`~thaw.search.engine.observers.Observer`.
        began: when the user began to wait, in Unix seconds; now by default.

    Raises:
        ConfigError: the input is wrong; nothing was started.
        RunStopped: the event log could not be written.

    The search may end before all trials ran: by its time budget, or by SIGINT or SIGTERM. Then ``session_ended`` in
    the event log holds the reason, and :func:`thaw.resume_search` continues the search.

    ```python
    run = run_search(load_config("search.yaml", ["search.trials=10"]), backend="inline")
    ```
    """
    began = began or time.time()
    check_backend(backend)
    if not isinstance(config, SearchConfig):
        rule = "takes a configuration, such as load_config('search.yaml')"
        raise ConfigError(
            f"{rule}, got {type(config).__name__}; thaw.search takes a file or a dictionary", "run_search"
        )
    console = console or Console(quiet=True)
    folder = run_folder(config)
    trackers = trackers_of(config, folder)
    config, notes = searched_once(config)
    for note in notes:
        say(console, note)
    earlier_runs(config)
    with starting(backend) as begin, interruptible(console, folder.path, f"thaw resume {folder.path}"):
        prepared = prepare(config, Stages(console), suits=partial(check_resources, backend), meanwhile=begin)
        earlier = earlier_trials(prepared)
        for line in [*prepared.facts.lines(), *earlier_lines(earlier, prepared.config)]:
            say(console, line)
        with new_folder(folder), driving(folder):
            write_inputs(folder, prepared)
            proposer = build_proposer(prepared.config)
            state = new_state(prepared.config, proposer, folder)
            listening = [StudyMirror(folder, proposer.study), *trackers, *observers]
            run = run_session(
                prepared, folder, state, console, backend=backend, observers=listening, began=began, earlier=earlier
            )
    send_report(run, config.trackers, console)
    return run


def trackers_of(config: SearchConfig, folder: RunFolder) -> list[Observer]:
    """The trackers of a search.

    Raises:
        ConfigError: the package of a tracker is not installed.
    """
    return build_trackers(config.trackers, folder, config.search.metric, tuple(config.search_space.parameters))


def send_report(run: Run, trackers: Sequence[str], console: Console) -> None:
    """Send the report of a finished search to its trackers, without photos, which do not leave this machine."""
    *_, last = run.folder.events()
    if not trackers or last.get("reason") not in ("done", "time_budget"):
        return
    from thaw.analysis.report import write_report

    say(console, f"making a report for {' and '.join(trackers)}")
    with tempfile.TemporaryDirectory() as place:
        send(trackers, run.folder, "report", write_report([run], Path(place, "report")), partial(say, console))


def new_state(
    config: SearchConfig, proposer: Proposer, folder: RunFolder, session: int = 1, past: Iterable[dict[str, Any]] = ()
) -> SearchState:
    """The state of a search after the events in `past`."""
    longest = max(int(epochs) for epochs in config.search_space.options("epochs"))
    scheduler = config.scheduler
    column = config.search.metric
    rules = FRONT_RULES if config.search.costs else RULES
    rule = rules[scheduler.type](metric(column), longest, scheduler.grace_period, scheduler.reduction_factor)
    log = EventLog(folder, session)
    state = SearchState(column, log, proposer, rule, config.max_failures, config.search.costs)
    state.replay(past)
    return state


def run_session(
    prepared: Prepared,
    folder: RunFolder,
    state: SearchState,
    console: Console,
    *,
    backend: str,
    observers: Sequence[Observer] = (),
    began: float,
    overrides: Sequence[str] = (),
    past: Sequence[dict[str, Any]] = (),
    earlier: Mapping[str, Any] | None = None,
    names: Names = TRIALS,
) -> Run:
    """One session of a run, from its first event to its last.

    Args:
        prepared: data and conditions; `folder` gets the results.
        folder: the run folder, driven by this process.
        state: what has happened, and what to try next.
        console: where progress is printed.
        backend: runs the trials.
        observers: observers besides those of every session.
        began: when the command was given, in Unix seconds.
        overrides: noted in the event log.
        past: the events of earlier sessions; the time budget is reduced by what they used.
        earlier: what is known of other runs, as :func:`thaw.search.prepare.earlier.earlier_trials` gives it; None
            where the search knows nothing of them, or `past` holds it already.
        names: names of the trials on the terminal.

    Raises:
        RunStopped: the event log could not be written.
    """
    config, started = prepared.config, time.monotonic()
    budget, slots = config.search.time_budget, config.search.concurrency
    assert slots is not None
    deadline = None if budget is None else started + budget - seconds_used(past)
    stop = StopRequest(deadline=deadline)
    view = LiveView(
        config.search_space,
        state.metric,
        state.proposer.trials,
        names,
        Clock(began - seconds_waited(past), deadline),
        notes=(state.rule.standing, partial(_filling, prepared)),
    )
    state.observers = Observers(
        [
            # First, while the checkpoint of an ended trial still exists.
            *observers,
            TensorBoard(folder, state.metric, config.search_space),
            TableFiles(folder, state.metric),
            CheckpointKeeper(folder, config.checkpoints, state.metric),
            Progress(console, view),
        ],
        warn=lambda text: console.print(f"warning: {text}", markup=False, highlight=False, soft_wrap=True),
    )
    reason = "error"
    try:
        with noted_signals(stop):
            state.start_session(overrides, began, earlier)
            context = replace(prepared.context, checkpoints=folder)
            build_backend(backend, config.resources, folder, context).run(state, slots, stop)
        state.finish()
        reason = "done"
    except SearchStopped:
        reason = stop.reason
    except LogUnwritable as error:
        raise RunStopped(f"{error}; make room, then continue with `thaw resume`") from None
    finally:
        state.end_session(reason, time.monotonic() - started)
        state.observers.close()
    return Run(folder)


def _filling(prepared: Prepared) -> str:
    """Which activations are being computed on this machine; empty if none are."""
    context = prepared.context
    images = len(context.split.train) + len(context.split.validation)
    found = being_filled(context.cache.directory)
    return "  ".join(f"activations of {source}: {done:,} of at most {images:,} images" for source, done in found)


def write_inputs(folder: RunFolder, prepared: Prepared) -> None:
    folder.write_text(folder.search_file, prepared.config.to_yaml())
    folder.write_text(folder.provenance_file, json.dumps(provenance(prepared), indent=2) + "\n")
    unused = [*prepared.rejected, *prepared.dataset.ignored]
    folder.write_table(folder.rejected_file, pd.DataFrame(unused, columns=["file", "reason"]))
