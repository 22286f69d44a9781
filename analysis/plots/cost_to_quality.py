"""The best value that one trial of each architecture reaches in a given time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from thaw.analysis.equal_epochs import named, standings
from thaw.analysis.plots.axes import logarithmic, metric_axis
from thaw.analysis.plots.kinds import Kinds
from thaw.analysis.plots.plot import NotEnough, Plot
from thaw.analysis.plots.theme import Theme
from thaw.analysis.plots.trials import best_first, finished_trials
from thaw.analysis.run_data import RunData
from thaw.analysis.words import number
from thaw.spaces import metric


@dataclass(frozen=True)
class Envelope:
    """Rows architecture, alone, here, best, trial, epoch: the improvements of each architecture, best one first.

    `best` is the best value that any of its trials had after `alone` seconds, the time it would have taken by itself;
    `here` is the shorter time it took where trials share activations (:mod:`thaw.analysis.cost`). `unknown` maps each
    architecture without a trial trained to the end to a phrase on how its trials were stopped.
    """

    metric: str
    steps: pd.DataFrame
    unknown: dict[str, str]

    @property
    def ends(self) -> pd.DataFrame:
        """The best value of each architecture and the seconds it took, best first."""
        return best_first(self.steps.drop_duplicates("architecture", keep="last"), self.metric, "best")


def compute(run: RunData) -> Envelope:
    trials = finished_trials(run)
    names = list(dict.fromkeys(trials["architecture"]))
    if len(names) < 2:
        raise NotEnough("only one architecture has finished trials")
    costs = run.costs.rename(columns={"seconds": "here", "seconds_alone": "alone"})
    rows = run.history[["trial", "epoch", run.metric]].merge(costs, on=["trial", "epoch"])
    rows = rows.merge(trials[["trial", "architecture"]], on="trial").sort_values("alone", kind="stable")
    maximize = metric(run.metric).maximize
    by_name = rows.groupby("architecture")[run.metric]
    rows["best"] = by_name.cummax() if maximize else by_name.cummin()
    improved = rows["best"] != rows.groupby("architecture")["best"].shift()
    steps = rows[improved].assign(rank=lambda table: table["architecture"].map(names.index))
    steps = steps.sort_values(["rank", "alone"], kind="stable", ignore_index=True)
    unknown = {str(place.key[0]): place.stopped for place in standings(run, trials, ["architecture"]) if place.unknown}
    return Envelope(run.metric, steps[["architecture", "alone", "here", "best", "trial", "epoch"]], unknown)


def draw(data: Envelope, theme: Theme) -> Figure:
    figure = theme.figure(3.6)
    axes = figure.subplots()
    kinds = Kinds.of(data.steps["architecture"])
    last = data.steps["alone"].max()
    for name in reversed(kinds.names):
        rows = data.steps[data.steps["architecture"] == name]
        colour, marker = kinds.style(name, theme)
        axes.plot(rows["alone"], rows["best"], drawstyle="steps-post", color=colour, marker=marker, ms=4, lw=1.6)
        if name not in data.unknown:
            axes.hlines(rows["best"].iloc[-1], rows["alone"].iloc[-1], last, color=colour, lw=0.8, ls=":")
    logarithmic(axes, "x", max(data.steps["alone"].min(), 1e-3), last)
    axes.set_xlabel("one trial by itself, its activations included (seconds)")
    metric_axis(axes, data.metric, data.steps["best"].to_numpy())
    theme.legend(figure, kinds.handles(theme, line=True))
    return figure


def finding(data: Envelope) -> str:
    ends = data.ends[~data.ends["architecture"].isin(data.unknown)]
    cannot = [f"{name} ({words})" for name, words in data.unknown.items()]
    unknown = f"unknown for {named(cannot)}" if cannot else ""
    if ends.empty:
        return f"What one trial of each architecture reaches in a given time is {unknown}."
    parts = [f"{row['architecture']} {number(row['best'])} in {_time(row)}" for row in ends[:4].to_dict("records")]
    text = f"Best {data.metric} of one trial and its time by itself: {'; '.join(parts)}"
    if len(ends) > 1:
        best, quick = ends.iloc[0], ends.sort_values("alone").iloc[0]
        if quick["architecture"] == best["architecture"]:
            text += "; the best network is also the fastest to reach its best value"
        else:
            times = best["alone"] / max(quick["alone"], 1e-9)
            gain = number(abs(best["best"] - quick["best"]))
            text += (
                f"; {best['architecture']} gains {gain} over {quick['architecture']} at {number(times)} times the time"
            )
    return f"{text}; {unknown}." if unknown else f"{text}."


def _time(row: Mapping[Any, Any]) -> str:
    shared = row["alone"] - row["here"]
    return f"{number(row['alone'])} s" + (f" ({number(shared)} s of it for activations)" if shared >= 0.05 else "")


def table(data: Envelope) -> pd.DataFrame:
    names = {"alone": "seconds_alone", "here": "seconds", "best": f"best_{data.metric}"}
    return data.steps.round({"alone": 3, "here": 3}).rename(columns=names)


PLOT = Plot(
    title="Cost to quality by architecture",
    question="Is a larger network worth its cost?",
    group="cost",
    compute=compute,
    draw=draw,
    finding=finding,
    table=table,
)
