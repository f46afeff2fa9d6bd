"""Reads a publisher's file of weights safely: nothing of it is run, and no memory is taken for what it only claims."""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import pickle
import re
import struct
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from pspnet_core.errors import CheckpointError
from pspnet_core.models.importers.archives import ZIP_MAGIC, check_legacy, check_zip
from pspnet_core.models.importers.arrays import NUMPY_SYMBOLS, PickledArray
from pspnet_core.models.importers.pickles import (
    DamagedPickleError,
    Function,
    RefusedPickleError,
    plain_dict,
    read_pickle,
    show,
)

_WRAPPERS = ("state_dict", "model_state", "model_state_dict", "model")
_PREFIXES = re.compile(r"^(?:encoder:|decoder:)?(?:(?:module|_orig_mod)\.)*")
_LEGACY_START = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_MAX_HEADER_BYTES = 100_000_000
_CHUNK = 2**24
_REMEDY = "Get the file again from its publisher, and compare its size or checksum with what the publisher says."
_UNSAFE_REMEDY = (
    "Do not open it in other programs either, unless you trust who made it. Weights alone, saved with "
    "torch.save(model.state_dict(), ...), can be read."
)

_T = TypeVar("_T")


@dataclass(frozen=True)
class Contents:
    """What a file of weights holds.

    Attributes:
        tensors: By the publisher's names, without wrapping prefixes.
        meta: What else the publisher wrote about them.
        name: Of the file, or of its two files; empty when it was no file.
        sha256: Of each file, hexadecimal.
    """

    tensors: dict[str, Tensor]
    meta: dict[str, Any] = field(default_factory=dict)
    name: str = ""
    sha256: tuple[str, ...] = ()


def read_weights(path: Path) -> Contents:
    """Read one file: ``.pth`` of torch (both formats), ``.pdparams`` of Paddle, ``.safetensors``.

    Args:
        path: The file; its contents decide what it is, not its name.

    Raises:
        CheckpointError: It is missing, damaged, unknown, would run code, or lies about its size.
    """
    return finish(reading_weights(path))


def reading_weights(path: Path) -> Generator[None, None, Contents]:
    """As :func:`read_weights` in steps: it yields between pieces while it hashes, then before and after reading."""
    try:
        with path.open("rb") as file:
            digest = yield from _sha256(file)
            return (yield from _read_open(path, file, digest))
    except OSError as error:
        raise _damaged(path, str(error)) from error
    except DamagedPickleError as error:
        raise _damaged(path, str(error)) from error
    except RefusedPickleError as error:
        raise CheckpointError(
            f"{path.name} was not opened: it is not a plain file of weights.", f"{path}: {error}", _UNSAFE_REMEDY
        ) from error


def finish(steps: Generator[object, None, _T]) -> _T:
    """What a generator returns in the end."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            result: _T = stop.value
            return result


def from_mapping(tensors: Mapping[str, Tensor]) -> Contents:
    """A state dict that is in memory already; its tensors are copied. Raises: CheckpointError."""
    found, meta = unwrap(dict(tensors), "The state dict")
    return Contents({key: value.detach().cpu().clone() for key, value in found.items()}, meta)


def join(parts: list[Contents]) -> Contents:
    """Contents of several files as one. Raises: CheckpointError when a name is in two of them."""
    tensors: dict[str, Tensor] = {}
    meta: dict[str, Any] = {}
    for part in parts:
        if double := sorted(tensors.keys() & part.tensors.keys()):
            raise CheckpointError(
                f"{part.name} does not go with the other file: both hold {double[0]!r}.",
                f"{len(double)} names are in both.",
                "Give the encoder's and the decoder's file of one network.",
            )
        tensors |= part.tensors
        meta |= part.meta
    return Contents(tensors, meta, " + ".join(p.name for p in parts), tuple(s for p in parts for s in p.sha256))


def refuse_sharing(contents: Contents) -> None:
    """Make sure that tensors of their own hold no more than the file did.

    Tensors of a file of torch may refer to the same numbers, as often as the file is long, and each becomes a tensor of
    its own. No network that can be imported shares weights.

    Raises:
        CheckpointError: Tensors that share a block of numbers have more of them, all together, than the block.
    """
    used: dict[int, int] = {}
    for name, tensor in contents.tensors.items():
        if tensor.layout is not torch.strided:
            continue
        block = tensor.untyped_storage()
        used[block.data_ptr()] = used.get(block.data_ptr(), 0) + tensor.numel() * tensor.element_size()
        if used[block.data_ptr()] > block.nbytes():
            raise CheckpointError(
                f"{contents.name or 'The state dict'} has tensors that share their numbers: {name} and others.",
                f"Together they would need more than the {block.nbytes()} bytes that they refer to.",
                "No network that can be imported has such weights. Choose another file.",
            )


def unwrap(data: Any, name: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of what was read, by their names without ``module.`` and the like, and the rest.

    Raises:
        CheckpointError: There are no tensors, a value is something else, or two names become one.
    """
    meta: dict[str, Any] = {}
    for _ in range(len(_WRAPPERS)):
        inner = [key for key in _WRAPPERS if isinstance(data, Mapping) and isinstance(data.get(key), Mapping)]
        if not inner:
            break
        meta |= {key: value for key, value in data.items() if key != inner[0]}
        data = data[inner[0]]
    if not isinstance(data, Mapping) or not any(isinstance(value, Tensor) for value in data.values()):
        raise CheckpointError(
            f"{name} holds no weights.",
            f"Expected a dictionary of tensors, bare or under {', '.join(_WRAPPERS)}; found {_describe(data)}.",
            "Choose a file that was saved from a network's state_dict().",
        )
    tensors: dict[str, Tensor] = {}
    for key, value in data.items():
        if not isinstance(value, Tensor) or not isinstance(key, str):
            raise CheckpointError(
                f"{name} holds something else among its weights: {show(key)} is a {type(value).__name__}.",
                "Expected tensors only.",
                "Choose a file that was saved from a network's state_dict().",
            )
        short = _PREFIXES.sub("", key).replace("._orig_mod.", ".")
        if short in tensors:
            raise CheckpointError(
                f"{name} holds {short!r} twice.", "Once with a prefix such as 'module.', once without.", _REMEDY
            )
        tensors[short] = value
    return tensors, meta


