"""Looks through a ``.pth`` file before torch reads it: what it would run, and how much memory it would take.

``torch.load`` refuses to run code, but it believes sizes: a tensor that says it is larger than its storage makes torch
enlarge the storage, and a compressed entry is unpacked at the size it claims. Both take the memory of a lie. The two
formats of torch are zip archives (since 1.6) and a sequence of pickles followed by raw storages (before).
"""

from __future__ import annotations

import mmap
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from pspnet_core.models.importers.arrays import NUMPY_SYMBOLS
from pspnet_core.models.importers.pickles import (
    DamagedPickleError,
    Function,
    RefusedPickleError,
    plain_dict,
    read_pickle,
    show,
)

ZIP_MAGIC = b"PK\x03\x04"
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_END_OF_ZIP = b"PK\x05\x06"
_END_SIZE = 22
_MAX_PICKLE_BYTES = 256 * 2**20
_MAX_DIMENSIONS = 8


@dataclass(frozen=True, slots=True)
class _Kind:
    """Type of a storage or tensor: bytes of one element."""

    size: int


@dataclass(frozen=True, slots=True)
class _Storage:
    """A block of numbers somewhere in the file, and the bytes of one of them."""

    key: str
    nbytes: int
    size: int


@dataclass(frozen=True, slots=True)
class _TensorMark:
    """Stands for a tensor that was checked."""

    shape: tuple[int, ...]


@dataclass
class _Storages:
    """The storages that a pickle refers to."""

    found: dict[str, _Storage] = field(default_factory=dict)

    def __call__(self, identity: Any) -> _Storage:
        """The storage of a persistent id ``("storage", type, key, location, number of elements[, view])``."""
        if not isinstance(identity, tuple) or len(identity) not in (5, 6) or identity[0] != "storage":
            raise RefusedPickleError(f"It refers to {show(identity)}, which is not a storage.")
        _, kind, key, _, count = identity[:5]
        if not isinstance(kind, _Kind) or not isinstance(key, str | int) or not _is_size(count):
            raise RefusedPickleError(f"It refers to the storage {show(identity)}, which is impossible.")
        if len(identity) == 6 and identity[5] is not None:
            raise RefusedPickleError("It has a storage that is part of another, as only very old files of torch do.")
        storage = _Storage(str(key), count * kind.size, kind.size)
        known = self.found.setdefault(str(key), storage)
        if known != storage:
            raise RefusedPickleError(
                f"Storage {key} has two different sizes: {known.nbytes} and {storage.nbytes} bytes."
            )
        return storage


