"""Class maps as NumPy files: ``<out>/arrays/<split>/<path>.npy``, (H, W) uint8, and ``classes.json``."""

from __future__ import annotations

import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pspnet_core.atomic import atomic_writer
from pspnet_core.errors import ClassMapError
from pspnet_core.project.formats.mask_reading import MaskReader
from pspnet_core.project.formats.png import mirrored_places
from pspnet_core.project.formats.source_files import SourceFiles
from pspnet_core.project.formats.writing import ExportJob, Labelled, OutFile, Writer
from pspnet_core.project.project import Item

# What numpy raises on damaged files: its header is a Python expression.
_UNREADABLE = (
    OSError,
    ValueError,
    EOFError,
    SyntaxError,
    MemoryError,
    ArithmeticError,
    RecursionError,
    TypeError,
    KeyError,
    tokenize.TokenError,
)


class NumpyWriter(Writer):
    """One array per image."""

    def __init__(self, job: ExportJob) -> None:
        super().__init__(job)
        self._places = mirrored_places(job.items, "arrays", ".npy")

    def places_of(self, item: Item) -> list[str]:
        return [self._places[item.key]]

    def files_of(self, labelled: Labelled) -> Iterator[OutFile]:
        class_map = labelled.class_map

        def write(path: Path) -> None:
            with atomic_writer(path) as stream:
                np.lib.format.write_array(stream, class_map, allow_pickle=False)

        yield OutFile(self._places[labelled.item.key], write)


class NumpyReader(MaskReader):
    """(H, W) arrays of whole numbers; 255 and what is below 0 is unlabelled."""

    def __init__(self, files: SourceFiles) -> None:
        self.read_table(files)
        super().__init__(files, files.below("arrays", (".npy",)))

    def size_of(self, name: str) -> tuple[int, int]:
        """(width, height)."""
        height, width = self._mapped(name).shape
        return width, height

    def values(self, name: str) -> NDArray[Any]:
        """The array. Raises: ClassMapError."""
        array = self._mapped(name)
        if array.dtype == np.uint8:
            return np.array(array)
        wide = np.asarray(array).astype(np.int64)
        if int(wide.max()) > 255:
            raise ClassMapError(
                f"{name} holds values up to {wide.max()}.", "", "Expected class ids of 0 to 254 and 255."
            )
        return np.where(wide < 0, 255, wide).astype(np.uint8)

    def _mapped(self, name: str) -> NDArray[Any]:
        """The array on disk: a header that promises more than there is costs nothing. Raises: ClassMapError."""
        try:
            array = np.load(self.files.path(name), mmap_mode="r", allow_pickle=False)
        except _UNREADABLE as error:
            raise ClassMapError(
                f"{name} is not a NumPy array.", f"{error}.", "Expected (H, W) whole numbers."
            ) from error
        if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype.kind not in "uib" or not array.size:
            found = f"{getattr(array, 'dtype', type(array).__name__)} of shape {getattr(array, 'shape', ())}"
            raise ClassMapError(f"{name} is not a class map.", f"It holds {found}.", "Expected (H, W) whole numbers.")
        return array
