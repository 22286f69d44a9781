"""What enters the trained part of a network: the frozen prefix applied to rendered images."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from trainables.architectures import Architecture
from trainables.context import RunContext
from trainables.freezing import Network, run_prefix
from trainables.views import render, view_parameters


class LiveActivations:
    """Computes activations whenever they are asked for.

    Args:
        network: its prefix is applied.
        architecture: gives the preprocessing.
        context: gives the view recipe.
        pixels: uint8 (images, side, side, 3).
        device: where to compute.
    """

    def __init__(
        self,
        network: Network,
        architecture: Architecture,
        context: RunContext,
        pixels: np.ndarray,
        device: torch.device,
    ) -> None:
        self.network, self.architecture, self.context = network, architecture, context
        self.pixels, self.device = pixels, device

    def batch(self, rows: np.ndarray, view: int | None) -> Tensor:
        """Activations of the images `rows` in one view; None is the clean image, not augmented.

        Returns:
            float (len(rows), …): images where nothing is frozen, feature maps, or pooled features.
        """
        pixels = torch.from_numpy(self.pixels[rows]).to(self.device, non_blocking=True)
        augment = self.context.augment
        matrices = None
        if view is not None and not augment.is_identity:
            matrices = view_parameters(augment, self.context.seed, view, rows).to(self.device)
        images = render(pixels, matrices, self.architecture.mean, self.architecture.std)
        return run_prefix(self.network.prefix, images)
