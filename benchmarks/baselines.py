"""The two baselines: plain Ray Tune as in its tutorial, and as an expert would tune it.

Both train the same networks as Thaw, from the same seeds, with the images in the same order, and measure validation mAP
after each epoch with the same function. They do nothing else: no other metrics, no log, no TensorBoard. The expert's
can also search, with Optuna's TPE.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from thaw.spaces import TrialConfig
from thaw.trainables.context import RunContext
from thaw.trainables.data.views import render, view_parameters
from thaw.trainables.evaluation.metrics import average_precision
from thaw.trainables.networks.backbone import resolve
from thaw.trainables.networks.freezing import Frozen, Network, split_at_depth
from thaw.trainables.networks.table import architecture
from thaw.trainables.seeding import derive_seed
from thaw.trainables.training.losses import build_loss, probabilities
from thaw.trainables.training.optim import build_optimizer

EVALUATION_BATCH = 128

DOMAINS: dict[str, Callable[[Any, Any], Any]] = {
    "int": lambda low, high: tune.randint(low, high + 1),
    "float": tune.uniform,
    "log": tune.loguniform,
}
"""Kind of a range in a search file → the same range of Ray Tune."""


class Seeds:
    """Initialisation, image order and dropout of a trial, seeded as in Thaw."""

    def __init__(self, config: TrialConfig, context: RunContext) -> None:
        self.config, self.context = config, context

    def _seed(self, purpose: str, epoch: int) -> int:
        return derive_seed(self.context.seed, self.config.canonical(), purpose, epoch)

    def network(self) -> Network:
        """Thaw's network, except that batch norm in frozen layers stays unchanged, too."""
        torch.manual_seed(self._seed("initialisation", 0))
        config = self.config
        backbone = resolve(config.architecture, self.context.weights, self.context.images.size)
        head = backbone.head(self.context.labels.shape[1], config.head_units, config.dropout)
        frozen, rest = split_at_depth(copy.deepcopy(backbone.layers), config.freeze_depth)
        return Network(Frozen(frozen), {**rest, "head": head}, "")

    def batches(self, epoch: int) -> list[np.ndarray]:
        """Rows of the training images by batch; sets the seed for dropout. A last batch of one image is dropped."""
        torch.manual_seed(self._seed("dropout", epoch))
        order = np.random.default_rng(self._seed("shuffle", epoch)).permutation(self.context.split.train)
        size = self.config.batch_size
        parts = [order[start : start + size] for start in range(0, len(order), size)]
        return [rows for rows in parts if len(rows) > 1 or len(order) == 1]


def mean_average_precision(logits: list[Tensor], targets: Tensor, config: TrialConfig) -> float:
    return average_precision(probabilities(torch.cat(logits), config.loss), targets).nanmean().item()


class Tuned(tune.Trainable):
    """As an expert would do it: reused workers, images decoded once into a memory-mapped array, normalised and
    augmented in batches, the frozen part under no_grad in evaluation mode, channels_last, a fused optimiser."""

    def setup(self, config: dict[str, Any], context: RunContext, device: str) -> None:  # type: ignore[override]
        torch.set_num_threads(1)
        self.context, self.device = context, torch.device(device)
        self.pixels = context.images.open().pixels
        self.targets = torch.from_numpy(context.labels).to(self.device, torch.float32)
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.trial = TrialConfig(**new_config["trial"])
        self.row = architecture(self.trial.architecture).preprocessing
        self.seeds = Seeds(self.trial, self.context)
        self.network = self.seeds.network().to(self.device).to(memory_format=torch.channels_last)
        self.loss = build_loss(self.trial)
        heads, backbone = self.network.head_parameters(), self.network.backbone_parameters()
        self.optimizer = build_optimizer(self.trial, heads, backbone)
        self.history: list[float] = []
        return True

    def step(self) -> dict[str, Any]:
        epoch = len(self.history) + 1
        augmented = not self.context.augment.is_identity
        self.network.train()
        for rows in self.seeds.batches(epoch):
            loss = self.loss(self._forward(rows, epoch - 1 if augmented else None), self._targets(rows))
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
        self.history.append(self._validate())
        return {"history": list(self.history), "val_map": self.history[-1], "done": epoch == self.trial.epochs}

    @torch.no_grad()
    def _validate(self) -> float:
        self.network.eval()
        rows = self.context.split.validation
        parts = [rows[start : start + EVALUATION_BATCH] for start in range(0, len(rows), EVALUATION_BATCH)]
        return mean_average_precision([self._forward(part, None) for part in parts], self._targets(rows), self.trial)

    def _targets(self, rows: np.ndarray) -> Tensor:
        return self.targets[torch.from_numpy(rows)]

    def _forward(self, rows: np.ndarray, view: int | None) -> Tensor:
        pixels, matrices = torch.from_numpy(self.pixels[rows]), None
        if self.device.type == "cuda":
            pixels = pixels.pin_memory().to(self.device, non_blocking=True)
        if view is not None:
            matrices = view_parameters(self.context.augment, self.context.seed, view, rows).to(self.device)
        images = render(pixels, matrices, self.row.mean, self.row.std)
        return self.network.tail(self.network.prefix(images))  # the prefix sets eval mode and no_grad itself


