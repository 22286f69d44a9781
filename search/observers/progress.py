"""What a user sees while the search runs: a live view on a terminal or in a notebook, one line per epoch elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from io import StringIO
from typing import Any

from rich.console import Console
from rich.live import Live

from thaw.analysis.records import TrialRecord
from thaw.analysis.words import value
from thaw.search.engine.observers import Observer
from thaw.search.observers.live import LiveView

NOTEBOOK_WIDTH = 120
"""Columns of the view in a notebook."""


class Cell:
    """The live view below the cell of a notebook, redrawn when something happens."""

    def __init__(self, view: LiveView) -> None:
        self.view = view

    def start(self) -> None:
        from IPython.display import display

        self._display = display(self._html(), display_id=True)

    def refresh(self) -> None:
        self._display.update(self._html())

    def stop(self) -> None:
        """The view keeps its last state."""

    def _html(self) -> Any:
        from IPython.display import HTML

        paper = Console(file=StringIO(), record=True, width=NOTEBOOK_WIDTH, force_jupyter=False)
        paper.print(self.view)
        return HTML(paper.export_html(inline_styles=True, code_format="<pre>{code}</pre>"))


class Progress(Observer):
    """Shows the progress of trials. Warnings and failures stay on the screen, above the live view.

    Args:
        console: where to print.
        view: shown on a terminal; its names and metric are used elsewhere, too.
    """

    def __init__(self, console: Console, view: LiveView) -> None:
        self.console, self.view = console, view
        self._warned: set[str] = set()
        self._live: Live | Cell | None = None

    def open(self, records: Mapping[int, TrialRecord]) -> None:
        self.view.begin(records)
        if self.console.is_jupyter and not self.console.quiet:
            self._live = Cell(self.view)
            self._live.start()
        elif self.console.is_terminal:
            self._live = Live(self.view, console=self.console, refresh_per_second=2, transient=True)
            self._live.start()
        else:
            self._line(f"starting {self.view.names.many} …")

    def epoch(self, record: TrialRecord, event: Mapping[str, Any]) -> None:
        warning = event.get("warning", "")
        if warning and warning not in self._warned:
            self._warned.add(warning)
            self._line(f"warning: {warning}")
        column = self.view.column
        length = record.fold["epochs"] if record.fold else record.config["epochs"]
        metrics = f"{column} {event['metrics'][column]:.4f}  val_loss {event['metrics']['val_loss']:.4f}"
        seconds = f"{sum(event['seconds'].values()):.1f} s"
        line = f"epoch {event['epoch']}/{length}  {metrics}  {seconds}  {self._values(record)}"
        self._show(record, line)

    def paused(self, record: TrialRecord, reason: str) -> None:
        self._show(record, f"{record.status}: {reason}", lasting=record.status == "interrupted")

    def ended(self, record: TrialRecord) -> None:
        self.view.ended(record)
        reason = f": {_why(record)}" if _why(record) else ""
        summary = self.view.summary()
        outcome = f"; {summary}" if summary else ""
        line = f"{record.status}{reason}  [{self.view.done}/{self.view.trials} done{outcome}]"
        self._show(record, line, lasting=record.status == "failed")

    def close(self) -> None:
        if self._live:
            self._live.stop()

    def _show(self, record: TrialRecord, line: str, lasting: bool = False) -> None:
        """Print a line; on a terminal, it stays above the view only if it is `lasting`."""
        if self._live is None or lasting:
            self._line(f"{self.view.names.of(record)}  {line}")
        if self._live:
            self.view.update()
            if isinstance(self._live, Cell):
                self._live.refresh()

    def _line(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _values(self, record: TrialRecord) -> str:
        searched = [name for name in self.view.space.parameters if self.view.space.active(name, record.config)]
        return " ".join(f"{name}={value(record.config[name])}" for name in searched)


def _why(record: TrialRecord) -> str:
    """Why a trial failed or was stopped; empty for one that finished."""
    last = record.epochs[max(record.epochs)] if record.epochs else {}
    return record.error or (str(last.get("reason", "")) if record.status == "pruned" else "")
