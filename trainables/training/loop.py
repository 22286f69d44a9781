"""The training loop of one trial, readable from top to bottom, without Ray."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from thaw.spaces import STAGES, TrialConfig, metric
from thaw.trainables.activations.inputs import Activations
from thaw.trainables.context import RunContext
from thaw.trainables.data.image_store import ImageStore
from thaw.trainables.device import autocast, compute_in
from thaw.trainables.evaluation.metrics import average_precision, epoch_metrics
from thaw.trainables.messages import EpochRow, Failure
from thaw.trainables.networks.backbone import resolve
from thaw.trainables.networks.chunks import chunk_size
from thaw.trainables.networks.cost import inference_cost
from thaw.trainables.networks.freezing import build_network
from thaw.trainables.seeding import derive_seed
from thaw.trainables.training.groups import largest_norm, parameter_groups
from thaw.trainables.training.losses import build_loss, probabilities
from thaw.trainables.training.optim import load_optimizer_tensors, optimizer_over, optimizer_tensors, set_learning_rate

EVALUATION_BATCH = 128
"""Validation images per batch where a CPU's caches do not limit it."""

OPTIMIZER = "optimizer."
"""Prefix of the names of the optimiser's tensors, which are stored with those of the network."""

ADVICE = "try a smaller learning_rate or a warmup"


@dataclass
class Progress:
    """Progress of a trial.

    Args:
        completed: number of completed epochs.
        best_loss, best_loss_epoch: the lowest ``val_loss`` and its epoch, for patience.
        best_value, best_epoch: the best value of the search's metric and its epoch, the earliest one in a tie.
    """

    completed: int = 0
    best_loss: float = math.inf
    best_loss_epoch: int = 0
    best_value: float = math.nan
    best_epoch: int = 0

    def add(self, metrics: Mapping[str, float], column: str) -> None:
        """Record an epoch with these metrics; `column` is that of the search's metric."""
        self.completed += 1
        if metrics["val_loss"] < self.best_loss:
            self.best_loss, self.best_loss_epoch = metrics["val_loss"], self.completed
        if not self.best_epoch or metric(column).better(metrics[column], self.best_value):
            self.best_value, self.best_epoch = metrics[column], self.completed


@dataclass(frozen=True)
class Trained:
    """What one pass over the training images gave.

    Args:
        metrics: over the batches, each before its step.
        learning_rate: of the head at the last step.
        gradient_norm: averaged over the steps.
    """

    metrics: dict[str, float]
    learning_rate: float
    gradient_norm: float


