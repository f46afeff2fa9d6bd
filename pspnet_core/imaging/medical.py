"""Slices of DICOM and NIfTI files as pages of an image; needs the extra ``medical``.

Values are brought to 8 bits by the window that the file names, else by the range of all its slices, so that one grey
means the same in each of them. A NIfTI volume is turned to the axes of the body first: rows run from front to back,
columns from left to right, pages from foot to head (then over time).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pspnet_core.errors import ImageReadError
from pspnet_core.imaging.decoding import DecoderError, check_page, check_size, decoder, decoding
from pspnet_core.imaging.rgb import bands_to_rgb, to_eight_bits
from pspnet_core.types import RgbImage

MEDICAL_SUFFIXES = frozenset({".dcm", ".nii"})
"""Suffixes (lower case) of such files; ``.nii.gz`` is one, too (:func:`is_medical`)."""


class Volume(NamedTuple):
    """What is known of a file from its header.

    Attributes:
        width: Of a slice, in pixels.
        height: Of a slice, in pixels.
        num_slices: At least 1.
        bits: Of a value as stored.
    """

    width: int
    height: int
    num_slices: int
    bits: int


def is_medical(path: Path) -> bool:
    """Whether a file is taken for a DICOM or NIfTI file, by its name."""
    return path.suffix.lower() in MEDICAL_SUFFIXES or path.name.lower().endswith(".nii.gz")


def read_volume(path: Path) -> Volume:
    """The size of a file's slices; reads the header only.

    Raises:
        ImageReadError: The file is missing, damaged or too large, or the extra is not installed.
    """
    with _reading(path):
        found = _dicom_header(path) if path.suffix.lower() == ".dcm" else _nifti_header(path)
    check_size(path, found.width, found.height)
    return found


def read_slice(path: Path, page: int = 0) -> RgbImage:
    """One slice: (H, W, 3) uint8 RGB, owned by the caller.

    Raises:
        ImageReadError: As :func:`read_volume`, or there is no such slice.
    """
    found = read_volume(path)
    check_page(path, page, found.num_slices)
    check_size(path, found.width, found.height * found.num_slices)
    status = path.stat()
    with _reading(path):
        slices = _slices(path, status.st_mtime_ns, status.st_size)
    if len(slices) != found.num_slices or slices.shape[1:3] != (found.height, found.width):
        raise ImageReadError(
            f"{path.name} is not a picture.",
            f"{path} holds values of shape {slices.shape}; its header says {found.num_slices} × {found.height} × "
            f"{found.width}.",
            "Export it again from where it came.",
        )
    return np.array(bands_to_rgb(slices[page], has_alpha=False))


@lru_cache(maxsize=1)
def _slices(path: Path, _mtime_ns: int, _size: int) -> NDArray[np.uint8]:
    """All slices, (N, H, W) or (N, H, W, 3) uint8; kept for the next slice of the same file."""
    return _dicom_slices(path) if path.suffix.lower() == ".dcm" else _nifti_slices(path)


def _dicom_header(path: Path) -> Volume:
    import pydicom

    with decoder():
        data = pydicom.dcmread(path, stop_before_pixels=True)
        frames = int(data.get("NumberOfFrames") or 1)
        return Volume(int(data.Columns), int(data.Rows), frames, int(data.BitsStored))


def _dicom_slices(path: Path) -> NDArray[np.uint8]:
    import pydicom
    from pydicom.pixels import apply_modality_lut

    with decoder():
        data = pydicom.dcmread(path)
        values = np.asarray(data.pixel_array)
        if int(data.get("NumberOfFrames") or 1) == 1:
            values = values[None]
        if values.ndim == 4:  # colours
            return to_eight_bits(path, values)
        values = np.asarray(apply_modality_lut(values, data), np.float32)
        window = None
        if "WindowCenter" in data and "WindowWidth" in data:
            center, width = _first(data.WindowCenter), _first(data.WindowWidth)
            window = (center - width / 2, center + width / 2) if width > 0 else None
        found = _windowed(path, values, window)
        return 255 - found if data.get("PhotometricInterpretation") == "MONOCHROME1" else found


def _nifti_header(path: Path) -> Volume:
    import nibabel

    with decoder():
        image: Any = nibabel.load(path)
        shape = tuple(int(size) for size in image.shape)
        axes = [int(axis) for axis in nibabel.io_orientation(image.affine)[:, 0]]
        if len(shape) < 3 or min(shape) < 1:
            raise ValueError(f"values of shape {shape} are no volume")
        ordered = [shape[axes.index(axis)] for axis in range(3)]
        return Volume(
            ordered[0], ordered[1], ordered[2] * int(np.prod(shape[3:], dtype=np.int64)), image.header["bitpix"].item()
        )


def _nifti_slices(path: Path) -> NDArray[np.uint8]:
    import nibabel

    with decoder():
        image: Any = nibabel.as_closest_canonical(nibabel.load(path))
        values = np.asarray(image.dataobj, np.float32)
        low, high = (float(image.header[name]) for name in ("cal_min", "cal_max"))
    values = values.reshape(*values.shape[:3], -1)  # X to the right, Y to the front, Z to the head, time
    values = values.transpose(3, 2, 1, 0)[:, :, ::-1]
    flat = values.reshape(-1, *values.shape[2:])
    return _windowed(path, flat, (low, high) if high > low else None)


def _windowed(path: Path, values: NDArray[np.float32], window: tuple[float, float] | None) -> NDArray[np.uint8]:
    if window is None:
        return to_eight_bits(path, values)
    low, high = window
    shown = np.nan_to_num((values - low) * (255.0 / (high - low)), nan=0.0, posinf=255.0, neginf=0.0)
    found: NDArray[np.uint8] = np.clip(np.rint(shown), 0, 255).astype(np.uint8)
    return found


def _first(value: Any) -> float:
    try:
        return float(value)
    except TypeError:
        return float(value[0])


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Say in words what the two libraries raise. Raises: ImageReadError."""
    try:
        from nibabel.filebasedimages import ImageFileError
        from nibabel.spatialimages import HeaderDataError
        from pydicom.errors import InvalidDicomError
    except ImportError as error:
        raise ImageReadError(
            f"{path.name} needs two more packages to be read.",
            f"{path} is a DICOM or NIfTI file; {error.name} is not installed.",
            'Install them: pip install "pspnet-studio[medical]"',
        ) from error
    with decoding(path):
        try:
            yield
        except (ImageFileError, HeaderDataError, InvalidDicomError) as error:
            raise DecoderError(error) from error
