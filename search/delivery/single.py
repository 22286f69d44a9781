"""A single configuration as a search file without anything to search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from thaw.analysis.records import TrialRecord
from thaw.analysis.run import Run
from thaw.search.prepare.resources import this_machine
from thaw.search.sessions.resume import as_before
from thaw.search.settings.config import SearchConfig, load_config
from thaw.search.settings.units import LONGEST_NAME
from thaw.search.settings.yaml_file import yaml_text
from thaw.spaces import ConfigError, TrialConfig


def trial_file(run: Run, record: TrialRecord, overrides: Sequence[str] = ()) -> SearchConfig:
    """The search file of one trial of a run: its hyperparameters are fixed, all that affects its results is unchanged.

    Args:
        overrides: ``dotted.key=value`` texts, for instance if the images have moved.
    """
    precision: Any = run.folder.provenance()["precision"]
    if isinstance(precision, dict):
        precision = precision[record.config["architecture"]]
    which = f"-trial-{record.number}"
    fixed: dict[str, Any] = {
        "name": run.folder.settings()["name"][: LONGEST_NAME - len(which)] + which,
        "preset": None,
        "space": {},
        "training": record.config,
        "search.algorithm": "random",
        "search.trials": 1,
        "search.start_with": [],
        "search.learn_from": [],
        "search.objectives": [],
        "search.time_budget": None,
        "search.concurrency": None,
        "scheduler": {"type": "none"},
        "precision": precision,
    }
    texts = [f"{key}={yaml_text(value, one_line=True)}" for key, value in fixed.items()]
    return load_config(run.folder.search_file, [*as_before(run.folder), *texts, *overrides])


def only_trial(config: SearchConfig) -> TrialConfig:
    """The configuration of a search file that searches nothing.

    Raises:
        ConfigError: something is searched.
    """
    searched = config.search_space.parameters
    if searched:
        rule = "training takes one configuration"
        fix = "give each one value, or use `thaw search`"
        raise ConfigError(f"{rule}, this file searches {', '.join(searched)}; {fix}", "space")
    return config.search_space.config({})


def for_this_machine(config: SearchConfig) -> SearchConfig:
    """The same search file with no more processors than available, and with the GPU if there is one."""
    cpu = min(config.resources.cpu, this_machine().cpus)
    # A trial that took no GPU takes none again.
    gpu = 0.0 if config.resources.gpu == 0 else None
    return config.model_copy(update={"resources": config.resources.model_copy(update={"cpu": cpu, "gpu": gpu})})
