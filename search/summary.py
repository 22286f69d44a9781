"""The end of a search on the terminal: the best trial next to the trivial predictors, and what to do next."""

from __future__ import annotations

import shlex
from collections import Counter

from rich.console import Console
from rich.table import Table

from thaw.analysis.run import Run
from thaw.analysis.words import duration, listed
from thaw.search.best import best_yaml
from thaw.search.cache import summary_line
from thaw.search.engine.events import seconds_used, seconds_waited
from thaw.search.engine.signals import SIGNAL_STATUS
from thaw.spaces import METRICS, best_epoch, printable
from thaw.spaces.paths import expanded
from thaw.spaces.words import counted

SHOWN = {
    False: ("map", "f1_macro", "f1_micro", "inclusion_accuracy", "top1_accuracy", "hamming_accuracy", "loss"),
    True: ("accuracy", "balanced_accuracy", "top5_accuracy", "map", "f1_macro", "loss"),
}
"""Metrics for data with one label per image (True), and for others."""


def print_summary(run: Run, console: Console) -> int:
    """Print the outcome and return the exit status: 0, 1 if no trial finished, 130 or 143 if interrupted."""
    events = list(run.folder.events())
    last = events[-1]
    counts = Counter(record.status for record in run.records.values())
    statuses = ", ".join(f"{count} {status.replace('_', ' ')}" for status, count in counts.most_common())
    waited, used = round(seconds_waited(events)), round(seconds_used(events))
    searching = f" ({duration(used)} of it searching)" if used < waited else ""
    ended = f"{counted(len(run.records), 'trial')} in {duration(waited)}{searching}: {statuses or 'none'}"
    console.print(f"\n{ended}", highlight=False)
    if last["reason"] == "time_budget":
        console.print("The time budget is used up; --time-budget raises it.")
    if run.best is None:
        console.print(f"No trial finished. The reasons are in {run.folder.trials_file}", soft_wrap=True)
    else:
        _print_best(run, console)
    if line := summary_line(expanded(run.folder.settings()["cache"]["directory"])):
        console.print(f"\n{printable(line)}", highlight=False, soft_wrap=True)
    folder = shlex.quote(str(run.folder.path))
    console.print("\nTry next", style="bold")
    logs = shlex.quote(str(run.folder.tensorboard))
    commands = {
        f"tensorboard --logdir {logs}": "curves and hyperparameters of all trials",
        f"thaw report {folder}": "one page with everything: the results, what mattered, what it cost",
    }
    if run.best is not None:
        commands |= {
            f"thaw best {folder}": "the best configuration as YAML",
            **_choices(run, folder),
            f"thaw export {folder} --to BUNDLE": "the best trial as a model to use, scored on the test split",
            f"thaw confirm {folder}": "the leading configurations in cross-validation: how good are they really?",
        }
    for command, why in commands.items():
        console.print(f"  {command}", highlight=False, soft_wrap=True)
        console.print(f"      {why}", style="dim")
    console.print(
        f"\nTables: {run.folder.trials_file} and {run.folder.history_file.name}", highlight=False, soft_wrap=True
    )
    if last["reason"] != "done":
        console.print(f"Continue with: thaw resume {folder}", highlight=False, soft_wrap=True)
    if last["reason"] in SIGNAL_STATUS:
        console.print(f"Interrupted by {last['reason']}; what was finished is kept, as shown.")
        return SIGNAL_STATUS[last["reason"]]
    return 0 if run.best else 1


def _choices(run: Run, folder: str) -> dict[str, str]:
    """With several objectives: the command that shows what there is to choose from."""
    if len(run.front) < 2:
        return {}
    what = f"{len(run.front)} trials on the Pareto front of {listed([*run.objectives])}"
    return {f"thaw best {folder} --list": what}


def _print_best(run: Run, console: Console) -> None:
    assert run.best is not None
    values = run.best.values(run.metric)
    best = run.best.epochs[best_epoch(values, run.metric)]["metrics"]
    trivial = run.folder.provenance()["trivial"]
    table = Table(title="The best trial next to predictors that never look at an image", title_justify="left")
    for column in ("validation metric", f"trial {run.best.number}", *trivial):
        first = not table.columns
        table.add_column(column.replace("_", " "), justify="left" if first else "right", no_wrap=first)
    for name in SHOWN["val_accuracy" in best]:
        if f"val_{name}" not in best:
            continue
        # A run begun by 0.1.0 has no accuracies of the trivial predictors.
        others = (f"{row[name]:.3f}" if name in row else "–" for row in trivial.values())
        arrow = "↑" if METRICS[name].maximize else "↓"
        table.add_row(f"{name} {arrow}", f"{best[f'val_{name}']:.3f}", *others)
    console.print()
    console.print(table)
    console.print("Best configuration", style="bold")
    console.print(best_yaml(run), markup=False, highlight=False, soft_wrap=True, end="")
