"""Formatting of words and numbers in plots: short, with units, the same in all of them."""

from __future__ import annotations

import math
from typing import Any

from thaw.spaces import metric

UNITS = {
    "freeze_depth": "stages frozen",
    "warmup": "epochs",
    "epochs": "epochs",
    "patience": "epochs",
    "batch_size": "images",
    "head_units": "units",
    "dropout": "share of activations",
    "momentum": "share",
}
"""Units of the hyperparameters that have one."""


def number(value: float) -> str:
    """Three significant digits, thousands with commas, very small and very large values in scientific notation."""
    if isinstance(value, float) and not math.isfinite(value):
        return "not a number" if math.isnan(value) else str(value)
    if float(value).is_integer() and abs(value) < 1e6:
        return f"{int(value):,}"
    if 1e-3 <= abs(value) < 1e3:
        return f"{value:.3g}"
    if 1e3 <= abs(value) < 1e6:
        return f"{value:,.0f}"
    digits, exponent = f"{value:.1e}".split("e")
    return f"{digits.removesuffix('.0')}e{int(exponent)}"


def in_full(item: float) -> str:
    """As :func:`number`, but integers keep all their digits, so that large ones remain distinguishable."""
    return f"{item:,}" if isinstance(item, int) else number(item)


def value(item: Any) -> str:
    """A hyperparameter's value as text."""
    return number(item) if isinstance(item, int | float) and not isinstance(item, bool) else str(item)


def shortened(text: Any, length: int = 24) -> str:
    """A label cut short so that it cannot push the data off the page."""
    text = str(text)
    return text if len(text) <= length else text[: length - 1] + "…"


def metric_label(column: str) -> str:
    """``val_map (0 to 1, more is better)``: the title of an axis."""
    row = metric(column)
    scope = "0 to 1, " if math.isfinite(row.high) else ""
    return f"{column} ({scope}{'more' if row.maximize else 'less'} is better)"


def hyperparameter_label(name: str) -> str:
    return f"{name} ({UNITS[name]})" if name in UNITS else name


def listed(items: list[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def duration(seconds: float) -> str:
    """``9.5 s``, ``3 min 10 s``, ``2 h 5 min``, ``3 d 4 h``."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    for size, unit, part, smaller in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        count, rest = divmod(round(seconds / part), size // part)
        if count:
            return f"{count:,} {unit} {rest} {smaller}" if rest else f"{count:,} {unit}"
    raise AssertionError(seconds)
