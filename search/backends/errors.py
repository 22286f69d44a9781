"""How trials whose code raised an exception are handled, on any backend."""

from __future__ import annotations

import traceback
from collections.abc import Sequence

from thaw.search.engine.state import SearchState

ADVICE = "try a smaller batch_size or image_size, or fewer trials on a GPU (resources.gpu)"
OUT_OF_MEMORY = {
    "OutOfMemoryError": ADVICE,
    "AcceleratorError": ADVICE,
    "CUBLAS_STATUS_ALLOC_FAILED": ADVICE,
    "CUDNN_STATUS_ALLOC_FAILED": ADVICE,
}
"""Marker in an error's text → advice. Another trial on the device may be the cause, so the trial may continue later."""


def settle_error(state: SearchState, number: int, error: str) -> None:
    """Record a trial as lost or failed by the :func:`error_line` of its traceback, such as ``ValueError: …``."""
    for mark, advice in OUT_OF_MEMORY.items():
        if mark in error:
            state.lose(number, f"{error}; {advice}")
            return
    state.fail(number, error)


def last_line(error: BaseException) -> str:
    """The last line of a traceback of `error`, see :func:`error_line`."""
    return error_line("".join(traceback.format_exception_only(error)).strip().splitlines())


def error_line(lines: Sequence[str]) -> str:
    """The line of a traceback that names its exception. CUDA errors add debugging advice below it."""
    behind_frames = next((at for at in range(len(lines), 0, -1) if lines[at - 1].startswith(" ")), 0)
    return (lines[behind_frames:] or lines[-1:])[0].strip()
