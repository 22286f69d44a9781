"""Schemas that the files of a run folder must match before they are used: they may be damaged, or come from anywhere.

Only fields that are read are listed; other fields may be present. Values are checked and left unchanged.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from thaw.spaces import TrialConfig, metric
from thaw.spaces.trial import ADDED

Whole = Annotated[int, Field(ge=0, le=10**9)]
Parameters = Annotated[int, Field(ge=0, lt=2**63)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Moment = Annotated[float, Field(ge=0, le=1e11)]
"""Unix seconds that can be converted to a date."""
Figure = float | None
"""The value of a metric. Logs of 0.1.0 may hold NaN."""
Column = Annotated[str, AfterValidator(lambda name: metric(name) and name)]
Kind = Literal["train", "validation", "test"]

FIRST_METRICS = (
    "loss",
    "map",
    "f1_micro",
    "f1_macro",
    "exact_match",
    "hamming_accuracy",
    "inclusion_accuracy",
    "top1_accuracy",
)
"""Metrics that all versions know; a run may lack others."""

strict = with_config(ConfigDict(strict=True))


def _config(values: dict[str, Any]) -> dict[str, Any]:
    TrialConfig.model_validate(values)
    if absent := sorted(TrialConfig.model_fields.keys() - {*ADDED} - values.keys()):
        raise ValueError(f"must have {', '.join(absent)}")
    return values


Config = Annotated[dict[str, Any], AfterValidator(_config)]
"""The configuration of a trial."""


@strict
class LabelCounts(TypedDict):
    counts: Annotated[dict[Kind, list[Whole]], Field(min_length=3)]
    per_image: Annotated[dict[Kind, dict[Annotated[str, Field(pattern=r"^\d{1,9}$")], Whole]], Field(min_length=3)]
    cooccurrence: list[list[Whole]]


@strict
class Data(TypedDict):
    fingerprint: str
    classes: list[str]
    images: Annotated[dict[Kind, Whole], Field(min_length=3)]
    rejected: Whole
    labels: NotRequired[LabelCounts | None]


def _one_number_per_label(data: Data) -> Data:
    labels, size = data.get("labels"), len(data["classes"])
    if labels is not None:
        rows = [*labels["counts"].values(), *labels["cooccurrence"]]
        if {len(labels["cooccurrence"]), *map(len, rows)} != {size}:
            raise ValueError(f"labels must hold a number for each of the {size} classes")
    return data


@strict
class Hardware(TypedDict):
    processor: str
    cpus: Whole
    gpus: list[str]


def _has_metrics(row: dict[str, float]) -> dict[str, float]:
    if absent := sorted({*FIRST_METRICS} - {*row}):
        raise ValueError(f"must have {', '.join(absent)}")
    return row


@strict
class Provenance(TypedDict):
    """The content of ``provenance.json``."""

    thaw: str
    python: str
    packages: dict[str, str]
    git_revision: str | None
    hardware: Hardware
    precision: str | dict[str, str]
    data: Annotated[Data, AfterValidator(_one_number_per_label)]
    trivial: dict[str, Annotated[dict[str, float], AfterValidator(_has_metrics)]]


class Search(TypedDict):
    metric: Column
    objectives: NotRequired[list[str]]
    algorithm: NotRequired[str]
    seed: NotRequired[int]


class Scheduler(TypedDict):
    type: str
    grace_period: NotRequired[Whole]
    reduction_factor: NotRequired[float]


@strict
class Settings(TypedDict):
    """The content of ``search.yaml``, as a search writes it."""

    name: NotRequired[str]
    search: Search
    scheduler: Scheduler
    space: dict[str, Any]
    training: dict[str, Any]
    weights: str | dict[str, str]


Interval = Annotated[list[Finite], Field(min_length=2, max_length=2)]


@strict
class Pooled(TypedDict):
    value: Finite
    low: Finite
    high: Finite


@strict
class Leader(TypedDict):
    trial: Whole
    config: Config
    epochs: Whole
    search_value: Finite
    values: list[Finite]
    mean: Finite
    std: Finite
    interval: Interval
    pooled: Pooled | None


@strict
class Pair(TypedDict):
    a: Whole
    b: Whole
    difference: Finite
    interval: Interval
    wins: Whole


@strict
class Confirmation(TypedDict):
    """The content of ``confirm.json``, all of which a bundle repeats."""

    metric: Column
    folds: Annotated[Whole, Field(ge=2)]
    seeds: Annotated[Whole, Field(ge=1)]
    images: Whole
    search_images: NotRequired[Whole | None]
    leaders: Annotated[list[Leader], Field(min_length=1)]
    chosen: Whole
    shrinkage: Finite
    paired: list[Pair]
    trivial: dict[str, Finite]


def _chosen_leads(found: Confirmation) -> Confirmation:
    leaders = [leader["trial"] for leader in found["leaders"]]
    if found["chosen"] not in leaders:
        raise ValueError(f"chosen must be one of the leaders, {', '.join(map(str, leaders))}")
    return found


CONFIRMATION: TypeAdapter[Any] = TypeAdapter(Annotated[Confirmation, AfterValidator(_chosen_leads)])
PROVENANCE: TypeAdapter[Any] = TypeAdapter(Provenance)
SETTINGS: TypeAdapter[Any] = TypeAdapter(Settings)


def check(shape: TypeAdapter[Any], content: Any) -> None:
    """Raise ValueError if `content` does not match the schema, with the location, the rule and the value."""
    try:
        shape.validate_python(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"{place}: {first['msg'][:200]}, got {_short(first['input'])}") from None


def _short(value: Any) -> str:
    # Python refuses to print integers of more than 4,300 digits.
    text = "a number with many digits" if isinstance(value, int) and value.bit_length() > 200 else repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
