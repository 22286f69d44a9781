"""Images and labels from Python instead of files: the protocol of a data source, and the registered ones."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from PIL import Image

from thaw.spaces.errors import ConfigError, did_you_mean
from thaw.trainables.data.decoding import Rejected, Square, square_pixels


@runtime_checkable
class DataSource(Protocol):
    """A user-defined data set.

    It is pickled and sent to the workers, so anything that cannot be pickled, such as an open file, must be opened when
    the first image is decoded. A source may also have ``columns``, a mapping from names to one value per image, for
    ``data.split.column`` and ``data.split.group``.

    Attributes:
        labels: for each image the names of its labels, or the name of its only label.
        digest: identifies the content; the cache of decoded images is keyed by it. It must change whenever an image or
            a label does.

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
        """Image `i`, from 0: a Pillow image, or uint8 (H, W, 3) or (H, W). Called from several threads at once.

        If it raises an exception, the image is rejected with its message as the reason.
        """
        ...


SOURCES: dict[str, DataSource] = {}
"""``data.source`` → the source registered under this name."""


def register_data_source(name: str, source: DataSource) -> None:
    """Register a data source, so that search files can use it by ``data: {source: NAME}``.

    On the command line, ``--import FILE.py`` runs a file that calls this. Registering a name again replaces the source.

    Raises:
        ConfigError: `name` is no text, or `source` lacks a member of the protocol.

    Example:
        ```python
        thaw.register_data_source("flowers", Table("flowers.parquet"))
        ```
    """
    if not isinstance(name, str) or not name:
        raise ConfigError(f"the name of a data source must be text, got {name!r}", "register_data_source")
    if not isinstance(source, DataSource):
        members = ("__len__", "labels", "decode", "digest")
        missing = ", ".join(member for member in members if not hasattr(source, member))
        raise ConfigError(f"a data source must have {', '.join(members)}; add {missing}", name)
    SOURCES[name] = source


def data_source(name: str) -> DataSource:
    """The source registered as `name`.

    Raises:
        ConfigError: there is none.
    """
    if name not in SOURCES:
        known = did_you_mean(name, SOURCES) if SOURCES else ""
        raise ConfigError(
            f"no data source {name!r} is registered{known}; --import the file that registers it", "source"
        )
    return SOURCES[name]


def decode_from(source: DataSource, i: int, square: Square) -> np.ndarray:
    """Image `i` of a source as uint8 RGB (size, size, 3).

    Raises:
        Rejected: the source raised an exception, or returned no image.
    """
    try:
        given = source.decode(i)
        image = given if isinstance(given, Image.Image) else Image.fromarray(given)
        return square_pixels(image, square)
    except Rejected:
        raise
    except (Exception, SystemExit) as error:  # user code, and one image must not end a run
        raise Rejected(f"cannot be decoded: {type(error).__name__}: {error}") from error
