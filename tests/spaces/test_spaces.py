"""The search space: parsing, conditions, grids, samples, suggestions."""

from __future__ import annotations

import random

import optuna
import pytest

from thaw.spaces import FROM_SCRATCH, Choice, ConfigError, Float, Int, SearchSpace, TrialConfig
from thaw.spaces.trial import FIELDS

FULL = {
    "architecture": ["convnet", "resnet18"],
    "freeze_depth": {"int": [0, 5]},
    "learning_rate": {"log": [1e-5, 1e-2]},
    "optimizer": ["adamw", "sgd"],
    "momentum": {"float": [0.8, 0.99], "when": {"optimizer": "sgd"}},
    "head_units": {"log": [64, 1024]},
}


def test_parse_gives_typed_parameters() -> None:
    space = SearchSpace.parse(FULL, {"epochs": 3})
    assert space.parameters["architecture"] == Choice(("convnet", "resnet18"))
    assert space.parameters["freeze_depth"] == Int(0, 5)
    assert space.parameters["learning_rate"] == Float(1e-5, 1e-2, log=True)
    assert space.parameters["head_units"] == Int(64, 1024, log=True)
    assert space.constants == {"epochs": 3}


def test_a_single_value_in_space_is_a_constant() -> None:
    space = SearchSpace.parse({"dropout": 0.3}, {})
    assert space.parameters == {} and space.config({}).dropout == 0.3


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"learning_rat": 1}, "space.learning_rat: unknown key; did you mean learning_rate?"),
        ({"learning_rate": {"log": [0, 1]}}, "space.learning_rate.log: should be greater than 0, got 0"),
        (
            {"weight_decay": {"log": [0, 1]}},
            "space.weight_decay.log: low must be > 0 in a logarithmic range, got 0; raise it, or use float or int",
        ),
        ({"learning_rate": {"float": [1, 0.5]}}, "space.learning_rate.float: low must be < high, got [1, 0.5]"),
        ({"learning_rate": {"float": [0.1]}}, "space.learning_rate.float: needs [low, high], got [0.1]"),
        ({"freeze_depth": {"int": [0, 6]}}, "space.freeze_depth.int: should be less than or equal to 5, got 6"),
        ({"freeze_depth": [2.5]}, "space.freeze_depth: should be a valid integer"),
        ({"freeze_depth": {"float": [0, 5]}}, "space.freeze_depth.float: float does not fit"),
        ({"dropout": {"int": [0, 1]}}, "space.dropout.int: int does not fit this hyperparameter; use float or log"),
        ({"dropout": {"float": [0, 0.5], "stp": 0.1}}, "space.dropout.stp: unknown key; did you mean step?"),
        (
            {"dropout": {"float": [0, 0.5], "step": 1}},
            "space.dropout.float: step must be a number above 0 and at most high - low = 0.5, got 1; list the values",
        ),
        ({"dropout": {}}, "space.dropout: needs one of int, float, log or choice"),
        ({"dropout": [0.1, 0.1]}, "space.dropout: values must be unique, 0.1 appears twice"),
        ({"optimizer": []}, "space.optimizer: a list of values must not be empty"),
        ({"optimizer": ["adamw", "sdg"]}, "space.optimizer: should be 'adamw', 'adam' or 'sgd', got 'sdg'; did you"),
        ({"optimizer": {"int": [0, 2]}}, "space.optimizer.int: int does not fit this hyperparameter; list its values"),
        ({"momentum": {"float": [0, 0.5], "when": {"optimiser": "sgd"}}}, "space.momentum.when.optimiser: unknown key"),
        ({"momentum": {"float": [0, 0.5], "when": {}}}, "space.momentum.when: needs hyperparameter: value(s)"),
        (
            {"momentum": {"float": [0, 0.5], "when": {"optimizer": "sdg"}}},
            "space.momentum.when.optimizer: should be 'adamw', 'adam' or 'sgd', got 'sdg'; did you mean sgd?",
        ),
        (
            {"momentum": {"float": [0, 0.5], "when": {"optimizer": ["sgd", "adam"]}}, "optimizer": ["sgd", "adam"]},
            "space.momentum.when.optimizer: momentum has a meaning only with optimizer sgd, got 'adam'; leave",
        ),
        (
            {"dropout": {"float": [0, 0.5], "when": {"loss": []}}},
            "space.dropout.when.loss: a list of values must not be",
        ),
        (
            {"dropout": {"float": [0, 0.5], "when": {"learning_rate": 0.01}}, "learning_rate": {"log": [1e-3, 0.1]}},
            "space.dropout.when.learning_rate: no trial has exactly a value of a continuous range (learning_rate: "
            "{log: [0.001, 0.1]}), got 0.01; list the values of learning_rate, or give it a step",
        ),
        (
            {
                "dropout": {"float": [0, 0.5], "when": {"loss": "bce"}},
                "loss": {"choice": ["bce", "focal"], "when": {"dropout": 0.1}},
            },
            "space: conditions must not form a cycle",
        ),
    ],
)
def test_wrong_spaces_name_key_value_and_rule(space: dict, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        SearchSpace.parse(space, {})
    assert str(raised.value).startswith(message)


def test_searched_and_fixed_at_once_is_refused() -> None:
    with pytest.raises(ConfigError, match="space.dropout: is both searched and fixed"):
        SearchSpace.parse({"dropout": [0.1, 0.2]}, {"dropout": 0.1})


def test_grid_has_valid_cells_only_and_each_once() -> None:
    space = SearchSpace.parse(
        {
            "architecture": ["convnet", "resnet18"],
            "freeze_depth": {"int": [0, 5]},
            "dropout": {"float": [0, 0.4], "step": 0.2},
        },
        {},
    )
    cells = space.grid()
    # convnet: 1 depth × 3 dropouts; resnet18: 6 depths × 3 dropouts.
    assert len(cells) == 3 + 18
    configs = [space.config(cell) for cell in cells]
    assert len({config.canonical() for config in configs}) == len(cells)
    assert all(config.freeze_depth == 0 for config in configs if config.architecture in FROM_SCRATCH)
    assert {config.dropout for config in configs} == {0.0, 0.2, 0.4}


def test_backbone_scale_is_active_only_if_a_stage_is_thawed() -> None:
    space = SearchSpace.parse({"architecture": "resnet18", "freeze_depth": [4, 5], "backbone_lr_scale": [0.1, 1.0]}, {})
    assert space.grid() == [
        {"freeze_depth": 4, "backbone_lr_scale": 0.1},
        {"freeze_depth": 4, "backbone_lr_scale": 1.0},
        {"freeze_depth": 5},
    ]


def test_constants_are_inactive_without_effect() -> None:
    space = SearchSpace.parse({"architecture": ["convnet", "resnet18"]}, {"freeze_depth": 4})
    assert [space.config(cell).freeze_depth for cell in space.grid()] == [0, 4]
    nothing_pretrained = SearchSpace.parse(
        {"freeze_depth": {"int": [0, 5]}}, {"architecture": "resnet18"}, lambda name: False
    )
    assert nothing_pretrained.grid() == [{}] and nothing_pretrained.idle() == ["freeze_depth"]
    assert SearchSpace.parse(FULL, {}).idle() == []
    assert SearchSpace.parse({"momentum": [0.8, 0.9]}, {}).idle() == ["momentum"], "the default optimizer is not sgd"


def test_a_constant_that_no_configuration_uses_is_named() -> None:
    assert SearchSpace.parse({}, {"momentum": 0.5}).idle() == ["momentum"]
    assert SearchSpace.parse({"optimizer": ["adam", "sgd"]}, {"momentum": 0.5}).idle() == []
    assert SearchSpace.parse({}, {"momentum": 0.9}).idle() == [], "the default has no effect either, but is no mistake"


def test_a_depth_may_depend_on_the_network() -> None:
    """The user's condition and the one that follows from pretrained weights both hold."""
    depth = {"choice": [0, 5], "when": {"architecture": ["resnet50", "convnet"]}}
    space = SearchSpace.parse({"architecture": ["resnet50", "resnet18", "convnet"], "freeze_depth": depth}, {})
    assert space.grid() == [
        {"architecture": "resnet50", "freeze_depth": 0},
        {"architecture": "resnet50", "freeze_depth": 5},
        {"architecture": "resnet18"},
        {"architecture": "convnet"},
    ]


def test_a_condition_holds_at_a_step_however_it_is_rounded() -> None:
    """Optuna's 0.1 + 2 * 0.1 is 0.30000000000000004."""
    smoothing = {"float": [0.0, 0.2], "when": {"dropout": 0.3}}
    steps = {"float": [0.1, 0.5], "step": 0.1}
    space = SearchSpace.parse({"dropout": steps, "label_smoothing": smoothing}, {})
    fixed = optuna.trial.FixedTrial({"dropout": 0.1 + 2 * 0.1, "label_smoothing": 0.1})
    assert 0.1 + 2 * 0.1 != 0.3 and space.suggest(fixed)["label_smoothing"] == 0.1


@pytest.mark.parametrize("name", ["learning_rate", "head_units"])
def test_grid_over_a_continuous_parameter_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"space.{name}: a grid needs a finite list of values"):
        SearchSpace.parse({name: FULL[name]}, {}).grid()


