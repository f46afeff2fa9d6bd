"""Small image folders for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def put_image(path: Path, width: int = 12, height: int = 8, orientation: int = 1) -> Path:
    """Write a small picture of the format of its suffix; width and height are those of the stored pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([x * 20 % 256, y * 30 % 256, (x + y) * 9 % 256], axis=2).astype(np.uint8)
    options = {}
    if orientation != 1:
        exif = Image.Exif()
        exif[274] = orientation
        options["exif"] = exif
    Image.fromarray(pixels).save(path, **options)
    return path


def put_mask(path: Path, values: np.ndarray) -> Path:
    """Write a grey mask."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint8)).save(path)
    return path


def half_mask(width: int = 12, height: int = 8, class_id: int = 1, other: int = 255) -> np.ndarray:
    """Left half one class, right half another (or unlabelled)."""
    values = np.full((height, width), other, np.uint8)
    values[:, : width // 2] = class_id
    return values


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
