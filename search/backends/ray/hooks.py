"""Ray Tune's hooks, translated into calls of SearchState. Nothing else happens here.

What Ray calls, and when (class Trainable, reused actors):

==========================  =====================================================================================
moment                      order
==========================  =====================================================================================
new trial                   searcher.suggest, scheduler.on_trial_add, callback.on_trial_start
ordinary row                scheduler.on_trial_result, callback.on_trial_result
scheduler says STOP         the same two, then on_trial_complete of scheduler, searcher and callback
the trainable says done     callback.on_trial_result alone, then on_trial_complete of all three
exception or dead worker    scheduler.on_trial_error, searcher.on_trial_complete(error=True), callback.on_trial_error
==========================  =====================================================================================

So the scheduler reports an ordinary row and gets the verdict, and the callback reports a trial's last row.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray.tune import Callback
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from thaw.search.backends.errors import error_line, settle_error
from thaw.search.engine.interruption import LogUnwritable, SearchStopped, StopRequest
from thaw.search.engine.state import SearchState
from thaw.trainables.messages import Report

LOST = ("ActorDiedError", "ActorUnavailableError", "RayActorError", "The actor", "OutOfMemoryError: Task was killed")
"""Markers in Ray's error text that a worker or its node was lost; any other error is the trial's own."""

KEPT = {"done"}
"""Keys of a trial's result that Tune needs for its own bookkeeping."""

IMPORT_ERROR = re.compile(r"\s*(ImportError|ModuleNotFoundError): ")


class Driver:
    """The search's side of all hooks, which exists only in the driver.

    Ray pickles its hooks, and open files cannot be pickled: nothing of this is sent.

    Args:
        state: the search.
        stop: asks for its end.

    Attributes:
        failure: why the event log cannot be written. Raised inside Tune, it would leave workers behind, so it stops the
            search at the next step.
    """

    def __init__(self, state: SearchState | None, stop: StopRequest | None) -> None:
        self._state, self._stop = state, stop
        self.failure: LogUnwritable | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return Driver, (None, None)

    @property
    def state(self) -> SearchState:
        assert self._state is not None, "a hook was called outside of the driver"
        return self._state

    @contextmanager
    def heeding_the_log(self) -> Iterator[None]:
        """Within this context, an event log that cannot be written requests a stop."""
        try:
            yield
        except LogUnwritable as error:
            # Only its message: its frames would keep Tune's objects alive, and with them the reservations of trials.
            self.failure = self.failure or LogUnwritable(str(error))

    def check(self) -> None:
        """Raises SearchStopped if the search should end."""
        assert self._stop is not None
        if self.failure:
            raise SearchStopped(str(self.failure))
        self._stop.check()


class StateSearcher(Searcher):
    """Proposes trials. Reporting is left to the other hooks."""

    def __init__(self, driver: Driver, slots: int) -> None:
        super().__init__()
        self._driver, self._slots = driver, slots

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        """A trial's parameters, None for "ask again later", or FINISHED, which Ray's own annotation forgets."""
        state, assignment = self._driver.state, None
        with self._driver.heeding_the_log():
            assignment = state.propose() if len(state.running) < self._slots else None
        if assignment is not None:
            # As a string: Ray would copy, flatten and write out a dictionary again and again.
            return {"trial": assignment.trial, "assignment": assignment.to_json()}
        # None means "not now": Tune asks again, as a running trial may still come back, or its end may promote another.
        return None if state.running or self._driver.failure else Searcher.FINISHED

    def on_trial_complete(self, trial_id: str, result: dict | None = None, error: bool = False) -> None:
        """The state knows already."""

    # Ray's own snapshots are never restored from, so there is nothing to save.
    def save(self, checkpoint_path: str) -> None: ...
    def restore(self, checkpoint_path: str) -> None: ...
    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None: ...
    def restore_from_dir(self, checkpoint_dir: str) -> None: ...


class StateScheduler(FIFOScheduler):
    """Reports ordinary rows, and stops the trials that do not continue."""

    def __init__(self, driver: Driver) -> None:
        super().__init__()
        self._driver = driver

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        goes_on = True
        with self._driver.heeding_the_log():
            goes_on = self._driver.state.report(trial.config["trial"], result["report"])
        return TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP


class StateCallback(Callback):
    """Reports the last row of trials that end by themselves, and errors; ends the search on request."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._resources: Any = None

    def on_step_begin(self, iteration: int, trials: list, **info: Any) -> None:
        try:
            self._driver.check()
        except SearchStopped:
            # Tune's own cleanup would wait for workers in the middle of an epoch.
            for trial in trials:
                if trial.temporary_state.ray_actor is not None:
                    ray.kill(trial.temporary_state.ray_actor)
            raise

    def on_trial_result(self, iteration: int, trials: list, trial: Any, result: dict[str, Any], **info: Any) -> None:
        report: Report = result["report"]
        if report.last:
            with self._driver.heeding_the_log():
                self._driver.state.report(trial.config["trial"], report)
        # Tune keeps what is left in it for each trial, with statistics of each number: 20 kB that nobody reads.
        for name in result.keys() - KEPT:
            del result[name]

    def on_trial_complete(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        """Tune keeps all trials. Of one that has ended, it needs no more than its name and its resources."""
        for unread in (trial.metric_analysis, trial.metric_n_steps, trial.config, trial.evaluated_params):
            unread.clear()
        # They are equal for all trials, but each trial has two copies.
        self._resources = self._resources or trial.placement_group_factory
        trial.placement_group_factory = trial._default_placement_group_factory = self._resources

    def on_trial_error(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        number, lines = trial.config["trial"], _error_lines(trial)
        with self._driver.heeding_the_log():
            if not lines or any(mark in line for mark in LOST for line in lines):
                self._driver.state.lose(number, "the worker process died")
            else:
                settle_error(self._driver.state, number, error_line(lines))


def _error_lines(trial: Any) -> list[str]:
    """The text that Ray keeps of a trial's error; its pickle is not loaded.

    If a worker could not import what it needs, only that message: Ray treats the worker as lost, but the next one would
    be, too.
    """
    file = trial.error_file
    lines = Path(file).read_text(encoding="utf-8", errors="replace").strip().splitlines() if file else []
    if not any("in its creation task" in line for line in lines):
        return lines
    # The first is the cause, others may follow from it.
    at = next((at for at, line in enumerate(lines) if IMPORT_ERROR.match(line)), None)
    if at is None:
        return lines
    places = [line.strip() for line in lines[:at] if line.strip().startswith('File "')]
    return [f"a worker cannot import what it needs: {lines[at].strip()} ({places[-1] if places else 'no place given'})"]