def test_a_grid_too_large_is_refused_before_it_fills_the_memory() -> None:
    wide = {name: {"float": [0, 0.5], "step": 0.0005} for name in ("dropout", "label_smoothing")}
    with pytest.raises(ConfigError, match="a grid may have 100000 cells at most"):
        SearchSpace.parse(wide, {}).grid()


def test_samples_and_suggestions_hold_active_parameters_within_bounds() -> None:
    space = SearchSpace.parse(FULL, {})
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    rng = random.Random(0)
    seen = set()
    for _ in range(200):
        for values in (space.sample(rng), space.suggest(study.ask())):
            space.validate(values)
            expected = {"architecture", "learning_rate", "optimizer", "head_units"}
            expected |= {"freeze_depth"} if values["architecture"] == "resnet18" else set()
            expected |= {"momentum"} if values["optimizer"] == "sgd" else set()
            assert set(values) == expected
            assert isinstance(space.config(values), TrialConfig)
            seen.add((values["architecture"], values.get("freeze_depth")))
    assert seen == {("convnet", None), *(("resnet18", depth) for depth in range(6))}


def test_validate_refuses_unknown_and_outside_values() -> None:
    space = SearchSpace.parse(FULL, {})
    for values, message in (
        ({"dropout": 0.1}, "dropout: not a searched hyperparameter"),
        ({"freeze_depth": 6}, "freeze_depth: should be less than or equal to 5, got 6"),
        ({"freeze_depth": True}, "freeze_depth: should be a valid integer, got True"),
        ({"learning_rate": "1e-3"}, "learning_rate: should be a valid number, got '1e-3'; write 1e-3, without quotes"),
        ({"learning_rate": 0.1}, "learning_rate: must be in the space ({log: [1e-05, 0.01]}), got 0.1; widen"),
        ({"architecture": "vgg16"}, "architecture: must be in the space ([convnet, resnet18]), got 'vgg16'"),
    ):
        with pytest.raises(ConfigError) as raised:
            space.validate(values)
        assert str(raised.value).startswith(message)


