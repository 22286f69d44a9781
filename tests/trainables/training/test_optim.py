"""Optimisers against steps worked out by hand, schedules against torch's own schedulers."""

from __future__ import annotations

import io
from typing import Any, get_args

import pytest
import torch
from torch import nn

from thaw.spaces.trial import TrialConfig
from thaw.trainables.training.optim import (
    OPTIMIZERS,
    SCHEDULES,
    build_optimizer,
    learning_rate_factor,
    set_learning_rate,
)


def config(**fields: Any) -> TrialConfig:
    return TrialConfig.model_validate(fields)


def weights(value: float = 1.0) -> nn.Parameter:
    return nn.Parameter(torch.full((2,), value))


def test_every_optimizer_and_schedule_of_the_space_has_a_row() -> None:
    assert set(OPTIMIZERS) == set(get_args(TrialConfig.model_fields["optimizer"].annotation))
    assert set(SCHEDULES) == set(get_args(TrialConfig.model_fields["schedule"].annotation))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        # Weight 1, gradient 3, rate 0.1, decay 0.5. Adam's first step is the rate itself, in the gradient's direction.
        ({"optimizer": "adamw"}, 1 * (1 - 0.1 * 0.5) - 0.1),
        ({"optimizer": "adam"}, 1 - 0.1),
        ({"optimizer": "sgd", "momentum": 0.0}, 1 - 0.1 * (3 + 0.5)),
        ({"optimizer": "sgd", "momentum": 0.8}, 1 - 0.1 * (3 + 0.5) * (1 + 0.8)),  # Nesterov looks ahead
    ],
)
def test_one_step_by_hand(fields: dict[str, Any], expected: float) -> None:
    head = weights()
    optimizer = build_optimizer(config(learning_rate=0.1, weight_decay=0.5, **fields), [head], [])
    head.grad = torch.full((2,), 3.0)
    optimizer.step()
    assert head.tolist() == pytest.approx([expected] * 2, rel=1e-6)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_backbone_has_its_own_rate(name: str) -> None:
    head, backbone = weights(), weights()
    fields = config(optimizer=name, learning_rate=0.01, backbone_lr_scale=0.25, weight_decay=0.0, momentum=0.0)
    optimizer = build_optimizer(fields, iter([head]), iter([backbone]))
    head.grad, backbone.grad = torch.ones(2), torch.ones(2)
    optimizer.step()
    assert (1 - head).tolist() == pytest.approx([0.01] * 2, rel=1e-4)
    assert (1 - backbone).tolist() == pytest.approx([0.0025] * 2, rel=1e-4)


def test_fused_only_where_torch_can() -> None:
    assert build_optimizer(config(), [weights()], [weights()]).defaults["fused"]
    elsewhere = nn.Parameter(torch.zeros(2, device="meta"))
    assert not build_optimizer(config(), [weights()], [elsewhere]).defaults["fused"]


def test_constant_and_linear_warmup() -> None:
    # Half an epoch of 8 steps: four equal steps up, then the peak.
    factors = [learning_rate_factor(config(warmup=0.5, epochs=2), step, 8) for step in range(16)]
    assert factors == pytest.approx([0.25, 0.5, 0.75] + [1.0] * 13)
    assert learning_rate_factor(config(epochs=2), 0, 8) == 1.0


def test_warmup_multiplies_the_schedule() -> None:
    with_warmup = config(schedule="cosine", warmup=1.0, epochs=2)
    without = config(schedule="cosine", epochs=2)
    assert learning_rate_factor(with_warmup, 1, 4) == pytest.approx(0.5 * learning_rate_factor(without, 1, 4))


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
def test_cosine_is_that_of_torch() -> None:
    epochs, steps, peak = 3, 7, 0.2
    optimizer = torch.optim.SGD([weights()], lr=peak)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs * steps)
    for step in range(epochs * steps):
        ours = peak * learning_rate_factor(config(schedule="cosine", epochs=epochs), step, steps)
        assert ours == pytest.approx(scheduler.get_last_lr()[0], rel=1e-9)
        scheduler.step()
    assert SCHEDULES["cosine"](1.0) == pytest.approx(0.0)


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
def test_one_cycle_is_that_of_torch() -> None:
    peak, total = 0.2, 200
    optimizer = torch.optim.SGD([weights()], lr=1.0)
    # torch counts the final rate from the initial one: 1/25 / 400 = 1/10000 of the peak.
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, peak, total_steps=total, pct_start=0.3, div_factor=25, final_div_factor=400, cycle_momentum=False
    )
    top = 0.3 * total - 1  # torch's summit lies on this step and its end on the last one; ours on 30 % and 100 %
    for step in range(total):
        progress = 0.3 * step / top if step < top else 0.3 + 0.7 * (step - top) / (total - 1 - top)
        assert peak * SCHEDULES["one_cycle"](progress) == pytest.approx(scheduler.get_last_lr()[0], rel=1e-9)
        if step < total - 1:
            scheduler.step()
    assert [SCHEDULES["one_cycle"](x) for x in (0.0, 0.3, 1.0)] == pytest.approx([0.04, 1.0, 0.0001])


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_factors_stay_between_0_and_1_and_end_with_the_last_epoch(schedule: str) -> None:
    fields = config(schedule=schedule, epochs=4, warmup=0.3)
    factors = [learning_rate_factor(fields, step, 5) for step in range(20)]
    assert all(0 < factor <= 1 for factor in factors)
    # The schedule is spread over all epochs, whatever their number of steps.
    finer = [learning_rate_factor(config(schedule=schedule, epochs=4), 2 * step, 10) for step in range(20)]
    assert finer == pytest.approx([SCHEDULES[schedule](step / 20) for step in range(20)])


def test_set_learning_rate_sets_both_groups() -> None:
    fields = config(learning_rate=0.1, backbone_lr_scale=0.5, schedule="cosine", epochs=2)
    optimizer = build_optimizer(fields, [weights()], [weights()])
    rate = set_learning_rate(optimizer, fields, 4, 4)  # half-way: cos(pi / 2) = 0
    assert rate == pytest.approx(0.05)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.05, 0.025])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_continued_training_is_the_same_to_the_bit(name: str) -> None:
    """Fused kernels read memory as it lies: the state of channels_last weights has to come back channels_last."""
    fields = config(optimizer=name, schedule="one_cycle", warmup=0.5, epochs=4, learning_rate=0.05)
    images = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    images = images.contiguous(memory_format=torch.channels_last)

    def start() -> tuple[nn.Sequential, torch.optim.Optimizer]:
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(4, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
        net.to(memory_format=torch.channels_last)
        return net, build_optimizer(fields, net[4].parameters(), net[0].parameters())

    def train(net: nn.Sequential, optimizer: torch.optim.Optimizer, steps: range) -> None:
        for step in steps:
            set_learning_rate(optimizer, fields, step, 2)
            optimizer.zero_grad()
            net(images).square().sum().backward()
            optimizer.step()

    straight, optimizer = start()
    train(straight, optimizer, range(8))

    stopped, optimizer = start()
    train(stopped, optimizer, range(3))
    saved = io.BytesIO()
    torch.save([stopped.state_dict(), optimizer.state_dict()], saved)
    saved.seek(0)
    weights_state, optimizer_state = torch.load(saved, weights_only=True)
    continued, optimizer = start()
    continued.load_state_dict(weights_state)
    optimizer.load_state_dict(optimizer_state)
    train(continued, optimizer, range(3, 8))

    for a, b in zip(straight.parameters(), continued.parameters(), strict=True):
        assert torch.equal(a, b)
    assert all(bool(p.isfinite().all()) for p in straight.parameters())
