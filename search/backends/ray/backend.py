"""Trials in workers of Ray Tune, on this machine or on the cluster that this process has joined."""

from __future__ import annotations

import gc

from ray import tune

from thaw.analysis.run_folder import RunFolder
from thaw.search.backends.ray.by_value import send_by_value
from thaw.search.backends.ray.hooks import Driver, StateCallback, StateScheduler, StateSearcher
from thaw.search.backends.ray.session import running_ray
from thaw.search.backends.ray.sharing import shared_between_nodes
from thaw.search.engine.interruption import SearchStopped, StopRequest
from thaw.search.engine.signals import noted_signals
from thaw.search.engine.state import SearchState
from thaw.search.settings.schema import ResourcesConfig
from thaw.trainables.context import RunContext
from thaw.trainables.trainable import TrialTrainable


class RayBackend:
    """One worker process per slot, reused for one trial after another.

    Args:
        resources: resources of one trial.
        folder: the run folder; Ray Tune's own files go into its ``ray/``.
        context: what all trials share; it is sent to each worker once.
    """

    def __init__(self, resources: ResourcesConfig, folder: RunFolder, context: RunContext) -> None:
        self.resources, self.folder, self.context = resources, folder, context

    def run(self, state: SearchState, slots: int, stop: StopRequest) -> None:
        # Ray's start may replace our handlers by its own.
        with running_ray(slots), noted_signals(stop), shared_between_nodes(self.context) as context:
            driver = Driver(state, stop)
            # What there is already need not be searched for garbage: that takes a second.
            gc.freeze()
            try:
                stopped = self._fit(driver, slots, context)
                # Tune's objects hold the reservations of stopped trials, and refer to each other. They can be freed
                # only now that no exception refers to them.
                gc.collect()
            finally:
                gc.unfreeze()
            if driver.failure:
                raise driver.failure
            if stopped:
                raise SearchStopped(stop.reason)

    def _fit(self, driver: Driver, slots: int, context: RunContext) -> bool:
        """Run Tune to its end; returns whether it ended before all trials did."""
        try:
            self._tuner(driver, slots, context).fit()
        except SearchStopped:
            return True
        return False

    def _tuner(self, driver: Driver, slots: int, context: RunContext) -> tune.Tuner:
        cpu, gpu = self.resources.cpu, self.resources.gpu or 0
        send_by_value(context)
        trainable = tune.with_parameters(TrialTrainable, context=context, threads=cpu, gpu=gpu)
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
