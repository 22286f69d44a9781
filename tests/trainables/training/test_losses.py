"""Each loss against an independent computation in NumPy, and against other libraries that have it."""

from __future__ import annotations

import math
from typing import Any, get_args

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss
from timm.loss import AsymmetricLossMultiLabel
from torchvision.ops import sigmoid_focal_loss

from thaw.spaces.trial import TrialConfig
from thaw.trainables.training.losses import LOSSES, build_loss, probabilities

GAMMAS_AND_CLIP = {"bce": (0, 0, 0.0), "focal": (2, 2, 0.0), "asymmetric": (0, 4, 0.05)}


def batch(images: int = 7, labels: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    """Random logits, and targets with exactly one label an image."""
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(images, labels, generator=generator, dtype=torch.float64)
    targets = torch.eye(labels, dtype=torch.float64)[torch.randint(labels, (images,), generator=generator)]
    return logits, targets


def config(loss: str, **fields: Any) -> TrialConfig:
    return TrialConfig.model_validate({"loss": loss, **fields})


def test_every_loss_of_the_space_has_a_row() -> None:
    assert set(LOSSES) == set(get_args(TrialConfig.model_fields["loss"].annotation))


@pytest.mark.parametrize("loss", GAMMAS_AND_CLIP)
@pytest.mark.parametrize("weight", [1.0, 3.5])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_binary_losses_follow_their_formulas(loss: str, weight: float, smoothing: float) -> None:
    logits, targets = batch()
    gamma_positive, gamma_negative, clip = GAMMAS_AND_CLIP[loss]
    total = 0.0
    for x, t in zip(logits.numpy().ravel(), targets.numpy().ravel(), strict=True):
        y = t + smoothing * (0.5 - t)
        p = 1 / (1 + math.exp(-x))
        q = max(p - clip, 0)
        total -= weight * y * (1 - p) ** gamma_positive * math.log(p)
        total -= (1 - y) * q**gamma_negative * math.log(1 - q)
    loss_function = build_loss(config(loss, positive_weight=weight, label_smoothing=smoothing))
    assert loss_function(logits, targets).item() == pytest.approx(total / targets.numel(), rel=1e-12)


def test_values_by_hand() -> None:
    zero, present, absent = torch.zeros(1, 1), torch.ones(1, 1), torch.zeros(1, 1)
    log2 = math.log(2)
    for loss, if_present, if_absent in [
        ("bce", log2, log2),
        ("focal", log2 / 4, log2 / 4),
        ("asymmetric", log2, -(0.45**4) * math.log(0.55)),
    ]:
        assert build_loss(config(loss))(zero, present).item() == pytest.approx(if_present)
        assert build_loss(config(loss))(zero, absent).item() == pytest.approx(if_absent)
    assert build_loss(config("softmax"))(torch.zeros(2, 4), torch.eye(4)[:2]).item() == pytest.approx(math.log(4))


def test_focal_and_asymmetric_agree_with_torchvision_and_timm() -> None:
    logits, targets = batch()
    focal = sigmoid_focal_loss(logits, targets, alpha=-1, gamma=2, reduction="mean")
    torch.testing.assert_close(build_loss(config("focal"))(logits, targets), focal)
    # As one image, because versions of timm differ in whether they sum or average over images.
    one_image = logits.view(1, -1), targets.view(1, -1)
    asymmetric = AsymmetricLossMultiLabel(gamma_neg=4, gamma_pos=0, clip=0.05)(*one_image) / targets.numel()
    assert build_loss(config("asymmetric"))(logits, targets).item() == pytest.approx(asymmetric.item(), rel=1e-6)


def test_softmax_agrees_with_scikit_learn() -> None:
    logits, targets = batch()
    expected = log_loss(targets.argmax(1).numpy(), probabilities(logits, "softmax").numpy())
    assert build_loss(config("softmax"))(logits, targets).item() == pytest.approx(expected)
    # Smoothing by s gives each of L labels s / L and takes s from the true one.
    smooth = targets.numpy() * 0.9 + 0.1 / 5
    expected = -(smooth * np.log(probabilities(logits, "softmax").numpy())).sum(1).mean()
    assert build_loss(config("softmax", label_smoothing=0.1))(logits, targets).item() == pytest.approx(expected)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_gradient_raises_true_labels_and_lowers_others(loss: str) -> None:
    # One label of five is true, all equally probable at first: a step along the gradient moves each its way.
    logits, targets = torch.zeros(1, 5, requires_grad=True), torch.eye(5)[:1]
    build_loss(config(loss))(logits, targets).backward()
    assert logits.grad is not None
    assert logits.grad[0, 0] < 0 and bool((logits.grad[0, 1:] > 0).all())


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("size", [30.0, 1000.0])
def test_extreme_logits_give_finite_losses_and_gradients(loss: str, size: float) -> None:
    targets = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    logits = (torch.tensor([[1.0, -1.0, -1.0], [1.0, -1.0, -1.0]]) * size).requires_grad_()  # one right, one wrong
    value = build_loss(config(loss, label_smoothing=0.1))(logits, targets)
    value.backward()
    assert logits.grad is not None
    assert math.isfinite(value.item()) and bool(logits.grad.isfinite().all())


def test_probabilities() -> None:
    logits, _ = batch()
    odds = np.exp(logits.numpy())
    for loss in ("bce", "focal", "asymmetric"):
        np.testing.assert_allclose(probabilities(logits, loss).numpy(), odds / (1 + odds))
    np.testing.assert_allclose(probabilities(logits, "softmax").numpy(), odds / odds.sum(1, keepdims=True))
