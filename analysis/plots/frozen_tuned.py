"""Frozen against fine-tuned backbones by architecture: the comparison of the paper's figures 13 to 18."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from thaw.analysis.plots.plot import NotEnough, Plot
from thaw.analysis.plots.theme import Theme
from thaw.analysis.plots.trials import finished_trials
from thaw.analysis.run_data import RunData
from thaw.analysis.words import metric_label, number, shortened
from thaw.spaces import STAGES, metric


@dataclass(frozen=True)
class Regimes:
    """One row an architecture, the best first: frozen and tuned (the best values), the trials, tuned_depth, gain.

    Frozen: all five stages, the head alone is trained. `gain`: how much better fine-tuning is; negative if worse.
    """

    metric: str
    rows: pd.DataFrame


def compute(run: RunData) -> Regimes:
    trials = finished_trials(run)
    frozen = trials[trials["freeze_depth"] == STAGES].drop_duplicates("architecture").set_index("architecture")
    tuned = trials[trials["freeze_depth"] < STAGES].drop_duplicates("architecture").set_index("architecture")
    both = [name for name in dict.fromkeys(trials["architecture"]) if name in frozen.index and name in tuned.index]
    if not both:
        raise NotEnough("no architecture was tried both frozen (freeze depth 5) and fine-tuned")
    sign = 1 if metric(run.metric).maximize else -1
    rows = pd.DataFrame(
        {
            "architecture": both,
            "frozen": frozen.loc[both, run.metric].to_numpy(),
            "frozen_trial": frozen.loc[both, "trial"].to_numpy(),
            "tuned": tuned.loc[both, run.metric].to_numpy(),
            "tuned_trial": tuned.loc[both, "trial"].to_numpy(),
            "tuned_depth": tuned.loc[both, "freeze_depth"].to_numpy(),
        }
    )
    return Regimes(run.metric, rows.assign(gain=sign * (rows["tuned"] - rows["frozen"])))


def draw(data: Regimes, theme: Theme) -> Figure:
    figure = theme.figure(1.5 + 0.45 * len(data.rows))
    axes = figure.subplots()
    places = np.arange(len(data.rows))
    axes.hlines(places, data.rows["frozen"], data.rows["tuned"], color=theme.muted, lw=1.5)
    handles = axes.plot(
        data.rows["frozen"], places, "s", color=theme.cycle[0], ms=7, label="frozen: the head alone trained"
    )
    handles += axes.plot(
        data.rows["tuned"], places, "o", color=theme.cycle[1], ms=7, label="fine-tuned: the best depth below 5"
    )
    names = [
        f"{shortened(name)}\ndepth {depth}"
        for name, depth in zip(data.rows["architecture"], data.rows["tuned_depth"], strict=True)
    ]
    axes.set_yticks(places, names)
    axes.set_ylim(len(places) - 0.5, -0.5)
    axes.margins(x=0.08)
    axes.set_xlabel(metric_label(data.metric))
    theme.legend(figure, handles)
    return figure


def finding(data: Regimes) -> str:
    better = data.rows[data.rows["gain"] > 0]
    first = data.rows.iloc[0]
    return (
        f"Fine-tuning beats the frozen network for {len(better)} of {len(data.rows)} architectures; for "
        f"{first['architecture']} {data.metric} is {number(first['frozen'])} frozen and {number(first['tuned'])} with "
        f"{first['tuned_depth']} stages frozen."
    )


def table(data: Regimes) -> pd.DataFrame:
    return data.rows


PLOT = Plot(
    title="Frozen against fine-tuned",
    question="Is it worth training more than the head?",
    group="paper",
    compute=compute,
    draw=draw,
    finding=finding,
    table=table,
)
