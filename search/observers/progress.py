"""What a user sees while the search runs: a live table on a terminal, one line an epoch elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from thaw.analysis.records import FINISHED, TrialRecord, best_record
from thaw.search.engine.observers import Observer
from thaw.spaces import SearchSpace, best_epoch, metric

ROWS = 12


class Progress(Observer):
    """Shows trials as they go.

    Args:
        console: where to print.
        space: its searched hyperparameters are shown.
        column: the objective's column.
        trials: how many there will be.
    """

    def __init__(self, console: Console, space: SearchSpace, column: str, trials: int) -> None:
        self.console, self.space, self.metric, self.trials = console, space, column, trials
        self.started = time.monotonic()
        self.records: Mapping[int, TrialRecord] = {}
        self.best: TrialRecord | None = None
        self._warned: set[str] = set()
        self._live: Live | None = None

    def open(self, records: Mapping[int, TrialRecord]) -> None:
        self.records, self.best = records, best_record(records.values(), self.metric)
        if self.console.is_terminal:
            self._live = Live(self._table(), console=self.console, refresh_per_second=2, transient=True)
            self._live.start()

    def epoch(self, record: TrialRecord, event: Mapping[str, Any]) -> None:
        warning = event.get("warning", "")
        if warning and warning not in self._warned:
            self._warned.add(warning)
            self._line(f"warning: {warning}")
        if self._live:
            self._live.update(self._table())
            return
        epoch = f"epoch {event['epoch']}/{record.config['epochs']}"
        metrics = f"{self.metric} {event['metrics'][self.metric]:.4f}  val_loss {event['metrics']['val_loss']:.4f}"
        seconds = f"{sum(event['seconds'].values()):.1f} s"
        self._line(f"trial {record.number}  {epoch}  {metrics}  {seconds}  {self._values(record)}")

    def paused(self, record: TrialRecord, reason: str) -> None:
        if self._live:
            self._live.update(self._table())
            return
        self._line(f"trial {record.number}  {record.status}: {reason}")

    def ended(self, record: TrialRecord) -> None:
        if self._live:
            self._live.update(self._table())
            return
        done = sum(r.ended for r in self.records.values())
        reason = f": {_why(record)}" if _why(record) else ""
        self.best = best = best_record([r for r in (self.best, record) if r], self.metric)
        leader = f"; best {self.metric} {_best(best, self.metric):.4f} (trial {best.number})" if best else ""
        self._line(f"trial {record.number}  {record.status}{reason}  [{done}/{self.trials} done{leader}]")

    def close(self) -> None:
        if self._live:
            self._live.stop()

    def _line(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _values(self, record: TrialRecord) -> str:
        searched = [name for name in self.space.parameters if self.space.active(name, record.config)]
        place = [f"seed {record.fold['seed']} fold {record.fold['number']} "] if record.fold else []
        return " ".join([*place, *(f"{name}={_short(record.config[name])}" for name in searched)])

    def _table(self) -> Table:
        """The trials that run, then the best of the others."""
        done = [r for r in self.records.values() if r.ended]
        elapsed = time.strftime("%H:%M:%S", time.gmtime(time.monotonic() - self.started))
        table = Table(title=f"{len(done)} of {self.trials} trials done, {elapsed}", title_justify="left")
        for column in ("trial", "status", "epoch", f"best {self.metric}", *self.space.parameters):
            table.add_column(column)
        running = [r for r in self.records.values() if r.status == "running"]
        leaders = sorted(
            (r for r in done if r.status in FINISHED),
            key=lambda r: _best(r, self.metric),
            reverse=metric(self.metric).maximize,
        )
        for record in [*running, *leaders][:ROWS]:
            value = f"{_best(record, self.metric):.4f}" if record.epochs else ""
            epoch = f"{max(record.epochs, default=0)}/{record.config['epochs']}"
            searched = [
                _short(record.config[name]) if self.space.active(name, record.config) else "–"
                for name in self.space.parameters
            ]
            table.add_row(str(record.number), record.status, epoch, value, *searched)
        return table


def _why(record: TrialRecord) -> str:
    """Why a trial failed or was stopped; empty for one that came to its end."""
    last = record.epochs[max(record.epochs)] if record.epochs else {}
    return record.error or (str(last.get("reason", "")) if record.status == "pruned" else "")


def _best(record: TrialRecord, column: str) -> float:
    values = record.values(column)
    return values[best_epoch(values, column)]


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
