"""Ray Tune's hooks, translated into SearchState's words. Nothing else happens here.

What Ray calls, and when (class Trainable, reused actors):

==========================  =====================================================================================
moment                      order
==========================  =====================================================================================
new trial                   searcher.suggest, scheduler.on_trial_add, callback.on_trial_start
ordinary row                scheduler.on_trial_result (decides), callback.on_trial_result (logs)
scheduler says STOP         the same two, then on_trial_complete of scheduler, searcher and callback
the trainable says done     callback.on_trial_result alone, then on_trial_complete of all three
exception or dead worker    scheduler.on_trial_error, searcher.on_trial_complete(error=True), callback.on_trial_error
==========================  =====================================================================================

So the callback sees every row, after the decision, and is the one that records.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import ray
from ray.tune import Callback
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from search.observers import Observer
from search.state import SearchState
from trainables.loop import Failure

FINISH = {"max_epochs": "completed", "patience": "early_stopped"}
"""A trial's own reason to finish → its status."""


class DriverOnly:
    """A reference to something that lives in the driver alone: Ray pickles its hooks, open files cannot follow."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __reduce__(self) -> tuple[Any, ...]:
        return DriverOnly, (None,)


class SearchStopped(BaseException):
    """Ends Tune's loop at once. A BaseException, so that nothing on the way takes it for a trial's failure."""


@dataclass
class StopRequest:
    """Why the search is to stop before its end, if it is: a signal's name, or ``time_budget``."""

    reason: str = ""
    deadline: float | None = None

    def check(self) -> None:
        """Raises SearchStopped where a stop was asked for or the time (monotonic seconds) is over."""
        if self.deadline is not None and time.monotonic() >= self.deadline:
            self.reason = self.reason or "time_budget"
        if self.reason:
            raise SearchStopped(self.reason)


class StateSearcher(Searcher):
    """Proposes trials. It only asks; values are told by the recorder."""

    def __init__(self, state: SearchState, concurrency: int) -> None:
        super().__init__()
        self._state, self._concurrency = DriverOnly(state), concurrency

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        """A trial's parameters, None for "ask again later", or FINISHED, which Ray's own annotation forgets."""
        state: SearchState = self._state.value
        running = len(state.running)
        if state.exhausted:
            # None means "not now": Tune asks again, as a running trial may yet come back.
            return None if running else Searcher.FINISHED
        if running >= self._concurrency:
            return None
        proposal = state.propose()
        return asdict(proposal)

    def on_trial_complete(self, trial_id: str, result: dict | None = None, error: bool = False) -> None:
        """The recorder has told the study already."""

    # Ray's own snapshots are never restored from, so there is nothing to save.
    def save(self, checkpoint_path: str) -> None: ...
    def restore(self, checkpoint_path: str) -> None: ...
    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None: ...
    def restore_from_dir(self, checkpoint_dir: str) -> None: ...


class RuleScheduler(FIFOScheduler):
    """Stops the trials that the search's rule wants stopped."""

    def __init__(self, state: SearchState) -> None:
        super().__init__()
        self._state = DriverOnly(state)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        decision = self._state.value.decide(trial.config["trial"], asdict(result["row"]))
        return TrialScheduler.STOP if decision.stop else TrialScheduler.CONTINUE


class Recorder(Callback):
    """Records every row and every end, and shows them to the observers."""

    def __init__(self, state: SearchState, observers: list[Observer], stop: StopRequest) -> None:
        self._driver = DriverOnly((state, observers, stop))

    def on_step_begin(self, iteration: int, trials: list, **info: Any) -> None:
        _, _, stop = self._driver.value
        try:
            stop.check()
        except SearchStopped:
            # Tune's own clean-up would wait for workers that are in mid-epoch.
            for trial in trials:
                if trial.temporary_state.ray_actor is not None:
                    ray.kill(trial.temporary_state.ray_actor)
            raise

    def on_trial_result(self, iteration: int, trials: list, trial: Any, result: dict[str, Any], **info: Any) -> None:
        state, observers, _ = self._driver.value
        number = trial.config["trial"]
        if isinstance(result["row"], Failure):
            self._end(number, "failed", result["row"].reason)
            return
        row = {**asdict(result["row"]), "worker": result["worker"]}
        if result["warning"]:
            row["warning"] = result["warning"]
        state.epoch(number, row)
        for observer in observers:
            observer.epoch(state.records[number], row)
        if row["finished"]:
            self._end(number, FINISH[row["finished"]], row["finished"])
        elif (decision := state.decide(number, row)).stop:
            self._end(number, "pruned", decision.reason)

    def on_trial_error(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        self._end(trial.config["trial"], "failed", _reason(trial))

    def _end(self, number: int, status: str, reason: str) -> None:
        state, observers, _ = self._driver.value
        state.end(number, status, reason)
        for observer in observers:
            observer.ended(state.records[number])


def _reason(trial: Any) -> str:
    """Why a trial of Ray's failed, in one line, from the text that Ray keeps here; its pickle is left alone."""
    file = trial.error_file
    lines = Path(file).read_text(encoding="utf-8", errors="replace").strip().splitlines() if file else []
    if not lines or any("ActorDiedError" in line or line.startswith("The actor") for line in lines):
        return "the worker process died"
    return lines[-1].strip()
