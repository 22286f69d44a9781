"""`auto`: an even spread first, a Gaussian process and TPE in turn later. ``docs/search.md`` gives the evidence."""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from thaw.analysis.records import TrialRecord
from thaw.search.engine.draws import Neighbour, first_configurations
from thaw.search.engine.proposals import StudyProposer
from thaw.search.engine.samplers import STARTUP
from thaw.search.engine.surrogate import Encoder, Surrogate, expected_improvement
from thaw.search.settings.config import SearchConfig
from thaw.spaces import Value, metric
from thaw.spaces.words import counted
from thaw.trainables.seeding import derive_seed

FIRST = 10
"""Number of evenly spread configurations; more with more architectures and freeze depths, at most half of all."""

ALONE = 8
"""Number of trials after which the process takes every other one, before the spread is used up."""

NEEDED = 4
"""Number of trials with a value from which the process starts proposing."""

POOL = 256
"""Number of configurations that the process chooses from, drawn from the whole space once per search."""

LEADERS, NEIGHBOURS = 3, 24
"""Number of neighbours of each of the best trials that it also chooses from."""

MOST = 150
"""Number of trials that it learns from: the best third and the latest."""


class Auto(StudyProposer):
    """A Gaussian process and TPE propose in turn; the process takes the largest expected improvement.

    They fail in different places: the process finds the right region in few trials but may stay next to its best cell;
    TPE takes longer but gets there. With several objectives, which the process does not support, TPE proposes all.

    Args:
        config: the resolved search file.
    """

    def __init__(self, config: SearchConfig) -> None:
        super().__init__(config)
        self._records: dict[int, TrialRecord] = {}
        self._first = first_configurations(self.space, FIRST, max(1, self.trials // 2), self.seed)
        self._left = self._first
        self._encoder = Encoder(self.space)
        self._sign = 1.0 if metric(self.metric).maximize else -1.0

    def apply(self, event: dict[str, Any], record: TrialRecord | None) -> None:
        super().apply(event, record)
        if event["event"] == "trial_started":
            # By searched values: a later version may know hyperparameters that a log's configurations lack.
            started = event["config"].items()
            self._left = [values for values in self._left if not values.items() <= started]
        if record is not None:
            self._records[record.number] = record

    def learn(self, earlier: Sequence[TrialRecord]) -> None:
        super().learn(earlier)
        # Below 0, as numbers from 0 on are this run's own.
        self._records |= {-place: record for place, record in enumerate(earlier, 1)}
        tried = Counter((record.config["architecture"], record.config["freeze_depth"]) for record in earlier)
        spread, self._first = self._first, []
        for values in spread:
            whole = self.space.config(values)
            place = whole.architecture, whole.freeze_depth
            if tried[place]:
                tried[place] -= 1
            else:
                self._first.append(values)
        self._left = self._first

    def _proposed(self, number: int) -> tuple[Mapping[str, Value] | None, str]:
        place, spread = number - len(self.start_with), self._next_of_spread()
        if spread and (place < ALONE or place % 2 or self.study.several):
            return spread
        if self.study.several or (number % 2 and self.study.known() >= STARTUP["tpe"]):
            return super()._proposed(number)
        return self._most_promising(number) or spread or super()._proposed(number)

    def _next_of_spread(self) -> tuple[Mapping[str, Value], str] | None:
        """The next evenly spread configuration, and why; None if all have been tried."""
        if not self._left:
            return None
        size = len(self._first)
        return self._left[0], f"{size - len(self._left) + 1} of {size} spread evenly over the space"

    @cached_property
    def _pool(self) -> tuple[list[dict[str, Value]], np.ndarray]:
        """Searched values, and their rows."""
        rng = random.Random(derive_seed(self.seed, "pool"))
        drawn = [self.space.sample(rng) for _ in range(POOL)]
        return drawn, self._rows(drawn)

    def _rows(self, drawn: Sequence[Mapping[str, Value]]) -> np.ndarray:
        return self._encoder.rows([self.space.completed(values) for values in drawn])

    def _most_promising(self, number: int) -> tuple[Mapping[str, Value], str] | None:
        """The configuration with the largest expected improvement; None if too few trials have a value."""
        known = self._learnt_from()
        if len(known) < NEEDED:
            return None
        rows = self._encoder.rows([record.config for record, _ in known])
        values = np.array([value for _, value in known])
        # A diverged trial would make up all the variance.
        values = np.maximum(values, np.median(values) - 3 * (values.max() - np.median(values)))
        surrogate = Surrogate(self._encoder.kinds, rows, values)
        best = float(surrogate.predict(rows)[0].max())
        running = [r.config for r in self._records.values() if r.status == "running" and not r.epochs]
        if running:
            # They are assumed to end as predicted, so that they are not proposed again (the kriging believer of
            # Ginsbourger, Le Riche and Carraro, "Kriging is well-suited to parallelize optimization", 2010).
            more = self._encoder.rows(running)
            believed = np.concatenate([values, surrogate.predict(more)[0]])
            surrogate = Surrogate(self._encoder.kinds, np.concatenate([rows, more]), believed)
        rng = random.Random(derive_seed(self.seed, "neighbours", number))
        leaders = [known[place][0].config for place in np.argsort(-values, kind="stable")[:LEADERS]]
        near = [self.space.suggest(Neighbour(config, rng)) for config in leaders for _ in range(NEIGHBOURS)]
        drawn, pool_rows = self._pool
        mean, deviation = surrogate.predict(np.concatenate([pool_rows, self._rows(near)]))
        # Improvements below the noise do not count: without this margin the search would stay where it is.
        gain = expected_improvement(mean, deviation, best + surrogate.noise)
        chosen = int(np.argmax(gain))
        return [*drawn, *near][chosen], (
            f"a Gaussian process of {counted(len(known), 'trial')}{self._of_them()} expects "
            f"{self._sign * mean[chosen]:.4g} "
            f"± {deviation[chosen]:.2g} at the end, the best of them {self._sign * best:.4g}"
        )

    def _learnt_from(self) -> list[tuple[TrialRecord, float]]:
        """Trials and their actual or estimated final values; more is better.

        A trial that was stopped or still runs is credited with the median gain of the finished trials of its freeze
        depth after the epoch that it has reached: heads converge in one epoch, thawed networks have only begun then. A
        depth without finished trials is credited with the largest gain of another, so that it is not given up unseen.
        """
        values = {n: self._best_so_far(record) for n, record in self._records.items() if record.status != "failed"}
        whole: dict[Any, list[list[float]]] = defaultdict(list)
        for number, series in values.items():
            if series and self._records[number].status == "completed":
                whole[self._records[number].config["freeze_depth"]].append(series)
        known = []
        for number, series in values.items():
            if series:
                record, gain = self._records[number], 0.0
                if record.status not in ("completed", "early_stopped"):
                    gains = _median_gains(whole, len(series))
                    gain = gains.get(record.config["freeze_depth"], max(gains.values(), default=0.0))
                known.append((record, series[-1] + gain))
        if len(known) <= MOST:
            return known
        leaders = sorted(known, key=lambda pair: -pair[1])[: MOST // 3]
        return leaders + [pair for pair in known if pair not in leaders][-(MOST - len(leaders)) :]

    def _best_so_far(self, record: TrialRecord) -> list[float]:
        """The best value up to each epoch, more is better; ends before the first NaN."""
        series: list[float] = []
        for _, value in sorted(record.values(self.metric).items()):
            if not math.isfinite(value):
                break
            series.append(max(self._sign * value, *series[-1:]) if series else self._sign * value)
        return series


def _median_gains(whole: Mapping[Any, list[list[float]]], epoch: int) -> dict[Any, float]:
    """Freeze depth → the median of what its finished trials gained after an epoch."""
    gains = {
        depth: [series[-1] - series[epoch - 1] for series in trials if len(series) >= epoch]
        for depth, trials in whole.items()
    }
    return {depth: float(np.median(found)) for depth, found in gains.items() if found}
