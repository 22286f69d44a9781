"""The best value so far against cost: trials, seconds, epochs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from thaw.analysis.plots.axes import metric_axis
from thaw.analysis.plots.interactive import plotly_figure
from thaw.analysis.plots.plot import Plot
from thaw.analysis.plots.theme import BOTH, Theme
from thaw.analysis.plots.trials import finished_trials
from thaw.analysis.run_data import RunData
from thaw.analysis.words import metric_label, number
from thaw.spaces import metric
from thaw.spaces.words import counted

AXES = {"trials": "trials started", "seconds": "search time (seconds)", "epochs": "epochs trained"}
NEAR = 0.01
"""How close to the final value counts as reached, as a share of the total improvement."""


@dataclass(frozen=True)
class Progress:
    """Rows trials, seconds, epochs, best, trial: each improvement in order, then the final totals."""

    metric: str
    steps: pd.DataFrame
    trivial: float | None


def compute(run: RunData) -> Progress:
    finished = set(finished_trials(run)["trial"])
    measure = metric(run.metric)
    rows = sorted(
        (row for record in run.records.values() for row in record.epochs.values()), key=lambda row: row["time"]
    )
    steps: list[dict[str, Any]] = []
    seen: set[int] = set()
    best: float | None = None
    for epochs, row in enumerate(rows, 1):
        seen.add(row["trial"])
        value = row["metrics"][run.metric]
        if row["trial"] in finished and (best is None or measure.better(value, best)):
            best = value
            steps.append(_step(run, len(seen), epochs, row, best, row["trial"]))
    steps.append(_step(run, len(seen), len(rows), rows[-1], best, steps[-1]["trial"]))
    trivial = [row[run.metric.split("_", 1)[1]] for row in run.provenance["trivial"].values()]
    best_trivial = (max if measure.maximize else min)(trivial) if run.metric.startswith("val_") and trivial else None
    return Progress(run.metric, pd.DataFrame(steps), best_trivial)


def _step(
    run: RunData, trials: int, epochs: int, row: dict[str, Any], best: float | None, trial: int
) -> dict[str, Any]:
    seconds = round(run.clock.seconds(row), 3)
    return {"trials": trials, "seconds": seconds, "epochs": epochs, "best": best, "trial": trial}


def draw(data: Progress, theme: Theme) -> Figure:
    columns = theme.columns(len(AXES), 3)
    rows = len(AXES) // columns
    figure = theme.figure(0.8 + (2.3 if rows == 1 else 1.7 * rows))
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False)
    handles = []
    for axes, (name, title) in zip(panels.flat, AXES.items(), strict=True):
        handles = axes.plot(
            data.steps[name], data.steps["best"], drawstyle="steps-post", lw=1.8, label="best trial so far"
        )
        axes.plot(data.steps[name].iloc[:-1], data.steps["best"].iloc[:-1], "o", color=theme.cycle[0], ms=3.5)
        if data.trivial is not None:
            line = axes.axhline(data.trivial, color=theme.cycle[1], ls="--", lw=1.2, label="best trivial predictor")
            handles.append(line)
        axes.set_xlim(0, data.steps[name].iloc[-1] * 1.04)
        axes.locator_params(axis="x", nbins=4)
        axes.set_xlabel(title)
    values = [*data.steps["best"], *([data.trivial] if data.trivial is not None else [])]
    for axes in panels[:, 0]:
        metric_axis(axes, data.metric, values)
    theme.legend(figure, handles)
    return figure


def finding(data: Progress) -> str:
    last = data.steps.iloc[-1]
    first = data.steps["best"].iloc[0]
    near = (data.steps["best"] - last["best"]).abs() <= NEAR * abs(last["best"] - first)
    reached = data.steps[near].iloc[0]
    text = (
        f"The best {data.metric}, {number(last['best'])}, was reached to within 1 % of the total improvement after "
        f"{number(reached['seconds'])} of {number(last['seconds'])} seconds, {reached['trials']:,.0f} of "
        f"{counted(int(last['trials']), 'trial')} and {reached['epochs']:,.0f} of "
        f"{counted(int(last['epochs']), 'epoch')}"
    )
    return text + (f"; the best trivial predictor has {number(data.trivial)}." if data.trivial is not None else ".")


def table(data: Progress) -> pd.DataFrame:
    return data.steps.rename(columns={"best": f"best_{data.metric}"})


def interactive(data: Progress) -> dict[str, Any]:
    trace = {
        "type": "scatter",
        "mode": "lines+markers",
        "line": {"shape": "hv", "color": BOTH.cycle[0]},
        "x": data.steps["seconds"].tolist(),
        "y": data.steps["best"].round(5).tolist(),
        "text": [f"trial {trial}" for trial in data.steps["trial"]],
        "hovertemplate": "%{text}<br>%{x} s: %{y}<extra></extra>",
        "name": "best trial so far",
    }
    return plotly_figure([trace], AXES["seconds"], metric_label(data.metric))


PLOT = Plot(
    title="Best value so far",
    question="Was the search long enough?",
    group="search",
    compute=compute,
    draw=draw,
    finding=finding,
    table=table,
    interactive=interactive,
)
