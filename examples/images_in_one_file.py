"""Images and labels in one Parquet file, registered with Thaw.

python examples/images_in_one_file.py            # writes digits.parquet to try it
thaw search examples/images-in-one-file.yaml --import examples/images_in_one_file.py
"""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

import thaw

# Absolute, as workers may run elsewhere.
FILE = Path(os.environ.get("IMAGES", "digits.parquet")).resolve()


class ParquetImages:
    """A table with the columns `image` (the bytes of an image file) and `labels` (a list of names)."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.labels = pq.read_table(file, columns=["labels"])["labels"].to_pylist()
        with file.open("rb") as content:
            self.digest = hashlib.file_digest(content, "blake2b").hexdigest()
        self.images: pa.ChunkedArray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def decode(self, i: int) -> Image.Image:
        # Read when the first image is requested: only a machine that has not decoded the images yet needs them.
        if self.images is None:
            self.images = pq.read_table(self.file, columns=["image"], memory_map=True)["image"]
        return Image.open(io.BytesIO(self.images[i].as_py()))


def write_digits(file: Path) -> None:
    """Handwritten digits with two labels each: which digit it is, and whether it is even."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = []
    for values in digits.images:
        content = io.BytesIO()
        Image.fromarray((values * (255 / 16)).astype("uint8")).resize((32, 32)).save(content, "PNG")
        images.append(content.getvalue())
    labels = [[str(digit), "odd" if digit % 2 else "even"] for digit in digits.target]
    pq.write_table(pa.table({"image": images, "labels": labels}), file)


if __name__ == "__main__":
    write_digits(FILE)
else:
    thaw.register_data_source("digits-in-parquet", ParquetImages(FILE))
