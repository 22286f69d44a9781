"""Reading a search file: presets, overrides, paths, and errors that name file, key, value, rule and fix."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from thaw.search.settings.schema import SearchConfig, section_of
from thaw.search.settings.start_with import read_start_with
from thaw.search.settings.yaml_file import MAX_DEPTH, MAX_VALUES, TOO_DEEP, parse_yaml, read_mapping
from thaw.spaces import ConfigError, TrialConfig, did_you_mean
from thaw.spaces.paths import expanded
from thaw.spaces.refusals import refused
from thaw.spaces.trial import is_local
from thaw.trainables.data.remote import is_remote

_PRESETS = resources.files("thaw.spaces") / "presets"


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> SearchConfig:
    """Read and check a search file.

    Args:
        path: the YAML file; relative paths in it are relative to its folder.
        overrides: ``dotted.key=value`` texts, with the value in YAML, that replace keys of the file; relative paths in
            them are relative to the current folder.

    Raises:
        ConfigError: names the file, the key's path, the value, the rule and the fix.
    """
    if isinstance(path, Mapping):
        raise ConfigError("takes the path of a search file, got a dictionary; thaw.search takes one", "load_config")
    if isinstance(overrides, str) or not all(isinstance(override, str) for override in overrides):
        raise ConfigError(f"must be a list of texts, got {overrides!r}; as in ['search.trials=10']", "overrides")
    path = Path(path)
    raw = read_mapping(path)
    try:
        _absolute_paths(raw, path.resolve().parent)
        read_start_with(raw, path.resolve().parent)
        for override in overrides:
            _override(raw, override)
        return config_from(raw)
    except ConfigError as error:
        raise error.within(file=path) from None


def config_from(settings: Mapping[str, Any]) -> SearchConfig:
    """Check the content of a search file, given as a dictionary; relative paths are relative to the current folder.

    Raises:
        ConfigError: names the key's path, the value, the rule and the fix.
    """
    raw = _plain(settings)
    _absolute_paths(raw, Path.cwd())
    read_start_with(raw, Path.cwd())
    return _checked(_validate(_merge_preset(raw)))


def _plain(value: Any, path: str = "") -> Any:
    """Convert what stands at a dotted path to what YAML would give: Python has more kinds of numbers, lists and paths.

    Raises:
        ConfigError: a key is no text, or there is more than a search file may hold.
    """
    if hasattr(value, "tolist"):  # numbers and arrays of NumPy, tensors
        value = value.tolist()
    if path.count(".") > MAX_DEPTH:
        raise ConfigError(TOO_DEEP, path)
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise ConfigError(f"keys must be text, got {key!r}; put it in quotes, or correct it", path)
        return {key: _plain(item, f"{path}.{key}" if path else key) for key, item in value.items()}
    if isinstance(value, list | tuple | range):
        if len(value) > MAX_VALUES:
            raise ConfigError(f"a list may have {MAX_VALUES:,} values, got {len(value):,}; write fewer", path)
        return [_plain(item, f"{path}.{place}") for place, item in enumerate(value)]
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _checked(config: SearchConfig) -> SearchConfig:
    """The configuration, its space checked; ``start_with`` keeps what is searched."""
    space = config.search_space
    if config.search.algorithm == "grid":
        space.grid()
    entries = []
    for position, values in enumerate(config.search.start_with):
        try:
            entries.append(space.searched(values))
        except ConfigError as error:
            raise error.within(f"search.start_with.{position}") from None
    if tuple(entries) == config.search.start_with:
        return config
    return config.model_copy(update={"search": config.search.model_copy(update={"start_with": tuple(entries)})})


# If a value may have several types, pydantic adds the type to the path; the file has no such key.
_KIND = re.compile(r"Augment|(function-after|literal|dict|constrained-\w+|int|str|float|tuple)(\[.*\])?")


def _validate(raw: dict[str, Any]) -> SearchConfig:
    try:
        return SearchConfig.model_validate(raw)
    except ValidationError as invalid:
        by_key: dict[tuple[str, ...], list[Any]] = {}
        for error in invalid.errors():
            by_key.setdefault(_path(error), []).append(error)
    # The deepest error is the most precise one, as for an unknown key below `augment`.
    keys = max(by_key, key=len)
    errors = by_key[keys]
    if errors[0]["type"] == "extra_forbidden":
        raise ConfigError(f"unknown key{_hint(keys)}", ".".join(keys))
    if errors[0]["type"] == "missing":
        raise ConfigError("this key is required", ".".join(keys))
    raise ConfigError(refused(errors), ".".join(keys))


def _hint(keys: Sequence[str]) -> str:
    """What an unknown key may mean: a key of that name elsewhere in the file, or a similar one next to it."""
    *section, word = keys
    elsewhere = [path for path in _places(SearchConfig) if path.rpartition(".")[2] == word]
    if elsewhere:
        return f"; did you mean {' or '.join(elsewhere)}?"
    return did_you_mean(word, _section(section).model_fields)


def _places(model: type[BaseModel], path: str = "") -> Iterator[str]:
    """Dotted paths of all keys below `path`; hyperparameters where they are fixed and where they are searched."""
    for name, field in model.model_fields.items():
        yield f"{path}{name}"
        if name in ("space", "training"):
            yield from (f"{path}{name}.{hyperparameter}" for hyperparameter in TrialConfig.model_fields)
        elif below := section_of(field.annotation):
            yield from _places(below, f"{path}{name}.")


def _section(path: Sequence[str]) -> type[BaseModel]:
    """The model of the section at `path`."""
    model: type[BaseModel] = SearchConfig
    for part in path:
        model = section_of(model.model_fields[part].annotation) or model
    return model


def _path(error: Any) -> tuple[str, ...]:
    parts = [str(part) for part in error["loc"]]
    unknown = error["type"] == "extra_forbidden"  # then the last part is the user's own, whatever its name
    return tuple(part for i, part in enumerate(parts, 1) if (unknown and i == len(parts)) or not _KIND.fullmatch(part))


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
        if part == "scheduler" and isinstance(section.get(part), str):
            section[part] = {"type": section[part]}
        if not isinstance(section.get(part), dict):
            section[part] = {}
        section = section[part]
    section[parts[-1]] = parse_yaml(value, f"--set {key}")


def preset_names() -> list[str]:
    """Names of the presets included in Thaw."""
    files = _PRESETS.iterdir()
    return sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml"))


def preset_meanings() -> dict[str, str]:
    """Preset → what it is for: the comment at the head of its file."""
    return {name: " ".join(re.findall(r"^# (.*)$", _preset_text(name), re.MULTILINE)) for name in preset_names()}


def _preset_text(name: str) -> str:
    return (_PRESETS / f"{name}.yaml").read_text(encoding="utf-8")


def _merge_preset(raw: dict[str, Any]) -> dict[str, Any]:
    """The preset's keys under the file's own; a hyperparameter fixed in one and searched in the other is the file's."""
    name = raw.get("preset")
    if name is None:
        return raw
    if name not in preset_names():
        raise ConfigError(f"unknown preset {name!r}{did_you_mean(name, preset_names())}", "preset")
    preset = parse_yaml(_preset_text(name), f"preset {name}")
    own = {section: raw.get(section) for section in ("space", "training")}
    for section, other in (("space", "training"), ("training", "space")):
        written = own[other]
        taken = written if isinstance(written, dict) else {}
        preset[section] = {key: value for key, value in preset.get(section, {}).items() if key not in taken}
    merged = {**raw}
    for section, values in preset.items():
        if isinstance(raw.get(section, {}), dict):
            merged[section] = {**values, **raw.get(section, {})}
    # A merged file no longer needs its preset; the name is kept for the reader.
    return merged


def _absolute_paths(raw: dict[str, Any], folder: Path) -> None:
    data, weights, search = (raw.get(section) for section in ("data", "weights", "search"))
    places: list[tuple[dict[str, Any], list[str]]] = []
    if isinstance(data, dict):
        places.append((data, ["images", "labels", "classes"]))
    if isinstance(weights, dict):
        places.append((weights, [key for key, value in weights.items() if is_local(value)]))
    for section, keys in places:
        for key in keys:
            if key in section:
                section[key] = _absolute(section[key], folder)
    if isinstance(search, dict) and (runs := search.get("learn_from")):
        runs = [runs] if isinstance(runs, str) else runs
        search["learn_from"] = [_absolute(run, folder) for run in runs] if isinstance(runs, list) else runs


def _absolute(path: Any, folder: Path) -> Any:
    """A path that starts from `folder` where it is relative; anything but a path stays: a URL, or what is refused."""
    if isinstance(path, str) and path.strip() and not is_remote(path):
        return str(folder / expanded(path))
    return path
