"""The best configuration as text that other commands read."""

from __future__ import annotations

import yaml

from thaw.analysis.run import Run
from thaw.spaces import best_epoch


def best_yaml(run: Run) -> str:
    """The best configuration as YAML, with a comment that says how good it was; empty if no trial finished."""
    record = run.best
    if record is None:
        return ""
    values = record.values(run.metric)
    epoch = best_epoch(values, run.metric)
    head = f"# trial {record.number} of {run.folder.path.name}: {run.metric} {values[epoch]:.4f} at epoch {epoch}\n"
    return head + yaml.safe_dump(record.config, sort_keys=False)