def test_a_complete_configuration_keeps_the_searched_values() -> None:
    space = SearchSpace.parse({"learning_rate": {"log": [1e-4, 1e-2]}, "freeze_depth": [3, 5]}, {"dropout": 0.3})
    whole = space.config({"freeze_depth": 5, "learning_rate": 1e-3}).model_dump()
    assert space.searched(whole) == {"freeze_depth": 5, "learning_rate": 1e-3}
    assert space.searched({}) == {} and space.searched({"dropout": 0.3, "momentum": 0.9}) == {}
    # A space where the same hyperparameter is inactive beside the others.
    scaled = SearchSpace.parse({"freeze_depth": [3, 5], "backbone_lr_scale": [0.1, 0.2]}, {"dropout": 0.3})
    assert scaled.searched({"freeze_depth": 5, "backbone_lr_scale": 1.0}) == {"freeze_depth": 5}
    for values, message in (
        ({"dropout": 0.2}, "dropout: not a searched hyperparameter: it is fixed to 0.3, got 0.2; leave it out"),
        ({"optimizer": "sgd"}, "optimizer: not a searched hyperparameter: it is fixed to 'adamw', got 'sgd'"),
        ({"dropuot": 0.3}, "dropuot: not a hyperparameter; did you mean dropout?"),
        ({"freeze_depth": 3, "backbone_lr_scale": 1.0}, "backbone_lr_scale: must be in the space"),
    ):
        with pytest.raises(ConfigError) as raised:
            scaled.searched(values)
        assert str(raised.value).startswith(message)


def test_order_puts_parents_first_and_keeps_every_field() -> None:
    space = SearchSpace.parse(FULL, {})
    assert sorted(space.order) == sorted(FIELDS)
    for child, parents in space.conditions.items():
        assert all(space.order.index(parent) < space.order.index(child) for parent in parents)


def test_every_field_has_a_meaning_and_a_valid_default() -> None:
    TrialConfig.model_validate(TrialConfig().model_dump())
    for name, field in TrialConfig.model_fields.items():
        assert field.description and len(field.description) > 10, name


def test_canonical_text_depends_on_values_alone() -> None:
    a = TrialConfig(dropout=0.1, epochs=3)
    assert (
        a.canonical()
        == TrialConfig(epochs=3, dropout=0.1).canonical()
        != TrialConfig(epochs=4, dropout=0.1).canonical()
    )


def test_seeds_of_former_configurations_stay() -> None:
    # Text of 0.1.0: later hyperparameters enter only where they differ from their defaults.
    assert not any(name in TrialConfig().canonical() for name in ("layer_decay", "tune", "clip_norm", '"decay"'))
    assert '"layer_decay":0.9' in TrialConfig(layer_decay=0.9).canonical()


def test_a_hyperparameter_without_a_default_value_has_ranges() -> None:
    space = SearchSpace.parse({"clip_norm": {"log": [0.1, 10]}, "layer_decay": {"float": [0.6, 1.0]}}, {})
    assert space.config({}).clip_norm is None and 3.0 in space.parameters["clip_norm"]


def test_where_a_configuration_of_another_space_lies() -> None:
    space = SearchSpace.parse(
        {"optimizer": ["adamw", "sgd"], "momentum": {"float": [0.8, 0.95]}, "dropout": {"float": [0.0, 0.5]}},
        {"epochs": 4},
    )
    whole = TrialConfig(epochs=4, dropout=0.3).model_dump()
    assert space.placed(whole) == ({"optimizer": "adamw", "dropout": 0.3}, [], [])
    sgd = {**whole, "optimizer": "sgd", "momentum": 0.99, "dropout": 0.6, "epochs": 5}
    assert space.placed(sgd)[1:] == (["momentum", "dropout"], ["epochs"])
    # An inactive hyperparameter has its default here.
    assert space.placed({**whole, "momentum": 0.85})[1:] == ([], ["momentum"])
    assert space.placed({**whole, "optimizer": "adam"})[1] == ["optimizer"]
