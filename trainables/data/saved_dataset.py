"""Data sets of Hugging Face's package ``datasets``, as written by ``save_to_disk``."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from thaw.spaces.errors import ConfigError
from thaw.trainables.data.parts import part_of

INFO_FILE, SPLITS_FILE = "dataset_info.json", "dataset_dict.json"
"""The file in the folder of a data set, and the file in that of a data set with splits."""

LABEL_COLUMNS = ("label", "labels", "class", "category", "categories", "tags")
"""Names of columns that hold labels if no column is a ``ClassLabel``."""


def is_saved_dataset(folder: Path) -> bool:
    """Whether ``save_to_disk`` has written this folder."""
    return (folder / SPLITS_FILE).is_file() or ((folder / INFO_FILE).is_file() and (folder / "state.json").is_file())


class SavedDataset:
    """A :class:`~thaw.trainables.data.source.DataSource` for a folder written by ``save_to_disk``.

    Args:
        folder: folder of a data set, or of a data set with splits.
        image: column of images; by default the only one of type ``Image``.
        labels: columns of labels; by default the only one of type ``ClassLabel``, or a list of it.

    Attributes:
        columns: the other columns of numbers and text, by name.
        parts: int8 (images,), the part of each image, if all splits are named train, validation or test; else None.

    Raises:
        ConfigError: the package is not installed, a column does not exist, or the choice is not clear.
    """

    def __init__(self, folder: Path, image: str | None = None, labels: Sequence[str] = ()) -> None:
        self.folder = folder
        features: Mapping[str, Any] = self._data.features
        kinds = {name: _kind(feature) for name, feature in features.items()}
        images = [name for name, kind in kinds.items() if kind == "Image"]
        self._image = _chosen(image, images, kinds, "columns.image", "images")
        found = [name for name, kind in kinds.items() if kind == "ClassLabel"]
        found = found or [name for name in kinds if name.lower() in LABEL_COLUMNS]
        chosen = list(labels) or [_chosen(None, found, kinds, "columns.labels", "labels")]
        unknown = [name for name in chosen if name not in kinds]
        if unknown:
            raise ConfigError(f"no column {unknown[0]!r}; choose from {', '.join(kinds)}", "columns.labels")
        values = self._data.select_columns(chosen)[:]
        named = [_named(features[name], values[name]) for name in chosen]
        self.labels: list[frozenset[str]] = [frozenset().union(*row) for row in zip(*named, strict=True)]
        rest = [name for name, kind in kinds.items() if kind == "Value" and name not in chosen]
        others = self._data.select_columns(rest)[:] if rest else {}
        self.columns = {name: [str(value) for value in others[name]] for name in rest}
        self.digest = hashlib.blake2b(" ".join(self._fingerprints).encode(), digest_size=16).hexdigest()

    @cached_property
    def _loaded(self) -> dict[str, Any]:
        """Split → data; the empty name for a data set without splits."""
        try:
            import datasets
        except ImportError as error:
            raise ConfigError(f"{error}; pip install 'thaw-tune[datasets]'", "images") from None
        try:
            loaded = datasets.load_from_disk(str(self.folder))
        except Exception as error:  # a damaged folder may raise anything
            raise ConfigError(f"{self.folder} cannot be read by datasets ({error}); save it again", "images") from None
        return dict(loaded) if isinstance(loaded, datasets.DatasetDict) else {"": loaded}

    @cached_property
    def _data(self) -> Any:
        import datasets

        try:
            return datasets.concatenate_datasets(list(self._loaded.values()))
        except (ValueError, TypeError) as error:
            message = f"all splits must have the same columns ({error}); save them with equal columns"
            raise ConfigError(f"{self.folder}: {message}", "images") from None

    @cached_property
    def _pictures(self) -> Any:
        import datasets

        # The column may have been saved with decoding switched off.
        return self._data.select_columns([self._image]).cast_column(self._image, datasets.Image())

    @property
    def _fingerprints(self) -> list[str]:
        """The content fingerprints that the package keeps."""
        return [f"{name} {data._fingerprint} {len(data)}" for name, data in self._loaded.items()]

    @property
    def parts(self) -> np.ndarray | None:
        named = {name: part_of(name) for name in self._loaded}
        if None in named.values():
            return None
        return np.concatenate([np.full(len(data), named[name], np.int8) for name, data in self._loaded.items()])

    def __len__(self) -> int:
        return len(self.labels)

    def decode(self, i: int) -> Image.Image:
        return self._pictures[i][self._image]

    def __getstate__(self) -> dict[str, Any]:
        # Open files are opened again in each process.
        return {name: value for name, value in vars(self).items() if name not in ("_loaded", "_data", "_pictures")}


def _kind(feature: Any) -> str:
    """Name of a feature's type; ``ClassLabel`` also for a list of it."""
    inner = getattr(feature, "feature", None)
    within = _kind(inner) if inner is not None and not isinstance(inner, Mapping) else ""
    return "ClassLabel" if within == "ClassLabel" else type(feature).__name__


def _chosen(given: str | None, found: Sequence[str], kinds: Collection[str], key: str, what: str) -> str:
    """The column that the user gives, or the only one found."""
    if given is not None and given not in kinds:
        raise ConfigError(f"no column {given!r}; choose from {', '.join(kinds)}", key)
    if given is None and len(found) != 1:
        problem = f"{', '.join(found)} may hold the {what}" if found else f"no column of {what} was found"
        raise ConfigError(f"{problem}; name it by data.{key} (the columns are {', '.join(kinds)})", key)
    return given or found[0]


def _named(feature: Any, values: Sequence[Any]) -> list[frozenset[str]]:
    """The label names of each row; none for a missing value, or -1."""
    names = getattr(getattr(feature, "feature", feature), "names", None)
    rows = [value if isinstance(value, list) else [value] for value in values]
    if names is None:
        return [frozenset(str(one) for one in row if one is not None) for row in rows]
    return [frozenset(names[one] for one in row if one is not None and one >= 0) for row in rows]
