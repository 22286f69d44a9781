"""Timeline of the worker processes: one bar per stretch of consecutive epochs of one trial."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from thaw.analysis.plots.fates import FATES, fate_handles
from thaw.analysis.plots.plot import NotEnough, Plot
from thaw.analysis.plots.theme import SMALL, Theme
from thaw.analysis.run_data import RunData
from thaw.analysis.words import number, shortened
from thaw.spaces.words import counted

ROWS = 24
"""The maximum number of workers drawn; a search that restarts them often has more."""
NUMBERED = 40
"""The number of bars up to which each shows its trial's number."""


@dataclass(frozen=True)
class Timeline:
    """Rows worker (host:process), trial, status, start, end, busy (seconds of search time), by worker and start."""

    bars: pd.DataFrame
    seconds: float

    @property
    def workers(self) -> list[str]:
        """Workers in order of their first epoch."""
        return list(self.bars.sort_values("start")["worker"].unique())


def compute(run: RunData) -> Timeline:
    rows = pd.DataFrame(
        [
            (row["worker"], record.number, record.status, run.clock.seconds(row), sum(row["seconds"].values()))
            for record in run.records.values()
            for row in record.epochs.values()
        ],
        columns=["worker", "trial", "status", "end", "busy"],
    )
    if rows.empty:
        raise NotEnough("no trial has finished an epoch yet")
    rows["start"] = (rows["end"] - rows["busy"]).clip(lower=0)
    rows = rows.sort_values(["worker", "end"], ignore_index=True)
    # A worker trains one trial at a time: consecutive epochs of one trial form one bar.
    changes = (rows["trial"] != rows["trial"].shift()) | (rows["worker"] != rows["worker"].shift())
    bars = rows.groupby(changes.cumsum()).agg(
        worker=("worker", "first"),
        trial=("trial", "first"),
        status=("status", "first"),
        start=("start", "min"),
        end=("end", "max"),
        busy=("busy", "sum"),
    )
    return Timeline(bars.reset_index(drop=True), run.clock.total)


def draw(data: Timeline, theme: Theme) -> Figure:
    workers = data.workers
    shown = workers[:ROWS]
    figure = theme.figure(1.5 + 0.28 * len(shown))
    axes = figure.subplots()
    bars = data.bars[data.bars["worker"].isin(shown)]
    lanes = bars["worker"].map(shown.index).to_numpy()
    for status, fate in FATES.items():
        rows = (bars["status"] == status).to_numpy()
        boxes = [
            [(start, lane - 0.36), (end, lane - 0.36), (end, lane + 0.36), (start, lane + 0.36)]
            for start, end, lane in zip(bars["start"][rows], bars["end"][rows], lanes[rows], strict=True)
        ]
        edge = theme.background if len(bars) <= 200 else "none"
        axes.add_collection(PolyCollection(boxes, facecolors=fate.ink(theme), edgecolors=edge, linewidths=0.6))
    if len(bars) <= NUMBERED:
        _number(axes, bars, lanes, data.seconds, theme)
    axes.set_xlim(0, max(data.seconds, bars["end"].max()) * 1.02)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_yticks(range(len(shown)), [shortened(worker, 22) for worker in shown])
    axes.grid(False, axis="y")
    axes.set_xlabel("search time (seconds)")
    # A number at the very end would extend beyond the edge of a narrow figure.
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, prune="upper"))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda tick, _: number(float(tick))))
    axes.set_ylabel("worker")
    if len(shown) < len(workers):
        axes.set_title(f"the first {len(shown)} of {len(workers)} workers")
    theme.legend(figure, fate_handles(set(bars["status"]), theme))
    return figure


def _number(axes: Axes, bars: pd.DataFrame, lanes: np.ndarray, seconds: float, theme: Theme) -> None:
    """Write the trial's number into each bar that is wide enough."""
    for bar, lane in zip(bars.to_dict("records"), lanes, strict=True):
        word = str(bar["trial"])
        # The data take about 0.7 of the width, a digit 0.08 inches.
        if (bar["end"] - bar["start"]) / seconds * 0.7 * theme.width > 0.08 * len(word) + 0.06:
            middle = (bar["start"] + bar["end"]) / 2
            axes.text(middle, lane, word, ha="center", va="center", fontsize=SMALL, color=theme.background)


def finding(data: Timeline) -> str:
    workers = data.bars["worker"].nunique()
    present = (data.bars.groupby("worker")["end"].max() - data.bars.groupby("worker")["start"].min()).sum()
    share = min(1.0, data.bars["busy"].sum() / present) if present > 0 else 1.0
    verb = "was" if workers == 1 else "were"
    return (
        f"{counted(workers, 'worker')} trained {counted(data.bars['trial'].nunique(), 'trial')} in "
        f"{counted(round(data.seconds), 'second')} and {verb} training for {share:.0%} of the time between the first "
        "epoch and the last."
    )


def table(data: Timeline) -> pd.DataFrame:
    return data.bars.round(3)


PLOT = Plot(
    title="Timeline of the workers",
    question="Were the workers kept busy?",
    group="search",
    compute=compute,
    draw=draw,
    finding=finding,
    table=table,
)
