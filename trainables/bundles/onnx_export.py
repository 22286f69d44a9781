"""The model as an ONNX file, for programs without PyTorch: decoded images in, probabilities out."""

from __future__ import annotations

import importlib
import json
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from thaw.spaces import ConfigError
from thaw.trainables.bundles.classifier import Classifier
from thaw.trainables.data.decoding import Square
from thaw.trainables.evaluation.label_sets import LabelRule

PACKAGES = ("onnx", "onnxruntime")
INPUT, OUTPUT, BATCH_AXIS = "pixels", "probabilities", "images"
OPSET = 17
"""Version of the ONNX operator set: released in 2022, supported by nearly every runtime."""

EXCLUDED = -1e9
"""Replaces the logit that is left out of a sum of exponentials: smaller than any logit, and finite, as not every
runtime supports minus infinity."""


class _Deployed(nn.Module):
    """A classifier followed by the probabilities of its label rule, float32 throughout."""

    def __init__(self, classifier: Classifier, rule: LabelRule) -> None:
        super().__init__()
        self.classifier, self.activation = classifier, rule.activation
        slope, intercept = torch.from_numpy(rule.calibration.T.astype(np.float32))
        self.register_buffer("slope", slope)
        self.register_buffer("intercept", intercept)

    def forward(self, pixels: Tensor) -> Tensor:
        logits = self.classifier(pixels)
        if self.activation == "softmax":
            excluded = EXCLUDED * torch.eye(logits.shape[1])
            logits = logits - (logits[:, None, :] + excluded).logsumexp(dim=2)
        return torch.sigmoid(logits * self.slope + self.intercept)


def require_onnx() -> None:
    """Check that ONNX files can be written here.

    Raises:
        ConfigError: a package is missing.
    """
    for name in PACKAGES:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise ConfigError(f"needs the package {name} ({error}); pip install 'thaw-tune[onnx]'", "--onnx") from None


def export_onnx(file: Path, classifier: Classifier, rule: LabelRule, classes: Sequence[str], square: Square) -> None:
    """Write the model as an ONNX file.

    Input ``pixels``: uint8 RGB (images, S, S, 3), decoded and resized as the model expects. Output ``probabilities``:
    float32 (images, L), calibrated. The number of images is dynamic. The file's metadata hold, as JSON, the names of
    the classes and their thresholds, the policy that turns probabilities into label sets (with its k), and how photos
    become squares.

    torch's older exporter is used: it exports every architecture in seconds. The newer one takes a minute for some,
    gives the same values, and needs another package.

    Args:
        classifier: on the CPU.
        square: how its images become squares.
    """
    import onnx

    example = torch.zeros((2, square.size, square.size, 3), dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the exporter's age, and that the image size becomes a constant
        torch.onnx.export(
            _Deployed(classifier, rule).eval(),
            (example,),
            str(file),
            dynamo=False,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes={INPUT: {0: BATCH_AXIS}, OUTPUT: {0: BATCH_AXIS}},
        )
    model = onnx.load(str(file))
    onnx.helper.set_model_props(
        model,
        {
            "classes": json.dumps(list(classes)),
            "thresholds": json.dumps(rule.thresholds.tolist()),
            "policy": json.dumps(rule.policy),
            "k": json.dumps(rule.k),
            "square": json.dumps(asdict(square)),
        },
    )
    onnx.save(model, str(file))


def onnx_probabilities(file: Path, pixels: np.ndarray) -> np.ndarray:
    """Output of the file for decoded images, uint8 (N, S, S, 3), by onnxruntime on the CPU: float32 (N, L)."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    return session.run([OUTPUT], {INPUT: pixels})[0]
