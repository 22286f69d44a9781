"""The best configuration as text that other commands read, and the trials to choose from."""

from __future__ import annotations

from rich.table import Table

from thaw.analysis.objectives import outcome
from thaw.analysis.run import Run
from thaw.analysis.words import in_full, listed, value
from thaw.search.settings.yaml_file import yaml_text
from thaw.spaces import best_epoch


def best_yaml(run: Run) -> str:
    """The best configuration as YAML, with a comment that says how good it was; empty if no trial finished."""
    record = run.best
    if record is None:
        return ""
    values = record.values(run.metric)
    epoch = best_epoch(values, run.metric)
    head = f"# trial {record.number} of {run.folder.path.name}: {run.metric} {values[epoch]:.4f} at epoch {epoch}\n"
    return head + yaml_text(record.config)


def front_table(run: Run) -> Table:
    """The trials on the Pareto front, best by the metric first, with their searched hyperparameters."""
    table = Table(title=f"The Pareto front of {listed([*run.objectives])}", title_justify="left")
    searched = list(run.space.parameters)
    for column in ("trial", *run.objectives, *searched):
        table.add_column(column, justify="left" if column in searched else "right", overflow="fold")
    for record in run.front:
        figures = map(in_full, outcome(record, run.objectives))
        active = (value(record.config[name]) if run.space.active(name, record.config) else "" for name in searched)
        table.add_row(str(record.number), *figures, *active)
    return table
