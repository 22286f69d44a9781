"""Trials of earlier runs, from a search's event ``earlier_trials``: a single line, so a log has all of them or none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from thaw.analysis.records import TrialRecord
from thaw.analysis.words import listed
from thaw.spaces.words import counted


def earlier_record(trial: Mapping[str, Any], metric: str) -> TrialRecord:
    """One of the event's ``trials``; `metric` is its only metric."""
    epochs = {epoch: {"metrics": {metric: value}} for epoch, value in enumerate(trial["values"], 1)}
    return TrialRecord(trial["number"], trial["config"], trial["status"], epochs=epochs)


def earlier_words(run: Mapping[str, Any]) -> str:
    """One of the event's ``runs`` as ``9 of 12 trials of first; left out: 3 outside of this space in dropout``."""
    words = f"{run['known']:,} of {counted(run['trials'], 'trial')} of {run['name']}"
    reasons = [f"{count:,} {reason}" for reason, count in run["left_out"].items()]
    return f"{words}; left out: {listed(reasons)}" if reasons else words
