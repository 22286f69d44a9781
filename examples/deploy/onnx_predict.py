"""A bundle's model.onnx without PyTorch and without Thaw.

pip install numpy onnxruntime pillow
python onnx_predict.py my-model/model.onnx photo.jpg
"""

import json
import sys

import numpy as np
from onnxruntime import InferenceSession
from PIL import Image, ImageOps


def load(file: str) -> tuple[InferenceSession, dict]:
    """The model, and the metadata of its file."""
    session = InferenceSession(file, providers=["CPUExecutionProvider"])
    return session, {key: json.loads(text) for key, text in session.get_modelmeta().custom_metadata_map.items()}


def prepare(photo: str, square: dict) -> np.ndarray:
    """An 8-bit photo as the model expects it: uint8 RGB (side, side, 3)."""
    image = ImageOps.exif_transpose(Image.open(photo)).convert("RGB")
    side, border = (square["size"],) * 2, (1 - square["crop_pct"]) / 2
    filter_ = Image.Resampling[square["interpolation"].upper()]
    if square["resize"] == "crop":
        return np.asarray(ImageOps.fit(image, side, filter_, bleed=border))
    if square["resize"] == "squash":
        across, down = image.width * border, image.height * border
        return np.asarray(image.resize(side, filter_, (across, down, image.width - across, image.height - down)))
    kept, padded = max(image.size) * square["crop_pct"], Image.new("RGB", side, "#808080")
    across, down = (max(0, length - kept) / 2 for length in image.size)
    inner = tuple(max(1, round(square["size"] * min(1, length / kept))) for length in image.size)
    middle = image.resize(inner, filter_, (across, down, image.width - across, image.height - down))
    padded.paste(middle, ((side[0] - inner[0]) // 2, (side[1] - inner[1]) // 2))
    return np.asarray(padded)


def chosen(probabilities: np.ndarray, about: dict) -> list[int]:
    """Numbers of the labels that the model gives an image, by its policy."""
    order = np.argsort(-probabilities, kind="stable").tolist()
    passing = [label for label in order if probabilities[label] >= about["thresholds"][label]]
    by_policy = {
        "threshold": passing,
        "never_empty": passing or order[:1],
        "at_most": passing[: about.get("k")],
        "exactly_one": order[:1],
    }
    return sorted(by_policy[about["policy"]])


def main() -> None:
    session, about = load(sys.argv[1])
    pixels = np.stack([prepare(photo, about["square"]) for photo in sys.argv[2:]])
    for photo, probabilities in zip(sys.argv[2:], session.run(None, {"pixels": pixels})[0], strict=True):
        labels = chosen(probabilities, about)
        print(photo, *(f"{about['classes'][label]} {probabilities[label]:.2f}" for label in labels))


if __name__ == "__main__":
    main()
