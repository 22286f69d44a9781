"""Trials in workers of Ray Tune, on this machine or on the cluster that this process has joined."""

from __future__ import annotations

import gc

from ray import tune

from thaw.analysis.run_folder import RunFolder
from thaw.search.backends.ray.hooks import Driver, StateCallback, StateScheduler, StateSearcher
from thaw.search.backends.ray.session import running_ray, set_environment
from thaw.search.engine.interruption import SearchStopped, StopRequest
from thaw.search.engine.signals import noted_signals
from thaw.search.engine.state import SearchState
from thaw.search.settings.schema import ResourcesConfig
from thaw.trainables.context import RunContext
from thaw.trainables.trainable import TrialTrainable


class RayBackend:
    """One worker process a slot, used again for trial after trial.

    Args:
        resources: of one trial.
        folder: of the run; Ray Tune's own files go into its ``ray/``.
    """

    def __init__(self, resources: ResourcesConfig, folder: RunFolder) -> None:
        self.resources, self.folder = resources, folder

    def run(self, state: SearchState, context: RunContext, slots: int, stop: StopRequest) -> None:
        set_environment(slots)
        # Ray's start may put handlers of its own in the place of ours.
        with running_ray(), noted_signals(stop):
            driver = Driver(state, stop)
            tuner = self._tuner(driver, context, slots)
            try:
                tuner.fit()
            except SearchStopped:
                if driver.failure:
                    raise driver.failure from None
                raise
            finally:
                # The reservations of trials that were stopped go with Tune's objects, which refer to each other.
                del tuner
                gc.collect()

    def _tuner(self, driver: Driver, context: RunContext, slots: int) -> tune.Tuner:
        cpu, gpu = self.resources.cpu, self.resources.gpu or 0
        trainable = tune.with_parameters(TrialTrainable, context=context, threads=cpu)
        return tune.Tuner(
            tune.with_resources(trainable, {"cpu": cpu, "gpu": gpu}),
            tune_config=tune.TuneConfig(
                search_alg=StateSearcher(driver, slots),
                scheduler=StateScheduler(driver),
                num_samples=-1,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name=f"session-{driver.state.events.session}",
                storage_path=str(self.folder.ray),
                callbacks=[StateCallback(driver)],
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                verbose=0,
            ),
        )
