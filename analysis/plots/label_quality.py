"""Average precision of every label: the best trial's next to that of a predictor that never looks at an image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from thaw.analysis.plots.facts import label_facts
from thaw.analysis.plots.plot import NotEnough, Plot
from thaw.analysis.plots.theme import Theme
from thaw.analysis.plots.trials import chosen_trial
from thaw.analysis.run_data import RunData
from thaw.analysis.words import number, shortened
from thaw.spaces import best_epoch
from thaw.spaces.words import counted

SHOWN = 40


@dataclass(frozen=True)
class LabelQuality:
    """One row per label with a validation positive, best first: label, ap, trivial, support, train, lift.

    Args:
        rows: `trivial` is the average precision of any constant prediction: the label's share of the validation images.
            `support` counts validation images, `train` training images. `lift` is ap − trivial.
    """

    trial: int
    epoch: int
    rows: pd.DataFrame


def compute(run: RunData, trial: int | None = None) -> LabelQuality:
    number_ = chosen_trial(run, trial)
    record = run.records[number_]
    epoch = best_epoch(record.values(run.metric), run.metric)
    facts = label_facts(run)
    rows = pd.DataFrame(
        {
            "label": facts.classes,
            "ap": pd.Series(record.epochs[epoch]["label_ap"], dtype=float),
            "trivial": facts.counts["validation"] / max(facts.images["validation"], 1),
            "support": facts.counts["validation"],
            "train": facts.counts["train"],
        }
    ).dropna(subset="ap")
    if rows.empty:
        raise NotEnough("no label has a positive in the validation split")
    rows["lift"] = rows["ap"] - rows["trivial"]
    return LabelQuality(number_, epoch, rows.sort_values("ap", ascending=False, kind="stable", ignore_index=True))


def draw(data: LabelQuality, theme: Theme) -> Figure:
    rows = data.rows
    if len(rows) > SHOWN:
        rows = pd.concat([rows[: SHOWN // 2], rows[-SHOWN // 2 :]])
    figure = theme.figure(1.5 + 0.19 * len(rows))
    axes = figure.subplots()
    places = np.arange(len(rows))
    axes.hlines(places, rows["trivial"], rows["ap"], color=theme.grid, lw=2.5)
    handles = axes.plot(rows["ap"], places, "o", color=theme.cycle[0], ms=6, label=f"trial {data.trial}")
    handles += axes.plot(rows["trivial"], places, "|", color=theme.cycle[1], ms=9, mew=2, label="a constant prediction")
    names = [f"{shortened(row['label'])} ({row['support']:,})" for row in rows.to_dict("records")]
    axes.set_yticks(places, names)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel("average precision on the validation images (0 to 1, more is better)")
    axes.set_ylabel("label (images)")
    if len(rows) < len(data.rows):
        axes.set_title(theme.lines(f"the {SHOWN // 2} best and the {SHOWN // 2} worst of {len(data.rows):,} labels"))
    theme.legend(figure, handles)
    return figure


def finding(data: LabelQuality) -> str:
    best, worst = data.rows.iloc[0], data.rows.iloc[-1]
    useless = int((data.rows["lift"] <= 0).sum())
    nothing = f"; {counted(useless, 'label')} no better than a constant prediction" if useless else ""
    first, last = (f"{number(row['ap'])}, {counted(int(row['support']), 'image')}" for row in (best, worst))
    return (
        f"Trial {data.trial} at epoch {data.epoch} predicts {best['label']!r} best (average precision {first}) and "
        f"{worst['label']!r} worst ({last}){nothing}."
    )


def table(data: LabelQuality) -> pd.DataFrame:
    return data.rows


PLOT = Plot(
    title="Quality of each label",
    question="Which labels are learned, and which are no better than guessing?",
    group="labels",
    compute=compute,
    draw=draw,
    finding=finding,
    table=table,
)
