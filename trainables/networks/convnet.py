"""The baseline network of Yue et al. (2019), section 3.1.1, trained from scratch."""

from __future__ import annotations

from torch import nn

WIDTHS = (32, 64)


def convnet() -> nn.Sequential:
    """Two stacks from (N, 3, H, W) to (N, 64, H/4, W/4); flattening and the dense layers are the head's.

    A stack is two 3 × 3 convolutions, each with batch norm and ReLU, then dropout, then max-pooling. The paper states
    neither widths nor kernel size; those used here are common. The dropout rate is 0 until a trial sets it.
    """
    return nn.Sequential(*(_stack(*channels) for channels in zip((3, *WIDTHS), WIDTHS, strict=False)))


def _stack(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(
        *_convolution(channels_in, channels_out),
        *_convolution(channels_out, channels_out),
        nn.Dropout(0.0),
        nn.MaxPool2d(2),
    )


def _convolution(channels_in: int, channels_out: int) -> list[nn.Module]:
    # Batch norm has its own bias, so the convolution needs none.
    convolution = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
    return [convolution, nn.BatchNorm2d(channels_out), nn.ReLU(inplace=True)]
