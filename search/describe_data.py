"""Text and JSON for `thaw data`."""

from __future__ import annotations

import numpy as np
from rich.console import Console
from rich.table import Table

from thaw.search.prepare.data_set import DataFacts
from thaw.search.prepare.stages import say
from thaw.spaces import printable
from thaw.trainables.data.dataset import Dataset

BAR, SAMPLE = 40, 5


def describe_data(facts: DataFacts, dataset: Dataset, console: Console) -> None:
    """The facts, a few images with their labels, and the distributions of labels and of labels per image."""
    console.print(f"from {dataset.root}", highlight=False, soft_wrap=True)
    for line in facts.lines():
        say(console, line)
    for file, reason in dataset.rejected[:SAMPLE]:
        console.print(f"rejected: {printable(file)}: {printable(reason)}", highlight=False, soft_wrap=True)
    sample = Table(box=None)
    sample.add_column("for example")
    sample.add_column("labels")
    names = np.array(dataset.classes, dtype=object)
    for i in np.linspace(0, len(dataset.files) - 1, min(SAMPLE, len(dataset.files))).astype(int):
        labels = ", ".join(names[dataset.labels[i]])
        sample.add_row(printable(dataset.files[i]), printable(labels) or "–")
    console.print(sample)
    images = len(dataset.files)
    rows = sorted(facts.labels.items(), key=lambda row: -row[1])
    console.print(_bars("label", [(printable(name), count) for name, count in rows], images))
    counts = [(str(number), count) for number, count in facts.labels_per_image.items()]
    console.print(_bars("labels per image", counts, images))


def _bars(title: str, rows: list[tuple[str, int]], images: int) -> Table:
    table = Table(box=None)
    table.add_column(title)
    table.add_column("images", justify="right")
    table.add_column("share", justify="right")
    table.add_column("")
    longest = max(count for _, count in rows) or 1
    for name, count in rows:
        table.add_row(name, str(count), f"{count / images:.2%}", "█" * round(BAR * count / longest))
    return table
