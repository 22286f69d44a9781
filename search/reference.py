"""``docs/reference.md``: every command, option, key, hyperparameter and metric, from the tables that the code uses.

``make reference`` writes the file; a test compares it with what the code says.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, Literal, get_args, get_origin

import typer.main
from annotated_types import GroupedMetadata
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from thaw.search.cli import app
from thaw.search.settings.config import preset_meanings
from thaw.search.settings.names import ALGORITHMS, SCHEDULERS, OneOf
from thaw.search.settings.schema import SearchConfig, section_of
from thaw.search.settings.units import Bytes, PathText, Seconds
from thaw.spaces import METRICS, TrialConfig
from thaw.spaces.costs import COSTS
from thaw.trainables.networks.table import NAMES

HEAD = """# Reference

Generated from the code by `make reference`; do not edit it here. The [README](../README.md) says where to start.
"""

STATUS = """Exit status: 0 done; 1 no trial finished, or the event log cannot be written; 2 the input is wrong and
nothing was started; 130 and 143 interrupted, `thaw resume` continues. `python -m thaw` is the same command.
`thaw --version` shows the version, `thaw --install-completion` completes commands and options in your shell.
"""

SEARCHED = """A hyperparameter goes under `space` (searched) or `training` (fixed). It is searched over a list
of values, `{int: [low, high]}`, `{float: [low, high]}` (both with `step` or `log: true`), `{log: [low, high]}` or
`{choice: […]}`; bounds are included. `when` makes one depend on another, as in
`momentum: {float: [0.8, 0.99], when: {optimizer: sgd}}`.

