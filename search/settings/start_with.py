"""``search.start_with``: configurations written in the search file, or taken from a run or another file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from thaw.analysis.records import best_record, trial_records
from thaw.analysis.run_folder import RunFolder
from thaw.search.settings.yaml_file import read_mapping
from thaw.spaces import ConfigError
from thaw.spaces.paths import expanded

KEY = "search.start_with"


def read_start_with(raw: dict[str, Any], folder: Path) -> None:
    """Replace paths in ``start_with`` by the configurations that they refer to.

    Args:
        raw: a search file as read. An entry of its ``start_with``, or all of it, may be the path of a run folder, for
            its best trial, or of a YAML file that holds a configuration as ``thaw best`` prints it.
        folder: the folder that relative paths start from.

    Raises:
        ConfigError: there is no such folder or file, or no trial of the run has finished.
    """
    search = raw.get("search")
    if not isinstance(search, dict):
        return
    written = search.get("start_with")
    if isinstance(written, str):
        search["start_with"] = written = [written]
    if not isinstance(written, list):
        return
    for place, entry in enumerate(written):
        if isinstance(entry, str):
            try:
                written[place] = _configuration(folder / expanded(entry))
            except ConfigError as error:
                # The search file is at fault; the message says what is wrong with the file that it names.
                raise ConfigError(str(error), f"{KEY}.{place}") from None


def _configuration(path: Path) -> dict[str, Any]:
    if not path.is_dir():
        return read_mapping(path)
    run = RunFolder(path).require()
    records = trial_records(run.events())
    best = best_record(records.values(), run.settings()["search"]["metric"])
    if best is None:
        raise ConfigError("no trial of this run has finished, so there is no best one; give another run", file=path)
    return best.config
