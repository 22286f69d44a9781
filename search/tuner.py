"""Runs a search: from a checked configuration to a run folder full of results."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pandas as pd
from rich.console import Console

from analysis import Run, load_run
from analysis.run_folder import RunFolder
from analysis.tables import TrialRecord, history_table, trials_table
from search.config import SearchConfig
from search.events import EventLog
from search.preflight import Prepared, prepare, run_folder
from search.provenance import provenance
from search.state import SearchState
from search.study import StudyMirror
from spaces import metric

# These are read when Ray is imported or started, so they are set before; see docs/architecture.md for the reasons.
RAY_ENVIRONMENT = {
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_DEDUP_LOGS": "0",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",
    "TUNE_RESULT_BUFFER_LENGTH": "1",
    "TUNE_WARN_THRESHOLD_S": "3600",
}
SHUTDOWN_SECONDS = 3.0


class Tables:
    """Keeps ``trials.csv`` and ``history.csv`` up to date while the search runs, but not more often than needed."""

    INTERVAL = 5.0

    def __init__(self, folder: RunFolder, column: str, records: dict[int, TrialRecord]) -> None:
        self.folder, self.column, self.records = folder, column, records
        self._written = 0.0

    def epoch(self, record: TrialRecord, row: dict) -> None:
        """Epochs appear with the next trial's end."""

    def ended(self, record: TrialRecord) -> None:
        if time.monotonic() - self._written >= self.INTERVAL:
            self.close()

    def close(self) -> None:
        self.folder.write_table(self.folder.trials_file, trials_table(self.records.values(), self.column))
        self.folder.write_table(self.folder.history_file, history_table(self.records.values()))
        self._written = time.monotonic()


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
    prepared = prepare(config, _decoding(console))
    folder.create()
    _write_inputs(folder, prepared)
    started = time.monotonic()
    events = EventLog(folder, session=1)
    column = prepared.config.search.metric
    mirror = StudyMirror(folder.study_file, config.name, metric(column).direction)
    state = SearchState(prepared.config, events, mirror)
    state.start_session({})
    tables = Tables(folder, column, state.records)
    reason = "error"
    try:
        reason = _tune(prepared, folder, state, tables, console, started)
    finally:
        state.end_session(reason, time.monotonic() - started)
        tables.close()
    return load_run(folder.path)


def _tune(
    prepared: Prepared, folder: RunFolder, state: SearchState, tables: Tables, console: Console, started: float
) -> str:
    """Let Ray Tune run the trials. Returns why it ended: ``done``, ``time_budget``, ``SIGINT`` or ``SIGTERM``."""
    config = prepared.config
    os.environ.update(RAY_ENVIRONMENT)
    assert config.search.concurrency is not None
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(config.search.concurrency)
    # Ray is imported here so that the commands that do not need it start without it.
    from ray import tune

    from search.hooks import Recorder, RuleScheduler, SearchStopped, StateSearcher, StopRequest
    from search.progress import Progress
    from search.signals import noted_signals
    from search.tensorboard import TensorBoard
    from trainables.trainable import TrialTrainable

    budget = config.search.time_budget
    stop = StopRequest(deadline=started + budget if budget else None)
    with _ray(prepared), noted_signals(stop):
        progress = Progress(console, state.space, state.metric, state.trials, state.records)
        observers = [TensorBoard(folder, state.metric), tables, progress]
        trainable = tune.with_parameters(TrialTrainable, context=prepared.context, threads=config.resources.cpu)
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
            return stop.reason
        finally:
            for observer in observers:
                observer.close()
        return "done"


@contextmanager
def _ray(prepared: Prepared) -> Iterator[None]:
    """Ray for the length of a search; one that the caller started already is used and left running."""
    import ray

    if ray.is_initialized():
        yield
        return
    from search.resources import available

    there = available()
    ray.init(
        num_cpus=there.cpus,
        num_gpus=there.gpus,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    try:
        yield
    finally:
        _shutdown()


def _shutdown() -> None:
    """Stop Ray; not longer than a few seconds, as workers in mid-epoch do not listen."""
    import threading

    import ray

    thread = threading.Thread(target=ray.shutdown, daemon=True)
    thread.start()
    thread.join(SHUTDOWN_SECONDS)


def _decoding(console: Console):  # type: ignore[no-untyped-def]
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
    rejected: Sequence[tuple[str, str]] = prepared.rejected
    folder.write_table(folder.rejected_file, pd.DataFrame(rejected, columns=["file", "reason"]))
