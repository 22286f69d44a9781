"""The message of a trial's error, and whether another trial may have caused it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests import standins
from tests.searches import check_whole, small_search
from thaw.search.backends.errors import OUT_OF_MEMORY, error_line, last_line

ASYNCHRONOUS = (
    "CUDA error: out of memory\nSearch for `cudaErrorMemoryAllocation' in the documentation.\n"
    "CUDA kernel errors might be asynchronously reported at some other API call.\n"
    "Compile with `TORCH_USE_CUDA_DSA` to enable device-side assertions.\n"
)
CUBLAS = "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"


@pytest.mark.parametrize("error", [torch.AcceleratorError(ASYNCHRONOUS), RuntimeError(CUBLAS)])
def test_memory_that_runs_out_is_recognised_whatever_follows(error: Exception) -> None:
    text = last_line(error)
    assert "CUDA error: " in text and "Compile" not in text
    assert any(mark in text for mark in OUT_OF_MEMORY)
    traceback = (
        f'Traceback (most recent call last):\n  File "loop.py", line 1, in step\n    step()\n{text}\nCompile with'
    )
    assert error_line(traceback.splitlines()) == text


def test_other_errors_keep_their_line() -> None:
    assert last_line(ValueError("a\nb")) == "ValueError: a"
    assert error_line(["the worker died"]) == "the worker died"
    with pytest.raises(SyntaxError) as found:
        compile("a b", "file", "exec")
    assert last_line(found.value).startswith("SyntaxError: ")


class LosesTheDevice(standins.Standin):
    @classmethod
    def act(cls) -> None:
        raise torch.AcceleratorError(ASYNCHRONOUS)


def test_a_device_that_fails_counts_as_a_lost_worker(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, squares: Path, cache: Path
) -> None:
    standins.install(LosesTheDevice, "inline", monkeypatch)
    run = check_whole(small_search(tmp_path, squares, cache, space={"dropout": [0.0, 0.4]}).folder)
    assert list(run.trials["status"]) == ["completed", "completed"] and run.records[0].failures == 1