Inactive hyperparameters are not searched and keep their defaults: `momentum` without `sgd`, `positive_weight` with
`softmax`, `backbone_lr_scale` at freeze depth 5, and `freeze_depth` for a network without pretrained weights, which is
always trained entirely. A grid has each valid combination once. In a space with no more configurations than trials,
every algorithm tries each configuration once: a repetition would give the same results.
"""

TIMM = """`timm:NAME` for almost every network of
[timm](https://huggingface.co/docs/timm), transformers included. `thaw describe NAME` shows what each costs.
"""

COLUMNS = """Columns are `val_…` on the validation images after an epoch, and `train_…` over the training batches during
the epoch, with augmentation and dropout.
"""

UNITS = (
    (Seconds, "time (`90s`, `1h30m`)"),
    (Bytes, "size (`500MB`, `20GB`)"),
    (PathText, "path"),
)
TYPES = {bool: "`true`, `false`", int: "whole number", float: "number", str: "text", dict: "keys with values"}
"""Type of a key → how its values are written."""

SIGNS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}


def reference() -> str:
    """The text of ``docs/reference.md``."""
    return "\n".join([HEAD, *_commands(), *_search_file(), *_metrics()]).rstrip() + "\n"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |\n" for line in lines)


def _commands() -> Iterator[str]:
    yield "## Commands\n"
    yield STATUS
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        arguments = [_name(parameter) for parameter in command.params if parameter.param_type_name == "argument"]
        yield f"### `thaw {' '.join([name, *arguments])}`\n"
        yield f"{command.help}\n"
        yield _table(("argument or option", "default", "meaning"), map(_parameter, command.params))


def _parameter(parameter: Any) -> tuple[str, str, str]:
    unset = parameter.default is None or parameter.default is False or parameter.default in ([], "")
    default = "required" if parameter.required else "–" if unset else str(parameter.default)
    return f"`{_name(parameter)}`", default, parameter.help


def _name(parameter: Any) -> str:
    """An argument or option as written on the command line."""
    value = parameter.metavar or parameter.name.upper()
    if parameter.param_type_name == "argument":
        return value
    return ", ".join(parameter.opts) + ("" if parameter.is_flag else f" {value}")


def _search_file() -> Iterator[str]:
    yield "## The search file\n"
    yield "Only `name` and `data` are required. On the command line, `--set KEY=VALUE` replaces a key.\n"
    yield from _section(SearchConfig, "")
    yield "### `space` and `training`\n"
    yield SEARCHED
    yield _keys(TrialConfig, "")
    yield f"Architectures: {', '.join(f'`{name}`' for name in NAMES)}, and {TIMM}\n"
    for title, names in (
        ("Values of `search.algorithm`", ALGORITHMS),
        ("Costs for `search.objectives`", COSTS),
        ("Values of `scheduler.type`", SCHEDULERS),
        ("Values of `preset`", preset_meanings()),
    ):
        yield f"### {title}\n"
        yield _table(("value", "meaning"), ((f"`{name}`", meaning) for name, meaning in names.items()))


def _section(model: type[BaseModel], path: str) -> Iterator[str]:
    """The table of one section, then those of its subsections."""
    if path:
        yield f"### `{path.rstrip('.')}`\n"
        yield inspect.getdoc(model).split("\n\n")[0] + "\n"  # type: ignore[union-attr]
    yield _keys(model, path)
    for name, field in model.model_fields.items():
        if below := section_of(field.annotation):
            yield from _section(below, f"{path}{name}.")


def _keys(model: type[BaseModel], path: str) -> str:
    return _table(
        ("key", "default", "values", "meaning"),
        (
            (f"`{path}{name}`", _default(field), _values(field.annotation, field.metadata), field.description or "")
            for name, field in model.model_fields.items()
        ),
    )


def _default(field: FieldInfo) -> str:
    value = field.default
    if field.is_required():
        return "required"
    if value is None or isinstance(value, BaseModel) or value in ((), {}):
        return "–"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if _is(Bytes, field.annotation, field.metadata):
        return f"{value / 1e9:g}GB"
    return f"`{value}`" if isinstance(value, str) else f"{value:g}"


def _values(annotation: Any, metadata: Sequence[Any]) -> str:
    """How values of a type are written, with their bounds."""
    return ", ".join([_kind(annotation, metadata), *_bounds(metadata)])


def _kind(annotation: Any, metadata: Sequence[Any]) -> str:
    origin, parts = get_origin(annotation), get_args(annotation)
    for unit, text in UNITS:
        if _is(unit, annotation, metadata):
            return text
    names = parts if origin is Literal else next((mark.names for mark in metadata if isinstance(mark, OneOf)), ())
    if names:
        return ", ".join(f"`{name}`" for name in names)
    if origin is Annotated:
        return _values(parts[0], parts[1:])
    if origin is dict:
        return TYPES[dict]
    if origin is tuple:
        return "list"
    if parts:
        return " or ".join(_values(part, ()) for part in parts if part is not type(None))
    return "its own keys, below" if section_of(annotation) else TYPES[annotation]


def _is(unit: Any, annotation: Any, metadata: Sequence[Any]) -> bool:
    """Whether a type, or what pydantic makes of it in a field, is one of `UNITS`."""
    base, *marks = get_args(unit)
    return annotation == unit or (annotation is base and all(mark in metadata for mark in marks))


def _bounds(metadata: Sequence[Any]) -> list[str]:
    # pydantic may combine several bounds in one marker.
    marks = [part for mark in metadata for part in (mark if isinstance(mark, GroupedMetadata) else [mark])]
    bounds = {sign: getattr(mark, kind) for mark in marks for kind, sign in SIGNS.items() if hasattr(mark, kind)}
    if bounds.keys() == {"≥", "≤"}:
        return [f"{bounds['≥']} to {bounds['≤']}"]
    return [f"{sign} {bound}" for sign, bound in bounds.items()]


def _metrics() -> Iterator[str]:
    yield "## Metrics\n"
    yield COLUMNS
    yield _table(
        ("metric", "better", "range", "meaning"),
        (
            (
                f"`{name}`",
                "more" if row.maximize else "less",
                f"{row.low:g} to {row.high:g}".replace("inf", "∞"),
                row.meaning,
            )
            for name, row in METRICS.items()
        ),
    )


if __name__ == "__main__":
    print(reference(), end="")
