"""The frozen part of a network stays frozen and is bit-reproducible; the rest learns."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.trainables.networks.test_table import layers_of, whole_network
from thaw.spaces import FROM_SCRATCH, ConfigError, TrialConfig
from thaw.trainables.device import autocast
from thaw.trainables.networks.backbone import resolve
from thaw.trainables.networks.chunks import chunk_size
from thaw.trainables.networks.folding import fold
from thaw.trainables.networks.freezing import (
    Frozen,
    Network,
    build_network,
    run_prefix,
    split_at_depth,
    whole_state,
)
from thaw.trainables.networks.heads import build_flat_head, build_head
from thaw.trainables.networks.table import ARCHITECTURES
from thaw.trainables.networks.weights import digest

LABELS, SIDE, SMALL = 3, 32, "mobilenet_v3_small"
CHUNK = chunk_size("cpu", SIDE)


@pytest.fixture(scope="module", params=[name for name in ARCHITECTURES if name not in FROM_SCRATCH])
def case(request: pytest.FixtureRequest) -> tuple[str, nn.Module]:
    return request.param, whole_network(request.param)


def cut(case: tuple[str, nn.Module], depth: int) -> Network:
    name, network = case
    network.requires_grad_(True)
    network.zero_grad()
    torch.manual_seed(1)
    head = resolve(name, "none", SIDE).head(LABELS, 8, 0.2)
    frozen, rest = split_at_depth(layers_of(name, network, SIDE), depth)
    built = Network(Frozen(frozen), {**rest, "head": head}, "")
    return built.to(memory_format=torch.channels_last)


def images(count: int) -> Tensor:
    return torch.randn(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(2))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A search file's `weights` with a file for the small network."""
    path = tmp_path_factory.mktemp("weights") / "small.pth"
    torch.save(whole_network(SMALL).state_dict(), path)
    return {SMALL: str(path), "resnet18": "none"}


def build(weights: str | dict[str, str], seed: int = 0, **config: object) -> Network:
    torch.manual_seed(seed)
    return build_network(TrialConfig(**{"architecture": SMALL, **config}), LABELS, SIDE, weights)  # type: ignore[arg-type]


def test_only_the_tail_has_gradients_and_only_it_changes(case: tuple[str, nn.Module]) -> None:
    network = cut(case, 3).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network(images(4)).square().sum().backward()
    assert all(p.grad is None and not p.requires_grad for p in network.prefix.parameters())
    assert all(p.grad is not None and p.grad.any() for p in network.tail[-1].parameters() if p.ndim > 1)
    assert all(p.grad is not None for p in network.tail.parameters())
    torch.optim.SGD(network.tail.parameters(), lr=0.1).step()
    changed = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}
    assert any(name.startswith("tail.stage4") for name in changed)
    assert not [name for name in changed if name.startswith("prefix")], "batch norm has stored statistics"


@pytest.mark.parametrize("depth", [2, 5])
def test_frozen_activations_do_not_depend_on_the_batch(case: tuple[str, nn.Module], depth: int) -> None:
    frozen, _ = split_at_depth(fold(dict(cut(case, 5).prefix.named_children()), SIDE), depth)
    prefix = Frozen(frozen)
    batch = images(CHUNK + 3)
    whole = run_prefix(prefix, batch)
    assert whole.shape[0] == CHUNK + 3 and whole.ndim == (2 if depth == 5 else 4) and not whole.requires_grad
    assert torch.equal(run_prefix(prefix, batch), whole), "a second pass is the same"
    assert torch.equal(run_prefix(prefix, batch.contiguous(memory_format=torch.channels_last)), whole), "in any layout"
    for rows in ([0], [CHUNK + 2, 5, 17], list(range(CHUNK + 2, -1, -1))):
        assert torch.equal(run_prefix(prefix, batch[rows]), whole[rows]), rows


def test_folding_leaves_the_function_as_it_is(case: tuple[str, nn.Module]) -> None:
    name, _ = case
    layers = layers_of(name, whole_network(name).eval().requires_grad_(False), SIDE)
    given = {part: digest(layer.state_dict()) for part, layer in layers.items()}
    folded = fold(layers, SIDE)
    one, other = (nn.Sequential(*parts.values()) for parts in (layers, folded))
    expected, found = one(images(4)), other(images(4))
    assert (found - expected).abs().max() < 1e-4 * expected.abs().max()
    norms = [sum(isinstance(module, nn.BatchNorm2d) for module in part.modules()) for part in (one, other)]
    assert norms[1] == 0 and (folded["stage3"] is layers["stage3"]) == (norms[0] == 0), "nothing is copied without need"
    assert {part: digest(layer.state_dict()) for part, layer in layers.items()} == given


