"""GPU memory, which trials and other processes share."""

from __future__ import annotations

import gc

import torch

CONTEXT_BYTES = 0.6e9
"""GPU memory that a process takes before its first tensor, for kernels and libraries."""


def usable_memory(share: float) -> float:
    """Bytes that a process may take of the GPU for its tensors.

    Args:
        share: of the GPU, in (0, 1].
    """
    total = torch.cuda.mem_get_info()[1]
    return max(share * total - CONTEXT_BYTES, share * total / 2)


def limit_memory(share: float) -> None:
    """Limit this process to its share of the GPU, so that others keep theirs. A share of 1 is not limited."""
    if share < 1:
        torch.cuda.set_per_process_memory_fraction(usable_memory(share) / torch.cuda.mem_get_info()[1])


def memory_left(device: torch.device) -> float:
    """Bytes of GPU memory that this process can still allocate, within its share and what other processes have left."""
    free, total = torch.cuda.mem_get_info(device)
    allocated, reserved = torch.cuda.memory_allocated(device), torch.cuda.memory_reserved(device)
    own = torch.cuda.get_per_process_memory_fraction(device) * total - allocated
    return min(own, free + reserved - allocated)


def release_memory(device: torch.device) -> None:
    """Return unreferenced memory to the GPU, where other processes may need it."""
    if device.type == "cuda":
        gc.collect()
        torch.cuda.empty_cache()
