"""Any search file gives a configuration or a ConfigError, and quickly."""

from __future__ import annotations

import copy
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from thaw.search.settings.config import SearchConfig, load_config
from thaw.spaces import ConfigError, TrialConfig

START = "name: small\ndata: {builtin: digits}\n"

VALID = [
    {"name": "a", "data": {"builtin": "digits"}, "preset": "transfer", "training": {"epochs": 3}},
    {
        "name": "b",
        "data": {
            "images": "photos",
            "labels": "l.csv",
            "format": "csv",
            "image_size": 64,
            "augment": {"rotate": 10.0, "flip": 0.5},
            "views": 4,
            "split": {"validation": 0.2, "test": 0.1, "group": "patient"},
        },
        "weights": {"resnet18": "w.pth", "vgg16": "none"},
        "space": {
            "architecture": ["resnet18", "vgg16", "convnet"],
            "freeze_depth": {"int": [0, 5]},
            "learning_rate": {"log": [1e-5, 1e-2]},
            "dropout": {"float": [0.0, 0.5], "step": 0.1},
            "momentum": {"float": [0.8, 0.99], "when": {"optimizer": "sgd"}},
            "optimizer": {"choice": ["adamw", "sgd"]},
        },
        "search": {"trials": 8, "time_budget": "1h30m", "start_with": [{"dropout": 0.1}]},
        "scheduler": {"type": "asha", "grace_period": 1, "reduction_factor": 3},
        "resources": {"cpu": 1, "gpu": 0.5},
        "cache": {"activations": "off", "budget": "3GB"},
        "threshold": 0.4,
    },
    {
        "name": "c",
        "data": {"builtin": "digits"},
        "space": {"dropout": {"float": [0.0, 0.5], "step": 0.1}, "head_units": [0, 16]},
        "search": {"algorithm": "grid"},
    },
]


def load(folder: Path, text: str) -> SearchConfig | None:
    """The configuration, or None for a ConfigError that names the file; anything else is a bug."""
    file = folder / "search.yaml"
    file.write_text(text, encoding="utf-8", errors="surrogatepass")
    started = time.monotonic()
    try:
        config = load_config(file)
    except ConfigError as error:
        assert str(error).startswith(str(file)), error
        return None
    finally:
        assert time.monotonic() - started < 30
    # An accepted file can be used and written.
    assert config.trials >= 1 and config.search_space.options("architecture")
    assert load_config_again(file, config) == config
    return config


def load_config_again(file: Path, config: SearchConfig) -> SearchConfig:
    file.write_text(config.to_yaml(), encoding="utf-8")
    return load_config(file)


