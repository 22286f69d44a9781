"""Images and labels that come from Python instead of files: what a data source is, and which ones there are."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from PIL import Image

from thaw.spaces.errors import ConfigError, did_you_mean
from thaw.trainables.data.decoding import Rejected, Square, square_pixels


@runtime_checkable
class DataSource(Protocol):
    """A data set of the user's own.

    It travels to the workers by pickle, so it opens what cannot be pickled, such as a file, when it first decodes. A
    class may have ``columns`` besides, a mapping from names to one value an image: ``data.split.column`` and
    ``data.split.group`` name them.

    Attributes:
        labels: the names of each image's labels, or its one label's name.
        digest: names the content. It must change whenever an image or a label does: decoded images are kept by it.

    Example:
        ```python
        class Table:
            def __init__(self, file: str) -> None:
                self.table = pyarrow.parquet.read_table(file)
                self.labels = self.table["labels"].to_pylist()
                self.digest = hashlib.sha256(Path(file).read_bytes()).hexdigest()

            def __len__(self) -> int:
                return len(self.table)

            def decode(self, i: int) -> Image.Image:
                return Image.open(io.BytesIO(self.table["image"][i].as_py()))
        ```
    """

    @property
    def labels(self) -> Sequence[str | Collection[str]]: ...

    @property
    def digest(self) -> str: ...

    def __len__(self) -> int:
        """Number of images."""
        ...

    def decode(self, i: int) -> Image.Image | np.ndarray:
        """Image `i`, from 0: of Pillow, or uint8 (H, W, 3) or (H, W). Called by several threads at once.

        Whatever it raises is the reason why this image cannot be used.
        """
        ...


SOURCES: dict[str, DataSource] = {}
"""``data.source`` → what was registered under this name."""


def register_data_source(name: str, source: DataSource) -> None:
    """Make images and labels known to search files, as ``data: {source: NAME}``.

    The command line runs the file that calls this where ``--import FILE.py`` names it. Registering a name again
    replaces what it meant.

    Raises:
        ConfigError: `source` lacks a part of the protocol.

    Example:
        ```python
        thaw.register_data_source("flowers", Table("flowers.parquet"))
        ```
    """
    if not isinstance(source, DataSource):
        lacking = [part for part in ("__len__", "labels", "decode", "digest") if not hasattr(source, part)]
        raise ConfigError(f"a data source has __len__, labels, decode and digest, it lacks {', '.join(lacking)}", name)
    SOURCES[name] = source


def data_source(name: str) -> DataSource:
    """What was registered as `name`.

    Raises:
        ConfigError: nothing was.
    """
    if name not in SOURCES:
        known = did_you_mean(name, SOURCES) if SOURCES else ""
        raise ConfigError(
            f"no data source {name!r} is registered{known}; --import the file that registers it", "source"
        )
    return SOURCES[name]


def decode_from(source: DataSource, i: int, square: Square) -> np.ndarray:
    """Image `i` as uint8 RGB (size, size, 3).

    Raises:
        Rejected: the source raised, or gave no image.
    """
    try:
        given = source.decode(i)
        image = given if isinstance(given, Image.Image) else Image.fromarray(given)
        return square_pixels(image, square)
    except Exception as error:  # code of the user's, and one image must not end a run
        raise Rejected(f"cannot be decoded: {type(error).__name__}: {error}") from error
