"""The output of a confirmation at its end."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from thaw.analysis.optimism import optimism
from thaw.search.engine.signals import SIGNAL_STATUS
from thaw.search.prepare.stages import say
from thaw.spaces import metric
from thaw.spaces.words import counted


def print_confirmation(run: Path, found: dict[str, Any] | None, reason: str, console: Console) -> int:
    """Print the outcome and return the exit status.

    Args:
        run: the run's folder.
        found: the content of ``confirm.json``; None if it was interrupted.
        reason: why it ended.
    """
    if found is None:
        console.print(f"Interrupted by {reason}; run the same command to continue.")
        return SIGNAL_STATUS[reason]
    arrow = "↑" if metric(found["metric"]).maximize else "↓"
    again = f" × {found['seeds']} seeds" if found["seeds"] > 1 else ""
    title = f"{found['metric']} {arrow} over {found['folds']} folds{again} of {counted(found['images'], 'image')}"
    console.print()
    console.print(_table(found, title))
    trivial = ", ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in found["trivial"].items())
    say(console, f"Without looking at an image: {trivial}")
    if found["metric"] == "val_map":
        note = "Average precision is biased upwards on few images; expect the pooled value, over all images at once."
        say(console, note)
    say(console, " ".join(optimism(found).sentences))
    console.print(f"Chosen: trial {found['chosen']}\n", style="bold", highlight=False)
    console.print("Try next", style="bold")
    console.print(f"  thaw export {shlex.quote(str(run))} --to BUNDLE", highlight=False, soft_wrap=True)
    console.print("      a model with thresholds from these folds, scored on the test images", style="dim")
    return 0


def _table(found: dict[str, Any], title: str) -> Table:
    chosen = found["chosen"]
    table = Table(title=title, title_justify="left")
    for column in (
        "trial",
        "in the search",
        "confirmed",
        "95 % interval",
        "spread",
        "pooled",
        f"{chosen} less it",
        f"{chosen} wins",
    ):
        table.add_column(column, justify="right" if table.columns else "left")
    pairs = {pair["b"]: pair for pair in found["paired"]}
    for leader in found["leaders"]:
        (low, high), pooled = leader["interval"], leader["pooled"]
        against = ("–", "–")
        if leader["trial"] != chosen:
            pair = pairs[leader["trial"]]
            bounds = " – ".join(f"{bound:+.3f}" for bound in pair["interval"])
            against = (f"{pair['difference']:+.3f} ({bounds})", f"{pair['wins']}/{len(leader['values'])}")
        table.add_row(
            str(leader["trial"]),
            f"{leader['search_value']:.3f}",
            f"{leader['mean']:.3f}",
            f"{low:.3f} – {high:.3f}",
            f"{leader['std']:.3f}",
            "–" if pooled is None else f"{pooled['value']:.3f} ({pooled['low']:.3f} – {pooled['high']:.3f})",
            *against,
        )
    return table
