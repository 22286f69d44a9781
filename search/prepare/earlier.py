"""``search.learn_from``: what a new search can learn from trials of earlier runs on the same data."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from thaw.analysis.earlier import earlier_words
from thaw.analysis.records import FINISHED, TrialRecord, trial_records
from thaw.analysis.run_folder import RunFolder
from thaw.search.prepare.preflight import Prepared
from thaw.search.settings.config import SearchConfig
from thaw.search.settings.finite import configurations
from thaw.spaces import ConfigError, printable

KEY = "search.learn_from"

SAME = ("image_size", "resize", "interpolation", "crop_pct", "augment", "views")
"""Keys of ``data`` that decide what a trial's results mean, besides the images, labels and split themselves."""

AS_IN_0_1_0 = {"interpolation": "bilinear", "crop_pct": 1}
"""What such keys were in runs that do not have them."""

Event = dict[str, Any]


def earlier_runs(config: SearchConfig) -> list[RunFolder]:
    """The runs that a search learns from, each once.

    Raises:
        ConfigError: one is no run folder, or a confirmation, whose trials see other images.
    """
    runs = []
    for path in dict.fromkeys(Path(path).resolve() for path in config.search.learn_from):
        try:
            run = RunFolder(path).require()
        except ConfigError as error:
            # The search file is at fault; the message says what is wrong with the folder that it names.
            raise ConfigError(str(error), KEY) from None
        runs.append(run)
    return runs


def earlier_trials(prepared: Prepared) -> Event | None:
    """Fields of the event ``earlier_trials``, which holds everything that the new search knows of other runs.

    Returns:
        ``runs``: of each run ``name``, ``path``, ``trials`` (all of them), ``known`` (those that are used) and
        ``left_out`` (reason → number of trials); ``trials``: of each that is used ``run`` (place in ``runs``),
        ``number``, ``config``, ``status`` and ``values`` (of this search's metric after epoch 1, 2, …). None where the
        search file names no run.

    Raises:
        ConfigError: a run is on other data, or on data prepared in another way.
    """
    runs: list[Event] = []
    trials: list[Event] = []
    for folder in earlier_runs(prepared.config):
        check_same_data(folder, prepared)
        records = trial_records(folder.events())
        usable = _Usable(folder, prepared)
        reasons = {number: usable.reason(record) for number, record in records.items()}
        left_out = Counter(reason for reason in reasons.values() if reason)
        known = [record for number, record in records.items() if not reasons[number]]
        trials += [
            {
                "run": len(runs),
                "number": record.number,
                "config": record.config,
                "status": record.status,
                "values": usable.values(record),
            }
            for record in known
        ]
        runs.append(
            {
                "name": folder.path.name,
                "path": str(folder.path),
                "trials": len(records),
                "known": len(known),
                "left_out": dict(left_out),
            }
        )
    return {"runs": runs, "trials": trials} if runs else None


def earlier_lines(earlier: Mapping[str, Any] | None, config: SearchConfig) -> list[str]:
    """For the terminal: what the search begins with of each run."""
    if earlier is None:
        return []
    lines = [printable(f"learns from {earlier_words(run)}") for run in earlier["runs"]]
    if configurations(config) is not None:
        lines.append("note: every configuration of this space is tried, so that earlier trials change no proposal")
    return lines


class _Usable:
    """Which trials of a run a search can learn from.

    Args:
        folder: of the run.
        prepared: the search.
    """

    def __init__(self, folder: RunFolder, prepared: Prepared) -> None:
        self._space, self._metric = prepared.config.search_space, prepared.config.search.metric
        self._same_weights = _same_weights(folder, prepared)

    def values(self, record: TrialRecord) -> list[float]:
        """Of the metric, epoch by epoch."""
        return [value for _, value in sorted(record.values(self._metric).items())]

    def reason(self, record: TrialRecord) -> str:
        """Why a trial is left out; empty where it is used."""
        if record.status == "failed":
            return "failed"
        values = self.values(record)
        if record.status not in FINISHED or not values:
            return "did not end"
        if not all(math.isfinite(value) for value in values):
            return f"without {self._metric}"
        _, outside, other = self._space.placed(record.config)
        if outside:
            return f"outside of this space in {outside[0]}"
        if other:
            return f"with another {other[0]} than is fixed here"
        return "" if self._same_weights(record.config["architecture"]) else "with other weights"


def _same_weights(folder: RunFolder, prepared: Prepared) -> Callable[[str], bool]:
    """Whether an architecture had the same weights in a run. Runs of 0.1.0 record no digests, but what was named."""
    digests = folder.provenance().get("weights")
    if digests is None:
        same = folder.settings()["weights"] == prepared.config.weights
        return lambda architecture: same
    return lambda architecture: digests.get(architecture) == prepared.weights.get(architecture)


def check_same_data(folder: RunFolder, prepared: Prepared) -> None:
    """A run's results mean what this search's do: the same images, labels and split, prepared in the same way.

    Raises:
        ConfigError: naming what differs, both values and what to do.
    """
    then, now = folder.settings(), prepared.config.model_dump(mode="json")
    data = then.get("data", {})
    pairs = {f"data.{key}": (data.get(key, AS_IN_0_1_0.get(key)), now["data"][key]) for key in SAME}
    pairs["threshold"] = then.get("threshold"), now["threshold"]
    for key, (before, here) in pairs.items():
        if before != here:
            raise ConfigError(
                f"{folder.path}: {key} is {before!r} there and {here!r} here, so results cannot be compared; set {key} "
                f"to {before!r}, or leave this run out",
                KEY,
            )
    recorded = folder.provenance()["data"]
    split = prepared.context.split.digest
    same_split = recorded["split"] == split if "split" in recorded else data.get("split") == now["data"]["split"]
    same_images = recorded["fingerprint"] == prepared.fingerprint
    if not (same_images and same_split):
        what = "training and validation images" if same_images else "images or labels"
        raise ConfigError(
            f"{folder.path}: must be a run on the same data, its {what} differ (fingerprint of the data "
            f"{recorded['fingerprint']}, here {prepared.fingerprint}; of the split {recorded.get('split')}, here "
            f"{split}); leave this run out, or name by `data` what it had",
            KEY,
        )
