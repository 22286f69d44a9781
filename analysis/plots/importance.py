"""How much each hyperparameter matters, over all trials and within each architecture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from thaw.analysis.importance import ALL, MIN_LATER, MIN_TRIALS, importance
from thaw.analysis.plots.kinds import Kinds
from thaw.analysis.plots.plot import NotEnough, Plot
from thaw.analysis.plots.theme import Theme
from thaw.analysis.records import ranking
from thaw.analysis.run_data import RunData
from thaw.analysis.words import listed, number
from thaw.spaces.words import counted


@dataclass(frozen=True)
class Importance:
    """The rows of :func:`thaw.analysis.importance.importance`, and the colours that the plots of costs use, too."""

    rows: pd.DataFrame
    kinds: Kinds

    @property
    def architectures(self) -> list[str]:
        """Those with rows of their own, most trials first."""
        apart = self.rows[self.rows["architecture"] != ALL]
        return list(dict.fromkeys(apart.sort_values("trials", ascending=False, kind="stable")["architecture"]))

    @property
    def names(self) -> list[str]:
        """Hyperparameters, most important over all trials first."""
        return list(dict.fromkeys(self.rows["hyperparameter"]))


def compute(run: RunData) -> Importance:
    rows = importance(run)
    if rows.empty:
        few = f"fewer than {MIN_TRIALS} trials have an epoch"
        later = f"fewer than {MIN_LATER} went on after the first were stopped"
        raise NotEnough(f"{few}, {later}, or no hyperparameter explains more than chance")
    best_first = [record.config["architecture"] for record in ranking(run.records.values(), run.metric)]
    return Importance(rows, Kinds.of([*best_first, *rows["architecture"][rows["architecture"] != ALL]]))


def draw(data: Importance, theme: Theme) -> Figure:
    names = data.names
    figure = theme.figure(1.4 + 0.34 * len(names))
    axes = figure.subplots()
    over_all = data.rows[data.rows["architecture"] == ALL]
    places = over_all["hyperparameter"].map(names.index)
    axes.barh(places, over_all["importance"], height=0.62, color=theme.muted, alpha=0.45)
    axes.hlines(places, over_all["low"], over_all["high"], color=theme.text, lw=1.0)
    handles: list[Artist] = []
    if not over_all.empty:
        words = f"all ({counted(int(over_all['trials'].iloc[0]), 'trial')})"
        handles.append(Patch(color=theme.muted, alpha=0.45, label=words))
    shown = [name for name in data.kinds.shown if name in data.architectures]
    for place, name in enumerate(shown):
        rows = data.rows[data.rows["architecture"] == name]
        colour, marker = data.kinds.style(name, theme)
        # Side by side within the bar's height, so that equal values do not hide each other.
        heights = rows["hyperparameter"].map(names.index) + (place - (len(shown) - 1) / 2) * 0.1
        words = f"{name} ({rows['trials'].iloc[0]:,})"
        handles += axes.plot(rows["importance"], heights, marker, color=colour, ms=6, ls="", label=words)
        axes.hlines(heights, rows["low"], rows["high"], color=colour, lw=0.8)
    axes.set_yticks(np.arange(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(0, max(1.0, float(data.rows["importance"].max())) * 1.02)
    axes.set_xlabel("importance at the last epoch (share of the explained variance; lines: uncertainty)")
    theme.legend(figure, handles)
    return figure


def finding(data: Importance) -> str:
    parts = []
    for name in (ALL, *data.architectures[:1]):
        rows = data.rows[(data.rows["architecture"] == name) & (data.rows["importance"] > 0)]
        if rows.empty:
            continue
        first = [words(row) for row in rows[:2].to_dict("records")]
        trials = counted(int(rows["trials"].iloc[0]), "trial")
        parts.append(
            f"over {'all ' if name == ALL else ''}{trials}{'' if name == ALL else f' of {name}'} {listed(first)}"
        )
    return f"Most important at the last epoch, according to a model of all trials' epochs: {'; '.join(parts)}."


def words(row: Mapping[Any, Any]) -> str:
    """``freeze_depth (0.62, 0.5 to 0.7)``: a hyperparameter's importance and its uncertainty."""
    return f"{row['hyperparameter']} ({number(row['importance'])}, {number(row['low'])} to {number(row['high'])})"


def table(data: Importance) -> pd.DataFrame:
    return data.rows


PLOT = Plot(
    title="Importance of the hyperparameters",
    question="Which hyperparameters determine quality?",
    group="mattered",
    compute=compute,
    draw=draw,
    finding=finding,
    table=table,
)