class SomebodyElseLooks(nn.Module):
    """The output of its convolution is used outside the batch norm, too."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)
        nn.init.normal_(self.norm.running_mean)  # type: ignore[arg-type]

    def forward(self, maps: Tensor) -> Tensor:
        maps = self.convolution(maps)
        return maps + self.norm(maps)


class SomebodyElseAsks(SomebodyElseLooks):
    def forward(self, maps: Tensor) -> Tensor:
        return self.norm(self.convolution(maps)) * self.norm.weight.sum()


@pytest.mark.parametrize("kind", [SomebodyElseLooks, SomebodyElseAsks])
def test_layers_that_cannot_be_folded_stay(kind: type[nn.Module]) -> None:
    layer = nn.Sequential(kind()).eval().requires_grad_(False)
    assert fold({"stage1": layer}, SIDE)["stage1"] is layer


def test_every_depth_gives_the_same_logits_and_splits_the_weights(weights: dict[str, str]) -> None:
    networks = [build(weights, freeze_depth=depth).eval() for depth in range(6)]
    with torch.no_grad():
        logits = [network(images(2)) for network in networks]
    for depth, network in enumerate(networks):
        assert [name for name, _ in network.prefix.named_children()][:5] == [f"stage{k + 1}" for k in range(depth)]
        torch.testing.assert_close(logits[depth], logits[0])
        head, backbone = network.head_parameters(), network.backbone_parameters()
        trained = {id(p) for p in network.parameters() if p.requires_grad}
        assert len(head) == 4 and len(head) + len(backbone) == len(trained) == len({id(p) for p in head + backbone})
    assert networks[5].backbone_parameters() == []
    assert [name for name, _ in networks[5].tail.named_children()] == ["head"]


@pytest.mark.parametrize("side, size", [(32, 32), (128, 16), (224, 5), (299, 4)])
def test_a_prefix_always_sees_chunks_of_one_size(side: int, size: int) -> None:
    sizes: list[int] = []
    prefix = nn.Sequential(nn.Identity())
    prefix[0].register_forward_hook(lambda _, inputs, __: sizes.append(len(inputs[0])))
    batch = torch.rand(2 * size + 1, 3, side, side)
    assert torch.equal(run_prefix(prefix, batch), batch) and sizes == [size] * 3
    assert run_prefix(nn.Sequential(), batch) is batch


def test_a_gpu_takes_32_images_of_any_size() -> None:
    assert {chunk_size("cuda", side) for side in (32, 128, 299)} == {32}


def test_frozen_layers_always_stay_in_eval_mode(weights: dict[str, str]) -> None:
    network = build(weights, freeze_depth=2).train()
    network.prefix.train()
    assert not any(module.training for module in network.prefix.modules())
    assert all(module.training for module in network.tail.modules())


def test_the_head_follows_from_the_seed_alone(weights: dict[str, str]) -> None:
    def head(seed: int, weights: str | dict[str, str], **config: object) -> list[nn.Parameter]:
        return build(weights, seed, **config).head_parameters()

    first = head(0, weights, freeze_depth=5)
    assert all(map(torch.equal, first, head(0, weights, freeze_depth=0)))
    assert all(map(torch.equal, first, head(0, "none"))), "random layers below do not move the head's seed"
    assert not torch.equal(first[0], head(1, weights, freeze_depth=5)[0])
    # As wide as the head of another architecture with as many features.
    assert all(
        map(
            torch.equal,
            head(0, "none", architecture="efficientnet_lite0"),
            head(0, "none", architecture="mobilenet_v2"),
        )
    )


def test_random_layers_follow_from_the_seed(weights: dict[str, str]) -> None:
    first, again, other = (build(weights, seed, architecture="resnet18") for seed in (0, 0, 1))
    assert digest(first.state_dict()) == digest(again.state_dict()) != digest(other.state_dict())
    assert first.weights_digest == "random"


def test_training_one_network_leaves_the_next_one_its_weights(weights: dict[str, str]) -> None:
    first = build(weights)
    start = digest(first.state_dict())
    first.train()(images(4)).sum().backward()
    torch.optim.SGD(first.parameters(), lr=1.0).step()
    assert digest(first.state_dict()) != start
    assert digest(build(weights).state_dict()) == start
    file = torch.load(weights[SMALL], weights_only=True)
    assert first.weights_digest == build(weights, freeze_depth=3).weights_digest == digest(file)
    layers = resolve(SMALL, weights, SIDE).layers
    assert torch.equal(layers["stage1"][0][0].weight, file["features.0.0.weight"])  # type: ignore[index]


@pytest.mark.parametrize("depth", [0, 3, 5])
def test_the_whole_state_has_the_weights_as_they_were(weights: dict[str, str], depth: int) -> None:
    config = TrialConfig(architecture=SMALL, freeze_depth=depth)
    thawed, trained = build(weights).trained_state(), build(weights, freeze_depth=depth).trained_state()
    state = whole_state(config, {name: value + 1 for name, value in trained.items()}, resolve(SMALL, weights, SIDE))
    assert state.keys() == thawed.keys() and len(trained) == len(thawed) if depth == 0 else len(trained) < len(thawed)
    for name, value in thawed.items():
        assert torch.equal(state[name], value + 1 if name in trained else value), name


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path, state = tmp_path / "small.pth", whole_network(SMALL).state_dict()
    torch.save(state, path)
    first = build({SMALL: str(path)})
    torch.save({**state, "features.0.1.bias": torch.ones(16)}, path)
    second = build({SMALL: str(path)})
    assert first.weights_digest != second.weights_digest
    assert torch.equal(second.tail.stage1[0][1].bias, torch.ones(16))  # type: ignore[index,union-attr]


@pytest.mark.parametrize("depth", [0, 4, 5])
def test_the_trained_state_goes_from_one_network_to_another(weights: dict[str, str], depth: int) -> None:
    network = build(weights, freeze_depth=depth).train()
    network(images(4)).sum().backward()
    torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1).step()
    state = network.trained_state()
    kept = digest(state)
    other = build(weights, seed=1, freeze_depth=depth)
    other.load_trained_state(state)
    assert digest(other.state_dict()) == digest(network.state_dict())
    with torch.no_grad():
        network.tail[-1][-1].bias += 1  # type: ignore[index]
    assert digest(state) == kept, "the state is a copy"


@pytest.mark.parametrize(("name", "weights"), [("convnet", "imagenet"), (SMALL, "none"), ("vgg16", {"vgg16": "none"})])
def test_untrained_layers_cannot_be_frozen(name: str, weights: str | dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=f"freeze_depth: must be 0 for {name} .* got 1"):
        build(weights, architecture=name, freeze_depth=1)


def test_the_convnet_is_the_papers() -> None:
    network = build("imagenet", architecture="convnet", dropout=0.4, head_units=16)
    kinds = [type(module).__name__ for module in network.tail.modules() if not list(module.children())]
    convolution = ["Conv2d", "BatchNorm2d", "ReLU"]
    stack = [*convolution, *convolution, "Dropout", "MaxPool2d"]
    assert kinds == [*stack, *stack, "Flatten", "Linear", "ReLU", "Dropout", "Linear"]
    assert [module.p for module in network.modules() if isinstance(module, nn.Dropout)] == [0.4] * 3
    assert network.head_parameters()[0].shape == (16, 64 * (SIDE // 4) ** 2)
    assert network(images(2)).shape == (2, LABELS)


def test_heads() -> None:
    def kinds(head: nn.Sequential) -> list[str]:
        return [type(module).__name__ for module in head]

    head = build_head(8, LABELS, 5, 0.3)
    assert kinds(head) == ["Dropout", "Linear", "ReLU", "Dropout", "Linear"]
    assert [head[0].p, head[3].p] == [0.3, 0.3] and head(torch.zeros(2, 8)).shape == (2, LABELS)
    assert kinds(build_head(8, LABELS, 0, 0.3)) == ["Dropout", "Linear"]
    assert kinds(build_flat_head(8, LABELS, 0, 0.3)) == ["Linear"]


def test_frozen_weights_cast_once_give_what_autocast_gives(resnet18_file: Path) -> None:
    """It would cast them at every call. To the bit; norms keep float32."""
    config, images = TrialConfig(architecture="resnet18", freeze_depth=4), torch.randn(2, 3, 32, 32)
    plain, cast = (
        build_network(config, 2, 32, {"resnet18": str(resnet18_file)}, precision=name).prefix
        for name in ("fp32", "bf16")
    )
    with autocast(torch.device("cpu"), "bf16"):
        expected, found = plain(images), cast(images)
    assert found.dtype == expected.dtype == torch.bfloat16 and torch.equal(found, expected)
    kinds = {type(module).__name__: weight.dtype for module in cast.modules() for weight in module.parameters(False)}
    assert kinds["Conv2d"] == torch.bfloat16
    assert {weight.dtype for weight in plain.parameters()} == {torch.float32}
