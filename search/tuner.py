"""Runs a search: from a checked configuration to a run folder full of results."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable
from dataclasses import replace

import pandas as pd
from rich.console import Console

from analysis import Run, load_run
from analysis.run_folder import RunFolder
from search.checkpoints import CheckpointKeeper
from search.config import SearchConfig
from search.events import EventLog
from search.observers import Observer, TableFiles
from search.preflight import Prepared, prepare, run_folder
from search.provenance import provenance
from search.ray_session import running_ray, set_environment
from search.state import SearchState
from search.study import StudyMirror
from spaces import metric


def run_search(config: SearchConfig, console: Console | None = None) -> Run:
    """Run a search in a new run folder and return what came out.

    Args:
        config: from :func:`search.load_config`.
        console: where progress is printed; nowhere by default.

    Raises:
        ConfigError: the input is wrong; nothing was started.

    The search may end before all trials ran: by its time budget, or by SIGINT or SIGTERM. Then ``session_ended`` in
    the event log holds the reason.
    """
    console = console or Console(quiet=True)
    folder = run_folder(config)
    for name in config.search_space.idle():
        console.print(f"note: space.{name} counts for no configuration of this space, so it is not searched")
    prepared = prepare(config, _decoding(console))
    folder.create()
    _write_inputs(folder, prepared)
    started = time.monotonic()
    events = EventLog(folder, session=1)
    column = prepared.config.search.metric
    mirror = StudyMirror(folder.study_file, config.name, metric(column).direction)
    state = SearchState(prepared.config, events, mirror)
    state.start_session({})
    tables = TableFiles(folder, column, state.records)
    reason = "error"
    try:
        reason = _tune(prepared, folder, state, tables, console, started)
    finally:
        state.end_session(reason, time.monotonic() - started)
        tables.close()
    return load_run(folder.path)


def _tune(
    prepared: Prepared, folder: RunFolder, state: SearchState, tables: TableFiles, console: Console, started: float
) -> str:
    """Let Ray Tune run the trials. Returns why it ended: ``done``, ``time_budget``, ``SIGINT`` or ``SIGTERM``."""
    config = prepared.config
    assert config.search.concurrency is not None
    set_environment(config.search.concurrency)
    # Ray is imported here so that the commands that do not need it start without it.
    from ray import tune

    from search.hooks import Recorder, RuleScheduler, SearchStopped, StateSearcher, StopRequest
    from search.progress import Progress
    from search.signals import noted_signals
    from search.tensorboard import TensorBoard
    from trainables.trainable import TrialTrainable

    budget = config.search.time_budget
    stop = StopRequest(deadline=started + budget if budget else None)
    # Twice, as Ray's start may put handlers of its own in their place.
    with noted_signals(stop), running_ray(), noted_signals(stop):
        progress = Progress(console, state.space, state.metric, state.trials, state.records)
        keeper = CheckpointKeeper(folder, config.checkpoints, state.metric, state.records)
        observers: list[Observer] = [TensorBoard(folder, state.metric), tables, keeper, progress]
        context = replace(prepared.context, checkpoints=folder)
        trainable = tune.with_parameters(TrialTrainable, context=context, threads=config.resources.cpu)
        tuner = tune.Tuner(
            tune.with_resources(trainable, {"cpu": config.resources.cpu, "gpu": config.resources.gpu or 0}),
            tune_config=tune.TuneConfig(
                search_alg=StateSearcher(state, config.search.concurrency),
                scheduler=RuleScheduler(state),
                num_samples=-1,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name=f"session-{state.events.session}",
                storage_path=str(folder.ray),
                callbacks=[Recorder(state, observers, stop)],
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                verbose=0,
            ),
        )
        try:
            tuner.fit()
        except SearchStopped:
            # The reservations of the trials that were stopped go with Tune's objects, which refer to each other.
            del tuner
        finally:
            for observer in observers:
                observer.close()
        gc.collect()
        return stop.reason or "done"


def _decoding(console: Console) -> Callable[[int, int], None]:
    """A progress callback for decoding, silent unless it takes long."""
    last = time.monotonic()

    def show(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= 5 and done < total:
            last = time.monotonic()
            console.print(f"decoded {done} of {total} images", highlight=False)

    return show


def _write_inputs(folder: RunFolder, prepared: Prepared) -> None:
    folder.write_text(folder.search_file, prepared.config.to_yaml())
    folder.write_text(folder.provenance_file, json.dumps(provenance(prepared), indent=2) + "\n")
    folder.write_table(folder.rejected_file, pd.DataFrame(prepared.rejected, columns=["file", "reason"]))
