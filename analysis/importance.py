"""Hyperparameter importance: how much of the variance between configurations each hyperparameter explains by itself.

With early stopping, few configurations are trained to the end, and these are alike: where freeze depth decides
everything, it also decides which trials are stopped, and explains nothing among the rest. At the first rung, where all
trials can be compared, a frozen network looks good because its head has converged. So a surrogate model learns from
every epoch of every trial what a configuration has reached by that epoch, and predicts the last epoch for
configurations sampled from the search space. A hyperparameter's importance is the share of the surrogate's variance
that its marginal explains, as in functional analysis of variance (Hutter, Hoos and Leyton-Brown, "An efficient approach
for assessing hyperparameter importance", ICML 2014), here by sampling.

Two measures guard against noise. Each forest also gets a shuffled copy of every hyperparameter (as in Kursa and
Rudnicki, "Feature selection with the Boruta package", JSS 36, 2010): the variance that the best copy explains is due to
chance and is subtracted. And there are several forests, each on trials drawn with replacement: their disagreement is
the uncertainty.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from thaw.analysis.run_data import RunData, once
from thaw.spaces import Choice, Parameter, SearchSpace, metric

if TYPE_CHECKING:
    from sklearn.ensemble import ExtraTreesRegressor

MIN_TRIALS = 12
"""With fewer trials, a hyperparameter without any effect easily ranks first."""

MIN_LATER = 4
"""With fewer trials that went on after the first ones were stopped, predictions for later epochs are guesses."""

FORESTS, TREES = 10, 12
SAMPLE = 160
"""The number of configurations to average over, for the whole space and for each architecture."""
STEPS = 8
"""The number of values at which the marginal of a range is evaluated."""
MAX_TRIALS = 600
"""The maximum number of trials that one forest learns from."""

ALL = "all"
COLUMNS = ["architecture", "hyperparameter", "importance", "low", "high", "trials"]


@once
def importance(run: RunData) -> pd.DataFrame:
    """Importance of the searched hyperparameters at the last epoch, over all architectures and within each one.

    Returns:
        Rows architecture (``all`` first, then by name), hyperparameter, importance (at least 0, sums to 1 within an
        architecture, descending), low and high (the middle 80 % of the forests), trials (the number of trials behind
        it). There are no rows if fewer than 12 trials have an epoch, if fewer than 4 went on after the epoch at which
        the first ones were stopped, or if nothing explains more than chance. A hyperparameter that is inactive because
        of others, such as momentum without sgd, enters with its default.
    """
    trials = run.trials[run.trials["last_epoch"].notna() & (run.trials["status"] != "failed")]
    names = [name for name in run.space.parameters if trials[name].nunique() > 1]
    if len(trials) < MIN_TRIALS or not names:
        return pd.DataFrame(columns=COLUMNS)
    curves = {number: _curve(run, number) for number in trials["trial"]}
    curves = {number: curve for number, curve in curves.items() if len(curve)}
    points = {number: _point(run.space, names, run.records[number].config) for number in curves}
    horizon = max(len(curve) for curve in curves.values())
    stopped = [len(curve) for number, curve in curves.items() if run.records[number].status == "pruned"]
    if stopped and sum(len(curve) > min(stopped) for curve in curves.values()) < MIN_LATER:
        return pd.DataFrame(columns=COLUMNS)
    parts = {ALL: _sampled(run.space, names)}
    architectures = trials["architecture"].value_counts().sort_index()
    if len(architectures) > 1 and "architecture" in names:
        for name, count in architectures.items():
            if count >= MIN_TRIALS:
                parts[str(name)] = _sampled(run.space, names, str(name))
    found: dict[str, list[np.ndarray]] = {part: [] for part in parts}
    for seed in range(FORESTS):
        forest = _forest(points, curves, seed)
        for part, (configs, active) in parts.items():
            found[part].append(_explained(forest, configs, active, horizon, seed))
    rows: list[tuple[Any, ...]] = []
    for part, shares in found.items():
        count = len(curves) if part == ALL else int(architectures[part])
        varied = [k for k in range(len(names)) if len(np.unique(parts[part][0][:, k])) > 1]
        rows += _rows(part, [names[k] for k in varied], np.array(shares)[:, varied], count)
    return pd.DataFrame(rows, columns=COLUMNS)


def _curve(run: RunData, number: int) -> np.ndarray:
    """A trial's best value so far by epoch, more is better; for a loss, its negative logarithm.

    Otherwise a single diverged trial would make up all the variance of a loss.
    """
    measure = metric(run.metric)
    values = np.array([value for _, value in sorted(run.records[number].values(run.metric).items())])
    values = values[np.isfinite(values)]
    if math.isinf(measure.high):
        values = np.log(np.maximum(values, 1e-12))
    return np.maximum.accumulate(values if measure.maximize else -values)


def _point(space: SearchSpace, names: Sequence[str], config: dict[str, Any]) -> np.ndarray:
    return np.array([_code(space.parameters[name], config[name]) for name in names])


def _code(parameter: Parameter, value: Any) -> float:
    """A value encoded for the trees: the index of a category in its list, else the number itself."""
    if not isinstance(parameter, Choice):
        return float(value)
    return float(parameter.values.index(value)) if value in parameter.values else -1.0


def _sampled(
    space: SearchSpace, names: Sequence[str], architecture: str | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Configurations sampled from the space, of one architecture if given, and where each hyperparameter is active.

    Returns:
        Two arrays of shape (SAMPLE, hyperparameters).
    """
    rng, drawn = random.Random(0), space
    if architecture is not None:
        rest = {name: parameter for name, parameter in space.parameters.items() if name != "architecture"}
        drawn = replace(space, parameters=rest, constants={**space.constants, "architecture": architecture})
    configs = [drawn.config(drawn.sample(rng)).model_dump() for _ in range(SAMPLE)]
    active = [[space.active(name, config) for name in names] for config in configs]
    return np.array([_point(space, names, config) for config in configs]), np.array(active)


