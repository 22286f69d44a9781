"""How much each hyperparameter mattered, over all trials and within each architecture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from thaw.analysis.importance import MIN_TRIALS, first_rung, importance
from thaw.analysis.plots.kinds import MARKERS, Kinds
from thaw.analysis.plots.plot import NotEnough, Plot
from thaw.analysis.plots.theme import Theme
from thaw.analysis.run_data import RunData
from thaw.analysis.words import counted, listed, number

ALL = "all"


@dataclass(frozen=True)
class Importance:
    """Rows architecture (``all`` first), hyperparameter, importance, trials, from :mod:`thaw.analysis.importance`.

    Args:
        kinds: colours of the architectures, those with most trials first.
        rung: the epoch at which trials are compared; None where each trial's best epoch counts.
    """

    rows: pd.DataFrame
    kinds: Kinds
    rung: int | None

    @property
    def names(self) -> list[str]:
        """Hyperparameters, the most important over all trials first."""
        return list(dict.fromkeys(self.rows["hyperparameter"]))


def compute(run: RunData) -> Importance:
    rows = importance(run)
    if rows.empty:
        few = f"fewer than {MIN_TRIALS} trials have come far enough"
        raise NotEnough(f"{few}, or no hyperparameter explains more than chance would")
    apart = rows[rows["architecture"] != ALL].sort_values("trials", ascending=False, kind="stable")
    return Importance(rows, Kinds.of(apart["architecture"]), first_rung(run))


def draw(data: Importance, theme: Theme) -> Figure:
    names = data.names
    figure = theme.figure(1.4 + 0.34 * len(names))
    axes = figure.subplots()
    over_all = data.rows[data.rows["architecture"] == ALL]
    places = over_all["hyperparameter"].map(names.index)
    axes.barh(places, over_all["importance"], height=0.62, color=theme.muted, alpha=0.45)
    handles: list[Artist] = []
    if not over_all.empty:
        words = f"all ({counted(int(over_all['trials'].iloc[0]), 'trial')})"
        handles.append(Patch(color=theme.muted, alpha=0.45, label=words))
    shown = data.kinds.names[: len(MARKERS)]
    for place, name in enumerate(shown):
        rows = data.rows[data.rows["architecture"] == name]
        colour, marker = data.kinds.style(name, theme)
        # Side by side within the bar's height, so that equal values do not hide each other.
        heights = rows["hyperparameter"].map(names.index) + (place - (len(shown) - 1) / 2) * 0.1
        words = f"{name} ({rows['trials'].iloc[0]:,})"
        handles += axes.plot(rows["importance"], heights, marker, color=colour, ms=6, ls="", label=words)
    axes.set_yticks(np.arange(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(0, max(1.0, float(data.rows["importance"].max())) * 1.02)
    axes.set_xlabel("importance (share of the explained variance, 0 to 1)")
    theme.legend(figure, handles)
    return figure


def finding(data: Importance) -> str:
    parts = []
    for name in (ALL, *data.kinds.names[:1]):
        rows = data.rows[(data.rows["architecture"] == name) & (data.rows["importance"] > 0)]
        if rows.empty:
            continue
        first = [f"{row['hyperparameter']} ({number(row['importance'])})" for row in rows[:2].to_dict("records")]
        trials = counted(int(rows["trials"].iloc[0]), "trial")
        parts.append(
            f"over {'all ' if name == ALL else ''}{trials}{'' if name == ALL else f' of {name}'} {listed(first)}"
        )
    when = "" if data.rung is None else f" after epoch {data.rung}"
    return f"What mattered most{when}: {'; '.join(parts)}."


def table(data: Importance) -> pd.DataFrame:
    return data.rows


PLOT = Plot(
    title="Importance of the hyperparameters",
    question="Which hyperparameters decide about quality?",
    group="mattered",
    compute=compute,
    draw=draw,
    finding=finding,
    table=table,
)
