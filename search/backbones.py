"""The table of named networks in ``docs/backbones.md``: ``python -m thaw.search.backbones docs/backbones.md``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import torch

from thaw.spaces import STAGES, ConfigError
from thaw.spaces.trial import default
from thaw.trainables.activations.plan import plan
from thaw.trainables.networks.backbone import resolve
from thaw.trainables.networks.table import NAMES, architecture

SIZE = 224
"""Image side length in pixels for networks that accept any size; the others use their own."""

BEGIN, END = "<!-- made by `make backbones` -->", "<!-- end -->"


def table() -> Iterator[str]:
    """Markdown lines: one row per network with published weights, with its cost and the gain from reuse."""
    depths = range(1, STAGES + 1)
    stored = f"kB an image at freeze depth {' / '.join(map(str, depths))}"
    yield f"| architecture | pixels | million parameters | GMACs | {stored} | times faster | licence of the weights |"
    yield "| --- " + "| ---: " * 5 + "| --- |"
    for name in NAMES:
        published = architecture(name).published
        if published is None:
            continue
        size = architecture(name).preprocessing.input_size or SIZE
        cost = resolve(name, "none", size).cost
        plans = [plan(cost, depth, default("head_units"), torch.float32, "cpu") for depth in depths]
        cells = (
            f"`{name}`",
            str(size),
            f"{sum(stage.parameters for stage in cost.stages) / 1e6:.1f}",
            f"{sum(stage.macs for stage in cost.stages) / 1e9:.2f}",
            " / ".join(f"{one.row_bytes / 1000:,.0f}" for one in plans),
            " / ".join(f"{one.gain:.1f}" if one.gain < 10 else f"{one.gain:,.0f}" for one in plans),
            published.licence,
        )
        yield f"| {' | '.join(cells)} |"


def replaced(page: str) -> str:
    """The page with an updated table.

    Raises:
        ConfigError: it has no place for the table.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ConfigError(f"the page must hold the lines {BEGIN} and {END}")
    return "\n".join([f"{before}{BEGIN}", *table(), f"{END}{after}"])


if __name__ == "__main__":
    file = Path(sys.argv[1])
    file.write_text(replaced(file.read_text(encoding="utf-8")), encoding="utf-8")
