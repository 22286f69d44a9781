"""Which hyperparameters matter: how much of the variance between configurations each one explains by itself.

A search with early stopping shows few configurations to the end, and these are alike: where freeze depth decides
everything, it decides who is stopped, and explains nothing among the rest. At the first rung, where all can be
compared, a frozen network looks good because its head has converged. So a surrogate learns from every epoch of every
trial what a configuration has reached by an epoch, and is asked about the last one, for configurations drawn from the
search space. Of the surrogate's variance the share of each hyperparameter's marginal is its importance, as in
functional analysis of variance (Hutter, Hoos and Leyton-Brown, "An efficient approach for assessing hyperparameter
importance", ICML 2014), here by sampling.

Two guards against noise. Each forest also gets a shuffled copy of every hyperparameter (as in Kursa and Rudnicki,
"Feature selection with the Boruta package", JSS 36, 2010): what the best copy explains is chance, and is taken off. And
there are several forests, each on trials drawn with replacement: what they do not agree on is the uncertainty.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from thaw.analysis.run_data import RunData
from thaw.spaces import Choice, Parameter, SearchSpace, metric

if TYPE_CHECKING:
    from sklearn.ensemble import ExtraTreesRegressor

MIN_TRIALS = 12
"""With fewer, a hyperparameter without any effect is easily the first of the list."""

FORESTS, TREES = 10, 12
SAMPLE = 160
"""Configurations over which is averaged: as many of the whole space as of each architecture."""
STEPS = 8
"""Values at which the marginal of a range is taken."""
MOST_TRIALS = 600
"""Trials that one forest learns from at most."""

ALL = "all"
COLUMNS = ["architecture", "hyperparameter", "importance", "low", "high", "trials"]


def importance(run: RunData) -> pd.DataFrame:
    """Importance of the searched hyperparameters at the last epoch, over all architectures and within each one.

    Returns:
        Rows architecture (``all`` first, then by name), hyperparameter, importance (from 0, adds up to 1 in an
        architecture, descending), low and high (the middle 80 % of the forests), trials (how many it rests on). No row
        where fewer than 12 trials have an epoch, or where nothing explains more than chance would. A hyperparameter
        that is inactive beside others, such as momentum without sgd, takes part with its default.
    """
    trials = run.trials[run.trials["last_epoch"].notna() & (run.trials["status"] != "failed")]
    names = [name for name in run.space.parameters if trials[name].nunique() > 1]
    if len(trials) < MIN_TRIALS or not names:
        return pd.DataFrame(columns=COLUMNS)
    curves = {number: _curve(run, number) for number in trials["trial"]}
    curves = {number: curve for number, curve in curves.items() if len(curve)}
    points = {number: _point(run.space, names, run.records[number].config) for number in curves}
    horizon = max(len(curve) for curve in curves.values())
    parts = {ALL: _asked(run.space, names)}
    architectures = trials["architecture"].value_counts().sort_index()
    if len(architectures) > 1 and "architecture" in names:
        for name, count in architectures.items():
            if count >= MIN_TRIALS:
                parts[str(name)] = _asked(run.space, names, str(name))
    found: dict[str, list[np.ndarray]] = {part: [] for part in parts}
    for seed in range(FORESTS):
        forest = _forest(points, curves, seed)
        for part, (asked, active) in parts.items():
            found[part].append(_explained(forest, asked, active, horizon, seed))
    rows: list[tuple[Any, ...]] = []
    for part, shares in found.items():
        count = len(curves) if part == ALL else int(architectures[part])
        varied = [k for k in range(len(names)) if len(np.unique(parts[part][0][:, k])) > 1]
        rows += _rows(part, [names[k] for k in varied], np.array(shares)[:, varied], count)
    return pd.DataFrame(rows, columns=COLUMNS)


def _curve(run: RunData, number: int) -> np.ndarray:
    """A trial's best value so far, epoch by epoch, more is better; of a loss minus its logarithm.

    One trial that went astray would be the whole variance of a loss otherwise.
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
    """A value as a tree takes it: the place of a category in its list, else the number."""
    if not isinstance(parameter, Choice):
        return float(value)
    return float(parameter.values.index(value)) if value in parameter.values else -1.0


def _asked(space: SearchSpace, names: Sequence[str], architecture: str | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Configurations drawn from the space, of one architecture if it is named, and where a hyperparameter is active.

    Returns:
        Both (SAMPLE, hyperparameters).
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
    drawn = rng.choice(numbers, min(len(numbers), MOST_TRIALS))
    shuffled = dict(zip(drawn, rng.permutation(drawn), strict=True))
    rows = [
        [*points[number], *points[shuffled[number]], math.log2(1 + epoch)]
        for number in drawn
        for epoch in range(1, len(curves[number]) + 1)
    ]
    values = np.concatenate([curves[number] for number in drawn])
    # Here, as scikit-learn takes a second that only the drawing of this needs.
    from sklearn.ensemble import ExtraTreesRegressor

    return ExtraTreesRegressor(TREES, min_samples_leaf=2, random_state=seed).fit(np.array(rows), values)


def _explained(
    forest: ExtraTreesRegressor, asked: np.ndarray, active: np.ndarray, horizon: int, seed: int
) -> np.ndarray:
    """Variance of each hyperparameter's marginal at the last epoch, less what the best shuffled copy has; from 0."""
    copies = np.random.default_rng(seed).permuted(asked, axis=0)
    whole = np.column_stack([asked, copies, np.full(len(asked), math.log2(1 + horizon))])
    count = asked.shape[1]
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
    """From (forests, hyperparameters); nothing where fewer than half of the forests find more than chance."""
    sums = explained.sum(axis=1)
    if (sums > 0).mean() < 0.5:
        return []
    shares = explained[sums > 0] / sums[sums > 0, None]
    means, (low, high) = shares.mean(axis=0), np.quantile(shares, (0.1, 0.9), axis=0)
    return [(part, names[k], means[k], low[k], high[k], trials) for k in np.argsort(-means, kind="stable")]
