"""Device and precision of the computation."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Arithmetic:
    """Arithmetic of convolutions and matrix products. A CPU has no TF32 and computes in float32 instead.

    Args:
        bf16: compute in bfloat16, by autocast.
        tf32_convolutions, tf32_products: round the factors to 10 bits of mantissa, and accumulate in float32.
    """

    bf16: bool = False
    tf32_convolutions: bool = False
    tf32_products: bool = False


ARITHMETIC = {
    "fp32": Arithmetic(),
    "tf32": Arithmetic(tf32_convolutions=True, tf32_products=True),
    "bf16": Arithmetic(bf16=True, tf32_convolutions=True),
    "fp32 of 0.1.0": Arithmetic(tf32_convolutions=True),
}
"""Arithmetic by precision. The last row is torch's default, which runs of Thaw 0.1.0 used on a GPU. Such a run
continues in it; it cannot be chosen otherwise."""


def default_device(gpu: float = 1.0) -> torch.device:
    """The GPU if this process sees one and a trial takes a share of it, else the CPU."""
    return torch.device("cuda" if gpu and torch.cuda.is_available() else "cpu")


def default_precision(gpu: float) -> str:
    """``tf32`` if trials use a GPU that supports it, else ``fp32``. A driver without a GPU assumes that nodes do."""
    seen = torch.cuda.is_available()
    return "tf32" if gpu and (not seen or torch.cuda.is_tf32_supported()) else "fp32"


def precisions(device: torch.device) -> list[str]:
    """The precisions that differ on a device, the most exact first."""
    tf32 = device.type == "cuda" and torch.cuda.is_tf32_supported()
    return ["fp32", "tf32", "bf16"] if tf32 else ["fp32", "bf16"]


def compute_in(precision: str, deterministic: bool = False) -> None:
    """Set the precision of everything that this process computes next, except bfloat16, which :func:`autocast` chooses.

    Args:
        precision: a key of :data:`ARITHMETIC`.
        deterministic: use only kernels that give the same bits each time, as those of a processor always do; an
            operation of a GPU without such a kernel then raises RuntimeError.
    """
    if deterministic:
        # Read when cuBLAS is used for the first time in a process.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if torch.are_deterministic_algorithms_enabled() != deterministic:
        torch.use_deterministic_algorithms(deterministic)
    arithmetic = ARITHMETIC[precision]
    torch.backends.cudnn.allow_tf32 = arithmetic.tf32_convolutions
    torch.backends.cuda.matmul.allow_tf32 = arithmetic.tf32_products


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Context in which convolutions and products are in bfloat16, if that is the precision."""
    return torch.autocast(device.type, torch.bfloat16, enabled=ARITHMETIC[precision].bf16)
