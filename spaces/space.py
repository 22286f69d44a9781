"""SearchSpace: searched, fixed and conditional hyperparameters."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from thaw.spaces.conditions import CONDITIONS, Condition, among, check_ranges, parents_first, restrict
from thaw.spaces.errors import ConfigError, did_you_mean
from thaw.spaces.parameters import Choice, Float, Int, Parameter, Suggests, Value
from thaw.spaces.trial import FIELDS, FROM_SCRATCH, TrialConfig, default
from thaw.spaces.written import check_name, check_value, parse_condition, parse_parameter

MAX_CELLS = 100_000


@dataclass(frozen=True)
class SearchSpace:
    """The search space of one search.

    Args:
        parameters: searched hyperparameters by name.
        constants: fixed hyperparameters; all others have TrialConfig's defaults.
        conditions: :data:`CONDITIONS` with the user's ``when`` clauses.
        order: all fields of TrialConfig, each after those that it depends on.
    """

    parameters: dict[str, Parameter]
    constants: dict[str, Value]
    conditions: dict[str, Condition]
    order: tuple[str, ...]

    @staticmethod
    def parse(
        space: Mapping[str, Any],
        constants: Mapping[str, Any],
        pretrained: Callable[[str], bool] = lambda name: name not in FROM_SCRATCH,
    ) -> SearchSpace:
        """The search space of a search file.

        Args:
            space: name → list of values, one value, or ``{int|float|log|choice: …, step: …, when: {…}}``.
            constants: name → value.
            pretrained: whether an architecture has pretrained weights; ``freeze_depth`` is inactive without them.

        Raises:
            ConfigError: with the key path below ``space`` or ``training``.
        """
        parameters: dict[str, Parameter] = {}
        fixed: dict[str, Value] = {}
        conditions = {name: dict(condition) for name, condition in CONDITIONS.items()}
        for name, value in constants.items():
            check_name(name, "training")
            fixed[name] = check_value(name, value, "training")
        for name, written in space.items():
            check_name(name, "space")
            if name in fixed:
                raise ConfigError(
                    f"is both searched and fixed (training.{name}: {fixed[name]!r}); keep one", f"space.{name}"
                )
            try:
                parsed = parse_parameter(name, written)
                if isinstance(written, Mapping) and "when" in written:
                    restrict(name, conditions.setdefault(name, {}), parse_condition(written["when"]))
            except ConfigError as error:
                raise error.within(f"space.{name}") from None
            if isinstance(parsed, Float | Int | Choice):
                parameters[name] = parsed
            else:
                fixed[name] = parsed
        result = SearchSpace(parameters, fixed, conditions, FIELDS)
        depth = conditions.setdefault("freeze_depth", {})
        depth["architecture"] = tuple(
            name
            for name in result.options("architecture")
            if pretrained(str(name)) and name in depth.get("architecture", (name,))
        )
        order = parents_first(conditions)
        check_ranges(parameters, conditions)
        return SearchSpace(parameters, fixed, conditions, order)

    def options(self, name: str) -> tuple[Value, ...]:
        """The values of `name`: a list of choices, the bounds of a range, or the one fixed value."""
        parameter = self.parameters.get(name)
        if isinstance(parameter, Choice):
            return parameter.values
        if parameter is not None:
            return (parameter.low, parameter.high)
        return (self.constants.get(name, default(name)),)

    def active(self, name: str, values: Mapping[str, Value]) -> bool:
        """Whether `name` is active given the searched `values`, which include at least those that it depends on."""
        return all(
            among(self._value(parent, values), allowed) for parent, allowed in self.conditions.get(name, {}).items()
        )

    def idle(self) -> list[str]:
        """Hyperparameters that are searched or set, and active in no configuration of the space."""
        set_ = [name for name, value in self.constants.items() if value != default(name)]
        return [name for name in (*self.parameters, *set_) if not self._reachable(name)]

    def _reachable(self, name: str) -> bool:
        for parent, allowed in self.conditions.get(name, {}).items():
            parameter = self.parameters.get(parent)
            possible = parameter if parameter is not None and self._reachable(parent) else self.options(parent)
            if not any(value in possible for value in allowed):
                return False
        return True

    def _value(self, name: str, values: Mapping[str, Value]) -> Value:
        if not self.active(name, values):
            return default(name)
        return values.get(name, self.constants.get(name, default(name)))

    def config(self, values: Mapping[str, Value]) -> TrialConfig:
        """The full configuration of the searched `values`; inactive hyperparameters have their defaults."""
        return TrialConfig.model_validate({name: self._value(name, values) for name in FIELDS})

    def completed(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """The searched hyperparameters of :meth:`config`, not validated: for many configurations at a time."""
        return {name: self._value(name, values) for name in self.parameters}

    def suggest(self, trial: Suggests) -> dict[str, Value]:
        """Searched values proposed by an Optuna trial, active ones only."""
        values: dict[str, Value] = {}
        for name in self.order:
            if name in self.parameters and self.active(name, values):
                values[name] = self.parameters[name].suggest(trial, name)
        return values

    def sample(self, rng: random.Random) -> dict[str, Value]:
        """Searched values drawn independently at random, active ones only."""
        values: dict[str, Value] = {}
        for name in self.order:
            if name in self.parameters and self.active(name, values):
                values[name] = self.parameters[name].sample(rng)
        return values

    def grid(self) -> list[dict[str, Value]]:
        """Every valid cell once; a hyperparameter does not vary where it is inactive.

        Raises:
            ConfigError: a parameter is continuous, or there are more than MAX_CELLS cells.
        """
        cells: list[dict[str, Value]] = [{}]
        for name in self.order:
            if name not in self.parameters:
                continue
            try:
                values = list(islice(self.parameters[name].grid(), MAX_CELLS + 1))
            except ConfigError as error:
                raise error.within(f"space.{name}") from None
            if len(cells) * len(values) > MAX_CELLS:
                raise ConfigError(
                    f"a grid may have {MAX_CELLS} cells at most; list fewer values or use algorithm: tpe", "space"
                )
            cells = list(self._crossed(cells, name, values))
        return cells

    def cells(self, limit: int) -> list[dict[str, Value]] | None:
        """Every valid cell once; None if there are more than `limit`, or a parameter is continuous."""
        cells: list[dict[str, Value]] = [{}]
        for name in self.order:
            if name not in self.parameters or not any(self.active(name, cell) for cell in cells):
                continue
            listed = self.parameters[name].listed()
            if listed is None:
                return None
            values = list(islice(listed, limit + 1))
            cells = list(islice(self._crossed(cells, name, values), limit + 1))
            if len(cells) > limit:
                return None
        return cells

    def _crossed(
        self, cells: Sequence[dict[str, Value]], name: str, values: Sequence[Value]
    ) -> Iterator[dict[str, Value]]:
        """The cells combined with each value of one more parameter, where it is active."""
        for cell in cells:
            if self.active(name, cell):
                yield from ({**cell, name: value} for value in values)
            else:
                yield cell

    def placed(self, config: Mapping[str, Value]) -> tuple[dict[str, Value], list[str], list[str]]:
        """Where a whole configuration of another space lies in this one.

        Returns:
            Its searched values, active ones only; the searched hyperparameters whose value is outside; and those that
            are fixed or inactive here and have another value there. Both lists are empty where this space holds it.

        Example:
            >>> space = SearchSpace.parse({"dropout": {"float": [0.1, 0.5]}}, {"epochs": 4})
            >>> space.placed(TrialConfig(dropout=0.7, epochs=8).model_dump())
            ({'dropout': 0.7}, ['dropout'], ['epochs'])
        """
        values: dict[str, Value] = {}
        for name in self.order:
            if name in self.parameters and self.active(name, values):
                values[name] = config[name]
        outside = [name for name, value in values.items() if value not in self.parameters[name]]
        other = [name for name in FIELDS if name not in values and config[name] != self._value(name, values)]
        return values, outside, other

    def validate(self, values: Mapping[str, Any]) -> None:
        """Check a configuration to be tried, which may be partial and holds searched hyperparameters only.

        Raises:
            ConfigError: a name is not searched, or its value is outside the space.
        """
        for name, value in values.items():
            if name not in self.parameters:
                hint = did_you_mean(name, self.parameters) if self.parameters else "; nothing is searched"
                raise ConfigError(f"not a searched hyperparameter{hint}", name)
            try:
                fitting = check_value(name, value) in self.parameters[name]
            except ConfigError as error:
                raise error.within(name) from None
            if not fitting:
                raise ConfigError(
                    f"must be in the space ({self.parameters[name]}), got {value!r}; widen the space, or change the "
                    "value",
                    name,
                )

    def searched(self, values: Mapping[str, Any]) -> dict[str, Value]:
        """The searched part of a configuration to be tried (``start_with``), which may be partial or full.

        A hyperparameter that is fixed, or inactive given the others, is left out if it has its fixed or default value.

        Raises:
            ConfigError: it has another value, or a searched one is outside the space.
        """
        kept: dict[str, Value] = {}
        for name, value in values.items():
            if name not in FIELDS:
                raise ConfigError(f"not a hyperparameter{did_you_mean(name, FIELDS)}", name)
            fixed = self.constants.get(name, default(name))
            if value == default(name) and self._excluded(name, values):
                continue
            if name in self.parameters:
                kept[name] = value
            elif value != fixed:
                raise ConfigError(
                    f"not a searched hyperparameter: it is fixed to {fixed!r}, got {value!r}; leave it out, set "
                    f"training.{name}, or search it under space.{name}",
                    name,
                )
        self.validate(kept)
        return kept

    def _excluded(self, name: str, values: Mapping[str, Any]) -> bool:
        """Whether a partial configuration already makes `name` inactive."""
        return any(
            (parent in values or parent not in self.parameters) and not among(self._value(parent, values), allowed)
            for parent, allowed in self.conditions.get(name, {}).items()
        )
