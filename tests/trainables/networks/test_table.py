"""Every row of the table, and networks of timm: the groups are the published network, cut where it halves the image."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from torch import Tensor, nn

from thaw.spaces import FROM_SCRATCH, STAGES, ConfigError
from thaw.trainables.networks.backbone import resolve
from thaw.trainables.networks.convnet import convnet
from thaw.trainables.networks.cost import StageCost
from thaw.trainables.networks.freezing import split_at_depth
from thaw.trainables.networks.restoring import restore, skeleton
from thaw.trainables.networks.table import ARCHITECTURES, architecture

TIMM = ("timm:mobilenetv1_100", "timm:resnet18", "timm:tf_efficientnet_lite0", "timm:convnext_atto")
STRIDES = {"convnet": [2, 4], "convnext_tiny": [4, 4, 8, 16, 32], "timm:convnext_atto": [4, 4, 8, 16, 32]}
SIDE = 64


def layers_of(name: str, network: nn.Module, side: int = SIDE) -> dict[str, nn.Module]:
    """Stages and pool of a network."""
    row = architecture(name)
    return row.cut(network, skeleton(lambda: row.build(side)), side)


def stages_of(name: str, side: int) -> tuple[StageCost, ...]:
    return resolve(name, "none", side).cost.stages


def plausible_state(name: str, side: int = SIDE) -> dict[str, Tensor]:
    """Random weights under which signals keep their size and batch norms do something; faster than initialisation."""
    torch.manual_seed(0)
    expected = skeleton(lambda: architecture(name).build(side)).state_dict()
    state = {}
    for entry, like in expected.items():
        if not like.is_floating_point() or like.numel() > 10**7:  # counters; VGG's classifier, which is not looked at
            state[entry] = torch.zeros(like.shape, dtype=like.dtype)
        elif like.ndim > 1:
            state[entry] = torch.randn(like.shape) * (2 / like[0].numel()) ** 0.5
        elif entry.endswith(("weight", "running_var")):
            state[entry] = torch.rand(like.shape) + 0.5
        else:
            state[entry] = torch.randn(like.shape) * 0.1
    return state


def whole_network(name: str, side: int = SIDE) -> nn.Module:
    state = plausible_state(name, side)
    network, missing, unexpected = restore(lambda: architecture(name).build(side), state)
    assert not missing and not unexpected
    return network.eval()


def published_features(name: str, network: nn.Module, images: Tensor) -> Tensor:
    """The input of the classifier in the published forward pass, (N, features)."""
    if name.startswith("timm:"):
        return network.forward_features(images).mean((2, 3))  # type: ignore[operator]
    if name == "vgg16":  # its classifier reads a 7 × 7 map
        network.avgpool = nn.AdaptiveAvgPool2d(1)
    if name == "convnext_tiny":  # its classifier begins with a norm and flattening
        network.get_submodule("classifier").register_module("2", nn.Identity())
    elif hasattr(network, "fc"):
        network.fc = nn.Identity()
    elif hasattr(network, "classifier"):
        network.classifier = nn.Identity()
    features: Tensor = network(images)
    return features.flatten(1)


@pytest.fixture(scope="module", params=[*ARCHITECTURES, *TIMM])
def case(request: pytest.FixtureRequest) -> tuple[str, nn.Module]:
    return request.param, whole_network(request.param)


def test_architectures_without_published_weights_are_those_trained_from_scratch() -> None:
    assert {name for name, row in ARCHITECTURES.items() if row.published is None} == set(FROM_SCRATCH)


def test_five_groups_hold_all_weights_but_the_classifiers(case: tuple[str, nn.Module]) -> None:
    name, network = case
    layers = layers_of(name, network)
    pool = {id(p) for p in layers.pop("pool").parameters()}
    groups = [{id(p) for p in stage.parameters()} for stage in layers.values()]
    assert len(groups) == (2 if name in FROM_SCRATCH else STAGES) and all(groups)
    assert sum(map(len, groups)) == len(set().union(*groups)), "no weight belongs to two groups"
    left = [entry for entry, p in network.named_parameters() if id(p) not in set().union(pool, *groups)]
    assert all(entry.split(".")[0] in ("fc", "classifier", "head") for entry in left), left


def test_groups_end_where_the_stride_doubles(case: tuple[str, nn.Module]) -> None:
    name, network = case
    described = stages_of(name, SIDE)
    assert [SIDE // stage.shape[2] for stage in described] == STRIDES.get(name, [2, 4, 8, 16, 32])
    maps = torch.zeros(1, 3, SIDE, SIDE)
    with torch.no_grad():
        for stage, row in zip(layers_of(name, network).values(), described, strict=False):
            maps = stage(maps)
            assert tuple(maps.shape[1:]) == row.shape
    assert all(row.parameters > 0 and row.macs > 0 for row in described)


def test_prefix_then_tail_is_the_published_network_at_every_depth(case: tuple[str, nn.Module]) -> None:
    name, network = case
    layers, images = layers_of(name, network), torch.randn(2, 3, SIDE, SIDE)
    depths = range(1 if name in FROM_SCRATCH else STAGES + 1)
    with torch.no_grad():
        parts = [map(nn.Sequential, map(OrderedDict, split_at_depth(layers, depth))) for depth in depths]
        features = [tail.eval()(prefix.eval()(images)) for prefix, tail in parts]
        published = published_features(name, network, images)
    assert published.shape == (2, resolve(name, "none", SIDE).features) and published.std() > 1e-3
    for depth in depths:
        assert torch.allclose(features[depth], published, rtol=1e-5, atol=1e-5), f"depth {depth}"


def test_numbers_of_weights_are_the_published_ones() -> None:
    # Totals from the papers and torchvision's documentation, less the classifiers: 1000 × (features + 1) weights.
    assert sum(stage.parameters for stage in stages_of("resnet50", 224)) == 25_557_032 - 2049 * 1000
    assert sum(stage.parameters for stage in stages_of("mobilenet_v2", 224)) == 3_504_872 - 1281 * 1000
    assert sum(stage.parameters for stage in stages_of("convnext_tiny", 224)) == 28_589_128 - 769 * 1000


def test_macs_are_counted_by_hand_for_the_convnet() -> None:
    first, second = stages_of("convnet", 8)
    assert first.macs == 8 * 8 * 9 * (3 * 32 + 32 * 32)
    assert second.macs == 4 * 4 * 9 * (32 * 64 + 64 * 64)
    assert resolve("convnet", "none", 8).features == 64 * 2 * 2


def test_macs_of_resnet50_are_the_published_ones() -> None:
    # He et al. (2016), table 1, say 3.8e9, with the stride in the first 1 × 1 convolution; torchvision documents
    # 4.09e9, with it in the 3 × 3.
    assert sum(stage.macs for stage in stages_of("resnet50", 224)) == pytest.approx(4.09e9, rel=0.01)


def test_preprocessing_is_stored_with_the_weights() -> None:
    def scale(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
        return architecture(name).preprocessing.mean, architecture(name).preprocessing.std

    assert scale("resnet18") == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert scale("efficientnet_lite0") == scale("timm:tf_efficientnet_lite0") == ((0.5,) * 3, (0.5,) * 3)
    assert scale("convnet") == ((0, 0, 0), (1, 1, 1))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("resnet5", "did you mean resnet50?"),
        ("timm:resnt18", "timm has no model 'resnt18'; did you mean resnet18?"),
        ("timm:crossvit_tiny_240", "cannot be cut into 5 stages: .* returns 2 tensors, not one"),
        ("timm:hf-hub:someone/something", "timm has no model"),
    ],
)
def test_networks_that_are_not_available_are_refused(name: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words.replace("?", r"\?")):
        resolve(name, "none", 240).check()


def test_operations_between_parts_belong_to_a_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    from timm.models.resnet import ResNet

    forward = ResNet.forward_features
    monkeypatch.setattr(ResNet, "forward_features", lambda self, images: forward(self, images) * 2)
    network, images = whole_network("timm:resnet10t"), torch.randn(2, 3, SIDE, SIDE)
    *stages, _ = layers_of("timm:resnet10t", network).values()
    with torch.no_grad():
        assert torch.equal(nn.Sequential(*stages)(images), network.forward_features(images))  # type: ignore[operator]


def test_pieces_that_give_something_else_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from timm.models.resnet import ResNet

    forward, training = ResNet.forward_features, []
    monkeypatch.setattr(
        ResNet, "forward_features", lambda self, x: forward(self, x) + len(training.append(0) or training)
    )
    with pytest.raises(ConfigError, match="other features than the whole"):
        layers_of("timm:resnet10t", whole_network("timm:resnet10t"))


def test_cutting_leaves_the_random_numbers_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    resolve("timm:mobilenetv3_small_050", "none", SIDE).check()
    assert torch.equal(torch.rand(2), expected)


def test_too_small_images_are_refused() -> None:
    with pytest.raises(ConfigError, match="vgg16 fails on images of 16 pixels: .*; give larger images"):
        resolve("vgg16", "none", 16).check()


def test_restoring_shares_tensors_and_reports_what_does_not_fit() -> None:
    state = OrderedDict(convnet().state_dict())
    state["extra"] = state.pop("0.0.weight")
    _, missing, unexpected = restore(convnet, state)
    assert missing == ["0.0.weight"] and unexpected == ["extra"]


@pytest.mark.parametrize(
    ("model", "side", "words"),
    [
        (
            "vit_tiny_patch16_224",
            100,
            "does not take images of 100 pixels: .*patch size, 16 pixels; the nearest sizes .* are 96 and 112",
        ),
        ("vit_tiny_patch16_224", 40, "the nearest sizes that it takes are 32 and 48"),
        ("swin_tiny_patch4_window7_224", 230, "patch size, 4 pixels; the nearest sizes that it takes are 228 and 232"),
        (
            "maxvit_tiny_tf_224",
            230,
            r"must be divisible by window \(7\); the nearest sizes that it takes are 224 and 256",
        ),
        pytest.param(
            *("halonet26t", 96, "one of its parts does not fit them; the nearest size that it takes is 256"),
            marks=pytest.mark.slow,  # many sizes are tried
        ),
    ],
)
def test_image_sizes_that_a_network_cannot_take_are_refused_with_the_nearest(model: str, side: int, words: str) -> None:
    with pytest.raises(ConfigError, match=f"data.image_size: .*{words}"):
        resolve(f"timm:{model}", "none", side).check()


def test_parts_may_hand_on_the_size_of_their_grid() -> None:
    """MViT's stages give tokens and (height, width), which is a constant for one image size."""
    stages = resolve("timm:mvitv2_tiny", "none", 64).cost.stages
    assert [stage.shape for stage in stages] == [(256, 96), (256, 96), (64, 192), (16, 384), (4, 768)]