def _read_open(path: Path, file: IO[bytes], digest: str) -> Generator[None, None, Contents]:
    file.seek(0)
    start = file.read(64)
    if start.startswith(ZIP_MAGIC):
        names = check_zip(file)
        yield
        data = _load_torch(path, file, names)
    elif start.startswith(_LEGACY_START):
        with _mapped(file) as whole:
            names = check_legacy(whole)
        yield
        data = _load_torch(path, file, names)
    elif start.startswith(b"\x80"):
        with _mapped(file) as whole:
            data = _paddle_tensors(read_pickle(whole, _PADDLE_SYMBOLS))
    elif start[8:9] == b"{":
        return _read_safetensors(path, file, digest)
    else:
        raise _damaged(path, _guess(start))
    yield
    tensors, meta = unwrap(data, path.name)
    return Contents(tensors, meta, path.name, (digest,))


def _load_torch(path: Path, file: IO[bytes], names_of_numpy: set[str]) -> Any:
    """What torch reads, onto the CPU, once it was checked."""
    file.seek(0)
    allowed: list[Any] = _numpy_globals() if names_of_numpy else []
    try:
        with torch.serialization.safe_globals(allowed):
            return torch.load(file, map_location="cpu", weights_only=True)  # noqa: TID251 - the one safe place
    except (pickle.UnpicklingError, RuntimeError, ValueError, EOFError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(path, f"torch says: {str(error).splitlines()[0] if str(error) else type(error)}") from error


def _numpy_globals() -> list[Any]:
    """Functions and types of NumPy that hold numbers and run nothing; sizes were checked before."""
    multiarray = np._core.multiarray  # type: ignore[attr-defined]
    functions = [
        (getattr(multiarray, name), f"numpy.{core}.multiarray.{name}")
        for core in ("core", "_core")
        for name in ("scalar", "_reconstruct")
    ]
    types = {type(np.dtype(text)) for text in "?bBhHiIlLqQefd"}
    return [*functions, np.ndarray, np.dtype, *types]


def _paddle_tensors(data: Any) -> Any:
    """Paddle's arrays as tensors. It writes a tensor as an array, or as ``(name, array)``."""
    if not isinstance(data, dict):
        return data
    result: dict[Any, Any] = {}
    made: dict[int, Tensor] = {}  # one tensor for an array of several names
    for key, value in data.items():
        if key == "StructuredToParameterName@@":  # names of parameters inside of Paddle
            continue
        array = value[1] if isinstance(value, tuple) and len(value) == 2 else value
        if isinstance(array, PickledArray) and array.value is not None:
            if id(array) not in made:
                native = array.value.astype(array.value.dtype.newbyteorder("="), order="C", copy=True)
                made[id(array)] = torch.from_numpy(native)
            result[key] = made[id(array)]
        else:
            result[key] = value
    return result


_PADDLE_SYMBOLS = {
    **NUMPY_SYMBOLS,
    "builtins.tuple": Function(lambda *values: tuple(*values)),
    "collections.OrderedDict": Function(plain_dict),
}


def _read_safetensors(path: Path, file: IO[bytes], digest: str) -> Contents:
    """Tensors of a ``.safetensors`` file. The library checks offsets; the length of the header is checked here too."""
    file.seek(0)
    (header,) = struct.unpack("<Q", file.read(8))
    length = file.seek(0, 2)
    if header > min(length - 8, _MAX_HEADER_BYTES):
        raise RefusedPickleError(f"Its header says it has {header} bytes; the file has {length}.")
    try:
        with safe_open(path, framework="pt") as opened:
            meta = dict(opened.metadata() or {})
            # Copies: what the library gives lies in the file, which may change.
            tensors = {name: opened.get_tensor(name).clone() for name in opened.keys()}  # noqa: SIM118 - not a dict
    except SafetensorError as error:
        raise _damaged(path, str(error)) from error
    found, _ = unwrap(tensors, path.name)
    return Contents(found, meta, path.name, (digest,))


@contextlib.contextmanager
def _mapped(file: IO[bytes]) -> Iterator[mmap.mmap]:
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
        yield whole


def _sha256(file: IO[bytes]) -> Generator[None, None, str]:
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
        yield
    return digest.hexdigest()


def _guess(start: bytes) -> str:
    text = start.lstrip().lower()
    if not start:
        return "The file is empty."
    if text.startswith((b"<!doctype", b"<html")):
        return "It is a web page: the download gave a page about the file in place of the file."
    if text.startswith(b"version https://git-lfs"):
        return "It is a pointer of Git LFS, not the file itself."
    if b"ustar" in start or text.startswith(b"."):
        return "It may be a tar archive."
    return (
        "Expected a .pth file of torch, a .pdparams file of Paddle, or a .safetensors file. A .caffemodel has to be "
        "converted first."
    )


def _describe(data: Any) -> str:
    if isinstance(data, Mapping):
        return f"a dictionary with {', '.join(map(show, list(data)[:5])) or 'nothing in it'}"
    return f"a {type(data).__name__}"


def _damaged(path: Path, detail: str) -> CheckpointError:
    return CheckpointError(f"{path.name} could not be read as weights.", f"{path}: {detail}", _REMEDY)
