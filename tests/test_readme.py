"""The README says what the code does: its tables, its commands, its search file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer.main

from tests.conftest import ROOT
from thaw.search.cli import app
from thaw.search.settings.config import SearchConfig, load_config, preset_names
from thaw.spaces import METRICS, TrialConfig
from thaw.trainables.networks.table import ARCHITECTURES

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_search_file_in_the_readme_loads(tmp_path: Path) -> None:
    match = re.search(r"```yaml\n(.*?)```", README, re.DOTALL)
    assert match
    (tmp_path / "search.yaml").write_text(match[1], encoding="utf-8")
    config = load_config(tmp_path / "search.yaml")
    assert config.trials == 64 and "momentum" in config.search_space.parameters


@pytest.mark.parametrize("name", TrialConfig.model_fields)
def test_every_hyperparameter_has_its_row(name: str) -> None:
    field = TrialConfig.model_fields[name]
    assert f"| `{name}` | {field.default} |" in README
    assert str(field.description).replace("|", "or") in README


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_has_its_row(name: str) -> None:
    assert f"| `{name}` | {'more' if METRICS[name].maximize else 'less'} | {METRICS[name].meaning} |" in README


def test_every_name_a_user_may_write_is_listed() -> None:
    for name in (*ARCHITECTURES, *preset_names(), *SearchConfig.model_fields):
        assert f"`{name}" in README, name


def test_every_command_and_option_is_listed() -> None:
    command = typer.main.get_command(app)
    for name, sub in command.commands.items():  # type: ignore[attr-defined]
        line = next(
            line for line in README.splitlines() if line.startswith(f"thaw {name} ") and line.split()[2][:2].isupper()
        )
        for parameter in sub.params:
            shown = parameter.opts[0] if parameter.param_type_name == "option" else parameter.metavar
            assert (shown or parameter.opts[0].upper()) in line, (name, parameter.name)
