"""Several runs side by side: one table, and their best values so far in one plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from thaw.analysis.plots import NotEnough, Plot, Theme
from thaw.analysis.plots.axes import metric_axis
from thaw.analysis.plots.trials import finished_trials
from thaw.analysis.report.spending import spending
from thaw.analysis.run_data import RunData
from thaw.analysis.words import duration, listed, number, shortened, value
from thaw.spaces import metric


def names(runs: Sequence[RunData]) -> list[str]:
    """A unique name for each run: the name of its folder, or its path where several folders share that name."""
    short = [run.folder.path.resolve().name for run in runs]
    return [name if short.count(name) == 1 else str(run.folder.path) for name, run in zip(short, runs, strict=True)]


def comparison_table(runs: Sequence[RunData]) -> pd.DataFrame:
    """One row per run: its best value and configuration, and its cost."""
    rows = []
    for name, run in zip(names(runs), runs, strict=True):
        spent = spending(run)
        best = run.best
        row = {"run": name, "metric": run.metric, "best": "–", "best trial": "–", "configuration": "no trial finished"}
        if best is not None:
            found = finished_trials(run)[run.metric].iloc[0]
            searched = [f"{key} {value(best.config[key])}" for key in run.space.parameters]
            row |= {"best": number(found), "best trial": str(best.number), "configuration": ", ".join(searched)}
        row |= {"trials": f"{sum(spent.trials.values()):,}", "epochs": f"{spent.epochs:,}"}
        rows.append(row | {"search time": duration(spent.searching)})
    return pd.DataFrame(rows)


def warnings(runs: Sequence[RunData]) -> list[str]:
    """Why the runs' values may not be comparable."""
    messages = []
    if len({run.metric for run in runs}) > 1:
        messages.append(f"The runs optimise different metrics ({listed(sorted({run.metric for run in runs}))}).")
    if len({run.provenance["data"]["fingerprint"] for run in runs}) > 1:
        messages.append("The runs saw different images or labels: their values are not comparable.")
    elif len({str(run.provenance["data"]["images"]) for run in runs}) > 1:
        messages.append("The runs split the same images differently: their values are only roughly comparable.")
    return messages


@dataclass(frozen=True)
class Progress:
    """Rows run, seconds, best: each improvement in order, then the end of the run."""

    metric: str
    steps: pd.DataFrame


def compute(runs: Sequence[RunData]) -> Progress:
    rows = []
    for name, run in zip(names(runs), runs, strict=True):
        if run.best is None or run.metric != runs[0].metric:
            continue
        finished = set(finished_trials(run)["trial"])
        events = [row for number_, r in run.records.items() if number_ in finished for row in r.epochs.values()]
        best: float | None = None
        for row in sorted(events, key=lambda event: event["time"]):
            found = row["metrics"][run.metric]
            if best is None or metric(run.metric).better(found, best):
                best = found
                rows.append({"run": name, "seconds": round(run.clock.seconds(row), 3), "best": best})
        rows.append({"run": name, "seconds": round(run.clock.total, 3), "best": best})
    if len({row["run"] for row in rows}) < 2:
        raise NotEnough("fewer than two of the runs have a finished trial and the same metric")
    return Progress(runs[0].metric, pd.DataFrame(rows))


def draw(data: Progress, theme: Theme) -> Figure:
    figure = theme.figure(3.4)
    axes = figure.subplots()
    styles = ("-", "--", "-.", ":")
    handles = []
    for index, (name, steps) in enumerate(data.steps.groupby("run", sort=False)):
        style = styles[index // len(theme.cycle) % len(styles)]
        handles += axes.plot(
            steps["seconds"], steps["best"], style, drawstyle="steps-post", lw=1.8, label=shortened(name, 40)
        )
    axes.set_xlim(left=0)
    axes.set_xlabel("search time (seconds)")
    metric_axis(axes, data.metric, data.steps["best"].to_numpy())
    theme.legend(figure, handles)
    return figure


def finding(data: Progress) -> str:
    last = data.steps.drop_duplicates("run", keep="last")
    ranked = last.sort_values("best", ascending=not metric(data.metric).maximize, kind="stable")
    words = [f"{row['run']} {number(row['best'])}" for row in ranked.to_dict("records")]
    return f"The best {data.metric} of each run, in order: {listed(words)}."


def table(data: Progress) -> pd.DataFrame:
    return data.steps.rename(columns={"best": f"best_{data.metric}"})


PLOT = Plot(
    title="Best value so far, run by run",
    question="Which run found the best configuration, and which was fastest?",
    group="comparison",
    compute=compute,
    draw=draw,
    finding=finding,
    table=table,
)