LAUGHS = ["&a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
LAUGHS += [f"&a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
MERGED = ["&a0 {x: 1}"]
MERGED += [f"&a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}" for i in range(1, 12)]


def keys(values: list[str]) -> str:
    return START + "space:\n" + "".join(f"  k{i}: {value}\n" for i, value in enumerate(values))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (START + "cache: !!python/object/apply:os.system ['touch was-here']", "could not determine a constructor"),
        (START + "cache: !!python/name:os.system", "could not determine a constructor"),
        (keys(LAUGHS), "a file may hold 10,000 values, with aliases expanded"),
        (keys(MERGED), "a file may hold 10,000 values, with aliases expanded"),
        (START + "space: &a {dropout: *a}", "values may be nested 20 deep"),
        ("[" * 100_000, "values may be nested 20 deep"),
        ("{a: " * 30_000, "values may be nested 20 deep"),
        ("- " * 50_000, "not valid YAML"),
        (START + "#" * 300_000, "must have at most 200,000 characters"),
        (START + "threshold: 0x" + "f" * 100_000, "a number may have 40 digits"),
        (START + "threshold: 1" + ":10" * 50_000, "threshold: should be a valid number, got '1:10:10"),
        (START + "threshold: !!bool x", "not valid YAML"),
        (START + "threshold: !!timestamp x", "not valid YAML"),
        (START + f"search: {{time_budget: '{' ' * 100_000}x'}}", "must be a time such as"),
        (START + f"search: {{time_budget: '{'9' * 400}d'}}", "must be a time such as"),
        (START + f"cache: {{budget: '{'9' * 400}'}}", "must be a size such as"),
        (START + "search: {time_budget: .inf}", "should be a finite number"),
        (START + "training: {warmup: .nan}", "should be a finite number"),
        (START + "space: {dropout: {float: [0, 0.5], step: 1.0e-300}}", "step must leave 100,000 values at most"),
        (
            START + "space: {epochs: {int: [1, 100000]}, head_units: [0, 9]}\nsearch: {algorithm: grid}",
            "a grid may have 100000 cells",
        ),
        (f"name: {'a' * 200}\ndata: {{builtin: digits}}", "at most 100 characters"),
        (START + "output: ~nobody-of-this-name/x", "must be a path of this system"),
        (START + "search: {start_with: ~nobody-of-this-name}", "search.start_with.0: "),
        ('name: a\ndata: {images: "a\\0b", labels: x}', "it holds a zero byte"),
        ('name: a\ndata: {images: "\\ud800", labels: x}', "surrogates not allowed"),
    ],
)
def test_malicious_files_are_refused_at_once(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "search.yaml"
    file.write_text(text)
    started = time.monotonic()
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    assert message in str(caught.value)
    assert time.monotonic() - started < 20


def test_a_device_is_not_read_to_its_end(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="must have at most 200,000 characters"):
        load_config("/dev/zero")


def test_shared_values_may_be_written_once(tmp_path: Path) -> None:
    config = load(tmp_path, START + "space: {dropout: &few [0.1, 0.2], label_smoothing: *few}\n")
    assert config is not None and config.space["label_smoothing"] == [0.1, 0.2]


@settings(max_examples=100)
@given(st.text(max_size=80))
def test_any_text(tmp_path: Path, text: str) -> None:
    load(tmp_path, text)
    load(tmp_path, START + text)


WORDS = "0x 1e - 0.5 1 .nan .inf 2026-01-01 null true off 1:30 \\ud800 \\0 space search training dropout float log when"
SIGNS = [
    *"&*!|>%@`\"'{}[],:-?#~<=\n\t ",
    "  ",
    ": ",
    "- ",
    "&a ",
    "*a",
    "<<: ",
    "!!set ",
    "!!binary ",
    "!!omap ",
    "---\n",
]
YAML_TEXT = st.lists(st.sampled_from([*SIGNS, *WORDS.split()]), max_size=25).map("".join)


@settings(max_examples=150)
@given(YAML_TEXT)
def test_any_mixture_of_yaml(tmp_path: Path, text: str) -> None:
    load(tmp_path, START + text)
    load(tmp_path, START + "space:\n  " + text)


NAMES = sorted({*SearchConfig.model_fields, *TrialConfig.model_fields, "int", "float", "log", "step", "when", "choice"})
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-1, 6),
    st.floats(),
    st.text(max_size=8),
    st.binary(max_size=4),
    st.dates(),
    st.sampled_from([10**30, -(10**30), 5e-324, 1e308, "~nobody-of-this-name", "a/../b", "2h", "3GB", "grid", "sgd"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.sampled_from(NAMES), st.integers(), st.text(max_size=4)), inner, max_size=3),
    ),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of everything within a nested value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, below in items for place in places(below, (*path, key)))]


@settings(max_examples=150)
@given(st.sampled_from(VALID), st.data())
def test_valid_files_with_changes(tmp_path: Path, valid: dict[str, Any], data: st.DataObject) -> None:
    load_changed(tmp_path, valid, data)


@pytest.mark.slow
@settings(max_examples=2000)
@given(st.sampled_from(VALID), st.data())
def test_very_many_valid_files_with_changes(tmp_path: Path, valid: dict[str, Any], data: st.DataObject) -> None:
    load_changed(tmp_path, valid, data)


def load_changed(folder: Path, valid: dict[str, Any], data: st.DataObject) -> None:
    content = copy.deepcopy(valid)
    for _ in range(data.draw(st.integers(1, 2))):
        *parents, last = data.draw(st.sampled_from([place for place in places(content) if place]))
        section: Any = content
        for key in parents:
            section = section[key]
        match data.draw(st.sampled_from(["replace", "remove", "add"])):
            case "replace":
                section[last] = data.draw(VALUES)
            case "remove":
                del section[last]
            case "add" if isinstance(section, dict):
                section[data.draw(st.sampled_from(NAMES))] = data.draw(VALUES)
        if not content:
            break
    load(folder, yaml.safe_dump(content, allow_unicode=True))


@pytest.mark.parametrize("valid", VALID, ids=lambda valid: valid["name"])
def test_the_files_that_are_changed_are_valid(tmp_path: Path, valid: dict[str, Any]) -> None:
    assert load(tmp_path, yaml.safe_dump(valid)) is not None
