"""A Gaussian process over configurations: the predicted final value of each, and its uncertainty."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.special import ndtr

from thaw.spaces import STAGES, Choice, Parameter, SearchSpace, Value

Array = np.ndarray

SCALES, NOISES = (0.4, 1.0), (0.1, 0.3, 0.6)
"""Length scales, and noise deviations relative to values of variance 1; the pair of highest likelihood is used."""

UNLIKE = 0.5
"""Correlation of two values without order, such as two architectures."""

STAGE = 0.4
"""Length scale of the freeze depth, as a share of the network."""

PRIOR = 4.0
"""The weight of the assumed variance of 1, as a number of observations."""


class Encoder:
    """Complete configurations as rows of numbers: one column per searched hyperparameter, ranges scaled to [0, 1].

    Choices of numbers are treated as ranges, too; other choices are numbered, and only compared for equality.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._parameters = space.parameters
        self._ranges = {name: _range(name, parameter) for name, parameter in space.parameters.items()}
        self.kinds = ["nominal" if r is None else name for name, r in self._ranges.items()]

    def rows(self, configs: Sequence[Mapping[str, Value]]) -> Array:
        """(configurations, columns)."""
        rows = [[self._number(name, config[name]) for name in self._parameters] for config in configs]
        return np.array(rows, dtype=float).reshape(len(configs), len(self._parameters))

    def _number(self, name: str, value: Value) -> float:
        limits = self._ranges[name]
        if limits is None:
            parameter = self._parameters[name]
            assert isinstance(parameter, Choice)
            return float(parameter.values.index(value)) if value in parameter.values else -1.0
        low, high, log = limits
        return ((math.log(max(float(value), 1e-12)) if log else float(value)) - low) / (high - low)


def _range(name: str, parameter: Parameter) -> tuple[float, float, bool] | None:
    """Bounds of a hyperparameter and whether they are logarithms; None for a choice without order."""
    if name == "freeze_depth":
        return 0.0, float(STAGES), False
    if isinstance(parameter, Choice):
        numbers = [float(v) for v in parameter.values if isinstance(v, int | float) and not isinstance(v, bool)]
        if len(numbers) < max(2, len(parameter.values)):
            return None
        low, high = min(numbers), max(numbers)
        log = low > 0 and high >= 10 * low
    else:
        low, high, log = float(parameter.low), float(parameter.high), parameter.log
    return (math.log(low), math.log(high), True) if log else (low, high, False)


class Surrogate:
    """The process conditioned on some values. More is better.

    Its kernel multiplies networks and freeze depths with half a sum and half a product of Matérn kernels (5/2) over the
    other hyperparameters. Of a few length scales and noise levels, those with the highest likelihood of the values are
    used.
    Source: Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, chapters 2 and 4.

    Args:
        kinds: the kinds of the :class:`Encoder`.
        rows: (n, columns), different configurations or the same one again.
        values: (n,)
    """

    def __init__(self, kinds: Sequence[str], rows: Array, values: Array) -> None:
        self._kinds, self._rows = kinds, rows
        self._center, self._spread = float(np.median(values)), max(float(values.std()), 1e-6)
        scaled = (values - self._center) / self._spread
        best = -math.inf
        kernels = {scale: _kernel(scale, kinds, rows, rows) for scale in SCALES}
        for scale, noise in product(SCALES, NOISES):
            root = cholesky(kernels[scale] + (noise**2 + 1e-8) * np.eye(len(values)), lower=True)
            half = solve_triangular(root, scaled, lower=True)
            misfit, degrees = PRIOR + float(half @ half), PRIOR + len(values)
            likelihood = -0.5 * degrees * math.log(misfit) - float(np.log(np.diag(root)).sum())
            if likelihood > best:
                best = likelihood
                self._scale, self._noise, self._root = scale, noise, root
                self._amplitude = math.sqrt(misfit / degrees)
        self._weights = cho_solve((self._root, True), scaled)

    @property
    def noise(self) -> float:
        """Standard deviation of the noise, which no configuration explains."""
        return self._noise * self._amplitude * self._spread

    def predict(self, rows: Array) -> tuple[Array, Array]:
        """Mean and standard deviation of the values of configurations, without noise: both (n,)."""
        cross = _kernel(self._scale, self._kinds, rows, self._rows)
        half = solve_triangular(self._root, cross.T, lower=True)
        variance = np.maximum(1 - (half**2).sum(axis=0), 1e-8)
        mean = self._center + self._spread * (cross @ self._weights)
        return mean, self._spread * self._amplitude * np.sqrt(variance)


def expected_improvement(mean: Array, deviation: Array, best: float) -> Array:
    """The expected improvement of a normally distributed value over `best`.

    Source: Jones, Schonlau and Welch, "Efficient Global Optimization", 1998, equation 15.
    """
    z = (mean - best) / deviation
    return deviation * (z * ndtr(z) + np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi))


def _kernel(scale: float, kinds: Sequence[str], a: Array, b: Array) -> Array:
    network, factor, total = np.ones((len(a), len(b))), np.ones((len(a), len(b))), np.zeros((len(a), len(b)))
    others = 0
    for column, kind in enumerate(kinds):
        difference = np.abs(a[:, column, None] - b[None, :, column])
        if kind == "nominal":
            network *= np.where(difference > 0, UNLIKE, 1.0)
            continue
        distance = math.sqrt(5) / (STAGE if kind == "freeze_depth" else scale) * difference
        part = (1 + distance + distance**2 / 3) * np.exp(-distance)
        if kind == "freeze_depth":
            network *= part
        else:
            others += 1
            factor *= part
            total += part
    return network * (0.5 * factor + 0.5 * total / others) if others else network
