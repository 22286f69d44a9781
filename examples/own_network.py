"""Your own network in 40 lines, registered with Thaw.

thaw search examples/own-network.yaml --import examples/own_network.py
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

import thaw

WIDTHS = (24, 48, 96, 192, 192)


class Block(nn.Module):
    """Halves the feature maps, then mixes positions and channels in turn, with a shortcut connection."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(channels_in, channels, 2, stride=2)
        self.positions = nn.Conv2d(channels, channels, 5, padding=2, groups=channels)
        self.norm = nn.BatchNorm2d(channels)
        self.channels = nn.Conv2d(channels, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        features = self.down(features)
        return features + torch.relu(self.channels(self.norm(self.positions(features))))


class TinyNet(nn.Module):
    """Five blocks and a classifier, which Thaw replaces by its own head."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(map(Block, (3, *WIDTHS), WIDTHS))
        self.classifier = nn.Linear(WIDTHS[-1], classes)

    def forward(self, images: Tensor) -> Tensor:
        for block in self.blocks:
            images = block(images)
        return self.classifier(images.mean((2, 3)))


# Five stages, in the order of the data. Freezing needs pretrained weights: `weights: {tinynet: my-state-dict.pth}`.
thaw.register_backbone("tinynet", TinyNet, stages=[f"blocks.{number}" for number in range(5)])
