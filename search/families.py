"""Text for `thaw describe --all-of`: which of many networks can be used, and why the others cannot."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console

from thaw.spaces import ConfigError
from thaw.trainables.networks.backbone import resolve
from thaw.trainables.networks.contract import check_contract
from thaw.trainables.networks.table import architecture, known_names

SIZES = (96, 224, 256)
"""Sides in pixels of the images for networks that take any size; the first that fits is used."""


def describe_all(file: Path, console: Console) -> int:
    """Try each network with random weights, see :func:`check_contract`; one line each with outcome and seconds.

    Args:
        file: names, one per line: those of `thaw describe`, or of timm with or without ``timm:``.

    Returns:
        The number of networks that fulfil the contract.

    Raises:
        ConfigError: the file cannot be read.
    """
    try:
        if file.is_char_device():
            raise OSError("a device")
        names = file.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}; give a file with one name per line", "--all-of", file) from error
    kept, began = 0, time.perf_counter()
    for name in names:
        started = time.perf_counter()
        outcome = _outcome(name if name in known_names() or ":" in name else f"timm:{name}")
        kept += outcome.startswith("yes")
        seconds = time.perf_counter() - started
        console.print(f"{name:40} {seconds:6.1f} s  {outcome}", highlight=False, soft_wrap=True)
    console.print(f"{kept} of {len(names)} networks can be used; {time.perf_counter() - began:.0f} s", highlight=False)
    return kept


def _outcome(name: str) -> str:
    try:
        fixed = architecture(name).preprocessing.input_size
        for size in (fixed,) if fixed else SIZES:
            try:
                backbone = resolve(name, "none", size)
                check_contract(backbone)
            except ConfigError:
                if size in (fixed, SIZES[-1]):
                    raise
            else:
                shapes = " | ".join("×".join(map(str, stage.shape)) for stage in backbone.cost.stages)
                return f"yes  {size} px: {shapes}"
    except (ConfigError, ValueError) as error:
        return f"no   {str(error).splitlines()[0]}"
    raise AssertionError("one of the sizes is the last")
