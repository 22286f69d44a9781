"""The live view of a search on a terminal: what is known so far, the trials that run, and the best of the others."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.table import Table
from rich.text import Text

from thaw.analysis.records import TrialRecord, ranking
from thaw.analysis.words import duration, value
from thaw.spaces import SearchSpace, best_epoch
from thaw.spaces.short_forms import head, network_names

ROWS = 12
"""The number of trials in the table, if the terminal is high enough."""

COUNTED = ("running", "waiting", "pruned", "failed")
"""Statuses whose trials are counted in the first line."""

ABOVE = 8
"""Lines that a terminal needs in addition to those of trials."""


@dataclass(frozen=True)
class Names:
    """Names for the trials of a session, and a summary of all of them.

    Args:
        many: the plural, such as ``trials``.
        heads: titles of the columns that identify a row.
        cells: record → these columns.
        summary: (leaders, best first, all records, objective's column) → one line on the results so far, or nothing.
        best_epochs: whether a trial is worth its best epoch's value, not its last one's.
    """

    many: str
    heads: tuple[str, ...]
    cells: Callable[[TrialRecord], tuple[str, ...]]
    summary: Callable[[Sequence[TrialRecord], Iterable[TrialRecord], str], str]
    best_epochs: bool = True

    def of(self, record: TrialRecord) -> str:
        """``trial 3``."""
        return " ".join(f"{name} {cell}" for name, cell in zip(self.heads, self.cells(record), strict=True))


def best_so_far(leaders: Sequence[TrialRecord], records: Iterable[TrialRecord], column: str) -> str:
    """``best val_map 0.9339 (trial 16)``; empty if no trial has finished."""
    if not leaders:
        return ""
    values = leaders[0].values(column)
    return f"best {column} {values[best_epoch(values, column)]:.4f} (trial {leaders[0].number})"


TRIALS = Names("trials", ("trial",), lambda record: (str(record.number),), best_so_far)


@dataclass(frozen=True)
class Clock:
    """The user's time.

    Args:
        began: when the user began to wait, in Unix seconds, moved back by the time of earlier sessions.
        deadline: when the time budget is used up, in monotonic seconds; None without a budget.
        session: when this session began, in Unix seconds.
    """

    began: float
    deadline: float | None = None
    session: float = field(default_factory=time.time)

    def line(self, ended_here: int, to_go: int) -> str:
        """``3 min 10 s, about 6 min left``.

        Args:
            ended_here: trials that have ended in this session; their pace is assumed for the others.
            to_go: trials that have not ended.
        """
        budget = None if self.deadline is None else self.deadline - time.monotonic()
        pace = (time.time() - self.session) / ended_here if ended_here else None
        left = [seconds for seconds in (budget, pace and pace * to_go) if seconds is not None]
        about = f", about {_rough(min(left))} left" if left and to_go else ""
        return f"{_rough(time.time() - self.began)}{about}"


def _rough(seconds: float) -> str:
    """Whole seconds below an hour, whole minutes above it."""
    return duration(max(0, round(seconds)) if seconds < 3600 else 60 * round(seconds / 60))


class LiveView:
    """The view as a renderable. Its table is rebuilt when something happens, the lines above it whenever it is shown.

    Args:
        space: its searched hyperparameters are shown, as many as fit.
        column: the objective's.
        trials: total number of trials.
        names: names for the trials.
        clock: the user's time.
        notes: further lines, such as rungs and activations that are being computed.
    """

    def __init__(
        self,
        space: SearchSpace,
        column: str,
        trials: int,
        names: Names,
        clock: Clock,
        notes: Sequence[Callable[[], str]] = (),
    ) -> None:
        self.space, self.column, self.trials, self.names = space, column, trials, names
        self.clock, self.notes = clock, notes
        self.short = network_names([str(name) for name in space.options("architecture")])
        self.records: Mapping[int, TrialRecord] = {}
        self._leaders: list[TrialRecord] = []
        self._before = self.done = 0
        self._counts = self._summary = ""
        self._rows: list[list[str]] = []

    def begin(self, records: Mapping[int, TrialRecord]) -> None:
        """A session begins; the records belong to the caller, who announces changes."""
        self.records = records
        self._before = self.done = sum(record.ended for record in records.values())
        self._leaders = ranking(records.values(), self.column)[:ROWS]
        self.update()

    def ended(self, record: TrialRecord) -> None:
        """A trial is over."""
        self.done += 1
        self._leaders = ranking([*self._leaders, record], self.column)[:ROWS]

    def summary(self) -> str:
        return self.names.summary(self._leaders, self.records.values(), self.column)

    def update(self) -> None:
        """Copy what is shown: a separate thread draws it while the records change."""
        counts = Counter(record.status for record in self.records.values())
        kinds = ", ".join(f"{counts[kind]} {kind}" for kind in COUNTED if counts[kind])
        self._counts = f"{self.done} of {self.trials} {self.names.many} done" + (f" ({kinds})" if kinds else "")
        self._summary = self.summary()
        running = (record for record in self.records.values() if record.status == "running")
        self._rows = [self._cells(record) for record in (*running, *self._leaders)]

    def _cells(self, record: TrialRecord) -> list[str]:
        """A row with all possible columns."""
        values = record.values(self.column)
        last = f"{values[max(values)]:.4f}" if values else ""
        best = f"{values[best_epoch(values, self.column)]:.4f}" if values else ""
        length = record.fold["epochs"] if record.fold else record.config["epochs"]
        searched = (self._value(name, record) for name in self.space.parameters)
        fixed = (f"{max(values, default=0)}/{length}", last, best, f"{record.seconds:.0f}")
        return [*self.names.cells(record), *fixed, *searched, record.status.replace("_", " ")]

    def _value(self, name: str, record: TrialRecord) -> str:
        if not self.space.active(name, record.config):
            return "–"
        found = record.config[name]
        return self.short[str(found)] if name == "architecture" else value(found)

    def lines(self) -> list[str]:
        """What stands above the table."""
        starting = "" if self._rows else f"starting {self.names.many} …"
        clock = self.clock.line(self.done - self._before, self.trials - self.done)
        lines = (self._counts, clock, self._summary, *(note() for note in self.notes), starting)
        return [line for line in lines if line]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = [Text(line, no_wrap=True, overflow="ellipsis") for line in self.lines()]
        lines[0].stylize("bold")
        yield Group(*lines)
        rows = self._rows[: max(2, min(ROWS, (options.height or console.height) - ABOVE))]
        if rows:
            yield ""
            yield self._table(rows, options.max_width)

    def _table(self, rows: Sequence[list[str]], width: int) -> Table:
        """As many columns as fit, with the hyperparameters' whole names if all of these fit."""
        searched = list(self.space.parameters)
        fixed = [*self.names.heads, "epoch", "value", "best", "seconds"]
        heads, widths = [], []
        for named in (searched, [head(name) for name in searched]):
            heads = [*fixed, *named, "status"]
            widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
            if sum(widths) + len(widths) - 1 <= width:
                break
        table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
        columns: list[int] = []
        for at, title in enumerate(heads):
            if title == "best" and not self.names.best_epochs:
                continue
            if sum(widths[i] for i in columns) + len(columns) + widths[at] <= width:
                columns.append(at)
                words = any(cells[at][:1].isalpha() for cells in rows)
                table.add_column(title, justify="left" if words else "right", no_wrap=True)
        for cells in rows:
            table.add_row(*(cells[at] for at in columns), style="" if cells[-1] == "running" else "dim")
        return table
