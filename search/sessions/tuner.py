"""Runs a search: from a checked configuration to a run folder full of results."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
from rich.console import Console

from thaw.analysis.run import Run, load_run
from thaw.analysis.run_folder import RunFolder
from thaw.search.backends.ray.session import running_ray, set_environment
from thaw.search.engine.events import EventLog
from thaw.search.engine.interruption import LogUnwritable, RunStopped, SearchStopped, StopRequest
from thaw.search.engine.observers import TableFiles, Watchers
from thaw.search.engine.proposals import StudyProposer
from thaw.search.engine.rules import RULES
from thaw.search.engine.state import SearchState
from thaw.search.observers.checkpoints import CheckpointKeeper
from thaw.search.prepare.preflight import Prepared, prepare, run_folder
from thaw.search.prepare.provenance import provenance
from thaw.search.sessions.lock import driving
from thaw.search.settings.config import SearchConfig
from thaw.search.settings.finite import searched_once
from thaw.spaces import metric


def run_search(config: SearchConfig, console: Console | None = None) -> Run:
    """Run a search in a new run folder and return what came out.

    Args:
        config: from :func:`search.load_config`.
        console: where progress is printed; nowhere by default.

    Raises:
        ConfigError: the input is wrong; nothing was started.
        RunStopped: the event log could not be written.

    The search may end before all trials ran: by its time budget, or by SIGINT or SIGTERM. Then ``session_ended`` in
    the event log holds the reason, and :func:`search.resume_search` goes on.
    """
    console = console or Console(quiet=True)
    folder = run_folder(config)
    config, notes = searched_once(config)
    for note in notes:
        console.print(note, highlight=False, soft_wrap=True)
    prepared = prepare(config, decoding(console))
    for note in prepared.images.grey.notes():
        console.print(f"note: {note}", highlight=False, soft_wrap=True)
    folder.create()
    with driving(folder):
        write_inputs(folder, prepared)
        return run_session(prepared, folder, new_state(prepared.config, folder), console)


def new_state(
    config: SearchConfig, folder: RunFolder, session: int = 1, past: Iterable[dict[str, Any]] = ()
) -> SearchState:
    """The state of a search after the events in `past`."""
    longest = max(int(epochs) for epochs in config.search_space.options("epochs"))
    scheduler = config.scheduler
    column = config.search.metric
    rule = RULES[scheduler.type](metric(column), longest, scheduler.grace_period, scheduler.reduction_factor)
    state = SearchState(column, EventLog(folder, session), StudyProposer(config), rule, config.max_failures)
    state.replay(past)
    return state


def run_session(
    prepared: Prepared,
    folder: RunFolder,
    state: SearchState,
    console: Console,
    overrides: Sequence[str] = (),
    used: float = 0.0,
) -> Run:
    """One session of a run, from its first event to its last.

    Args:
        prepared: data and conditions; `folder` gets the results.
        folder: of the run, driven by this process.
        state: what has happened, and what to try.
        console: where progress is printed.
        overrides: noted in the event log.
        used: seconds of the time budget that former sessions took.

    Raises:
        RunStopped: the event log could not be written.
    """
    started = time.monotonic()
    budget = prepared.config.search.time_budget
    stop = StopRequest(deadline=started + budget - used if budget is not None else None)
    reason = "error"
    try:
        state.start_session(overrides)
        reason = drive(prepared, folder, state, console, stop)
    except LogUnwritable as error:
        raise RunStopped(f"{error}; make room, then go on with `thaw resume`") from None
    finally:
        state.end_session(reason, time.monotonic() - started)
        # Again: trials that were in training are interrupted only now.
        Watchers([TableFiles(folder, state.metric, state.records)], _warning(console)).close()
    return load_run(folder.path)


def drive(prepared: Prepared, folder: RunFolder, state: SearchState, console: Console, stop: StopRequest) -> str:
    """Let Ray Tune run what the state proposes. Returns why it ended: ``done`` or the reason of `stop`."""
    config = prepared.config
    assert config.search.concurrency is not None
    set_environment(config.search.concurrency)
    # Ray is imported here so that the commands that do not need it start without it.
    from ray import tune

    from thaw.search.backends.ray.hooks import Recorder, RuleScheduler, StateSearcher
    from thaw.search.observers.progress import Progress
    from thaw.search.observers.tensorboard import TensorBoard
    from thaw.search.sessions.signals import noted_signals
    from thaw.trainables.trainable import TrialTrainable

    # Signals twice, as Ray's start may put handlers of its own in their place.
    with noted_signals(stop), running_ray(), noted_signals(stop):
        board = TensorBoard(folder, state.metric)
        board.restore(state.records)
        state.watchers = Watchers(
            [
                *state.proposer.observers(folder, state.records),
                board,
                TableFiles(folder, state.metric, state.records),
                CheckpointKeeper(folder, config.checkpoints, state.metric, state.records),
                Progress(console, config.search_space, state.metric, state.proposer.trials, state.records),
            ],
            warn=_warning(console),
        )
        context = replace(prepared.context, checkpoints=folder)
        trainable = tune.with_parameters(TrialTrainable, context=context, threads=config.resources.cpu)
        tuner = tune.Tuner(
            tune.with_resources(trainable, {"cpu": config.resources.cpu, "gpu": config.resources.gpu or 0}),
            tune_config=tune.TuneConfig(
                search_alg=StateSearcher(state, stop, config.search.concurrency),
                scheduler=RuleScheduler(state),
                num_samples=-1,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name=f"session-{state.events.session}",
                storage_path=str(folder.ray),
                callbacks=[Recorder(state, stop)],
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                verbose=0,
            ),
        )
        try:
            tuner.fit()
            state.finish()
        except SearchStopped:
            # The reservations of the trials that were stopped go with Tune's objects, which refer to each other.
            del tuner
        finally:
            state.watchers.close()
        gc.collect()
        if stop.failure:
            raise LogUnwritable(stop.failure)
        return stop.reason or "done"


def _warning(console: Console) -> Callable[[str], None]:
    return lambda text: console.print(f"warning: {text}", markup=False, highlight=False, soft_wrap=True)


def decoding(console: Console) -> Callable[[int, int], None]:
    """A progress callback for decoding, silent unless it takes long."""
    last = time.monotonic()

    def show(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= 5 and done < total:
            last = time.monotonic()
            console.print(f"decoded {done} of {total} images", highlight=False)

    return show


def write_inputs(folder: RunFolder, prepared: Prepared) -> None:
    folder.write_text(folder.search_file, prepared.config.to_yaml())
    folder.write_text(folder.provenance_file, json.dumps(provenance(prepared), indent=2) + "\n")
    folder.write_table(folder.rejected_file, pd.DataFrame(prepared.rejected, columns=["file", "reason"]))