def _forest(points: dict[int, np.ndarray], curves: dict[int, np.ndarray], seed: int) -> ExtraTreesRegressor:
    """Learns (hyperparameters, shuffled copies, epoch) → best value so far, from trials drawn with replacement."""
    rng = np.random.default_rng(seed)
    numbers = np.array(list(points))
    drawn = rng.choice(numbers, min(len(numbers), MAX_TRIALS))
    shuffled = dict(zip(drawn, rng.permutation(drawn), strict=True))
    rows = [
        [*points[number], *points[shuffled[number]], math.log2(1 + epoch)]
        for number in drawn
        for epoch in range(1, len(curves[number]) + 1)
    ]
    values = np.concatenate([curves[number] for number in drawn])
    # Imported here because scikit-learn takes a second to load.
    from sklearn.ensemble import ExtraTreesRegressor

    return ExtraTreesRegressor(TREES, min_samples_leaf=2, random_state=seed).fit(np.array(rows), values)


def _explained(
    forest: ExtraTreesRegressor, configs: np.ndarray, active: np.ndarray, horizon: int, seed: int
) -> np.ndarray:
    """Variance of each hyperparameter's marginal at the last epoch, less that of the best shuffled copy; at least 0."""
    copies = np.random.default_rng(seed).permuted(configs, axis=0)
    whole = np.column_stack([configs, copies, np.full(len(configs), math.log2(1 + horizon))])
    count = configs.shape[1]
    variances = np.zeros(2 * count)
    for column in range(2 * count):
        values = np.unique(whole[:, column])
        if len(values) > STEPS:
            values = np.quantile(whole[:, column], (np.arange(STEPS) + 0.5) / STEPS)
        if len(values) > 1:
            changed = np.repeat(whole[None], len(values), axis=0)
            rows = active[:, column % count]
            changed[:, rows, column] = values[:, None]
            marginal = forest.predict(changed.reshape(-1, whole.shape[1])).reshape(len(values), -1).mean(axis=1)
            variances[column] = marginal.var()
    return np.maximum(0.0, variances[:count] - variances[count:].max())


def _rows(part: str, names: Sequence[str], explained: np.ndarray, trials: int) -> list[tuple[Any, ...]]:
    """Rows of `explained` (forests, hyperparameters); none if fewer than half of the forests beat chance."""
    sums = explained.sum(axis=1)
    if (sums > 0).mean() < 0.5:
        return []
    shares = explained[sums > 0] / sums[sums > 0, None]
    means, (low, high) = shares.mean(axis=0), np.quantile(shares, (0.1, 0.9), axis=0)
    return [(part, names[k], means[k], low[k], high[k], trials) for k in np.argsort(-means, kind="stable")]
