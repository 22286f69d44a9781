"""Third-party weights files: read without running code, into tensors by their full names."""

from __future__ import annotations

import json
import pickle
import re
import zipfile
from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from thaw.spaces import ConfigError

State = dict[str, Tensor]

SUFFIXES = (".safetensors", ".bin", ".pth", ".pt", ".ckpt")
"""Suffixes of weights files in a folder, in the order in which they are looked for."""

INDEX = ".index.json"
"""What the name of a file ends in that says which file of a folder holds which tensor."""

BESIDE = re.compile(r"optimizer|scheduler|scaler|training_args|rng_state|random_states")
"""How the names of files begin that training scripts write next to a model's."""

SAVE = "save it by torch.save(model.state_dict(), path)"

INSERTED = re.compile(r"(?<![^.])(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
"""What ``torch.compile``, FSDP and activation checkpointing insert into names, anywhere."""

PICKLES = (b"PK", b"\x80")
"""How files of ``torch.save`` begin, since PyTorch 1.6 and before."""

OTHERS: dict[bytes, str] = {
    b"\x89HDF": "an HDF5 file, as Keras writes; convert it to PyTorch",
    b"\x93NUMPY": "a NumPy array; convert it to PyTorch",
    b"GGUF": "a GGUF file; convert it to PyTorch",
    b"version https://git-lfs": "a Git LFS pointer instead of the weights; run `git lfs pull` where it came from",
    b"<": "a web page; the download went wrong",
}
"""First bytes of files that are often mistaken for PyTorch's → what they are."""

NUMPY = "a NumPy archive, as JAX models are published; read it by the method load_pretrained of timm's network"
ZIP = "a zip archive that torch.save has not written"


class Placeholder:
    """Takes the place of any object other than a tensor, number, text or container, so that none is ever created."""

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass


class Dictionary(Placeholder):
    """Takes the place of a subclass of dict: what is made is a plain one, the only kind that torch adds items to."""

    def __new__(cls, *_: object) -> Any:
        return OrderedDict()


class Items(Placeholder):
    """Takes the place of a subclass of list."""

    def __new__(cls, *_: object) -> Any:
        return []


class Kinds(pickle.Unpickler):
    """Reads a pickle in which every class and function is replaced, to see what they are.

    Attributes:
        found: name of a class → the kind of placeholder that can take what the pickle puts into its objects.
    """

    def __init__(self, content: bytes) -> None:
        super().__init__(BytesIO(content), fix_imports=False)
        self.found: dict[str, type[Placeholder]] = {}

    def find_class(self, module: str, name: str) -> Any:
        found, full = self.found, f"{module}.{name}"

        class Seen(Placeholder):
            def __setitem__(self, key: object, value: object) -> None:
                found[full] = Dictionary

            def append(self, value: object) -> None:
                found.setdefault(full, Items)

        return Seen

    def persistent_load(self, _: object) -> None:
        """A tensor's storage, which is not read here."""


def read_state(path: Path, key: str) -> State:
    """All tensors of a file, or of the model in a folder, by name.

    The names of nested dictionaries are joined by dots: ``{"model": {"fc.bias": …}}`` holds ``model.fc.bias``. Only
    tensors, numbers, text and containers are unpickled, so no file can run code; :class:`Placeholder` replaces the
    rest, a subclass of dict by a plain one.

    Args:
        path: file of ``torch.save`` or safetensors; or a folder that holds one, or several with an index.
        key: for the message of an error.

    Raises:
        ConfigError: the file is missing, damaged, or holds something else.
    """
    state: State = {}
    for file in _files(path, key):
        content = _content(file, key)
        tensors = {INSERTED.sub("", name): tensor.detach() for name, tensor in _tensors(content)}
        if any(tensor.is_meta for tensor in tensors.values()):
            raise _refused(file, "tensors of the device meta, which have no values", key)
        if not tensors:
            raise _refused(file, _kind(content), key)
        state |= tensors
    return state


def _files(path: Path, key: str) -> list[Path]:
    """The file, or those that hold the model of a folder or belong to an index."""
    if path.is_dir():
        indexes = sorted(path.glob(f"*{INDEX}"))
        return _indexed(indexes[0], key) if indexes else [_only(path, key)]
    if not path.is_file():
        raise ConfigError(f"there is no weights file {path}; correct the path", key)
    return _indexed(path, key) if path.name.endswith(INDEX) else [path]


def _only(folder: Path, key: str) -> Path:
    found = [file for suffix in SUFFIXES for file in sorted(folder.glob(f"*{suffix}")) if not BESIDE.match(file.name)]
    if not found:
        fix = "run its zero_to_fp32.py first" if (folder / "zero_to_fp32.py").is_file() else "name the file"
        raise ConfigError(f"the folder {folder} holds no weights file ({', '.join(SUFFIXES)}); {fix}", key)
    several = [file for file in found if file.suffix == found[0].suffix]
    if len(several) > 1:
        names = ", ".join(file.name for file in several[:3])
        raise ConfigError(f"the folder {folder} holds several weights files ({names}); name one of them", key)
    return found[0]


def _indexed(index: Path, key: str) -> list[Path]:
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        files = [index.parent / Path(name).name for name in names]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{index} must say under weight_map which file holds which tensor ({error!r})", key) from None
    missing = [file.name for file in files if not file.is_file()]
    if missing or not files:
        raise ConfigError(f"{index} names files that are not next to it ({', '.join(missing)}); add them", key)
    return files


def _content(file: Path, key: str) -> Any:
    """The content of one file."""
    try:
        with file.open("rb") as opened:
            begin = opened.read(64)
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}; check its permissions", key) from error
    if known := next((what for magic, what in OTHERS.items() if begin.lstrip().startswith(magic)), ""):
        raise _refused(file, known, key, "")
    if not begin.startswith(PICKLES) and begin[8:9] != b"{":
        raise _refused(file, "a file of another kind" if begin else "an empty file", key)
    try:
        if begin[8:9] == b"{":
            return safetensors.torch.load_file(file)
        with torch.serialization.safe_globals(_placeholders(file)):
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle may raise anything, KeyError and struct.error among others
        raise _refused(file, _other_archive(file) or _reason(error), key) from error


