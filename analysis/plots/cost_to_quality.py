"""What one trial of each architecture can reach within a time: is a small network worth more than a deep one?"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from thaw.analysis.plots.axes import logarithmic, metric_axis
from thaw.analysis.plots.kinds import Kinds
from thaw.analysis.plots.plot import NotEnough, Plot
from thaw.analysis.plots.theme import Theme
from thaw.analysis.plots.trials import best_first, finished_trials
from thaw.analysis.run_data import RunData
from thaw.analysis.words import listed, number
from thaw.spaces import metric


@dataclass(frozen=True)
class Envelope:
    """Rows architecture, seconds, best, trial, epoch: the improvements of each architecture, the best one first.

    `best` is the best value that any of its trials had after so many seconds of its own training and validation.
    """

    metric: str
    steps: pd.DataFrame

    @property
    def ends(self) -> pd.DataFrame:
        """The best value of each architecture and the seconds it took, best first."""
        return best_first(self.steps.drop_duplicates("architecture", keep="last"), self.metric, "best")


def compute(run: RunData) -> Envelope:
    trials = finished_trials(run)
    names = list(dict.fromkeys(trials["architecture"]))
    if len(names) < 2:
        raise NotEnough("only one architecture has finished trials")
    phases = [name for name in run.history.columns if str(name).startswith("seconds_")]
    rows = run.history[["trial", "epoch", run.metric]].assign(seconds=run.history[phases].sum(axis=1))
    rows["seconds"] = rows.groupby("trial")["seconds"].cumsum()
    rows = rows.merge(trials[["trial", "architecture"]], on="trial").sort_values("seconds", kind="stable")
    maximize = metric(run.metric).maximize
    by_name = rows.groupby("architecture")[run.metric]
    rows["best"] = by_name.cummax() if maximize else by_name.cummin()
    improved = rows["best"] != rows.groupby("architecture")["best"].shift()
    steps = rows[improved].assign(rank=lambda table: table["architecture"].map(names.index))
    steps = steps.sort_values(["rank", "seconds"], kind="stable", ignore_index=True)
    return Envelope(run.metric, steps[["architecture", "seconds", "best", "trial", "epoch"]])


def draw(data: Envelope, theme: Theme) -> Figure:
    figure = theme.figure(3.6)
    axes = figure.subplots()
    kinds = Kinds.of(data.steps["architecture"])
    last = data.steps["seconds"].max()
    for name in reversed(kinds.names):
        rows = data.steps[data.steps["architecture"] == name]
        colour, marker = kinds.style(name, theme)
        axes.plot(rows["seconds"], rows["best"], drawstyle="steps-post", color=colour, marker=marker, ms=4, lw=1.6)
        axes.hlines(rows["best"].iloc[-1], rows["seconds"].iloc[-1], last, color=colour, lw=0.8, ls=":")
    logarithmic(axes, "x", max(data.steps["seconds"].min(), 1e-3), last)
    axes.set_xlabel("training and validation of one trial (seconds)")
    metric_axis(axes, data.metric, data.steps["best"].to_numpy())
    theme.legend(figure, kinds.handles(theme, line=True))
    return figure


def finding(data: Envelope) -> str:
    ends = data.ends
    best = ends.iloc[0]
    parts = [
        f"{row['architecture']} {number(row['best'])} in {number(row['seconds'])} s"
        for row in ends[:4].to_dict("records")
    ]
    text = f"Best {data.metric} of one trial and its time: {listed(parts)}"
    quick = ends.sort_values("seconds").iloc[0]
    if quick["architecture"] == best["architecture"]:
        return f"{text}; the best network is also the quickest to its best."
    times = best["seconds"] / max(quick["seconds"], 1e-9)
    gain = f"{best['architecture']} gains {number(abs(best['best'] - quick['best']))} over {quick['architecture']}"
    return f"{text}; {gain} for {number(times)} times its time."


def table(data: Envelope) -> pd.DataFrame:
    return data.steps.round({"seconds": 3}).rename(columns={"best": f"best_{data.metric}"})


PLOT = Plot(
    title="Cost to quality by architecture",
    question="Is a small network worth more than a deep one?",
    group="cost",
    compute=compute,
    draw=draw,
    finding=finding,
    table=table,
)
