"""Conditions: the values of other hyperparameters with which a hyperparameter is active."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from thaw.spaces.errors import ConfigError
from thaw.spaces.parameters import Float, Parameter, Value
from thaw.spaces.trial import FIELDS, STAGES

Condition = dict[str, tuple[Value, ...]]
"""A hyperparameter is active only where every named hyperparameter has one of these values."""

CONDITIONS: dict[str, Condition] = {
    "momentum": {"optimizer": ("sgd",)},
    "positive_weight": {"loss": ("bce", "focal", "asymmetric")},
    "backbone_lr_scale": {"freeze_depth": tuple(range(STAGES))},
    "layer_decay": {"freeze_depth": tuple(range(STAGES))},
    "tune": {"freeze_depth": tuple(range(STAGES))},
}
"""Conditions implied by the meaning of the hyperparameters. Inactive hyperparameters are not searched and keep their
defaults."""


def among(value: Value, allowed: Sequence[Value]) -> bool:
    """Whether a condition names a value; steps of a range are rounded differently by Optuna and in a grid."""
    if value in allowed:
        return True
    return isinstance(value, float) and any(math.isclose(value, one) for one in allowed if isinstance(one, float))


def restrict(name: str, condition: Condition, when: Condition) -> None:
    """Add a ``when`` clause to the condition that a hyperparameter's meaning implies."""
    for parent, values in when.items():
        allowed = condition.get(parent, values)
        without = [value for value in values if value not in allowed]
        if without:
            raise ConfigError(
                f"{name} has a meaning only with {parent} {', '.join(map(str, allowed))}, got {without[0]!r}; "
                "leave that value out",
                f"when.{parent}",
            )
        condition[parent] = values


def check_ranges(parameters: Mapping[str, Parameter], conditions: Mapping[str, Condition]) -> None:
    """Refuse a ``when`` that names a value of a continuous range, which no trial ever has exactly."""
    for name, condition in conditions.items():
        for parent, values in condition.items():
            parameter = parameters.get(parent)
            if name in parameters and isinstance(parameter, Float) and parameter.step is None:
                raise ConfigError(
                    f"no trial has exactly a value of a continuous range ({parent}: {parameter}), got "
                    f"{', '.join(map(str, values))}; list the values of {parent}, or give it a step",
                    f"space.{name}.when.{parent}",
                )


def parents_first(conditions: Mapping[str, Condition]) -> tuple[str, ...]:
    """All fields, each after those in its condition."""
    order: list[str] = []
    while len(order) < len(FIELDS):
        ready = [name for name in FIELDS if name not in order and all(p in order for p in conditions.get(name, {}))]
        if not ready:
            cycle = ", ".join(name for name in FIELDS if name not in order)
            raise ConfigError(f"conditions must not form a cycle: {cycle}; remove one `when`", "space")
        order.append(ready[0])
    return tuple(order)