def check_zip(file: IO[bytes]) -> set[str]:
    """Check a zip archive of torch.

    Args:
        file: Open, anywhere.

    Returns:
        The names of NumPy that it needs.

    Raises:
        DamagedPickleError: It is cut off or not an archive of torch.
        RefusedPickleError: It would run code, or says that it is larger than it is.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            sizes = _entry_sizes(archive, file)
            root = _root(sizes)
            if f"{root}/constants.pkl" in sizes:
                raise RefusedPickleError("It is a TorchScript archive: a program, not weights.")
            if sizes[f"{root}/data.pkl"] > _MAX_PICKLE_BYTES:
                raise RefusedPickleError(f"Its table of contents has {sizes[f'{root}/data.pkl']} bytes.")
            pickle = archive.read(f"{root}/data.pkl")
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, NotImplementedError, struct.error) as error:
        raise DamagedPickleError(f"It is not a whole zip archive: {error}.") from error
    storages, symbols = _Storages(), _Recorder(TORCH_SYMBOLS)
    read_pickle(pickle, symbols, storages)
    for key, storage in storages.found.items():
        there = sizes.get(f"{root}/data/{key}")
        if there is None:
            raise DamagedPickleError(f"Storage {key} is not in the archive.")
        if there != storage.nbytes:
            raise RefusedPickleError(f"Storage {key} says it has {storage.nbytes} bytes, but {there} are there.")
    return symbols.of_numpy


def check_legacy(data: mmap.mmap) -> set[str]:
    """The same for a file of torch before 1.6: pickles, then each storage as its length and its bytes.

    Args:
        data: The whole file.
    """
    symbols, storages = _Recorder(TORCH_SYMBOLS), _Storages()
    if read_pickle(data, {}) != LEGACY_MAGIC or read_pickle(data, {}) != _LEGACY_PROTOCOL:
        raise DamagedPickleError("It does not begin as a file of torch.")
    read_pickle(data, {})  # sizes of integers where it was written
    read_pickle(data, symbols, storages)
    keys = read_pickle(data, {})
    if (
        not isinstance(keys, list)
        or not all(isinstance(key, str) for key in keys)
        or sorted(keys) != sorted(storages.found)
    ):
        raise DamagedPickleError("Its list of storages does not fit its tensors.")
    for key in keys:
        storage = storages.found[key]
        head = data.read(8)
        if len(head) < 8:
            raise DamagedPickleError(f"It ends before storage {key}.")
        (count,) = struct.unpack("<q", head)
        if count * storage.size != storage.nbytes:
            raise RefusedPickleError(
                f"Storage {key} says {storage.nbytes} bytes in one place and {count * storage.size} in another."
            )
        if data.tell() + storage.nbytes > len(data):
            raise DamagedPickleError(
                f"It ends within storage {key}: {storage.nbytes} bytes expected, {len(data) - data.tell()} are there."
            )
        data.seek(storage.nbytes, 1)
    return symbols.of_numpy


class _Recorder(Mapping[str, Any]):
    """A table of symbols that remembers which of NumPy were looked up."""

    def __init__(self, symbols: Mapping[str, Any]) -> None:
        self._symbols = symbols
        self.of_numpy: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        value = self._symbols[name]
        if name.startswith("numpy."):
            self.of_numpy.add(name)
        return value

    def __iter__(self) -> Any:
        return iter(self._symbols)

    def __len__(self) -> int:
        return len(self._symbols)


def _entry_sizes(archive: zipfile.ZipFile, file: IO[bytes]) -> dict[str, int]:
    """Name -> bytes of each entry. All are stored as they are, once, and lie within the file."""
    length = file.seek(0, 2)
    file.seek(length - _END_SIZE)
    # Then torch's reader and Python's find the same directory.
    if file.read(4) != _END_OF_ZIP:
        raise DamagedPickleError("It does not end as a zip archive does: it is cut off, or something was appended.")
    sizes: dict[str, int] = {}
    for entry in archive.infolist():
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size or entry.flag_bits & 1:
            raise RefusedPickleError(
                f"Its entry {entry.filename} is packed: {entry.compress_size} bytes say they become {entry.file_size}. "
                "Torch stores entries as they are."
            )
        if entry.header_offset + entry.file_size > length:
            raise RefusedPickleError(
                f"Its entry {entry.filename} says it has {entry.file_size} bytes; the file has {length}."
            )
        if entry.filename in sizes:
            raise RefusedPickleError(f"Its entry {entry.filename} is there twice.")
        sizes[entry.filename] = entry.file_size
    if sum(sizes.values()) > length:
        raise RefusedPickleError(f"Its entries say they have {sum(sizes.values())} bytes; the file has {length}.")
    return sizes


def _root(sizes: Mapping[str, int]) -> str:
    roots = {name.split("/", 1)[0] for name in sizes}
    if len(roots) != 1 or f"{next(iter(roots))}/data.pkl" not in sizes:
        raise DamagedPickleError("It is a zip archive, but not one of torch: there is no data.pkl.")
    return roots.pop()


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**62


def _rebuild(storage: Any, offset: Any, shape: Any, stride: Any, *_: Any) -> _TensorMark:
    """Check that a tensor lies within its storage and is no larger than it."""
    size = storage.size if isinstance(storage, _Storage) else 0
    return _check_tensor(storage, size, offset, shape, stride)


def _rebuild_v3(storage: Any, offset: Any, shape: Any, stride: Any, _: Any, __: Any, dtype: Any, *___: Any) -> Any:
    if not isinstance(dtype, _Kind):
        raise RefusedPickleError("A tensor has a type that is no number.")
    return _check_tensor(storage, dtype.size, offset, shape, stride)


def _rebuild_parameter(data: Any, *_: Any) -> _TensorMark:
    if not isinstance(data, _TensorMark):
        raise RefusedPickleError("A parameter is not a tensor.")
    return data


def _check_tensor(storage: Any, size: int, offset: Any, shape: Any, stride: Any) -> _TensorMark:
    plain = isinstance(shape, tuple) and isinstance(stride, tuple) and len(shape) == len(stride) <= _MAX_DIMENSIONS
    if not plain or not isinstance(storage, _Storage) or not all(map(_is_size, (offset, *shape, *stride))):
        raise RefusedPickleError(f"A tensor has the impossible shape {show(shape)} with strides {show(stride)}.")
    count = 1
    for extent in shape:
        count *= extent
    last = offset + sum((extent - 1) * step for extent, step in zip(shape, stride, strict=True))
    if count and (max(count, last + 1) * size > storage.nbytes):
        raise RefusedPickleError(
            f"A tensor says it has shape {list(shape)}, but its storage {storage.key} has {storage.nbytes} bytes."
        )
    return _TensorMark(shape)


_KINDS = {
    "Float": 4, "Half": 2, "BFloat16": 2, "Double": 8, "Int": 4, "Long": 8, "Short": 2, "Char": 1, "Byte": 1, "Bool": 1,
}  # fmt: skip
_DTYPES = {
    "float32": 4, "float16": 2, "bfloat16": 2, "float64": 8, "int32": 4, "int64": 8, "int16": 2, "int8": 1, "uint8": 1,
    "bool": 1,
}  # fmt: skip


def _symbols() -> dict[str, Any]:
    kinds: dict[str, _Kind] = {f"torch.{name}Storage": _Kind(size) for name, size in _KINDS.items()}
    return {
        **kinds,
        **{f"torch.{name}": _Kind(size) for name, size in _DTYPES.items()},
        "torch.storage.UntypedStorage": _Kind(1),
        "torch.Size": Function(lambda *sizes: tuple(*sizes)),
        "torch.device": Function(lambda *_: None),
        "collections.OrderedDict": Function(plain_dict),
        "torch._utils._rebuild_tensor": Function(_rebuild),
        "torch._utils._rebuild_tensor_v2": Function(_rebuild),
        "torch._utils._rebuild_tensor_v3": Function(_rebuild_v3),
        "torch._utils._rebuild_parameter": Function(_rebuild_parameter),
        **NUMPY_SYMBOLS,
    }


TORCH_SYMBOLS: dict[str, Any] = _symbols()
"""What the names in a pickle of torch stand for."""