class Photos(Dataset[tuple[Tensor, Tensor]]):
    """The tutorial's data set: each access to an image opens, decodes and transforms its file."""

    def __init__(self, context: RunContext, transform: transforms.Compose) -> None:
        self.context, self.transform = context, transform

    def __len__(self) -> int:
        return len(self.context.images.files)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        with Image.open(self.context.images.root / self.context.images.files[row]) as image:
            pixels = self.transform(image.convert("RGB"))
        return pixels, torch.from_numpy(self.context.labels[row]).float()


def tutorial(config: dict[str, Any], context: RunContext, device: str) -> None:
    """As in Ray Tune's PyTorch tutorial: a fresh worker per trial, data loaded inside it, stock transforms, AdamW.

    The augmentation has the same ranges as Thaw's, but torchvision draws the values, so metrics differ with
    augmentation. The loader works in the trial's own process: more processes would share the trial's single processor.
    """
    torch.set_num_threads(1)
    trial = TrialConfig(**config["trial"])
    seeds, row, size = Seeds(trial, context), architecture(trial.architecture).preprocessing, context.images.size
    square = [transforms.Resize(size), transforms.CenterCrop(size)]
    finish = [transforms.ToTensor(), transforms.Normalize(row.mean, row.std)]
    augment = context.augment
    changes: list[Any] = []
    if not augment.is_identity:
        shift = (augment.shift, augment.shift)
        changes = [
            transforms.RandomAffine(augment.rotate, translate=shift, shear=augment.shear),
            transforms.RandomHorizontalFlip(augment.flip),
        ]
    training = Photos(context, transforms.Compose([*square, *changes, *finish]))
    validation = Photos(context, transforms.Compose([*square, *finish]))
    rows = context.split.validation
    parts = [rows[start : start + EVALUATION_BATCH].tolist() for start in range(0, len(rows), EVALUATION_BATCH)]
    # Frozen layers have requires_grad=False and stay in eval mode.
    network = seeds.network().to(memory_format=torch.contiguous_format).to(device)
    loss_of = build_loss(trial)
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=trial.learning_rate, weight_decay=trial.weight_decay)
    history: list[float] = []
    for epoch in range(1, trial.epochs + 1):
        network.train()
        for images, targets in _load(training, [batch.tolist() for batch in seeds.batches(epoch)]):
            loss = loss_of(network.tail(network.prefix(images.to(device))), targets.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        network.eval()
        logits, truth = [], []
        with torch.no_grad():
            for images, targets in _load(validation, parts):
                logits.append(network.tail(network.prefix(images.to(device))))
                truth.append(targets.to(device))
        history.append(mean_average_precision(logits, torch.cat(truth), trial))
        tune.report({"history": list(history)})


def _load(photos: Photos, batches: list[list[int]]) -> Iterator[tuple[Tensor, Tensor]]:
    # The seed is restored: a loader draws one number from torch's generator, which would shift the dropout.
    state = torch.random.get_rng_state()
    loader = iter(DataLoader(photos, batch_sampler=batches))
    torch.random.set_rng_state(state)
    return loader


BASELINES: dict[str, tuple[Any, bool]] = {"tuned": (Tuned, True), "tutorial": (tutorial, False)}
"""Name → (trainable, whether workers are reused)."""


def run_baseline(
    name: str, configs: Sequence[TrialConfig], context: RunContext, device: str, concurrency: int, storage: Path
) -> list[list[float]]:
    """Train all configurations with plain Ray Tune, without a scheduler.

    Args:
        name: a row of `BASELINES`.
        configs: one per trial.
        context: data and training conditions.
        device: cpu or cuda.
        concurrency: concurrent trials; with cuda they share one GPU.
        storage: folder for Ray's files.

    Returns:
        Validation mAP by epoch for each configuration, in the given order.

    Raises:
        RuntimeError: a trial failed.
    """
    trainable, reuse = BASELINES[name]
    tuner = tune.Tuner(
        _with_resources(trainable, context, device, concurrency),
        param_space={"trial": tune.grid_search([config.model_dump() for config in configs])},
        tune_config=tune.TuneConfig(reuse_actors=reuse, max_concurrent_trials=concurrency),
        run_config=tune.RunConfig(
            name=name,
            storage_path=str(storage),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False) if reuse else None,
            verbose=0,
        ),
    )
    results = _finished(tuner, name)
    by_config: dict[str, list[float]] = {}
    for result in (results[number] for number in range(len(results))):
        assert result.config is not None and result.metrics is not None
        by_config[TrialConfig(**result.config["trial"]).canonical()] = result.metrics["history"]
    return [by_config[config.canonical()] for config in configs]


