"""`thaw predict`: applies a bundle to image files and writes a table."""

from __future__ import annotations

import csv
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from thaw.spaces import ConfigError, did_you_mean
from thaw.spaces.csv_cells import guarded
from thaw.spaces.files import check_new, new_file
from thaw.spaces.words import counted
from thaw.trainables.bundles.bundle import Bundle, load_bundle
from thaw.trainables.bundles.predict import Prediction
from thaw.trainables.data.image_places import find_images
from thaw.trainables.evaluation.label_sets import LabelRule

SEPARATOR = "|"
"""The separator between the labels of an image: the one that Thaw's own reader tries first, and rare in labels."""

PLAIN = re.compile(r"\d+|[^\W\d][\w.-]*( [\w.-]+)*")
"""Names that can be written between separators unchanged: whole numbers and words."""

SMALLEST = float(np.nextafter(0, 1))
"""A threshold that every probability except 0 reaches."""

NO_NAMES = {"nan", "na", "none", "null", "nil", "inf", "infinity", "true", "false"}
"""Words that readers may interpret as a missing value, a number, or yes and no."""


@dataclass(frozen=True)
class Format:
    """A way to write predictions.

    Args:
        delimiter: between the cells.
        header: the first row, if there is one.
        row: the cells of one image, given its name.
        check: raises a ConfigError if the labels of a bundle cannot be written in this format.
    """

    delimiter: str
    header: Callable[[Bundle], list[str]] | None
    row: Callable[[Bundle, str, Prediction], list[str]]
    check: Callable[[Bundle], None] = lambda bundle: None


def _header(bundle: Bundle) -> list[str]:
    """One column per label, named after it unless a column of that name exists already."""
    header = ["image", "labels"]
    for name in bundle.classes:
        column = name
        while column.strip().lower() in [other.strip().lower() for other in header]:
            column = f"probability of {column}"
        header.append(column)
    return header


def _with_probabilities(bundle: Bundle, name: str, prediction: Prediction) -> list[str]:
    probabilities = [f"{probability:.6g}" for probability in prediction.probabilities.values()]
    labels = prediction.labels
    cell = SEPARATOR.join(labels) if _plain(bundle.classes) else json.dumps(list(labels), ensure_ascii=False)
    return [name, cell, *probabilities]


@lru_cache(maxsize=1)
def _plain(classes: tuple[str, ...]) -> bool:
    """Whether labels can be joined by bars; JSON lists are used if a reader could misinterpret a label."""
    words = Counter(word for name in classes for word in name.split())
    for name in classes:
        # Words that recur look like separate labels: polar bear, brown bear.
        list_like = " " in name and any(words[word] > 1 for word in name.split())
        if list_like or not PLAIN.fullmatch(name) or name.lower() in NO_NAMES:
            return False
    return True


def _as_in_the_label_file(bundle: Bundle, name: str, prediction: Prediction) -> list[str]:
    ids = dict(zip(bundle.classes, bundle.ids, strict=True))
    return [name, ",".join(ids[label] for label in prediction.labels)]


def _check_paper(bundle: Bundle) -> None:
    odd = next((id for id in bundle.ids if not re.fullmatch(r"""[^\s,;|"']+""", id)), None)
    if odd is not None:
        rule = f"labels in the paper's format hold no blanks, quotes and separators, got {odd!r}"
        raise ConfigError(f"{rule}; use --format probabilities", "--format")


FORMATS: dict[str, Format] = {
    "probabilities": Format(",", _header, _with_probabilities),
    "paper": Format("\t", None, _as_in_the_label_file, _check_paper),
}


def rejected_file(to: Path) -> Path:
    """The file that lists unusable images: ``out.rejected.csv`` next to ``out.csv``."""
    return to.with_name(f"{to.stem}.rejected.csv")


