"""Checkpoint files: tensors in safetensors format, everything else as JSON in the header. Nothing is unpickled.

``last`` holds everything that the next epoch depends on, ``best`` the trained weights of the best epoch and its logits
on the validation images. Neither holds frozen weights, which come from the pretrained weights.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from thaw.spaces import ConfigError, TrialConfig

FORMAT = 1
"""Increased whenever the content of the files changes; a file of another format counts as damaged."""

HEADER = "thaw"
LOGITS, ROWS = "validation.logits", "validation.rows"


@dataclass(frozen=True)
class BestCheckpoint:
    """A trial at its best epoch by the search's metric.

    Args:
        epoch: from 1.
        config: the trial's hyperparameters.
        metrics: metrics of that epoch, by column (``val_map`` …).
        state: state dict for ``Network.load_trained_state``.
        logits: float32 (validation images, labels).
        rows: int64 (validation images,), the image of each row of the logits.
    """

    epoch: int
    config: TrialConfig
    metrics: dict[str, float]
    state: dict[str, Tensor]
    logits: np.ndarray
    rows: np.ndarray


def write_best(file: Path, best: BestCheckpoint) -> None:
    """Write ``best``; see :func:`write`."""
    tensors = {**best.state, LOGITS: torch.from_numpy(best.logits), ROWS: torch.from_numpy(best.rows)}
    facts = {"epoch": best.epoch, "config": best.config.model_dump(), "metrics": best.metrics}
    write(file, tensors, facts)


def read_best(file: Path) -> BestCheckpoint:
    """Read ``best``.

    Raises:
        ConfigError: naming the file, if it is absent or damaged.
    """
    tensors, facts = read(file)
    logits, rows = tensors.pop(LOGITS).numpy(), tensors.pop(ROWS).numpy()
    return BestCheckpoint(facts["epoch"], TrialConfig(**facts["config"]), facts["metrics"], tensors, logits, rows)


def write(file: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write a checkpoint atomically.

    Args:
        file: its folder is created if needed.
        tensors: tensors of any layout, on any device; no two may share memory.
        facts: JSON values.

    Raises:
        OSError: the file cannot be written; an existing one is left unchanged.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    header = json.dumps({"format": FORMAT, "checksum": _checksum(plain), **facts})
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        save_file(plain, temporary, {HEADER: header})
        temporary.replace(file)
    except (OSError, SafetensorError) as error:
        temporary.unlink(missing_ok=True)
        raise OSError(f"{file} cannot be written: {error}") from None


def read(file: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the tensors and facts that :func:`write` has written.

    Raises:
        ConfigError: naming the file, if it is absent or damaged.
    """
    if not file.is_file():
        raise ConfigError("there is no such checkpoint; only those of the best trials are kept", file=file)
    try:
        with safe_open(file, framework="pt") as content:
            facts = json.loads((content.metadata() or {})[HEADER])
            tensors = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118 - it is no dict
        intact = facts["format"] == FORMAT and facts["checksum"] == _checksum(tensors)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ConfigError(
            f"not a checkpoint of Thaw, or a damaged one ({error}); restore it from a copy of the run", file=file
        ) from None
    if not intact:
        raise ConfigError(
            "a damaged checkpoint, or one written by another version of Thaw; restore it from a copy of the run",
            file=file,
        )
    return tensors, facts


def _checksum(tensors: Mapping[str, Tensor]) -> int:
    """CRC-32 over all values, in sorted order of the names."""
    checksum = 0
    for name in sorted(tensors):
        checksum = zlib.crc32(tensors[name].reshape(-1).view(torch.uint8).numpy().data, checksum)
    return checksum