def _with_resources(trainable: Any, context: RunContext, device: str, concurrency: int) -> Any:
    return tune.with_resources(
        tune.with_parameters(trainable, context=context, device=device),
        {"cpu": 1, "gpu": 1 / concurrency if device == "cuda" else 0},
    )


def _finished(tuner: tune.Tuner, name: str) -> tune.ResultGrid:
    results = tuner.fit()
    if results.errors:
        raise RuntimeError(f"a trial of the baseline {name} failed: {results.errors[0]}")
    return results


def decoded_anew(context: RunContext, folder: Path) -> RunContext:
    """The same context with its images decoded again, into another folder: a baseline pays for that itself."""
    context = replace(context, images=replace(context.images, directory=folder))
    context.images.open()
    return context


class _Results(tune.Callback):
    """Calls a function with the validation mAP of each epoch."""

    arrived: Callable[[float], None]  # on the class, because Ray copies callbacks

    def on_trial_result(self, iteration: int, trials: list, trial: Any, result: dict[str, Any], **info: Any) -> None:
        type(self).arrived(result["val_map"])


def search_baseline(
    name: str,
    fixed: TrialConfig,
    space: Mapping[str, Mapping[str, Sequence[float]]],
    trials: int,
    context: RunContext,
    device: str,
    concurrency: int,
    storage: Path,
    *,
    asha: bool,
    arrived: Callable[[float], None],
) -> None:
    """Search with the tuned baseline and Optuna's TPE, both in Ray Tune's own settings.

    Args:
        name: of the search.
        fixed: the hyperparameters that are not searched, and the number of epochs.
        space: the `space` of a search file: ranges only.
        trials: their number.
        context, device, concurrency, storage: as for :func:`run_baseline`.
        asha: stop trials by asynchronous successive halving, as Ray Tune does by default: a quarter continues from
            each rung, the first of which is the first epoch.
        arrived: called with the validation mAP of each epoch of each trial.

    Raises:
        RuntimeError: a trial failed.
    """
    domains = {key: DOMAINS[kind](*limits) for key, found in space.items() for kind, limits in found.items()}
    _Results.arrived = arrived
    tuner = tune.Tuner(
        _with_resources(Tuned, context, device, concurrency),
        param_space={"trial": {**fixed.model_dump(), **domains}},
        tune_config=tune.TuneConfig(
            metric="val_map",
            mode="max",
            num_samples=trials,
            search_alg=OptunaSearch(seed=context.seed),
            scheduler=ASHAScheduler(max_t=fixed.epochs) if asha else None,
            reuse_actors=True,
            max_concurrent_trials=concurrency,
        ),
        run_config=tune.RunConfig(
            name=name,
            storage_path=str(storage),
            callbacks=[_Results()],
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            verbose=0,
        ),
    )
    _finished(tuner, name)
