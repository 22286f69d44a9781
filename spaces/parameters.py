"""Types of searched hyperparameters: Float, Int and Choice."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeGuard

from thaw.spaces.errors import ConfigError

Value = float | int | str | bool

MAX_STEPS = 100_000
"""Largest number of values of a range with a step."""


class Suggests(Protocol):
    """The part of ``optuna.Trial`` that a search space needs."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float: ...
    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int: ...
    def suggest_categorical(self, name: str, choices: Any) -> Any: ...


@dataclass(frozen=True)
class Float:
    """A real number in [low, high], both included.

    Args:
        low, high: bounds, ``low < high``.
        log: uniform in the logarithm; needs ``low > 0``.
        step: values are ``low + k * step``; makes the parameter usable in a grid. Not together with `log`.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None

    def __post_init__(self) -> None:
        _check_range(self.low, self.high, self.log, self.step, (int, float))

    def __str__(self) -> str:
        return _as_written("float", self)

    def __contains__(self, value: object) -> bool:
        if not _is_number(value) or not self.low <= value <= self.high:
            return False
        steps = (value - self.low) / self.step if self.step else 0.0
        return abs(steps - round(steps)) < 1e-8

    def listed(self) -> Iterator[float] | None:
        """All values, ascending; None if the range is continuous."""
        return None if self.step is None else self.grid()

    def grid(self) -> Iterator[float]:
        if self.step is None:
            raise ConfigError(
                f"a grid needs a finite list of values, this range [{self.low}, {self.high}] is continuous; "
                "list the values, add a step, or use algorithm: tpe"
            )
        count = math.floor((self.high - self.low) / self.step + 1e-9) + 1
        return (round(self.low + k * self.step, 12) for k in range(count))

    def sample(self, rng: random.Random) -> float:
        if self.step is not None:
            return rng.choice(list(self.grid()))
        if self.log:
            value = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
            return min(max(value, self.low), self.high)
        return rng.uniform(self.low, self.high)

    def suggest(self, trial: Suggests, name: str) -> float:
        return trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log)


@dataclass(frozen=True)
class Int:
    """A whole number in [low, high], both included; `log` and `step` as for :class:`Float`."""

    low: int
    high: int
    log: bool = False
    step: int | None = None

    def __post_init__(self) -> None:
        _check_range(self.low, self.high, self.log, self.step, (int,))

    def __str__(self) -> str:
        return _as_written("int", self)

    def __contains__(self, value: object) -> bool:
        if not _is_number(value) or not float(value).is_integer() or not self.low <= value <= self.high:
            return False
        return (value - self.low) % (self.step or 1) == 0

    def listed(self) -> Iterator[int] | None:
        """All values, ascending."""
        return iter(range(self.low, self.high + 1, self.step or 1))

    def grid(self) -> Iterator[int]:
        if self.log:
            raise ConfigError(
                f"a grid needs a finite list of values, this range [{self.low}, {self.high}] is logarithmic; "
                "list the values, or use algorithm: tpe"
            )
        return iter(range(self.low, self.high + 1, self.step or 1))

    def sample(self, rng: random.Random) -> int:
        if self.log:
            value = math.exp(rng.uniform(math.log(self.low - 0.5), math.log(self.high + 0.5)))
            return min(max(round(value), self.low), self.high)
        return rng.choice(range(self.low, self.high + 1, self.step or 1))

    def suggest(self, trial: Suggests, name: str) -> int:
        return trial.suggest_int(name, self.low, self.high, step=self.step or 1, log=self.log)


@dataclass(frozen=True)
class Choice:
    """One of an unordered list of values."""

    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ConfigError("a list of values must not be empty; name at least one value")
        repeated = next((value for value, times in Counter(self.values).items() if times > 1), None)
        if repeated is not None:
            raise ConfigError(f"values must be unique, {repeated!r} appears twice; remove one")

    def __str__(self) -> str:
        return f"[{', '.join(map(str, self.values))}]"

    def __contains__(self, value: object) -> bool:
        return value in self.values

    def listed(self) -> Iterator[Value] | None:
        """All values, in the order listed."""
        return self.grid()

    def grid(self) -> Iterator[Value]:
        return iter(self.values)

    def sample(self, rng: random.Random) -> Value:
        return rng.choice(self.values)

    def suggest(self, trial: Suggests, name: str) -> Value:
        return trial.suggest_categorical(name, list(self.values))


Parameter = Float | Int | Choice


def _as_written(kind: str, parameter: Float | Int) -> str:
    """A range as in a search file."""
    step = "" if parameter.step is None else f", step: {parameter.step}"
    return f"{{{'log' if parameter.log else kind}: [{parameter.low}, {parameter.high}]{step}}}"


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_range(low: object, high: object, log: object, step: object, types: tuple[type, ...]) -> None:
    kind = "whole numbers" if types == (int,) else "numbers"
    if not _is_number(low) or not isinstance(low, types) or not math.isfinite(low):
        raise ConfigError(f"bounds must be {kind}, got low = {low!r}")
    if not _is_number(high) or not isinstance(high, types) or not math.isfinite(high):
        raise ConfigError(f"bounds must be {kind}, got high = {high!r}")
    if not isinstance(log, bool):
        raise ConfigError(f"log must be true or false, got {log!r}")
    if low >= high:
        raise ConfigError(f"low must be < high, got [{low}, {high}]; swap them, or give one fixed value")
    if log and low <= 0:
        raise ConfigError(f"low must be > 0 in a logarithmic range, got {low}; raise it, or use float or int")
    if step is not None:
        if log:
            raise ConfigError(f"step and log exclude each other, got step = {step!r}; remove one")
        if not _is_number(step) or not isinstance(step, types) or not 0 < step <= high - low:
            raise ConfigError(
                f"step must be a {kind[:-1]} above 0 and at most high - low = {high - low:g}, got {step!r}; list the "
                "values instead, or change it"
            )
        if step * MAX_STEPS < high - low:
            raise ConfigError(f"step must leave {MAX_STEPS:,} values at most, got {step!r}; enlarge or remove it")
