"""Search algorithms: one function per row, from a seed to an Optuna sampler."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import optuna
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler

STARTUP = {"auto": 10, "tpe": 10, "gp": 10}
"""Number of ended trials from which an algorithm learns; it samples at random before. Optuna's own defaults."""

NAMES = {"auto": "tpe"}
"""The sampler of an algorithm that is not purely Optuna's."""


def _tpe(seed: int) -> BaseSampler:
    # Multivariate: hyperparameters interact (learning rate with freeze depth). Group: conditional ones are modelled
    # among the trials that have them. Constant liar: trials that still run repel the next proposal.
    return TPESampler(multivariate=True, group=True, constant_liar=True, n_startup_trials=STARTUP["tpe"], seed=seed)


SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {
    # For what `Auto` does not choose by itself.
    "auto": _tpe,
    "tpe": _tpe,
    # A grid's cells are enqueued one by one; nothing is left for the sampler to draw.
    "grid": lambda seed: RandomSampler(seed=seed),
    "random": lambda seed: RandomSampler(seed=seed),
    "gp": lambda seed: GPSampler(n_startup_trials=STARTUP["gp"], seed=seed),
}


def build_sampler(algorithm: str, seed: int) -> BaseSampler:
    """The sampler of one proposal.

    Args:
        algorithm: a key of :data:`SAMPLERS`.
        seed: any non-negative integer; its low 32 bits are used.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return SAMPLERS[algorithm](seed % 2**32)
