"""What becomes of a trial whose code raised an exception, on any backend."""

from __future__ import annotations

import traceback

from thaw.search.engine.state import SearchState

ADVICE = "try a smaller batch_size or image_size, or fewer trials on a GPU (resources.gpu)"
OUT_OF_MEMORY = {
    "OutOfMemoryError": ADVICE,
    "AcceleratorError": ADVICE,
    "CUBLAS_STATUS_ALLOC_FAILED": ADVICE,
    "CUDNN_STATUS_ALLOC_FAILED": ADVICE,
}
"""Mark in an error's text → what to try. Another trial on the device may be the cause, so the trial may go on later."""


def settle_error(state: SearchState, number: int, error: str) -> None:
    """Lose or fail a trial by the last line of its traceback, such as ``ValueError: …``."""
    for mark, advice in OUT_OF_MEMORY.items():
        if mark in error:
            state.lose(number, f"{error}; {advice}")
            return
    state.fail(number, error)


def last_line(error: BaseException) -> str:
    """What a traceback of `error` ends with."""
    return "".join(traceback.format_exception_only(error)).strip().splitlines()[-1].strip()
