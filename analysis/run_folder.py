"""RunFolder: the only place that defines the file names in a run folder, for writing and reading."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from pydantic import TypeAdapter

from thaw.analysis.csv_text import csv_text
from thaw.analysis.event_shapes import checked
from thaw.analysis.shapes import CONFIRMATION, PROVENANCE, SETTINGS, check
from thaw.spaces import ConfigError
from thaw.spaces.files import check_new_folder, replaced_file
from thaw.spaces.json_values import storable

EVENTS_AT_ONCE = 1000
HALF_PAIR = rb"\ud"
"""How JSON writes one half of a surrogate pair."""
MEND_LOG = "bring the file back from a copy of the run, or cut it off before this line and lose what follows"


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run. ``events.jsonl`` is the source of truth; everything else can be rebuilt from it."""

    path: Path

    @property
    def search_file(self) -> Path:
        return self.path / "search.yaml"

    @property
    def provenance_file(self) -> Path:
        return self.path / "provenance.json"

    @property
    def events_file(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def lock_file(self) -> Path:
        """Locked by the process that drives the run."""
        return self.path / ".lock"

    @property
    def trials_file(self) -> Path:
        return self.path / "trials.csv"

    @property
    def history_file(self) -> Path:
        return self.path / "history.csv"

    @property
    def rejected_file(self) -> Path:
        return self.path / "rejected.csv"

    @property
    def study_file(self) -> Path:
        return self.path / "study.log"

    @property
    def tensorboard(self) -> Path:
        return self.path / "tensorboard"

    def tensorboard_run(self, trial: int) -> Path:
        return self.tensorboard / f"trial-{trial:04d}"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    def checkpoint(self, trial: int) -> Path:
        return self.checkpoints / str(trial)

    def last_file(self, trial: int) -> Path:
        """Everything a trial needs to continue; removed once it has ended."""
        return self.checkpoint(trial) / "last.safetensors"

    def best_file(self, trial: int) -> Path:
        """A trial's weights at its best epoch; kept for the best trials."""
        return self.checkpoint(trial) / "best.safetensors"

    @property
    def confirm(self) -> RunFolder:
        """The confirmation of this run's leaders, itself a run folder."""
        return RunFolder(self.path / "confirm")

    @property
    def is_confirmation(self) -> bool:
        """Whether this folder is the confirmation of another run."""
        run = RunFolder(self.path.resolve().parent)
        return run.confirm.path == self.path.resolve() and run.events_file.is_file()

    def refuse_confirmation(self) -> None:
        """Check that this is no confirmation, whose trials train on parts of the images of the search.

        Raises:
            ConfigError: it is one.
        """
        if self.is_confirmation:
            run = self.path.resolve().parent
            raise ConfigError(
                f"is the confirmation of a run, whose trials train on folds; give {run}, or continue the confirmation "
                f"with `thaw confirm {run}`",
                file=self.path,
            )

    @property
    def confirm_file(self) -> Path:
        """The result of the confirmation."""
        return self.path / "confirm.json"

    def confirmed_predictions(self, trial: int) -> Path:
        """Out-of-fold predictions of one of this run's trials, gathered over folds and seeds."""
        return self.path / "confirmed" / f"{trial}.safetensors"

    def fold_predictions(self, trial: int) -> Path:
        """In a confirmation: one trial's predictions for its held-out fold."""
        return self.path / "predictions" / f"{trial}.safetensors"

    @property
    def report(self) -> Path:
        """The folder of the report that ``thaw report`` writes."""
        return self.path / "report"

    @property
    def ray(self) -> Path:
        return self.path / "ray"

    def check_new(self) -> None:
        """Check that the folder can be created, without creating it.

        Raises:
            ConfigError: it already exists (two runs are never mixed), or its location is not writable, or no text.
        """
        check_new_folder(self.path, "name or --output")

    def create(self) -> None:
        """Create the folder.

        Raises:
            ConfigError: as in :meth:`check_new`, or another process has just created it.
        """
        self.check_new()
        try:
            self.path.mkdir(parents=True)
        except OSError as error:
            raise ConfigError(f"cannot be created: {error.strerror}; choose another --output", file=self.path) from None

    def require(self) -> RunFolder:
        """This folder, if it is the folder of a search.

        Raises:
            ConfigError: there is no ``events.jsonl`` here, or it is a confirmation.
        """
        if not self.events_file.is_file():
            raise ConfigError(
                "not a run folder: it holds no events.jsonl; give the folder that `thaw search` created", file=self.path
            )
        self.refuse_confirmation()
        return self

    def refuse_links(self) -> None:
        """Refuse links before anything here is written, truncated or removed.

        Ray's folder is skipped: nothing in it is used again.

        Raises:
            ConfigError: there is a link; the message names it.
        """
        for place, folders, files in os.walk(self.path):
            if Path(place) == self.path and not self.ray.is_symlink():
                folders[:] = [name for name in folders if name != self.ray.name]
            for name in (*folders, *files):
                if os.path.islink(os.path.join(place, name)):
                    raise ConfigError(
                        "links in a run folder may point anywhere and are not followed; replace it with a copy",
                        file=Path(place, name),
                    )

    def events(self) -> Iterator[dict[str, Any]]:
        """The events in order; a last line cut short by a crash is dropped.

        Raises:
            ConfigError: an event is damaged; those before it have been yielded.
        """
        line = 1
        try:
            for event in checked(self._parsed()):
                yield event
                line += 1
        except (OSError, ValueError, RecursionError) as error:
            raise ConfigError(f"damaged event: {error}; {MEND_LOG}", f"line {line}", self.events_file) from None

    def _parsed(self) -> Iterator[Any]:
        with self.events_file.open("rb") as lines:
            # Lines parsed together share the strings of their keys: half the memory, and less time.
            while block := list(islice(lines, EVENTS_AT_ONCE)):
                whole = block if block[-1].endswith(b"\n") else block[:-1]
                try:
                    events = json.loads(b"[" + b",".join(whole) + b"]")
                except (ValueError, RecursionError):
                    # One by one, so that those before the damaged one are yielded.
                    events = map(json.loads, whole)
                # Logs of 0.1.0 may hold lone surrogates, which no text file can.
                yield from map(storable, events) if any(HALF_PAIR in line for line in whole) else events

    def settings(self) -> dict[str, Any]:
        """The resolved search file as plain values.

        Raises:
            ConfigError: it is damaged.
        """
        return self._read(self.search_file, yaml.safe_load, SETTINGS)

    def provenance(self) -> dict[str, Any]:
        """The provenance of the run.

        Raises:
            ConfigError: it is damaged.
        """
        return self._read(self.provenance_file, json.loads, PROVENANCE)

    @staticmethod
    def _read(
        file: Path, parse: Callable[[str], Any], shape: TypeAdapter[Any], fix: str = "restore it from a copy of the run"
    ) -> dict[str, Any]:
        try:
            if file.exists() and not file.is_file():
                raise ValueError("must be a regular file")
            content = parse(file.read_text(encoding="utf-8"))
            check(shape, content)
        except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
            reason = " ".join(str(error).split())
            raise ConfigError(f"damaged: {reason}; {fix}", file=file) from None
        return content

    def confirmation(self) -> dict[str, Any] | None:
        """The result of `thaw confirm`; None if there is none.

        Raises:
            ConfigError: it is damaged, or older than Thaw 0.1.0.
        """
        if not self.confirm_file.is_file():
            return None
        again = "run the same `thaw confirm` again; nothing is retrained"
        return self._read(self.confirm_file, json.loads, CONFIRMATION, again)

    def write_text(self, file: Path, text: str) -> None:
        """Write a file of this folder completely or not at all."""
        with replaced_file(file) as temporary:
            # File names need not be valid text; everything else is.
            temporary.write_text(text, encoding="utf-8", errors="backslashreplace")

    def write_table(self, file: Path, table: pd.DataFrame) -> None:
        self.write_text(file, csv_text(table))
