"""The search file: defaults, presets, overrides, and errors that name file, key, value, rule and fix."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from pydantic import BaseModel

from thaw.analysis.plots.pareto import OBJECTIVES
from thaw.analysis.records import ENDED
from thaw.search.engine.front_rules import FRONT_RULES
from thaw.search.engine.rules import RULES, Ladder
from thaw.search.engine.samplers import SAMPLERS, STARTUP
from thaw.search.engine.study import STATES
from thaw.search.settings.config import SearchConfig, load_config, preset_names
from thaw.search.settings.effect import HALVING, without_effect
from thaw.search.settings.names import ALGORITHMS, LEARNING, SCHEDULERS
from thaw.search.settings.schema import SchedulerConfig, section_of
from thaw.spaces import ConfigError
from thaw.spaces.costs import COSTS
from thaw.trainables.data.decoding import RESIZE
from thaw.trainables.networks.timm_models import CROP_MODE

MINIMAL = "name: small\ndata: {builtin: digits}\n"


def load(folder: Path, text: str, *overrides: str) -> SearchConfig:
    file = folder / "search.yaml"
    file.write_text(text, encoding="utf-8")
    return load_config(file, overrides)


def test_defaults_and_the_way_people_write_numbers(tmp_path: Path) -> None:
    config = load(tmp_path, MINIMAL + "space: {learning_rate: {log: [1e-5, 1e-2]}}\nsearch: {time_budget: 1h30m}\n")
    assert config.search.algorithm == "auto" and config.search.metric == "val_map" and config.trials == 32
    assert config.search.time_budget == 5400
    assert config.space["learning_rate"]["log"] == [1e-5, 1e-2]
    assert config.data.split.validation == 0.2 and config.scheduler.type == "percentile"


def test_the_resolved_file_loads_to_an_equal_configuration(tmp_path: Path) -> None:
    text = "name: a\npreset: transfer\ndata: {images: photos, labels: l.csv, augment: {flip: 0.5}}\n"
    text += "weights: {resnet50: w.pth}\n"
    config = load(tmp_path, text)
    assert config.data.images == str(tmp_path / "photos") and config.weights == {"resnet50": str(tmp_path / "w.pth")}
    again = load(tmp_path, config.to_yaml())
    assert again == config


@pytest.mark.parametrize("name", preset_names())
def test_presets_load(tmp_path: Path, name: str) -> None:
    config = load(tmp_path, MINIMAL + f"preset: {name}\n")
    assert config.trials == {"paper-baseline": 4, "paper-dropout": 2, "paper-transfer": 6, "transfer": 64}[name]


def test_own_keys_override_the_preset(tmp_path: Path) -> None:
    text = (
        MINIMAL
        + "preset: transfer\nspace: {dropout: [0.1, 0.2]}\ntraining: {learning_rate: 1e-3}\nsearch: {trials: 3}\n"
    )
    config = load(tmp_path, text)
    assert config.trials == 3 and config.search.algorithm == "tpe"
    assert config.space["dropout"] == [0.1, 0.2] and "learning_rate" not in config.space
    assert config.training["learning_rate"] == 1e-3 and config.training["epochs"] == 15


def test_overrides_replace_keys(tmp_path: Path) -> None:
    config = load(
        tmp_path, MINIMAL, "search.trials=5", "training.epochs=2", "space.dropout=[0.1, 0.2]", "weights.timm:a.b=none"
    )
    assert config.trials == 5 and config.training == {"epochs": 2} and config.space == {"dropout": [0.1, 0.2]}
    assert not config.pretrained("timm:a.b") and config.pretrained("resnet18") and not config.pretrained("convnet")


def test_a_scheduler_may_be_written_as_its_type_alone(tmp_path: Path) -> None:
    assert load(tmp_path, MINIMAL + "scheduler: none").scheduler.type == "none"
    assert load(tmp_path, MINIMAL + "scheduler: median", "scheduler.grace_period=2").scheduler == SchedulerConfig(
        type="median", grace_period=2
    )
    assert load(tmp_path, MINIMAL + "preset: transfer", "scheduler=none").scheduler.type == "none"


@pytest.mark.parametrize(
    ("names", "implementations"),
    [
        (ALGORITHMS, SAMPLERS),
        (LEARNING, STARTUP),
        (SCHEDULERS, RULES),
        (SCHEDULERS, FRONT_RULES),
        (HALVING, {name: rule for name, rule in RULES.items() if isinstance(rule, type) and issubclass(rule, Ladder)}),
        (RESIZE, CROP_MODE),
        (COSTS, OBJECTIVES),
        (ENDED, STATES),
    ],
)
def test_every_name_has_its_implementation(names: Iterable[str], implementations: dict[str, object]) -> None:
    assert list(names) == list(implementations)


def test_every_key_has_a_description() -> None:
    def check(model: type[BaseModel], path: str) -> None:
        for name, field in model.model_fields.items():
            assert field.description, f"{path}{name}"
            if below := section_of(field.annotation):
                check(below, f"{path}{name}.")

    check(SearchConfig, "")


def test_paths_are_relative_to_where_they_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    text = "name: a\ndata: {images: photos, labels: l.csv}\n"
    config = load(tmp_path, text, "data.images=../moved", "weights.resnet50=w.pth")
    assert config.data.images == str(tmp_path / "here/../moved") and config.data.labels == str(tmp_path / "l.csv")
    assert config.weights == {"resnet50": str(tmp_path / "here/w.pth")}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: a\ndata: {builtn: digits}", "data.builtn: unknown key; did you mean builtin?"),
        (MINIMAL + "serch: {}", "serch: unknown key; did you mean search?"),
        (MINIMAL + "augment: none", "augment: unknown key; did you mean data.augment?"),
        (MINIMAL + "seed: 1", "seed: unknown key; did you mean data.split.seed or search.seed?"),
        (
            "name: a\ndata: {builtin: digits, epochs: 3}",
            "data.epochs: unknown key; did you mean space.epochs or training.epochs?",
        ),
        (
            MINIMAL + "scheduler: {type: hyperband}",
            "scheduler.type: should be 'asha', 'asha_promotion', 'percentile', 'median' or 'none', got 'hyperband'",
        ),
        (
            MINIMAL + "scheduler: medain",
            "scheduler.type: should be 'asha', 'asha_promotion', 'percentile', 'median' or 'none', got 'medain'; "
            "did you mean median?",
        ),
        (MINIMAL + "scheduler: 5", "scheduler: should be `key: value` lines, got 5"),
        (
            "name: a\ndata: {builtin: digits, augment: papre}",
            "data.augment: should be 'paper' or 'none' or should be `key: value` lines",
        ),
        (MINIMAL + "Search: {}", "Search: unknown key; did you mean search?"),
        (
            "name: a\ndata: {builtin: digits, augment: {rotat: 3}}",
            "data.augment.rotat: unknown key; did you mean rotate?",
        ),
        (
            "name: a\ndata: {builtin: digits, augment: 5}",
            "data.augment: should be 'paper' or 'none' or should be `key: value`",
        ),
        (
            "name: a\ndata: {builtin: digits, views: 0}",
            "data.views: should be 'each_epoch' or should be greater than or equal",
        ),
        (
            "name: a\ndata: {builtin: digits, split: {validation: 1.5}}",
            "data.split.validation: should be less than 1, got 1.5",
        ),
        ("data: {builtin: digits}", "name: this key is required"),
        (
            "name: a b\ndata: {builtin: digits}",
            "name: must consist of letters a-z, digits, `.`, `_` and `-`, and begin with one of the first two, got "
            "'a b'; write a-b",
        ),
        (
            "name: a\ndata: {}",
            "data: needs one of images (a folder, with labels), builtin: digits, or source (from Python)",
        ),
        ("name: a\ndata: 5", "data: should be `key: value` lines, got 5"),
        (
            MINIMAL + "search: {time_budget: soon}",
            "search.time_budget: must be a time such as 90s, 30m, 2h or 1d12h, got 'soon'",
        ),
        (
            MINIMAL + "search: {metric: val_mpa}",
            "search.metric: should be 'val_loss', 'val_map',",
        ),
        (
            MINIMAL + "search: {algorithm: tpee}",
            "search.algorithm: should be 'auto', 'tpe', 'grid', 'random' or 'gp', got 'tpee'; did you mean tpe?",
        ),
        (MINIMAL + "resources: {gpu: 2}", "resources.gpu: should be less than or equal to 1, got 2"),
        (MINIMAL + "weights: {resnet50: 5}", "weights.resnet50: should be a valid string, got 5"),
        (MINIMAL + "preset: transfr", "preset: unknown preset 'transfr'; did you mean transfer?"),
        (MINIMAL + "name: b", "line 3: not valid YAML: the key 'name' appears twice; remove one"),
        ("name: [", "line 1: not valid YAML"),
        ("- 1", "must hold `key: value` lines"),
        (MINIMAL + "space: {learning_rat: 1}", "space.learning_rat: unknown key; did you mean learning_rate?"),
        (MINIMAL + "training: {epochs: 0}", "training.epochs: should be greater than or equal to 1, got 0"),
        (
            MINIMAL + "space: {learning_rate: {log: [1e-5, 1e-2]}}\nsearch: {algorithm: grid}",
            "space.learning_rate: a grid needs a finite list of values",
        ),
        (
            MINIMAL + "space: {dropout: [0.1, 0.2]}\nsearch: {start_with: [{dropout: 0.3}]}",
            "search.start_with.0.dropout: must be in the space",
        ),
        (
            MINIMAL + "space: {dropout: [0.1]}\nsearch: {algorithm: grid, start_with: [{dropout: 0.1}]}",
            "search: start_with cannot be used with algorithm: grid",
        ),
        (
            MINIMAL + "training: {epochs: '15'}",
            "training.epochs: should be a valid integer, got '15'; write 15",
        ),
        (MINIMAL + "search: {trials: 20.0}", "search.trials: should be a valid integer, got 20.0; write 20"),
        (MINIMAL + "threshold: 50%", "threshold: should be a valid number, got '50%'; write 0.5"),
        (MINIMAL + "threshold: '0,5'", "threshold: should be a valid number, got '0,5'; write 0.5, without quotes"),
        (
            MINIMAL + "training: {dropout: [0.1, 0.2]}",
            "training.dropout: should be a valid number, got [0.1, 0.2]; to search it, move it to space.dropout",
        ),
        (
            MINIMAL + "search:",
            "search: should be `key: value` lines, got nothing; write its keys below it",
        ),
        (MINIMAL + "output:", "output: should be a valid string, got nothing; write a value, or remove the key"),
        ("name: 2026\ndata: {builtin: digits}", "name: should be a valid string, got 2026; put it in quotes"),
        (
            "name: no\ndata: {builtin: digits}",
            "name: should be a valid string, got False; YAML reads yes, no, on",
        ),
        (
            MINIMAL + "search: {algorithm: TPE}",
            "search.algorithm: should be 'auto', 'tpe', 'grid', 'random' or 'gp'",
        ),
        (MINIMAL + "trackers: mlflow", "trackers: should be a list, got 'mlflow'; put it in brackets, as in [mlflow]"),
        (MINIMAL + "trackers: [wandb, wandb]", "trackers: names wandb twice, got ['wandb', 'wandb']; remove one"),
        (
            MINIMAL + "search: {time_budget: 2:00}",
            "search.time_budget: must be a time such as 90s, 30m, 2h or 1d12h",
        ),
        (MINIMAL + "training: {5: null}", "training: keys must be text, got 5; put it in quotes, or correct it"),
        (
            MINIMAL + "output: ''",
            "output: must be a path, which has at least one character, got ''; `.`",
        ),
        (
            "name: a\ndata: {images: '', labels: l.csv}",
            "data.images: must be a path, which has at least one character, got ''; `.` is the current folder",
        ),
        (
            "name: a\ndata: {builtin: digits, images: photos}",
            "data: needs one of images (a folder, with labels), builtin: digits, or source (from Python), got "
            "images and builtin; keep one",
        ),
        (
            "name: a\ndata: {builtin: digits, labels: l.csv}",
            "data: builtin has labels of its own, so labels would have no effect; remove it, or give images instead",
        ),
        (
            "name: a\ndata:\n\tbuiltin: digits",
            "line 3: not valid YAML: found character '\\t' that",
        ),
        (
            "name: a\ndata: {images: a, labels: b, columns: {image: file, labels: [file, red]}}",
            "data.columns: image and labels must be different columns, got file for both; change one",
        ),
        ("name: a: b", "line 1: not valid YAML: mapping values are not allowed here; put a value that holds `: ` into"),
        ("# all of it is a comment", "must hold `key: value` lines with names as keys, got nothing; see examples/"),
    ],
)
def test_wrong_files_get_a_precise_error(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load(tmp_path, text)
    assert str(raised.value).startswith(f"{tmp_path / 'search.yaml'}: {message}")


def test_numbers_are_read_as_people_mean_them(tmp_path: Path) -> None:
    """YAML 1.1 reads 010 as 8, and 2026-01-02 as a date."""
    text = MINIMAL + "output: 2026-01-02\nsearch: {trials: 010, seed: 1_000}\nthreshold: .5"
    config = load(tmp_path, text)
    assert (config.output, config.trials, config.search.seed, config.threshold) == ("2026-01-02", 10, 1000, 0.5)


@pytest.mark.parametrize("name", ["1e5", "0o17", "010", "2026-01-02", "1.5e3", "no", "null"])
def test_text_like_a_number_stays_text_when_written(tmp_path: Path, name: str) -> None:
    config = load(tmp_path, f"name: '{name}'\ndata: {{images: photos, columns: {{labels: ['{name}']}}}}\n")
    assert load(tmp_path, config.to_yaml()) == config and config.name == name


def test_settings_without_effect_give_a_note(tmp_path: Path) -> None:
    text = MINIMAL + "weights: {resnet50: none}\nscheduler: {type: median, grace_period: 5, reduction_factor: 4}\n"
    text += "training: {epochs: 5, momentum: 0.5}\nspace: {architecture: [convnet], freeze_depth: [0, 5]}\n"
    assert list(without_effect(load(tmp_path, text))) == [
        "space.freeze_depth has no meaning in any configuration of this space, so it is not searched",
        "training.momentum has no meaning in any configuration of this space, so it is not used",
        "scheduler.grace_period is 5, so no trial of up to 5 epochs stops early",
        "scheduler.reduction_factor has no meaning for median, only for asha and asha_promotion",
        "weights.resnet50 is for a network that this file does not search, so it is not used",
    ]
    assert list(without_effect(load(tmp_path, MINIMAL + "preset: transfer"))) == []


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"is a folder, not a search file; `thaw init {tmp_path}` writes one"):
        load_config(tmp_path)
    (tmp_path / "events.jsonl").touch()
    with pytest.raises(
        ConfigError, match=f"is a run folder, whose search file is {tmp_path}/search.yaml; `thaw resume"
    ):
        load_config(tmp_path)
    with pytest.raises(ConfigError, match="absent.yaml: must be a readable UTF-8 file"):
        load_config(tmp_path / "absent.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="binary.yaml: must be a readable UTF-8 file"):
        load_config(tmp_path / "binary.yaml")


def test_wrong_overrides_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--set: must be key=value, got 'search.trials'"):
        load(tmp_path, MINIMAL, "search.trials")
    with pytest.raises(ConfigError, match=r"search\.trials: should be a valid integer, got 'many'"):
        load(tmp_path, MINIMAL, "search.trials=many")


def test_yaml_never_builds_objects(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not valid YAML"):
        load(tmp_path, MINIMAL + "cache: !!python/object/apply:os.system ['touch /tmp/thaw-was-here']")


@pytest.mark.parametrize(
    ("override", "largest"),
    [("training.epochs=1000000000", 100_000), ("search.trials=10000000000", 1_000_000), ("max_failures=9999", 1_000)],
)
def test_counts_have_bounds(tmp_path: Path, override: str, largest: int) -> None:
    key = override.partition("=")[0]
    with pytest.raises(ConfigError, match=rf"{key}: .*{largest}"):
        load(tmp_path, MINIMAL, override)
