"""A space with no more configurations than trials: each is searched once, whatever the algorithm.

A configuration trained a second time gives bit-identical results, so a repetition would only cost time.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from typing import Any

from thaw.search.settings.config import SearchConfig
from thaw.search.settings.effect import without_effect
from thaw.spaces import Value
from thaw.trainables.seeding import derive_seed

Cell = dict[str, Value]


def cell_key(values: Mapping[str, Any]) -> frozenset[tuple[str, Any]]:
    """A key that equal cells share, whatever the order of their values."""
    return frozenset(values.items())


def configurations(config: SearchConfig) -> list[Cell] | None:
    """Every configuration of the space in the order in which they are tried; None if there are more than trials.

    A grid is tried in its own order, all of it or its first `trials` cells. Otherwise the entries of ``start_with``
    come first, each completed to the configuration that has most of it, and the rest in an order drawn by the seed.
    """
    search, space = config.search, config.search_space
    if search.algorithm == "grid":
        return space.grid()
    rest = space.cells(config.trials)
    if rest is None:
        return None
    random.Random(derive_seed(search.seed, "order of cells")).shuffle(rest)
    first: list[Cell] = []
    for entry in search.start_with:
        fitting = [cell for cell in rest if all(cell.get(name, value) == value for name, value in entry.items())]
        if fitting:
            # A configuration may leave out inactive values: prefer the one that leaves out least.
            first.append(max(fitting, key=lambda cell: len(cell.keys() & entry.keys())))
            rest.remove(first[-1])
    return first + rest


def searched_once(config: SearchConfig, past: Iterable[Mapping[str, Any]] = ()) -> tuple[SearchConfig, list[str]]:
    """The configuration with no more trials than its space has configurations, and notes on this for the user.

    Args:
        config: as loaded.
        past: events of the run so far. Runs of Thaw 0.1.0 may hold a configuration twice; what is left is counted.
    """
    notes = [f"note: {note}" for note in without_effect(config)]
    cells = configurations(config)
    if cells is None:
        return config, notes
    started = [event for event in past if event["event"] == "trial_started"]
    tried = {cell_key({name: event["config"][name] for name in event.get("distributions", ())}) for event in started}
    trials = len(started) + sum(cell_key(cell) not in tried for cell in cells)
    requested = config.search.trials or (trials if config.search.algorithm == "grid" else config.trials)
    if trials >= requested:
        return config, notes
    notes.append(
        f"note: the space holds {len(cells)} configuration{'s' if len(cells) > 1 else ''}, fewer than the {requested} "
        "trials requested, so each is searched once"
    )
    return config.model_copy(update={"search": config.search.model_copy(update={"trials": trials})}), notes
