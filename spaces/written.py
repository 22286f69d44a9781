"""Hyperparameters as written in a search file: values, lists, ranges and ``when`` clauses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import ValidationError

from thaw.spaces.conditions import Condition
from thaw.spaces.errors import ConfigError, did_you_mean
from thaw.spaces.parameters import Choice, Float, Int, Parameter, Value
from thaw.spaces.refusals import refused
from thaw.spaces.trial import FIELDS, TrialConfig


def check_name(name: object, section: str) -> None:
    """Raise an error, with the key ``section.name``, if `name` is not a hyperparameter."""
    if name not in FIELDS:
        raise ConfigError(f"unknown key{did_you_mean(name, FIELDS)}", f"{section}.{name}")


def check_value(name: str, value: Any, section: str = "") -> Value:
    """The value of one hyperparameter, validated by TrialConfig."""
    try:
        return getattr(TrialConfig.model_validate({name: value}), name)
    except ValidationError as error:
        several = section == "training" and isinstance(value, list | Mapping)
        fix = f"; to search it, move it to space.{name}" if several else ""
        raise ConfigError(f"{refused(error.errors()[:1])}{fix}", f"{section}.{name}" if section else "") from None


def parse_parameter(name: str, written: Any) -> Parameter | Value:
    """A searched hyperparameter or a fixed value, parsed from a list, a value, or a range with its options.

    Raises:
        ConfigError: with the key below the hyperparameter's.
    """
    if isinstance(written, list):
        return Choice(tuple(check_value(name, value) for value in written))
    if not isinstance(written, Mapping):
        return check_value(name, written)
    kinds = [kind for kind in ("int", "float", "log", "choice") if isinstance(written.get(kind), list)]
    if len(kinds) != 1:
        raise ConfigError(
            f"needs one of int, float, log or choice with a list, got {dict(written)!r}; as in {{float: [0, 0.6]}}"
        )
    kind = kinds[0]
    allowed = {"int": ("step", "log"), "float": ("step", "log"), "log": (), "choice": ()}[kind]
    for key in written:
        if key not in (kind, "when", *allowed):
            raise ConfigError(f"unknown key{did_you_mean(key, (kind, 'when', *allowed))}", str(key))
    if kind == "choice":
        return Choice(tuple(check_value(name, value) for value in written[kind]))
    return _parse_range(name, kind, written)


def _parse_range(name: str, kind: str, written: Mapping[str, Any]) -> Parameter:
    bounds = written[kind]
    annotation = TrialConfig.model_fields[name].annotation
    annotation = next((kind for kind in get_args(annotation) if kind in (int, float)), annotation)
    fitting = {int: ("int", "log"), float: ("float", "log")}.get(annotation, ())  # type: ignore[arg-type]
    if kind not in fitting:
        fix = f"use {' or '.join(fitting)} with [low, high]" if fitting else "list its values"
        raise ConfigError(f"{kind} does not fit this hyperparameter; {fix}", kind)
    if len(bounds) != 2:
        raise ConfigError(f"needs [low, high], got {bounds!r}", kind)
    low, high = bounds
    log = kind == "log" or written.get("log", False)
    step = written.get("step")
    try:
        for bound in bounds:
            check_value(name, bound)
        parameter = Int(low, high, log, step) if annotation is int else Float(low, high, log, step)
    except ConfigError as error:
        raise error.within(kind) from None
    return parameter


def parse_condition(written: Any) -> Condition:
    """A ``when`` clause.

    Raises:
        ConfigError: with the key below the hyperparameter's.
    """
    if not isinstance(written, Mapping) or not written:
        raise ConfigError(f"needs hyperparameter: value(s), got {written!r}; as in when: {{optimizer: sgd}}", "when")
    condition: Condition = {}
    for parent, values in written.items():
        if parent not in FIELDS:
            raise ConfigError(f"unknown key{did_you_mean(parent, FIELDS)}", f"when.{parent}")
        values = values if isinstance(values, list) else [values]
        if not values:
            raise ConfigError("a list of values must not be empty; name at least one value", f"when.{parent}")
        try:
            condition[parent] = tuple(check_value(parent, value) for value in values)
        except ConfigError as error:
            raise error.within(f"when.{parent}") from None
    return condition
