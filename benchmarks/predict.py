"""How fast a bundle predicts, compared with decoding alone and the network alone on the same processors.

python -m benchmarks.predict BUNDLE IMAGES [--images 500] [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks.machine import machine, print_table
from thaw.trainables.bundles.bundle import Bundle, load_bundle
from thaw.trainables.bundles.predict import TIMEOUT, processors
from thaw.trainables.data.decoding import decode_image
from thaw.trainables.data.image_places import find_images
from thaw.trainables.data.supervision import supervised
from thaw.trainables.networks.chunks import chunk_size


def decoding(bundle: Bundle, paths: list[Path]) -> None:
    """The same threads, without the network."""
    square = bundle.model.square
    for _ in supervised(lambda i: decode_image(paths[i], square), len(paths), processors(), TIMEOUT):
        pass


def network(bundle: Bundle, pixels: np.ndarray) -> None:
    """The same batches, decoded beforehand."""
    size = chunk_size(bundle.device.type, pixels.shape[1])
    with torch.no_grad():
        for start in range(0, len(pixels), size):
            bundle.classifier(torch.from_numpy(pixels[start : start + size]).to(bundle.device)).cpu()


def together(bundle: Bundle, paths: list[Path]) -> None:
    """What ``thaw predict`` does, without writing its file."""
    for _ in bundle.stream(paths):
        pass


def main() -> None:
    """Measure the three in turn over several rounds; print the median of each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("places", nargs="+", help="as for thaw predict")
    parser.add_argument("--images", type=int, default=500, help="use only the first N (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="(default: %(default)s)")
    options = parser.parse_args()
    bundle = load_bundle(options.bundle)
    paths = list(find_images(options.places).values())[: options.images]
    pixels = np.stack([decode_image(path, bundle.model.square) for path in paths])
    arms: dict[str, Callable[[], None]] = {
        "decoding alone": lambda: decoding(bundle, paths),
        "network alone": lambda: network(bundle, pixels),
        "thaw predict": lambda: together(bundle, paths),
    }
    network(bundle, pixels[:64])
    rates: dict[str, list[float]] = {name: [] for name in arms}
    for _ in range(options.rounds):
        for name, arm in arms.items():
            started = time.perf_counter()
            arm()
            rates[name].append(len(paths) / (time.perf_counter() - started))
    middle = {name: float(np.median(values)) for name, values in rates.items()}
    alone = [middle["decoding alone"], middle["network alone"]]
    # On a CPU both share the same cores, so together they cannot reach what each reaches with all of them.
    shared = 1 / sum(1 / rate for rate in alone)
    print(json.dumps(machine()))
    rows = [[name, middle[name], min(values), max(values)] for name, values in rates.items()]
    print_table(
        f"Images per second, {len(paths)} images, {bundle.model.image_size} pixels", ["", "median", "min", "max"], rows
    )
    print(f"\nShare of the slower of the two alone: {middle['thaw predict'] / min(alone):.2f}")
    if bundle.device.type == "cpu":
        print(f"Share of what both can reach on shared processors, {shared:.1f}: {middle['thaw predict'] / shared:.2f}")


if __name__ == "__main__":
    main()