class Training:
    """Training of one trial.

    Initialisation, image order and dropout are seeded by (search seed, configuration, epoch): equal configurations give
    equal results, whatever ran before them in this process.

    Args:
        config: the trial's hyperparameters.
        context: what all trials of the run share.
        images: the decoded images.
        device: device to compute on.

    Attributes:
        validation_logits: float32 (validation images, labels) after the last epoch, on the device.
    """

    def __init__(self, config: TrialConfig, context: RunContext, images: ImageStore, device: torch.device) -> None:
        self.config, self.context, self.device = config, context, device
        self._seed_torch("initialisation")
        classes = context.labels.shape[1]
        precision = context.precision_of(config.architecture)
        self.network = network = build_network(config, classes, context.images.size, context.weights, device, precision)
        self.activations = Activations(config, network, context, images, device)
        self.targets = torch.from_numpy(context.labels).to(device, torch.float32)
        self.loss = build_loss(config)
        transformer = resolve(config.architecture, context.weights, context.images.size).cost.transformer
        self.optimizer = optimizer_over(config, parameter_groups(config, network, transformer))
        self.largest_norm = largest_norm(config, transformer)
        self.trained = [weight for weight in network.tail.parameters() if weight.requires_grad]
        self.steps = math.ceil(len(context.split.train) / config.batch_size)
        self.length, self.patience = config.epochs, config.patience
        if context.fold is not None:
            self.length, self.patience = context.fold.epochs, 0
        self.costs = _costs(config, context)
        self.progress = Progress()
        self.validation_logits = torch.empty(0, classes)

    def tensors(self) -> dict[str, Tensor]:
        """All tensors that the next epoch depends on: trained weights and buffers, and the optimiser's state.

        The state of random generators is not needed, as their seeds are derived from the epoch.
        """
        state = {f"{OPTIMIZER}{name}": value for name, value in optimizer_tensors(self.optimizer).items()}
        return self.network.trained_state() | state

    def load(self, progress: Progress, tensors: Mapping[str, Tensor]) -> None:
        """Continue from the progress and :meth:`tensors` of another training of the same configuration."""
        own = {name: value for name, value in tensors.items() if not name.startswith(OPTIMIZER)}
        self.network.load_trained_state(own)
        state = {name.removeprefix(OPTIMIZER): value for name, value in tensors.items() if name not in own}
        load_optimizer_tensors(self.optimizer, state)
        self.progress = progress

    @property
    def best_so_far(self) -> bool:
        """Whether the last epoch is the trial's best so far. On a fold the final epoch is, whatever its value."""
        epoch = self.progress.completed
        return epoch == (self.length if self.context.fold is not None else self.progress.best_epoch)

    def seed(self, purpose: str, epoch: int = 0) -> int:
        """Seed of what is drawn at random in an epoch: ``initialisation``, ``shuffle`` or ``dropout``."""
        return derive_seed(self.context.training_seed, self.config.canonical(), purpose, epoch)

    def _seed_torch(self, purpose: str, epoch: int = 0) -> None:
        # torch.manual_seed would also queue a call, with its stack trace, for each kind of accelerator that is absent,
        # and keep it for ever: a millisecond each time.
        generators = torch if self.device.type == "cuda" else torch.default_generator
        generators.manual_seed(self.seed(purpose, epoch))

    def epoch(self) -> EpochRow | Failure:
        """Train for one more epoch and validate."""
        started = time.perf_counter()
        view = self.prepare()
        prepared = time.perf_counter()
        trained = self._train(self.progress.completed + 1, view)
        return self.complete(trained, prefix=prepared - started, train=time.perf_counter() - prepared)

    def prepare(self) -> int:
        """Provide the inputs of the next epoch, and return the view of its training images."""
        completed = self.progress.completed
        view = completed if self.context.views is None else completed % self.context.views
        # Of the process, and the trial before may have had another.
        compute_in(self.activations.precision, self.context.deterministic)
        self.activations.prepare(self.context.split.train, view)
        self.activations.prepare(self.context.split.validation, None)
        return view

    def complete(self, trained: Trained, prefix: float, train: float) -> EpochRow | Failure:
        """Validate after the pass over the training images that gave `trained`.

        Args:
            trained: of the epoch that follows :attr:`progress`.
            prefix, train: seconds that its inputs and its steps took.
        """
        epoch = self.progress.completed + 1
        learning_rate, gradient_norm = trained.learning_rate, trained.gradient_norm
        started = time.perf_counter()
        validation, label_ap = self._validate()
        seconds = {"prefix": prefix, "train": train, "validate": time.perf_counter() - started}
        for phase, measured in (("training", trained.metrics), ("validation", validation)):
            if not math.isfinite(measured["loss"]):
                return Failure(epoch, f"the {phase} loss became {measured['loss']} in epoch {epoch}; {ADVICE}")
        if not math.isfinite(gradient_norm):
            return Failure(epoch, f"the gradients' norm became {gradient_norm} in epoch {epoch}; {ADVICE}")
        metrics = {f"val_{k}": v for k, v in validation.items()} | {f"train_{k}": v for k, v in trained.metrics.items()}
        metrics = {column: value for column, value in metrics.items() if math.isfinite(value)}
        if self.context.metric not in metrics:
            return Failure(epoch, f"{self.context.metric} has no value: none of its images has a label")
        self.progress.add(metrics, self.context.metric)
        return EpochRow(
            epoch=epoch,
            metrics=metrics,
            label_ap=[None if math.isnan(value) else value for value in label_ap.tolist()],
            learning_rate=learning_rate,
            gradient_norm=gradient_norm,
            seconds={phase: round(value, 4) for phase, value in seconds.items()},
            parameters=sum(p.numel() for p in self.trained),
            finished=self._finished(epoch),
            costs=self.costs,
        )

    def _finished(self, epoch: int) -> str:
        if epoch >= self.length:
            return "max_epochs"
        waited = epoch - self.progress.best_loss_epoch
        return "patience" if self.patience and waited >= self.patience else ""

    def batches(self, epoch: int) -> tuple[list[np.ndarray], Tensor]:
        """The training images of an epoch, batch by batch, and the targets of all in that order."""
        order = np.random.default_rng(self.seed("shuffle", epoch)).permutation(self.context.split.train)
        size = self.config.batch_size
        batches = [order[start : start + size] for start in range(0, len(order), size)]
        if len(batches[-1]) == 1 < len(order):
            # Batch norm has no variance of a single image: a last batch of one is left out of this epoch.
            batches.pop()
        return batches, self.targets[torch.from_numpy(np.concatenate(batches))]

    def set_learning_rate(self, epoch: int, step: int) -> float:
        """Set the learning rates for a step (from 0) of an epoch; returns the head's."""
        return set_learning_rate(self.optimizer, self.config, (epoch - 1) * self.steps + step, self.steps)

    def _train(self, epoch: int, view: int) -> Trained:
        """One pass over the training images."""
        self._seed_torch("dropout", epoch)
        batches, targets = self.batches(epoch)
        self.network.train()
        logits, losses, norms, learning_rate = [], [], [], 0.0
        for step, inputs in enumerate(self.activations.batches(batches, view)):
            first, size = step * self.config.batch_size, len(batches[step])
            learning_rate = self.set_learning_rate(epoch, step)
            with autocast(self.device, self.activations.precision):
                batch_logits = self.network.tail(inputs).float()
            loss = self.loss(batch_logits, targets[first : first + size])
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            # Kept on the device and read once an epoch: reading it at each step would wait for the device each time.
            norms.append(torch.nn.utils.get_total_norm([p.grad for p in self.trained if p.grad is not None]))
            if self.largest_norm:
                torch.nn.utils.clip_grads_with_norm_(self.trained, self.largest_norm, norms[-1])
            self.optimizer.step()
            losses.append(loss.detach() * size)
            logits.append(batch_logits.detach())
        all_logits = torch.cat(logits)
        mean_loss = torch.stack(losses).sum().item() / len(all_logits)
        return self.summary(all_logits, targets, mean_loss, torch.stack(norms), learning_rate)

    def summary(self, logits: Tensor, targets: Tensor, loss: float, norms: Tensor, learning_rate: float) -> Trained:
        """Results of a pass over the training images.

        Args:
            logits, targets: (images, labels), in the order of the pass.
            loss: mean over the images.
            norms: of the gradients of each step, (steps,).
            learning_rate: of the last step.
        """
        return Trained(self._metrics(logits, targets, loss), learning_rate, norms.mean().item())

    def _validate(self) -> tuple[dict[str, float], Tensor]:
        """Metrics on the validation images, and each label's average precision."""
        self.network.eval()
        rows = self.context.split.validation
        logits, size = [], EVALUATION_BATCH
        if self.device.type == "cpu" and self.config.freeze_depth < STAGES:
            size = chunk_size("cpu", self.context.images.size)
        with torch.no_grad():
            batches = [rows[start : start + size] for start in range(0, len(rows), size)]
            for inputs in self.activations.batches(batches, None):
                with autocast(self.device, self.activations.precision):
                    logits.append(self.network.tail(inputs).float())
            all_logits = self.validation_logits = torch.cat(logits)
            targets = self.targets[torch.from_numpy(rows)]
            metrics = self._metrics(all_logits, targets, self.loss(all_logits, targets).item())
            return metrics, average_precision(probabilities(all_logits, self.config.loss), targets)

    def _metrics(self, logits: Tensor, targets: Tensor, loss: float) -> dict[str, float]:
        if not math.isfinite(loss):
            return {"loss": loss}
        context, predicted = self.context, probabilities(logits, self.config.loss)
        return {"loss": loss, **epoch_metrics(predicted, targets, context.threshold, context.single_label)}


def _costs(config: TrialConfig, context: RunContext) -> dict[str, float]:
    """What the network costs at inference, of the costs that are objectives."""
    if not context.costs:
        return {}
    backbone = resolve(config.architecture, context.weights, context.images.size)
    with torch.device("meta"):
        head = backbone.head(context.labels.shape[1], config.head_units, config.dropout)
    known = {**inference_cost(backbone.cost, head), "latency": context.latency.get(config.architecture, math.nan)}
    return {name: known[name] for name in context.costs if name in known}


def train(training: Training) -> Iterator[EpochRow | Failure]:
    """Train to the end, in this process. Yields the row of each epoch, and a Failure last if training fails."""
    while True:
        row = training.epoch()
        yield row
        if isinstance(row, Failure) or row.finished:
            return
