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

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import ray
from ray.tune import Callback
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from thaw.search.engine.interruption import SearchStopped, StopRequest
from thaw.search.engine.state import SearchState
from thaw.trainables.training.loop import Failure

LOST = ("ActorDiedError", "ActorUnavailableError", "RayActorError", "The actor", "OutOfMemoryError: Task was killed")
"""Marks in Ray's text of an error that a worker or its node was lost; anything else is an error of the trial's own."""

IMPORT_ERROR = re.compile(r"\s*(ImportError|ModuleNotFoundError): ")

ADVICE = {
    "OutOfMemoryError": "try a smaller batch_size or image_size, or fewer trials on a GPU (resources.gpu)",
}
"""Errors for which there is something to try."""


class DriverOnly:
    """A reference to something that lives in the driver alone: Ray pickles its hooks, open files cannot follow."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __reduce__(self) -> tuple[Any, ...]:
        return DriverOnly, (None,)


class StateSearcher(Searcher):
    """Proposes trials. It only asks; values are told by the recorder."""

    def __init__(self, state: SearchState, stop: StopRequest, concurrency: int) -> None:
        super().__init__()
        self._driver, self._concurrency = DriverOnly((state, stop)), concurrency

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        """A trial's parameters, None for "ask again later", or FINISHED, which Ray's own annotation forgets."""
        state, stop = self._driver.value
        proposal = None
        with stop.heeding_the_log():
            proposal = state.propose() if len(state.running) < self._concurrency else None
        if proposal is not None:
            # As a text: Ray would copy, flatten and write out a dictionary again and again.
            return {"trial": proposal.trial, "proposal": json.dumps(asdict(proposal))}
        # None means "not now": Tune asks again, as a running trial may yet come back, or its end promote another.
        return None if state.running or stop.failure else Searcher.FINISHED

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
    """Records every row and every end."""

    def __init__(self, state: SearchState, stop: StopRequest) -> None:
        self._driver = DriverOnly((state, stop))

    def on_step_begin(self, iteration: int, trials: list, **info: Any) -> None:
        _, stop = self._driver.value
        try:
            stop.check()
        except SearchStopped:
            # Tune's own clean-up would wait for workers that are in mid-epoch.
            for trial in trials:
                if trial.temporary_state.ray_actor is not None:
                    ray.kill(trial.temporary_state.ray_actor)
            raise

    def on_trial_result(self, iteration: int, trials: list, trial: Any, result: dict[str, Any], **info: Any) -> None:
        state, stop = self._driver.value
        with stop.heeding_the_log():
            self._record(state, trial.config["trial"], result)

    @staticmethod
    def _record(state: SearchState, number: int, result: dict[str, Any]) -> None:
        if isinstance(result["row"], Failure):
            state.end(number, "failed", result["row"].reason)
            return
        row = {**asdict(result["row"]), "worker": result["worker"]}
        if result["warning"]:
            row["warning"] = result["warning"]
        state.epoch(number, row)

    def on_trial_error(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        state, stop = self._driver.value
        lines = _error_lines(trial)
        with stop.heeding_the_log():
            if not lines or any(mark in line for mark in LOST for line in lines):
                state.lose(trial.config["trial"], "the worker process died")
                return
            advice = [f"; {text}" for name, text in ADVICE.items() if name in lines[-1]]
            state.end(trial.config["trial"], "failed", "".join([lines[-1].strip(), *advice]))


def _error_lines(trial: Any) -> list[str]:
    """The text that Ray keeps of a trial's error; its pickle is left alone.

    Where a worker could not import what it needs, only that: Ray counts it as lost, but the next one would be, too.
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
