"""MODEL_CARD.md: what a model is, how good it is, how that is known, and what it should not be used for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import resources
from typing import Any

import jinja2

from thaw.analysis.optimism import optimism
from thaw.search.settings.yaml_file import yaml_text
from thaw.spaces import METRICS, STAGES
from thaw.trainables.evaluation.label_sets import POLICIES
from thaw.trainables.evaluation.policies import GROUPS

PLAIN = "0.5"
"""The policy of :mod:`thaw.trainables.evaluation.policies` without calibration or chosen thresholds."""

RARE = 30
"""Labels with fewer training images are hardly learned."""


def model_card(facts: Mapping[str, Any], timm: bool = False) -> str:
    """The text of MODEL_CARD.md.

    Args:
        facts: the content of ``bundle.json``, of this version; see ``docs/architecture.md``.
        timm: the card of a folder for timm.
    """
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        **{"number": _number, "percent": _percent, "estimate": _estimate},
        **{"as_is": _as_is, "metric": _metric, "yaml": _yaml},
    }
    template = (resources.files("thaw.search.delivery") / "model_card.md").read_text(encoding="utf-8")
    counts = facts["provenance"]["data"]["labels"]["counts"]
    rare = [name for name, count in zip(facts["classes"], counts["train"], strict=True) if count < RARE]
    return (
        environment.from_string(template)
        .render(
            facts,
            counts=counts,
            optimism=optimism(facts["confirmation"]).sentences if facts["confirmation"] else [],
            groups=GROUPS,
            plainly_better=_plainly_better(facts["test"]),
            policies=POLICIES,
            rare=rare,
            rare_below=RARE,
            stages=STAGES,
            timm=timm,
        )
        .strip()
        + "\n"
    )


def _plainly_better(test: Mapping[str, Any] | None) -> list[str]:
    """A sentence for each policy that the plain threshold of 0.5 beats on all test images, with metrics and values."""
    rows = {row["policy"]: row["metrics"] for row in test["policies"] if row["group"] == "all"} if test else {}
    plain = rows.pop(PLAIN, {})
    sentences = []
    for policy, metrics in rows.items():
        pairs = {name: (plain[name]["value"], own["value"]) for name, own in metrics.items()}
        better = [
            f"{name} ({_number(at_half)} against {_number(own)})"
            for name, (at_half, own) in pairs.items()
            if at_half is not None and own is not None and METRICS[name].better(at_half, own)
        ]
        if better:
            sentences.append(f"**A plain 0.5 is better than `{policy}`** by {', '.join(better)}.")
    return sentences


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"


def _estimate(estimate: Mapping[str, float | None]) -> str:
    if estimate["value"] is None:
        return "–"
    return f"{_number(estimate['value'])} ({_number(estimate['low'])} – {_number(estimate['high'])})"


MARKUP = re.compile(r"[\\`*\[\]<&|~$]|(?<![^\W_])_|_(?![^\W_])")
"""What Markdown or HTML would not show as it is: labels may hold anything. Underscores within a word are plain text."""


def _as_is(text: str) -> str:
    """Text that Markdown shows as it is: a bar or a line break does not end its cell or its line."""
    return MARKUP.sub(r"\\\g<0>", " ".join(text.split()))


def _metric(name: str) -> str:
    return f"{name} {'↑' if METRICS[name].maximize else '↓'}"


def _yaml(config: Mapping[str, Any]) -> str:
    return yaml_text(dict(config)).strip()
