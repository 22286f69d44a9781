"""Photos for reports: training images as the network sees them, the worst predictions, and labels in doubt.

Neither torch nor Ray is loaded: a report is made where neither is installed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from safetensors import SafetensorError, safe_open

from thaw.analysis.report.photos import Photo, Sheet, gallery, photo_page
from thaw.analysis.run import Run
from thaw.search.prepare.data_facts import SAMPLE, spread
from thaw.search.prepare.data_set import load_dataset, split_of
from thaw.search.settings.config import load_config
from thaw.search.settings.schema import SearchConfig
from thaw.spaces import ConfigError, printable
from thaw.spaces.files import check_new, new_file
from thaw.trainables.data.affine import view_matrices
from thaw.trainables.data.augment import AUGMENTS, Augment
from thaw.trainables.data.confident_learning import label_doubts
from thaw.trainables.data.dataset import Dataset
from thaw.trainables.data.decoding import Rejected
from thaw.trainables.data.grey import Scales, scales_from
from thaw.trainables.data.image_store import sampled_grey

VIEWS = 2
"""Augmented views of each training image, next to the clean one."""

WORST = 12
"""Photos of each other kind."""

NAMED = 4
"""The number of labels with probabilities below a photo."""


@dataclass(frozen=True, eq=False)
class _Photos:
    """A data set whose images can be shown."""

    config: SearchConfig
    dataset: Dataset
    scales: Scales | None

    def pixels(self, row: int) -> np.ndarray | None:
        """The image as decoded for the network; None if it cannot be used."""
        data = self.config.data
        try:
            return self.dataset.decode(row, data.square, self.scales)
        except Rejected:
            return None

    def sheet(self, title: str, meaning: str, rows: Sequence[int], lines: Sequence[tuple[str, ...]]) -> Sheet:
        photos = []
        for row, text in zip(rows, lines, strict=True):
            pixels = self.pixels(row)
            if pixels is not None:
                photos.append(Photo(pixels, self.dataset.files[row], text))
        return Sheet(title, meaning, tuple(photos))

    def labels(self, row: int) -> str:
        """The labels that an image was given."""
        names = [name for name, given in zip(self.dataset.classes, self.dataset.labels[row], strict=True) if given]
        return f"labels: {', '.join(names) or 'none'}"


def show(config: SearchConfig, to: Path, console: Console) -> None:
    """Write a page with a sample of the training images as the network sees them, clean and augmented.

    Raises:
        ConfigError: the data are wrong, no image can be used, or the file exists.
    """
    check_new(to)
    from thaw.search.prepare.preprocessing import follow_weights  # loads torch, which a report does not need

    config, _ = follow_weights(config)
    dataset = load_dataset(config)
    grey = sampled_grey(dataset.root, dataset.on_disk, config.data.white)
    there = ~np.isin(dataset.files, dataset.absent())
    split = split_of(config.data, dataset, there)
    sheet = training_sheet(_Photos(config, dataset, grey.scales), spread(split.train, SAMPLE))
    if not sheet.photos:
        raise ConfigError(f"none of the images that were checked in {dataset.root} can be used", "data.images")
    with new_file(to) as temporary:
        temporary.write_text(photo_page(config.name, [sheet]), encoding="utf-8")
    console.print(str(to), markup=False, highlight=False, soft_wrap=True)


def run_sheets(run: Run) -> list[Sheet]:
    """The photos of a run's report; fewer if a checkpoint or a confirmation is absent.

    Raises:
        ConfigError: the images or labels are no longer those of the run, or are missing.
    """
    photos = _photos_of(run)
    recorded = run.folder.provenance()["data"]
    sheets = [training_sheet(photos, recorded.get("sample", []))]
    best = run.best
    if best is not None and run.folder.best_file(best.number).is_file():
        logits, rows = _logits(run.folder.best_file(best.number), "validation.logits", "validation.rows")
        within = rows.max() < len(photos.dataset.files)
        if not within or photos.dataset.labels[rows].sum(axis=0).tolist() != recorded["labels"]["counts"]["validation"]:
            raise ConfigError("the labels are not those of the run; has the label file changed?", "data.labels")
        sheets += _worst_sheets(photos, rows, _probabilities(logits, str(best.config["loss"])), best.number)
    confirmation = run.folder.confirmation()
    if confirmation is not None and run.folder.confirmed_predictions(confirmation["chosen"]).is_file():
        number = confirmation["chosen"]
        logits, rows = _logits(run.folder.confirmed_predictions(number), "logits", "rows")
        softmax = run.records[number].config["loss"] == "softmax"
        sheets.append(_doubts_sheet(photos, rows, _probabilities(logits, "softmax" if softmax else ""), softmax))
    return [sheet for sheet in sheets if sheet.photos]


def _photos_of(run: Run) -> _Photos:
    config = load_config(run.folder.search_file)
    dataset, recorded = load_dataset(config), run.folder.provenance()["data"]
    if list(dataset.classes) != recorded["classes"]:
        raise ConfigError("the labels are not those of the run; has the label file changed?", "data.labels")
    if recorded.get("names") not in (None, dataset.names_digest):
        raise ConfigError(
            "the files are not those of the run, or in another order; has the label file changed?", "data"
        )
    scales = scales_from(recorded["grey"]["scales"]) if "grey" in recorded else None
    return _Photos(config, dataset, scales)


def training_sheet(photos: _Photos, rows: Sequence[int]) -> Sheet:
    """Some training images, each clean and in the first views."""
    config = photos.config
    augment = config.data.augment if isinstance(config.data.augment, Augment) else AUGMENTS[config.data.augment]
    views = 0 if augment.is_identity else VIEWS
    shown = []
    for row in rows:
        pixels = photos.pixels(row)
        if pixels is None:
            continue
        name = photos.dataset.files[row]
        shown.append(Photo(pixels, name, (photos.labels(row),)))
        for view in range(views):
            [matrix] = view_matrices(augment, config.search.seed, view, [row])
            shown.append(Photo(augmented(pixels, matrix), name, (f"augmented, view {view}",)))
    return Sheet(
        "Training images as the network sees them",
        "Is the object still in the square, and could you still name it after augmentation?",
        tuple(shown),
    )


def augmented(pixels: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """An image in one view, by Pillow: what :func:`thaw.trainables.data.views.render` computes, rounded to 8 bits.

    Args:
        pixels: uint8 (S, S, 3).
        matrix: of :func:`~thaw.trainables.data.affine.affine_matrices`, (2, 3).
    """
    side = len(pixels)
    # Pixels outside take the colour of the nearest edge, which Pillow does not support.
    padded = Image.fromarray(np.pad(pixels, ((side, side), (side, side), (0, 0)), "edge"))
    a, b, c = matrix[:, 0], matrix[:, 1], (1 + matrix[:, 2] - matrix[:, 0] - matrix[:, 1]) * side / 2 + side
    coefficients = tuple(float(value) for value in (a[0], b[0], c[0], a[1], b[1], c[1]))
    return np.asarray(padded.transform((side, side), Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR))


def _logits(file: Path, logits: str, rows: str) -> tuple[np.ndarray, np.ndarray]:
    try:
        with safe_open(file, framework="np") as content:
            return content.get_tensor(logits).astype(np.float64), content.get_tensor(rows)
    except (SafetensorError, OSError, ValueError) as error:
        raise ConfigError(f"is damaged ({error})", file=file) from None


def _probabilities(logits: np.ndarray, loss: str) -> np.ndarray:
    if loss != "softmax":
        return 1 / (1 + np.exp(-np.clip(logits, -500, 500)))
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _worst_sheets(photos: _Photos, rows: np.ndarray, probabilities: np.ndarray, trial: int) -> list[Sheet]:
    labels = photos.dataset.labels[rows]
    p = np.clip(probabilities, 1e-7, 1 - 1e-7)
    wrong = -np.where(labels, np.log(p), np.log(1 - p)).sum(axis=1)
    unsure = -(p * np.log(p) + (1 - p) * np.log(1 - p)).sum(axis=1)
    sheets = []
    for title, meaning, score in (
        (
            f"Validation photos on which trial {trial} is most wrong",
            "By the cross-entropy of its probabilities. Is the label wrong, the crop, or the network?",
            wrong,
        ),
        (
            f"Validation photos on which trial {trial} is least certain",
            "By the entropy of its probabilities. It would learn most from more photos like these.",
            unsure,
        ),
    ):
        order = np.argsort(-score, kind="stable")[:WORST]
        lines = [(photos.labels(rows[i]), _predicted(photos, labels[i], probabilities[i])) for i in order]
        sheets.append(photos.sheet(title, meaning, rows[order].tolist(), lines))
    return sheets


def _predicted(photos: _Photos, given: np.ndarray, probabilities: np.ndarray) -> str:
    """The most probable labels, and those that the image has."""
    order = np.argsort(-probabilities, kind="stable")
    named = [i for i in order if given[i] or probabilities[i] >= photos.config.threshold or i == order[0]][:NAMED]
    return f"predicted: {', '.join(f'{photos.dataset.classes[i]} {probabilities[i]:.2f}' for i in named)}"


def _doubts_sheet(photos: _Photos, rows: np.ndarray, probabilities: np.ndarray, exclusive: bool) -> Sheet:
    """Likely label errors, by the mean prediction of each image over the seeds of the confirmation."""
    images, place = np.unique(rows, return_inverse=True)
    mean = np.zeros((len(images), probabilities.shape[1]))
    np.add.at(mean, place, probabilities)
    mean /= np.bincount(place)[:, None]
    doubts = label_doubts(mean, photos.dataset.labels[images], exclusive)[:WORST]
    lines = []
    for doubt in doubts:
        name = photos.dataset.classes[doubt.label]
        what = f"hardly {name}" if doubt.present else f"probably {name}"
        lines.append((photos.labels(images[doubt.row]), f"{what}: {doubt.probability:.2f}"))
    return photos.sheet(
        "Labels in doubt",
        "By confident learning (Northcutt et al. 2021) on predictions of networks that had not seen the photo. Look "
        "before you correct: some are hard photos, not wrong labels.",
        [int(images[doubt.row]) for doubt in doubts],
        lines,
    )


def run_gallery(run: Run) -> str:
    """The photos of a report as HTML; empty, with a note on standard error, if they cannot be shown."""
    try:
        return gallery(run_sheets(run))
    except (ConfigError, OSError) as error:
        print(printable(f"note: no photos: {error}"), file=sys.stderr)
        return ""
