"""Arrays and scalars of NumPy inside pickles: rebuilt from their bytes, never by what the pickle names."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pspnet_core.models.importers.pickles import Buildable, Function, RefusedPickleError, show

_KINDS = "biuf"  # truth values, integers, floating point numbers
_MAX_ITEM_BYTES = 8  # torch has no longer ones
_MAX_DIMENSIONS = 8


class _Dtype(Buildable):
    """A number type; its byte order comes with its state."""

    def __init__(self, text: Any) -> None:
        text = text.decode("ascii") if isinstance(text, bytes) else text
        if not isinstance(text, str) or len(text) > 3:
            raise RefusedPickleError(f"An array has the type {show(text)}, which is no number.")
        self.dtype = np.dtype(text)
        if self.dtype.kind not in _KINDS or self.dtype.itemsize > _MAX_ITEM_BYTES:
            raise RefusedPickleError(f"An array has the type {show(text)}, which is no number that torch has.")

    def build(self, state: Any) -> None:
        """``(version, byte order, ...)``."""
        order = state[1].decode("ascii") if isinstance(state[1], bytes) else state[1]
        if order == ">":
            self.dtype = self.dtype.newbyteorder(">")


class PickledArray(Buildable):
    """An array that gets shape, type and bytes with its state."""

    def __init__(self, value: NDArray[Any] | None = None) -> None:
        self.value = value

    @property
    def num_bytes(self) -> int:
        """Of its numbers."""
        return 0 if self.value is None else self.value.nbytes

    def build(self, state: Any) -> None:
        """``(version, shape, dtype, is it in Fortran's order, bytes)``."""
        _, shape, dtype, fortran, data = state
        self.value = _array(data, dtype, shape, "F" if fortran else "C")


def _array(data: Any, dtype: Any, shape: Any, order: Any) -> NDArray[Any]:
    if isinstance(data, str):
        data = data.encode("latin-1")
    if not isinstance(dtype, _Dtype) or not isinstance(data, bytes | bytearray):
        raise RefusedPickleError("An array holds something that is not plain numbers.")
    is_shape = isinstance(shape, tuple) and len(shape) <= _MAX_DIMENSIONS
    if not is_shape or not all(isinstance(n, int) and 0 <= n < 2**62 for n in shape):
        raise RefusedPickleError(f"An array has the impossible shape {show(shape)}.")
    expected = math.prod(shape) * dtype.dtype.itemsize
    if expected != len(data):
        raise RefusedPickleError(
            f"An array says it has shape {shape}, which needs {expected} bytes, but it has {len(data)}."
        )
    return np.frombuffer(data, dtype.dtype).reshape(shape, order="F" if order == "F" else "C")


def _reconstruct(kind: Any, shape: Any, _: Any) -> PickledArray:
    if kind is not _NDARRAY or shape != (0,):
        raise RefusedPickleError(f"An array of shape {show(shape)} is to be made before its numbers are there.")
    return PickledArray()


def _from_buffer(data: Any, dtype: Any, shape: Any, order: Any) -> PickledArray:
    return PickledArray(_array(data, dtype, shape, order))


def _scalar(dtype: Any, data: Any) -> Any:
    return _array(data, dtype, (), "C").item()


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise RefusedPickleError(f"It encodes text as {show(encoding)}.")
    return text.encode("latin-1")


_NDARRAY = object()

NUMPY_SYMBOLS: dict[str, Any] = {
    "numpy.ndarray": _NDARRAY,
    "numpy.dtype": Function(lambda text, *_: _Dtype(text)),
    "_codecs.encode": Function(_encode),
    **{f"numpy.{core}.multiarray._reconstruct": Function(_reconstruct) for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray.scalar": Function(_scalar) for core in ("core", "_core")},
    **{f"numpy.{core}.numeric._frombuffer": Function(_from_buffer) for core in ("core", "_core")},
}
"""What the names in a pickle of NumPy arrays stand for."""
