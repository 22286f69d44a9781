"""MODEL_CARD.md: what a model is, how good, how that is known, and what it should not be used for."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from thaw.spaces import METRICS, STAGES
from thaw.trainables.evaluation.bootstrap import Estimate
from thaw.trainables.evaluation.label_sets import POLICIES, LabelRule
from thaw.trainables.evaluation.policies import GROUPS, PolicyFigures

RULE_ORIGINS = {
    "out_of_fold": "predictions that `thaw confirm` made for images outside the folds it had trained on",
    "validation": (
        "the validation images that also chose the model's epoch and configuration, so they fit these images better "
        "than others: **optimistic**. `thaw confirm` gives better ones"
    ),
}
"""Where calibration and thresholds come from."""


@dataclass(frozen=True)
class ModelFacts:
    """All that the card says.

    Args:
        run: name of the run, or of the search file that was trained without a search.
        created: date, as in 2019-05-31.
        trial: which trial's weights these are; None if there was no search.
        epoch: of which epoch they are.
        trials: how many trials the search had.
        config: the trial's hyperparameters.
        weights: where the pretrained weights came from.
        classes: label names.
        image_size, resize: the square input in pixels, ``crop`` or ``squash``.
        images: images by split: ``train``, ``validation``, ``test``.
        label_counts: the same keys → images of each label, in the order of `classes`.
        refit: whether training and validation images trained it together.
        fingerprint: of pixels and labels.
        versions: package → version.
        metric: the search's objective, such as ``val_map``.
        search_value: the trial's value of it in the search.
        confirmation: the content of ``confirm.json``, if the run was confirmed.
        rule: how label sets are made.
        rule_target: what the thresholds were chosen for.
        rule_origin: a key of `RULE_ORIGINS`.
        rule_images: how many images they were chosen on.
        test: metric → estimate on the locked test split, under `rule`; None where the split is empty.
        trivial: trivial predictor → metric → value, on the same images.
        policies: figures of every policy on the test split; empty where there is none.
        onnx: whether ``model.onnx`` lies beside the card.
    """

    run: str
    created: str
    trial: int | None
    epoch: int
    trials: int
    config: Mapping[str, Any]
    weights: str
    classes: Sequence[str]
    image_size: int
    resize: str
    images: Mapping[str, int]
    label_counts: Mapping[str, Sequence[int]]
    refit: bool
    fingerprint: str
    versions: Mapping[str, str]
    metric: str
    search_value: float
    confirmation: Mapping[str, Any] | None
    rule: LabelRule
    rule_target: str
    rule_origin: str
    rule_images: int
    test: Mapping[str, Estimate] | None
    trivial: Mapping[str, Mapping[str, float]]
    policies: Sequence[PolicyFigures]
    onnx: bool


def model_card(facts: ModelFacts) -> str:
    """The text of MODEL_CARD.md."""
    sections = (_head, _use, _quality, _labels, _choice, _data, _limits, _origin)
    return "\n\n".join(section(facts).strip() for section in sections) + "\n"


def _head(facts: ModelFacts) -> str:
    depth = facts.config["freeze_depth"]
    frozen = {0: "every layer was trained", STAGES: "the pretrained stages were frozen and only the head was trained"}
    regime = frozen.get(depth, f"the first {depth} of {STAGES} stages were frozen, the rest was trained")
    trained_on = "training and validation images together" if facts.refit else "the training images"
    origin = "without a search" if facts.trial is None else f"which tried {facts.trials} configurations"
    return f"""
# {_name(facts)}

A `{facts.config["architecture"]}` that gives each of {len(facts.classes)} labels a probability for a photo of
{facts.image_size} × {facts.image_size} pixels. Starting weights: {facts.weights};
{regime}, for {facts.epoch} epochs on {trained_on}.
Made on {facts.created} by Thaw, {origin}.
"""


def _use(facts: ModelFacts) -> str:
    onnx = (
        "\n`model.onnx` takes RGB pixels (uint8) and gives probabilities; any ONNX runtime runs it."
        if facts.onnx
        else ""
    )
    return f"""
## How to use it

```
thaw predict FOLDER_OF_THIS_CARD photos/ --to labels.csv
```

```python
from thaw.trainables.bundles.bundle import load_bundle

predictions = load_bundle("FOLDER_OF_THIS_CARD").predict(["photos/1.jpg"])
```
{onnx}
Images of any size are turned by EXIF, converted to RGB and brought to that size ({facts.resize}).
`thaw train config.yaml --to ANOTHER_FOLDER` trains the same configuration again.
"""


def _quality(facts: ModelFacts) -> str:
    if facts.test is None:
        return """
## How good it is

There is no test split, so nothing here is an honest estimate. Keep a share of the images for it: `data.split.test`.
"""
    rows = [
        [f"{name} {'↑' if METRICS[name].maximize else '↓'}", _estimate(estimate)]
        + [_number(facts.trivial[predictor][name]) for predictor in facts.trivial]
        for name, estimate in facts.test.items()
    ]
    header = ["metric", "this model, 95 % interval", *(name.replace("_", " ") for name in facts.trivial)]
    return f"""
## How good it is

On {facts.images["test"]} test images that played no part in training, in the search or in choosing thresholds,
beside predictors that never look at an image. A model that is no better than they are has learned nothing.
The intervals (bootstrap over images) say how the figures would move with other photos of the same kind;
for photos of another kind they say nothing.

