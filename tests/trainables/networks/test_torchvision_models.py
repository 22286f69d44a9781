"""torchvision works as usual, although torch's compiler was not there when it was imported."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import ROOT

USE = """
import sys
from thaw.trainables.networks.torchvision_models import COMPILER, models
assert COMPILER not in sys.modules and f"{COMPILER}.utils" not in sys.modules
import torch, torchvision
boxes = torch.tensor([[0.0, 0.0, 4.0, 4.0]])
assert torchvision.ops.roi_align(torch.ones(1, 1, 4, 4), [boxes], 2).tolist() == [[[[1, 1], [1, 1]]]]
assert torch.compile(models.mobilenet_v2().eval(), backend="eager")(torch.zeros(1, 3, 32, 32)).shape == (1, 1000)
from torch._dynamo.utils import is_compile_supported
assert torchvision.ops.roi_align.__globals__["is_compile_supported"]("cpu") == is_compile_supported("cpu")
"""


def test_operators_and_the_compiler_work_after_an_import_without_the_compiler() -> None:
    done = subprocess.run([sys.executable, "-c", USE], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
