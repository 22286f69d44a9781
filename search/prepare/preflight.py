"""The checks before a search: problems are found before the run folder exists and anything starts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np

from thaw.analysis.run_folder import RunFolder
from thaw.search.prepare.data_checks import (
    check_absent,
    check_folders,
    check_labels,
    check_metric,
    check_rejected,
    checked_split,
)
from thaw.search.prepare.data_set import DataFacts, cache_directory, data_facts, load_dataset
from thaw.search.prepare.measure import choose_precision, measure_latency
from thaw.search.prepare.memory import check_memory
from thaw.search.prepare.nodes import check_nodes
from thaw.search.prepare.notes import equal_notes, split_notes
from thaw.search.prepare.preprocessing import follow_weights
from thaw.search.prepare.resources import available, resolve_resources
from thaw.search.prepare.stages import Stages
from thaw.search.settings.schema import ResourcesConfig, SearchConfig
from thaw.spaces import ConfigError
from thaw.spaces.paths import expanded
from thaw.spaces.trial import NamedWeights
from thaw.trainables.context import CacheOptions, ImageSource, RunContext
from thaw.trainables.data.augment import AUGMENTS
from thaw.trainables.data.dataset import Dataset
from thaw.trainables.data.image_store import ImageStore
from thaw.trainables.data.splits import equal_images
from thaw.trainables.evaluation.trivial import trivial_metrics
from thaw.trainables.networks.backbone import Backbone, resolve
from thaw.trainables.networks.table import OWN
from thaw.trainables.networks.tuning import NEEDS
from thaw.trainables.networks.weights import chosen_weights


@dataclass(frozen=True)
class Prepared:
    """A search that can start.

    Args:
        config: the search file with everything resolved.
        dataset: the content of the label file.
        context: what is sent to the workers.
        images: the decoded images on this machine.
        rejected: (file, reason) of all images that cannot be used.
        trivial: trivial predictor → metrics on the validation split.
        fingerprint: hex digest of pixels and labels.
        weights: architecture → digest of the pretrained weights that it starts from.
        alike: int (images,), equal numbers for images with equal pixels that stay together; None if there are none.
        notes: notes on the split and on preprocessing, one sentence each.
    """

    config: SearchConfig
    dataset: Dataset
    context: RunContext
    images: ImageStore
    rejected: list[tuple[str, str]]
    trivial: dict[str, dict[str, float]]
    fingerprint: str
    weights: dict[str, str]
    alike: np.ndarray | None = None
    notes: tuple[str, ...] = ()

    @property
    def facts(self) -> DataFacts:
        """The facts of the data set as the search uses it."""
        split = self.context.split
        sizes = {"train": len(split.train), "validation": len(split.validation), "test": len(split.test)}
        notes = (*self.dataset.notes, *self.notes, *self.images.grey.notes())
        return replace(data_facts(self.config, self.dataset), split=sizes, rejected=len(self.rejected), notes=notes)


def run_folder(config: SearchConfig) -> RunFolder:
    """The future run folder; checked, but not created.

    Raises:
        ConfigError: the folder exists already, or its location is not writable.
    """
    folder = RunFolder(expanded(config.output).resolve() / config.name)
    folder.check_new()
    return folder


def prepare(
    config: SearchConfig,
    stages: Stages | None = None,
    precision: str | Mapping[str, str] | None = None,
    latency: Mapping[str, float] | None = None,
    suits: Callable[[ResourcesConfig], None] = lambda resources: None,
    meanwhile: Callable[[int], None] = lambda slots: None,
) -> Prepared:
    """Check everything, decode the images and split them.

    Args:
        config: as loaded.
        stages: reports progress; silent by default.
        precision: that of a resumed run; None follows the search file, measuring for ``auto``.
        latency: as measured when a resumed run began; None measures it if it is an objective.
        suits: called with the resolved resources of a trial before anything is read; raises ConfigError if the backend
            cannot give them.
        meanwhile: called with the number of concurrent trials just before the images are read, to start work that
            can run at the same time.

    Raises:
        ConfigError: anything is wrong.
    """
    config = resolve_resources(config, available())
    suits(config.resources)
    check_nodes(config)
    stages = stages or Stages()
    with stages("looking at networks and their weights"):
        weights = check_architectures(config)
        check_memory(config)
        config, preprocessing = follow_weights(config)
    with stages("reading labels"):
        dataset = load_dataset(config)
    check_labels(config, dataset)
    check_absent(config.data, dataset)
    data = config.data
    source = ImageSource(
        dataset.root,
        dataset.files,
        data.square,
        cache_directory(config) / "images",
        data.timeout,
        data.white,
        dataset.source,
        dataset.remote,
    )
    measuring = precision is None and config.precision == "auto"
    timing = latency is None and "latency" in config.search.costs
    if not measuring and not timing:
        assert config.search.concurrency is not None
        meanwhile(config.search.concurrency)
    if dataset.remote is not None:
        with stages("copying images") as step:
            source.copy(step)
    try:
        with stages("reading images") as step:
            store = source.open(step)
    except ConfigError as error:
        raise error.within("cache") from None
    with stages("splitting images"):
        rejected = [*dataset.rejected, *store.rejected]
        check_rejected(data, len(dataset.files) + len(dataset.rejected), rejected)
        check_folders(dataset, store)
        alike = equal_images(store.digests, store.usable)
        together = data.split.duplicates == "together"
        split = checked_split(data, dataset, store.usable, alike if together else None)
        notes = split_notes(dataset, split, data.split.column, data.split.group) + equal_notes(alike, split)
        notes += [*weights_notes(config), *preprocessing]
        single_label = bool((dataset.labels[split.train].sum(axis=1) == 1).all())
        check_metric(config, single_label, len(dataset.classes))
    context = RunContext(
        images=source,
        labels=dataset.labels,
        split=split,
        augment=AUGMENTS[data.augment] if isinstance(data.augment, str) else data.augment,
        views=None if data.views == "each_epoch" else data.views,
        weights=config.weights,
        seed=config.search.seed,
        precision="fp32",
        threshold=config.threshold,
        cache=CacheOptions(
            config.cache.activations,
            cache_directory(config) / "activations",
            config.cache.budget,
            shared=config.cache.share == "cluster",
        ),
        metric=config.search.metric,
        single_label=single_label,
        deterministic=config.deterministic,
        costs=config.search.costs,
        networks=tuple(OWN[name] for name in weights if name in OWN),
    )
    if measuring:
        with stages("measuring precisions"):
            precision = choose_precision(config, context)
    precision = precision or config.precision
    assert precision is not None
    context = replace(context, precision=precision)
    if timing:
        with stages("measuring latencies"):
            latency = measure_latency(config, context)
    if latency is not None:
        context = replace(context, latency=latency)
    with stages("scoring trivial predictors"):
        train, validation = dataset.labels[split.train], dataset.labels[split.validation]
        trivial = trivial_metrics(train, validation, config.threshold, single_label)
    return Prepared(
        config,
        dataset,
        context,
        store,
        rejected,
        trivial,
        _fingerprint(dataset, store),
        weights,
        alike if together else None,
        tuple(notes),
    )


def check_architectures(config: SearchConfig) -> dict[str, str]:
    """Check that all architectures are known and accept such images, and that their weights can be had.

    Returns:
        Architecture → digest of its weights.

    Raises:
        ConfigError: names architecture, weights file and the fix.
    """
    digests = {}
    for name in map(str, config.search_space.options("architecture")):
        try:
            backbone = resolve(name, config.weights, config.data.image_size)
            backbone.check()
            _check_tune(config, backbone)
            digests[name] = backbone.digest
        except ConfigError as error:
            section = "space" if "architecture" in config.space else "training"
            raise error if error.key else error.within(f"{section}.architecture") from None
    return digests


def weights_notes(config: SearchConfig) -> list[str]:
    """How well each of the user's own weights files fits its network, one sentence each."""
    names = map(str, config.search_space.options("architecture"))
    own = [name for name in names if chosen_weights(name, config.weights) not in get_args(NamedWeights)]
    return [resolve(name, config.weights, config.data.image_size).note for name in own]


def _check_tune(config: SearchConfig, backbone: Backbone) -> None:
    for tune in map(str, config.search_space.options("tune")):
        if tune in NEEDS and not any(NEEDS[tune](layer) for layer in backbone.empty_layers().values()):
            raise ConfigError(
                f"{backbone.name} has no weights that {tune!r} trains; use all, or another network",
                f"{'space' if 'tune' in config.space else 'training'}.tune",
            )


def _fingerprint(dataset: Dataset, store: ImageStore) -> str:
    digest = hashlib.blake2b(store.digest.encode(), digest_size=16)
    digest.update(repr(dataset.classes).encode())
    digest.update(np.packbits(dataset.labels).tobytes())
    return digest.hexdigest()