@dataclass(frozen=True)
class LabelChoice:
    """Overrides for the bundle's rule from probabilities to labels; None keeps the bundle's value.

    Args:
        policy: a key of ``POLICIES`` in :mod:`thaw.trainables.evaluation.label_sets`.
        k: maximum number of labels per image, for ``at_most``.
        threshold: one threshold for all labels, in (0, 1].
        top_k: exactly the k most probable labels, whatever their probabilities; excludes the others. At most the
            number of labels.
    """

    policy: str | None = None
    k: int | None = None
    threshold: float | None = None
    top_k: int | None = None

    def rule(self, rule: LabelRule) -> LabelRule:
        """`rule` with these overrides.

        Raises:
            ConfigError: the choices exclude each other, or one is out of range.
        """
        thresholds, policy, k = rule.thresholds, rule.policy, rule.k
        if self.top_k is not None:
            if (self.policy, self.k, self.threshold) != (None, None, None):
                raise ConfigError("excludes --policy, --k and --threshold; keep one", "--top-k")
            if self.top_k > len(thresholds):
                has = f"must be at most {len(thresholds)}, the number of the model's labels"
                raise ConfigError(f"{has}, got {self.top_k}; ask for fewer", "--top-k")
            return replace(rule, thresholds=np.full(len(thresholds), SMALLEST), policy="at_most", k=self.top_k)
        if self.policy is not None or self.k is not None:
            policy, k = self.policy or "at_most", self.k
        if self.threshold is not None:
            if not 0 < self.threshold <= 1:
                raise ConfigError(f"must be in (0, 1], got {self.threshold}", "--threshold")
            if policy == "exactly_one":
                raise ConfigError(
                    "has no effect with the policy exactly_one, which takes the most probable label whatever its "
                    "probability; add --policy threshold, or leave it out",
                    "--threshold",
                )
            thresholds = np.full(len(thresholds), self.threshold)
        return replace(rule, thresholds=thresholds, policy=policy, k=k)


def predict(
    bundle_folder: Path,
    places: Sequence[str],
    to: Path | None,
    format: str,
    console: Console,
    choice: LabelChoice = LabelChoice(),
    batch: int | None = None,
) -> int:
    """Write predictions for all images, in the order of their names, and return how many could be used.

    Nothing appears under the name `to` before everything is written.

    Args:
        bundle_folder: written by ``thaw export`` or ``thaw train``.
        places: as :func:`thaw.trainables.data.image_places.find_images` takes them.
        to: a new file; None for standard output, where a row appears as soon as it is known.
        format: a key of `FORMATS`.
        console: where progress is shown.
        choice: how labels follow from probabilities.
        batch: images per forward pass; by default the fastest number.

    Raises:
        ConfigError: the input is wrong; nothing was written.
    """
    if format not in FORMATS:
        raise ConfigError(f"unknown format {format!r}{did_you_mean(format, FORMATS)}", "--format")
    chosen = FORMATS[format]
    if to is not None:
        # In this order: a path that exists need not have a name, such as `.`.
        check_new(to)
        check_new(rejected_file(to))
    images = find_images(places)
    bundle = load_bundle(bundle_folder)
    bundle = replace(bundle, rule=choice.rule(bundle.rule))
    chosen.check(bundle)
    started = time.monotonic()
    rejected: list[tuple[str, str]] = []
    with ExitStack() as stack:
        table = _writer(stack, to, chosen.delimiter)
        if chosen.header is not None:
            table.writerow(map(guarded, chosen.header(bundle)))
        bar = stack.enter_context(_progress(console))
        task = bar.add_task("", total=len(images))
        for name, prediction in zip(images, bundle.stream(images.values(), batch), strict=True):
            if prediction.rejected:
                rejected.append((name, prediction.rejected))
            else:
                table.writerow(map(guarded, chosen.row(bundle, name, prediction)))
            bar.advance(task)
        if rejected and to is not None:
            unused = _writer(stack, rejected_file(to), ",")
            unused.writerows(map(guarded, row) for row in [("file", "reason"), *rejected])
    used, seconds = len(images) - len(rejected), time.monotonic() - started
    summary = (
        f"{counted(used, 'image')} in {seconds:.1f} s, {used / max(seconds, 1e-9):.0f} a second: "
        f"{to or 'standard output'}"
    )
    console.print(summary, markup=False, highlight=False, soft_wrap=True)
    if rejected:
        name, reason = rejected[0]
        see = f", see {rejected_file(to)}" if to is not None else ""
        more = f"{len(rejected)} cannot be used (first: {name}: {reason}){see}"
        console.print(more, markup=False, highlight=False, soft_wrap=True)
    return used


def _writer(stack: ExitStack, to: Path | None, delimiter: str) -> Any:
    """A CSV writer to standard output, or to a file that gets its name when the stack exits without an error."""
    if to is None:
        return csv.writer(sys.stdout, delimiter=delimiter, lineterminator="\n")
    temporary = stack.enter_context(new_file(to))
    return csv.writer(
        stack.enter_context(temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="")),
        delimiter=delimiter,
        lineterminator="\n",
    )


def _progress(console: Console) -> Progress:
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("images"), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
