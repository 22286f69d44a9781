"""The output of `thaw export` and `thaw train` at their end: how good the model is on images it has never seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from thaw.spaces import METRICS
from thaw.spaces.words import counted


def print_outcome(to: Path, facts: dict[str, Any], console: Console) -> None:
    """Print the outcome.

    Args:
        to: the bundle.
        facts: the content of its ``bundle.json``.
    """
    test, onnx = facts["test"], facts["onnx"]
    if test is None:
        console.print("The data set has no test split: how good the model is on other images is unknown.")
    else:
        console.print(_table(test))
        times = test["times_scored"]
        if times > 1:
            message = f"The test split of this run has been scored {times} times: the best of these scores is biased."
            console.print(message, soft_wrap=True)
    if facts["rule_fit"]["optimistic"]:
        console.print("Thresholds were chosen on the validation images, which also chose the epoch: optimistic.")
    if onnx is not None:
        off = onnx["largest_difference"]
        console.print(f"model.onnx differs from PyTorch by at most {off:.1e} on {counted(onnx['images'], 'image')}")
    console.print(f"The model is in {to}", markup=False, highlight=False, soft_wrap=True)


def _table(test: dict[str, Any]) -> Table:
    title = f"On {test['images']} locked test images, next to predictors that never look at one"
    table = Table(title=title, title_justify="left", box=None)
    table.add_column("test metric", no_wrap=True)
    # Headings in several lines, so that the table fits a narrow terminal.
    for column in ("this model,_95 % interval", *test["trivial"]):
        table.add_column(column.replace("_", "\n"), justify="right")
    for name, estimate in test["metrics"].items():
        arrow = "↑" if METRICS[name].maximize else "↓"
        own = f"{_cell(estimate['value'])} ({_cell(estimate['low'])} – {_cell(estimate['high'])})"
        others = (_cell(row[name]) for row in test["trivial"].values())
        table.add_row(f"{name} {arrow}", own, *others)
    return table


def _cell(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
