"""Several heads of equal shape, trained as one: each layer of all of them is one batched product.

A GPU spends most of a head's step on starting kernels, however little each one computes. The idea is that of Wang et
al., "Horizontally fused training array" (MLSys 2021). Each head keeps its own images, optimiser, schedule and seeds, so
its results are those that it has alone, up to the order of sums. On a GPU its dropout masks differ, too: those of a
head alone come from the kernel that applies them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from thaw.spaces import STAGES
from thaw.trainables.device import autocast
from thaw.trainables.messages import EpochRow, Failure
from thaw.trainables.training.loop import Trained, Training


def shape(training: Training) -> Hashable:
    """What trainings must have in common to be trained together; None for one that trains more than a known head."""
    config, head = training.config, training.network.tail[-1]
    layers = head if isinstance(head, nn.Sequential) else [head]
    if config.freeze_depth < STAGES or not all(type(layer) in LAYERS for layer in layers):
        return None
    loss = config.loss, config.positive_weight, config.label_smoothing
    return config.architecture, config.head_units, config.batch_size, loss, len(training.context.split.train)


def epoch_together(trainings: Sequence[Training]) -> list[EpochRow | Failure]:
    """Train each of several trainings of one :func:`shape` for its next epoch, and validate it."""
    views, prefixes = [], []
    for training in trainings:
        started = time.perf_counter()
        views.append(training.prepare())
        prefixes.append(time.perf_counter() - started)
    started = time.perf_counter()
    trained = _train(trainings, views)
    share = (time.perf_counter() - started) / len(trainings)
    return [
        training.complete(result, prefix=prefix, train=share)
        for training, result, prefix in zip(trainings, trained, prefixes, strict=True)
    ]


def _train(trainings: Sequence[Training], views: Sequence[int]) -> list[Trained]:
    """One pass of each over its training images."""
    first, epochs = trainings[0], [training.progress.completed + 1 for training in trainings]
    plans = [training.batches(epoch) for training, epoch in zip(trainings, epochs, strict=True)]
    targets = torch.stack([of_one for _, of_one in plans])
    heads = _Heads(trainings, epochs)
    inputs = [
        training.activations.batches(batches, view)
        for training, (batches, _), view in zip(trainings, plans, views, strict=True)
    ]
    logits, norms, rates = [], [], [0.0] * len(trainings)
    for step, batch in enumerate(zip(*inputs, strict=True)):
        at = slice(step * first.config.batch_size, (step + 1) * first.config.batch_size)
        rates = [training.set_learning_rate(epoch, step) for training, epoch in zip(trainings, epochs, strict=True)]
        with autocast(first.device, first.activations.precision):
            step_logits = heads.forward(torch.stack(batch)).float()
        # The sum of the heads' losses, as each is a mean over as many images.
        loss = len(trainings) * first.loss(step_logits.flatten(0, 1), targets[:, at].flatten(0, 1))
        norms.append(heads.step(loss))
        logits.append(step_logits.detach())
    passes = zip(torch.cat(logits, 1), targets, torch.stack(norms, 1), rates, strict=True)
    return [
        training.summary(own_logits, own_targets, training.loss(own_logits, own_targets).item(), own_norms, rate)
        for training, (own_logits, own_targets, own_norms, rate) in zip(trainings, passes, strict=True)
    ]


class _Heads:
    """The heads of several trainings, in training mode.

    Each weight becomes a part of a tensor of all heads, and stays one: what an optimiser changes here is changed there.

    Args:
        trainings: of one :func:`shape`.
        epochs: the epoch that each is about to train, for its dropout.
    """

    def __init__(self, trainings: Sequence[Training], epochs: Sequence[int]) -> None:
        self.trainings, self.device = trainings, trainings[0].device
        self.random = [
            torch.Generator(self.device).manual_seed(training.seed("dropout", epoch))
            for training, epoch in zip(trainings, epochs, strict=True)
        ]
        largest = [training.largest_norm or torch.inf for training in trainings]
        self.largest_norms = None if min(largest) == torch.inf else torch.tensor(largest, device=self.device)
        self.parameters = list(zip(*(training.trained for training in trainings), strict=True))
        self.weights = [torch.stack([one.detach() for one in same]).requires_grad_() for same in self.parameters]
        for same, weight in zip(self.parameters, self.weights, strict=True):
            for parameter, part in zip(same, weight.detach(), strict=True):
                parameter.data = part
        weights = iter(self.weights)
        heads = (cast(nn.Sequential, training.network.tail[-1]) for training in trainings)
        self.layers = [LAYERS[type(same[0])](self, same, weights) for same in zip(*heads, strict=True)]

    def forward(self, inputs: Tensor) -> Tensor:
        """Inputs (heads, images, features) to logits (heads, images, labels)."""
        for layer in self.layers:
            inputs = layer(inputs)
        return inputs

    def step(self, loss: Tensor) -> Tensor:
        """One step of each optimiser, down the gradients of the sum of all losses. Returns their norms, (heads,)."""
        # Fused optimisers ignore strides.
        gradients = [gradient.contiguous() for gradient in torch.autograd.grad(loss, self.weights)]
        by_weight = torch.stack([torch.linalg.vector_norm(gradient.flatten(1), dim=1) for gradient in gradients])
        norms = torch.linalg.vector_norm(by_weight, dim=0)
        if self.largest_norms is not None:
            factors = (self.largest_norms / (norms + 1e-6)).clamp(max=1)
            for gradient in gradients:
                gradient.mul_(factors.view(-1, *[1] * (gradient.ndim - 1)))
        for same, gradient in zip(self.parameters, gradients, strict=True):
            for parameter, part in zip(same, gradient, strict=True):
                parameter.grad = part
        for training in self.trainings:
            training.optimizer.step()
        return norms


Layer = Callable[[Tensor], Tensor]


def _dense(heads: _Heads, same: Sequence[nn.Module], weights: Iterator[Tensor]) -> Layer:
    weight, bias = next(weights), next(weights)
    # The other way round, the weights' gradients would be transposed, and have to be copied at each step.
    return lambda inputs: torch.baddbmm(bias.unsqueeze(2), weight, inputs.mT).mT


def _dropout(heads: _Heads, same: Sequence[nn.Module], weights: Iterator[Tensor]) -> Layer:
    """On a CPU, the masks that `torch.nn.functional.dropout` draws, which for a share of 0 draws nothing."""
    kept = [1 - cast(nn.Dropout, layer).p for layer in same]
    shares = torch.tensor(kept, device=heads.device).view(-1, 1, 1)

    def drop(inputs: Tensor) -> Tensor:
        masks = inputs.new_empty(inputs.shape)
        for mask, share, generator in zip(masks, kept, heads.random, strict=True):
            mask.bernoulli_(share, generator=generator) if share < 1 else mask.fill_(1)
        return inputs * masks.div_(shares)

    return drop if min(kept) < 1 else _unchanged


def _unchanged(inputs: Tensor) -> Tensor:
    return inputs


def _relu(heads: _Heads, same: Sequence[nn.Module], weights: Iterator[Tensor]) -> Layer:
    return torch.relu


LAYERS: dict[type[nn.Module], Callable[[_Heads, Sequence[nn.Module], Iterator[Tensor]], Layer]] = {
    nn.Linear: _dense,
    nn.Dropout: _dropout,
    nn.ReLU: _relu,
}
"""What a head may consist of, and how the same layer of several heads is applied: from the layers and the weights that
follow to a function of (heads, images, …)."""
