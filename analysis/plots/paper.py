"""The terms of Yue, Tan and Li (2019): their accuracy, and how they name and caption a run."""

from __future__ import annotations

import pandas as pd

from thaw.analysis.plots.plot import NotEnough
from thaw.analysis.plots.trials import chosen_trial, finished_trials
from thaw.analysis.run_data import RunData
from thaw.analysis.words import shortened, value
from thaw.spaces import ConfigError, TrialConfig, best_epoch
from thaw.spaces.short_forms import head

ACCURACY = "inclusion_accuracy"
"""The paper's accuracy (equation 13): the predicted set is not empty and within the true one."""

FIRST_EPOCH = 0
"""The paper counts epochs from 0, Thaw from 1; only captions in the paper's own format count from 0."""

FEW = 4


def some_trials(run: RunData, trials: list[int] | None, default: int = FEW) -> list[int]:
    """The requested trials, by default the best ones.

    Raises:
        ConfigError: there is no such trial, or the list is empty.
        NotEnough: one has no epoch, or none has finished.
    """
    if trials is None:
        return finished_trials(run)["trial"].iloc[:default].astype(int).tolist()
    if not trials:
        raise ConfigError("needs at least one trial number, got an empty list", "trials")
    return [chosen_trial(run, trial) for trial in trials]


def names(run: RunData, trials: list[int]) -> dict[int, str]:
    """Trial → its name with the hyperparameters that vary, such as ``trial 3: resnet50, depth 4, lr 1e-5``."""
    configs = [run.records[trial].config for trial in trials]
    varied = [name for name in TrialConfig.model_fields if len({str(config[name]) for config in configs}) > 1]
    texts = {}
    for trial, config in zip(trials, configs, strict=True):
        active = [name for name in varied if run.space.active(name, config)]
        words = [
            str(config[name]) if name == "architecture" else f"{head(name)} {value(config[name])}" for name in active
        ]
        texts[trial] = shortened(f"trial {trial}: {', '.join(words)}" if words else f"trial {trial}", 84)
    return texts


def summary(run: RunData, trial: int) -> dict[str, float]:
    """The numbers that the paper reports for each of its runs.

    Returns:
        ``epoch`` (from 1, the best by the run's metric), its ``train_accuracy`` and ``val_accuracy``, and the
        smallest ``train_loss`` and ``val_loss`` of all epochs.
    """
    record = run.records[trial]
    epoch = best_epoch(record.values(run.metric), run.metric)
    at_best = record.epochs[epoch]["metrics"]
    return {
        "epoch": epoch,
        "train_accuracy": at_best[f"train_{ACCURACY}"],
        "val_accuracy": at_best[f"val_{ACCURACY}"],
        "min_train_loss": min(record.values("train_loss").values()),
        "min_val_loss": min(record.values("val_loss").values()),
    }


def curves(run: RunData, trial: int) -> pd.DataFrame:
    """Rows epoch, train_accuracy, val_accuracy, train_loss, val_loss.

    Raises:
        NotEnough: the trial has no epoch.
    """
    rows = run.history[run.history["trial"] == trial]
    if rows.empty:
        raise NotEnough(f"trial {trial} has finished no epoch")
    columns = {f"{split}_{ACCURACY}": f"{split}_accuracy" for split in ("train", "val")}
    return rows[["epoch", *columns, "train_loss", "val_loss"]].rename(columns=columns).reset_index(drop=True)
