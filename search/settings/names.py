"""The names that a search file may choose from: light tables, so that reading a file loads neither torch nor Optuna."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

ALGORITHMS = {
    "auto": "each architecture and freeze depth, heads first, then a Gaussian process and TPE in turn",
    "tpe": "Optuna's tree-structured Parzen estimator, which learns from all trials so far",
    "grid": "every valid combination once; needs lists of values or ranges with a step",
    "random": "each trial drawn independently",
    "gp": "Optuna's Gaussian process; for few trials and few, mostly continuous hyperparameters",
}
"""``search.algorithm`` → meaning. ``SAMPLERS`` in :mod:`thaw.search.engine.samplers` has the same keys."""

LEARNING = ("auto", "tpe", "gp")
"""The algorithms whose proposals follow from earlier trials."""

SCHEDULERS = {
    "asha": "asynchronous successive halving: at each rung a trial stops unless it is among the best "
    "1/reduction_factor of those that have reached it",
    "asha_promotion": "the same, but trials wait at a rung and continue once they are among the best",
    "percentile": "a trial stops if its best value is among the worst 30 % of the others' averages at that epoch",
    "median": "a trial stops if its best value is worse than the median of the others' averages at that epoch",
    "none": "every trial trains to the end",
}
"""``scheduler.type`` → meaning. ``RULES`` in :mod:`thaw.search.engine.rules` has the same keys."""

TRACKERS = {
    "mlflow": "MLflow: a parent run for the search with a child run per trial, at `MLFLOW_TRACKING_URI`",
    "wandb": "Weights & Biases: a group with one run per trial, as set by `WANDB_MODE` and `WANDB_PROJECT`",
}
"""Name in ``trackers`` → meaning. ``CLASSES`` in :mod:`thaw.search.observers.trackers` has the same keys."""


class OneOf:
    """A string that is one of the keys of a table, for ``Annotated``: like ``Literal``, but for the names in a table.

    Example: ``algorithm: Annotated[str, OneOf(ALGORITHMS)] = "tpe"``.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(names)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.literal_schema(list(self.names))
