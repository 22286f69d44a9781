"""Time and memory of `thaw data` on a label file with many rows and labels.

    python -m benchmarks.data --images 1000000 --labels 1000
    python -m benchmarks.data --images 100000 --labels 1000 --one-hot

The images are empty files in folders of 10,000: `thaw data` looks for them by name and opens none that is named like an
image, except for a sample of at most 256.
"""

from __future__ import annotations

import argparse
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml


def write_data(folder: Path, images: int, labels: int, one_hot: bool) -> Path:
    """A search file with its label file, one to three labels an image, and empty image files."""
    generator = random.Random(0)
    names = [f"label {label}" for label in range(labels)]
    lines = ["filename," + (",".join(names) if one_hot else "labels")]
    for number in range(images):
        name = f"{number // 10_000:03d}/{number:07d}.jpg"
        file = folder / "images" / name
        if number % 10_000 == 0:
            file.parent.mkdir(parents=True)
        file.touch()
        chosen = generator.sample(range(labels), generator.choice((1, 1, 2, 3)))
        cells = "|".join(names[label] for label in chosen)
        if one_hot:
            flags = ["0"] * labels
            for label in chosen:
                flags[label] = "1"
            cells = ",".join(flags)
        lines.append(f"{name},{cells}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    search = {
        "name": "many",
        "data": {"images": "images", "labels": "labels.csv"},
        "weights": "none",
        "training": {"architecture": "convnet"},
        "space": {"learning_rate": [0.001, 0.01]},
        "search": {"algorithm": "grid"},
    }
    (folder / "search.yaml").write_text(yaml.safe_dump(search))
    return folder / "search.yaml"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--labels", type=int, default=1_000)
    parser.add_argument("--one-hot", action="store_true", help="a column of 0 and 1 for each label")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        file = write_data(Path(name), options.images, options.labels, options.one_hot)
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "thaw", "data", str(file), "--json"], check=True, stdout=subprocess.DEVNULL
        )
        seconds, usage = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"{options.images} images, {options.labels} labels: {seconds:.1f} s, processor time "
        f"{usage.ru_utime + usage.ru_stime:.1f} s, peak memory {usage.ru_maxrss / 1e6:.2f} GB"
    )


if __name__ == "__main__":
    main()