{_table(header, rows)}
"""


def _labels(facts: ModelFacts) -> str:
    rule = facts.rule
    policy = f"{rule.policy} (k = {rule.k})" if rule.policy == "at_most" else rule.policy
    text = f"""
## From probabilities to labels

Policy: **{policy}**: {POLICIES[rule.policy]}.
Thresholds, one a label, were chosen for `{facts.rule_target}`, and probabilities calibrated, on
{facts.rule_images} images: {RULE_ORIGINS[facts.rule_origin]}. Both are held back for rare labels.
"""
    if not facts.policies:
        return text
    rows = [
        [
            f.policy,
            GROUPS[f.group],
            str(f.images),
            f"{f.given_labels:.2f} ({f.true_labels:.2f})",
            f"{f.none:.1%}",
            f"{f.more:.1%}",
        ]
        + [_estimate(f.metrics[name]) for name in ("exact_match", "inclusion_accuracy", "f1_micro")]
        for f in facts.policies
    ]
    header = ["policy", "test images", "number", "labels given (true)", "given none", "given too many"]
    header += ["exact match", "inclusion accuracy", "F1 micro"]
    return f"""{text}
What each policy gives on the test images. `0.5` is that threshold for every label, without calibration.
Inclusion accuracy forgives every missing label, so it favours short answers; look at exact match and F1, too.

{_table(header, rows)}
"""


def _choice(facts: ModelFacts) -> str:
    if facts.trial is None:
        return f"""
## How it was chosen

The configuration was given. It had `{facts.metric}` {_number(facts.search_value)} on {facts.images["validation"]}
validation images, at the best of its epochs.
"""
    confirmed = facts.confirmation
    if confirmed is None:
        return f"""
## How it was chosen

It had `{facts.metric}` {_number(facts.search_value)} on {facts.images["validation"]} validation images.
**Expect less**: it is the best of {facts.trials} values, and the best of many is partly luck. It was not confirmed by
cross-validation (`thaw confirm`).
"""
    rows = [
        [
            str(row["trial"]),
            _number(row["search_value"]),
            _number(row["mean"]),
            f"{_number(row['interval'][0])} – {_number(row['interval'][1])}",
            "–" if row["pooled"] is None else _estimate(Estimate(**row["pooled"])),
        ]
        for row in confirmed["leaders"]
    ]
    table = _table(["trial", "in the search", "confirmed", "95 % interval", "pooled, 95 % interval"], rows)
    pooled = ""
    if any(row["pooled"] for row in confirmed["leaders"]):
        pooled = """ *Pooled* is the value over all images at once, each predicted
by a network that had not seen it: what to expect of other images of the same kind. It may be slightly too good, as the
configurations were chosen with some of these images; only the test images know nothing."""
    return f"""
## How it was chosen

The leading configurations of the search were trained again over {confirmed["folds"]} folds × {confirmed["seeds"]} seeds
of {confirmed["images"]} training and validation images. The search's best value of `{facts.metric}` less its confirmed
mean is {confirmed["shrinkage"]:+.3f}: what its choice among {facts.trials} trials had flattered it by.

{table}

*Confirmed* is the mean over folds, for comparing trials.{pooled}
"""


def _data(facts: ModelFacts) -> str:
    splits = [split for split in ("train", "validation", "test") if facts.images[split]]
    rows = [
        [name, *(str(facts.label_counts[split][i]) for split in splits), f"{facts.rule.thresholds[i]:.3f}"]
        for i, name in enumerate(facts.classes)
    ]
    total = ", ".join(f"{facts.images[split]} {split}" for split in splits)
    return f"""
## Data

{total} images. Images of each label, and the label's threshold on its calibrated probability:

{_table(["label", *splits, "threshold"], rows)}
"""


def _limits(facts: ModelFacts) -> str:
    counts = facts.label_counts["train"]
    rare = [name for name, count in zip(facts.classes, counts, strict=True) if count < 30]
    warning = f"- Learned from fewer than 30 training images, so hardly known: {', '.join(rare)}.\n" if rare else ""
    return f"""
## Intended use, and limits

For photos like those it was trained on, where a wrong or a missing label can be corrected: sorting, searching, drafts
of annotations.

{warning}- It knows {len(facts.classes)} labels and nothing else. For a photo of something else it still answers.
- A probability is calibrated for photos like these. Where labels are more or less frequent than here, it is off.
- Whatever is one-sided in the photos or in the pretrained weights is one-sided in its answers. It was not tested for
  differences between groups of people; do not use it to judge them.
"""


def _origin(facts: ModelFacts) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in facts.versions.items())
    return f"""
## Configuration and origin

```yaml
{yaml.safe_dump(dict(facts.config), sort_keys=False).strip()}
```

{_name(facts)}, epoch {facts.epoch}; data {facts.fingerprint}; {versions}.
"""


def _name(facts: ModelFacts) -> str:
    return facts.run if facts.trial is None else f"{facts.run}, trial {facts.trial}"


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"


def _estimate(estimate: Estimate) -> str:
    interval = f" ({_number(estimate.low)} – {_number(estimate.high)})" if not math.isnan(estimate.value) else ""
    return _number(estimate.value) + interval


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; a bar inside a cell, as in a label's name, does not end it."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
