"""SearchConfig: the search file, every key with its default, its range and its check."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from thaw.search.settings.units import PathText, seconds, size_in_bytes, word_off
from thaw.search.settings.yaml_file import parse_yaml, read_mapping
from thaw.spaces import METRICS, ConfigError, SearchSpace, did_you_mean, pretrained


_PRESETS = resources.files("thaw.spaces") / "presets"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class SplitConfig(_Section):
    validation: float = Field(0.2, gt=0, lt=1)
    test: float = Field(0.1, ge=0, lt=1)
    seed: int = Field(0, ge=0, lt=2**32)
    column: str | None = None
    group: str | None = None


class AugmentConfig(_Section):
    rotate: float = Field(0.0, ge=0, le=180)
    shear: float = Field(0.0, ge=0, lt=90)
    shift: float = Field(0.0, ge=0, le=1)
    flip: float = Field(0.0, ge=0, le=1)


class DataConfig(_Section):
    builtin: Literal["digits"] | None = None
    images: PathText | None = None
    labels: PathText | None = None
    format: Literal["auto", "csv", "paper", "coco", "voc", "folders"] = "auto"
    classes: PathText | None = None
    image_size: int = Field(224, ge=32, le=1024)
    resize: Literal["crop", "squash"] = "crop"
    augment: Literal["paper", "none"] | AugmentConfig = "paper"
    views: Literal["each_epoch"] | Annotated[int, Field(ge=1)] = "each_epoch"
    split: SplitConfig = SplitConfig()
    max_rejected: float = Field(0.05, ge=0, le=1)
    timeout: float = Field(60.0, gt=0)

    @model_validator(mode="after")
    def _one_source(self) -> DataConfig:
        if (self.builtin is None) == (self.images is None):
            raise ValueError("needs either images (a folder, with labels) or builtin: digits")
        return self


class AlgorithmConfig(_Section):
    algorithm: Literal["tpe", "grid", "random", "gp"] = "tpe"
    metric: str = "val_map"
    trials: int | None = Field(None, ge=1)
    time_budget: Annotated[float | None, BeforeValidator(seconds)] = Field(None, gt=0)
    concurrency: int | None = Field(None, ge=1)
    seed: int = Field(0, ge=0, lt=2**32)
    start_with: tuple[dict[str, Any], ...] = Field((), strict=False)

    @field_validator("metric")
    @classmethod
    def _known(cls, metric: str) -> str:
        known = [f"val_{name}" for name in METRICS]
        if metric not in known:
            raise ValueError(f"must be a metric on validation data{did_you_mean(metric, known)}")
        return metric

    @model_validator(mode="after")
    def _startable(self) -> AlgorithmConfig:
        if self.algorithm == "grid" and self.start_with:
            raise ValueError("start_with does not go with algorithm: grid, which tries every cell anyway; remove one")
        if self.trials is not None and len(self.start_with) > self.trials:
            raise ValueError(
                f"start_with holds {len(self.start_with)} configurations for {self.trials} trials; raise trials"
            )
        return self


class SchedulerConfig(_Section):
    type: Literal["asha", "asha_promotion", "median", "none"] = "asha"
    grace_period: int = Field(1, ge=1)
    reduction_factor: int = Field(3, ge=2)


class ResourcesConfig(_Section):
    cpu: int = Field(1, ge=1)
    gpu: float | None = Field(None, ge=0, le=1)


class CacheConfig(_Section):
    activations: Annotated[Literal["auto", "fp16", "off"], BeforeValidator(word_off)] = "auto"
    directory: PathText = "~/.cache/thaw"
    budget: Annotated[int, BeforeValidator(size_in_bytes)] = Field(20 * 10**9, ge=0)


class CheckpointsConfig(_Section):
    keep: int = Field(5, ge=0)
    budget: Annotated[int, BeforeValidator(size_in_bytes)] = Field(10 * 10**9, ge=0)


class SearchConfig(_Section):
    """A whole search file. See the README for the meaning of each key."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)
    preset: str | None = None
    data: DataConfig
    weights: Literal["imagenet", "none"] | dict[str, PathText] = "imagenet"
    space: dict[str, Any] = {}
    training: dict[str, Any] = {}
    search: AlgorithmConfig = AlgorithmConfig()
    scheduler: SchedulerConfig = SchedulerConfig()
    resources: ResourcesConfig = ResourcesConfig()
    precision: Literal["fp32", "bf16", "auto"] = "fp32"
    threshold: float = Field(0.5, gt=0, lt=1)
    cache: CacheConfig = CacheConfig()
    checkpoints: CheckpointsConfig = CheckpointsConfig()
    max_failures: int = Field(2, ge=0)
    output: PathText = "results"

    def pretrained(self, architecture: str) -> bool:
        """Whether `architecture` starts from pretrained weights."""
        return pretrained(architecture, self.weights)

    @cached_property
    def search_space(self) -> SearchSpace:
        return SearchSpace.parse(self.space, self.training, self.pretrained)

    @property
    def trials(self) -> int:
        """Number of trials: every cell of a grid, 32 otherwise, unless the file says how many."""
        if self.search.algorithm != "grid":
            return self.search.trials or 32
        cells = len(self.search_space.grid())
        return min(self.search.trials or cells, cells)

    def to_yaml(self) -> str:
        """The resolved search file, every default written out; loading it gives an equal configuration."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> SearchConfig:
    """Read and check a search file.

    Args:
        path: the YAML file; relative paths in it are relative to its folder.
        overrides: ``dotted.key=value`` texts, the value in YAML, that replace what the file says; relative paths in
            them are relative to the current folder.

    Raises:
        ConfigError: naming the file, the key's path, the value, the rule and the fix.
    """
    path = Path(path)
    raw = read_mapping(path)
    _absolute_paths(raw, path.resolve().parent)
    for override in overrides:
        _override(raw, override)
    _absolute_paths(raw, Path.cwd())
    try:
        config = _validate(_merge_preset(raw))
        _check_space(config)
    except ConfigError as error:
        raise error.within(file=path) from None
    return config


def _check_space(config: SearchConfig) -> None:
    space = config.search_space
    if config.search.algorithm == "grid":
        space.grid()
    for position, values in enumerate(config.search.start_with):
        try:
            space.validate(values)
        except ConfigError as error:
            raise error.within(f"search.start_with.{position}") from None


# Where a value may be of several kinds, pydantic puts the kind into the path; the file has no such key.
_KIND = re.compile(r"AugmentConfig|(literal|dict|constrained-\w+|int|str|float|tuple)(\[.*\])?")


def _validate(raw: dict[str, Any]) -> SearchConfig:
    try:
        return SearchConfig.model_validate(raw)
    except ValidationError as invalid:
        by_key: dict[tuple[str, ...], list[Any]] = {}
        for error in invalid.errors():
            by_key.setdefault(_path(error), []).append(error)
    # The deepest complaint is the most precise one, as for an unknown key below `augment`.
    keys = max(by_key, key=len)
    errors = by_key[keys]
    if errors[0]["type"] == "extra_forbidden":
        raise ConfigError(f"unknown key{did_you_mean(keys[-1], _known_keys(keys[:-1]))}", ".".join(keys))
    if errors[0]["type"] == "missing":
        raise ConfigError("this key is required", ".".join(keys))
    rules = dict.fromkeys(_rule(error["msg"]) for error in errors)
    got = errors[0]["input"]
    raise ConfigError(" or ".join(rules) + ("" if isinstance(got, dict) else f", got {got!r}"), ".".join(keys))


def _path(error: Any) -> tuple[str, ...]:
    parts = [str(part) for part in error["loc"]]
    unknown = error["type"] == "extra_forbidden"  # then the last part is the user's own, whatever it is called
    return tuple(part for i, part in enumerate(parts, 1) if (unknown and i == len(parts)) or not _KIND.fullmatch(part))


def _rule(message: str) -> str:
    message = message.removeprefix("Value error, ").removeprefix("Input ")
    if "valid tuple" in message:
        return "should be a list"
    if "valid dictionary" in message:
        return "should be `key: value` lines"
    return f"{message[0].lower()}{message[1:]}"


def _known_keys(path: Sequence[str]) -> list[str]:
    """Names that may stand below `path` in a search file."""
    model: Any = SearchConfig
    for part in path:
        annotation = model.model_fields[part].annotation
        candidates = [annotation, *getattr(annotation, "__args__", ())]
        model = next(c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel))
    return list(model.model_fields)


def _override(raw: dict[str, Any], text: str) -> None:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"must be key=value, got {text!r}; as in --set search.trials=10", "--set")
    parts = key.strip().split(".")
    # An architecture's name may hold dots (timm:NAME), so the weights' key is taken whole.
    if parts[0] == "weights" and len(parts) > 2:
        parts = [parts[0], ".".join(parts[1:])]
    section = raw
    for part in parts[:-1]:
        if not isinstance(section.get(part), dict):
            section[part] = {}
        section = section[part]
    section[parts[-1]] = parse_yaml(value, f"--set {key}")


def preset_names() -> list[str]:
    """Names of the presets that come with Thaw."""
    files = _PRESETS.iterdir()
    return sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml"))


def _merge_preset(raw: dict[str, Any]) -> dict[str, Any]:
    """The preset's keys below the file's own; a hyperparameter fixed in one and searched in the other is the file's."""
    name = raw.get("preset")
    if name is None:
        return raw
    if name not in preset_names():
        raise ConfigError(f"unknown preset {name!r}{did_you_mean(name, preset_names())}", "preset")
    text = (_PRESETS / f"{name}.yaml").read_text(encoding="utf-8")
    preset = parse_yaml(text, f"preset {name}")
    own = {section: raw.get(section) for section in ("space", "training")}
    for section, other in (("space", "training"), ("training", "space")):
        written = own[other]
        taken = written if isinstance(written, dict) else {}
        preset[section] = {key: value for key, value in preset.get(section, {}).items() if key not in taken}
    merged = {**raw}
    for section, values in preset.items():
        if isinstance(raw.get(section, {}), dict):
            merged[section] = {**values, **raw.get(section, {})}
    # A merged file needs its preset no more; the name stays for the reader.
    return merged


def _absolute_paths(raw: dict[str, Any], folder: Path) -> None:
    data, weights = raw.get("data"), raw.get("weights")
    places: list[tuple[dict[str, Any], list[str]]] = []
    if isinstance(data, dict):
        places.append((data, ["images", "labels", "classes"]))
    if isinstance(weights, dict):
        places.append((weights, [key for key, value in weights.items() if value not in ("imagenet", "none")]))
    for section, keys in places:
        for key in keys:
            if isinstance(section.get(key), str):
                # What cannot be expanded stays, and is refused as a path.
                with contextlib.suppress(RuntimeError):
                    section[key] = str(folder / Path(section[key]).expanduser())