def _other_archive(file: Path) -> str:
    """What a zip archive holds that is none of PyTorch's; else empty."""
    if not zipfile.is_zipfile(file):
        return ""
    with zipfile.ZipFile(file) as archive:
        names = [Path(name) for name in archive.namelist()]
    if names and all(name.suffix == ".npy" for name in names):
        return NUMPY
    return "" if any(name.name == "data.pkl" for name in names) else ZIP


def _reason(error: Exception) -> str:
    """The part of a message of torch's that says what is wrong; its advice is to switch the safe reading off."""
    unsupported = re.search(r"GLOBAL (\S+)", str(error))
    if unsupported:
        return f"a pickled {unsupported[1]}"
    text = str(error).partition("WeightsUnpickler error: ")[2] or str(error)
    return text.strip().partition("\n")[0].partition(". ")[0] or type(error).__name__


def _placeholders(file: Path) -> list[Any]:
    """A placeholder for each class and function that a file of ``torch.save`` names besides those of tensors."""
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(file)
    except (ValueError, RuntimeError):
        return []  # a file of before PyTorch 1.6, or damaged, which is found when it is loaded
    with zipfile.ZipFile(file) as archive:
        [pickled] = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        kinds = Kinds(archive.read(pickled))
    with suppress(Exception):  # torch says what is wrong with it
        kinds.load()
    return [(type(name, (kinds.found.get(name, Placeholder),), {"__module__": "pickled"}), name) for name in names]


def _tensors(content: Any) -> Iterator[tuple[str, Tensor]]:
    """All tensors under keys that are text, and their full names; an optimizer numbers its own.

    A tensor that claims more values than the file holds is left out, as a small file could make any conversion of names
    take all memory. A dictionary is read once, as one may contain itself.
    """
    waiting: deque[tuple[str, Any]] = deque([("", content)])
    seen: set[int] = set()
    while waiting:
        prefix, values = waiting.popleft()
        if not isinstance(values, Mapping) or id(values) in seen:
            continue
        seen.add(id(values))
        for name, value in values.items():
            if not isinstance(value, Tensor):
                if isinstance(name, str):
                    waiting.append((f"{prefix}{name}.", value))
            elif value.layout != torch.strided or value.nbytes <= value.untyped_storage().nbytes():
                yield f"{prefix}{name}", value


def _kind(content: Any) -> str:
    """What a file without tensors holds."""
    if isinstance(content, dict):
        return f"a dictionary with {', '.join(map(str, list(content)[:3])) or 'nothing'}"
    return f"an object of type {type(content).__name__}"


def _refused(file: Path, reason: str, key: str, fix: str = f"; {SAVE}") -> ConfigError:
    return ConfigError(f"{file} must hold tensors by name and nothing else, got {reason}{fix}", key)
