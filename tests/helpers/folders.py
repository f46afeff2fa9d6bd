"""Folders of small images for tests."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

TWO_CLASSES = {
    "classes": [
        {"index": 0, "name": "ground", "color": [90, 140, 60]},
        {"index": 1, "name": "thing", "color": [200, 60, 40]},
    ]
}


def photo(seed: int, width: int = 160, height: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """A picture of reddish discs on greenish ground, and its true class map."""
    rng = np.random.default_rng(seed)
    image = rng.normal((90, 140, 60), 12, (height, width, 3))
    truth = np.zeros((height, width), np.uint8)
    ys, xs = np.mgrid[:height, :width]
    for _ in range(3):
        x, y, r = rng.integers(0, width), rng.integers(0, height), rng.integers(height // 8, height // 4)
        disc = (xs - x) ** 2 + (ys - y) ** 2 < r**2
        truth[disc] = 1
        image[disc] = rng.normal((200, 60, 40), 12, (int(disc.sum()), 3))
    return np.clip(image, 0, 255).astype(np.uint8), truth


def make_folder(folder: Path, count: int = 3, with_classes: bool = True, width: int = 160, height: int = 120) -> Path:
    """Write ``count`` images, without masks."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.fromarray(photo(number, width, height)[0]).save(folder / f"photo_{number}.png")
    if with_classes:
        (folder / "classes.json").write_text(json.dumps(TWO_CLASSES))
    return folder


def make_data_set(folder: Path, train: int = 4, test: int = 2, width: int = 160, height: int = 120) -> Path:
    """Write a data-set folder with masks."""
    for split, count, first in (("train", train, 0), ("test", test, 100)):
        (folder / "images" / split).mkdir(parents=True)
        (folder / "masks" / split).mkdir(parents=True)
        for number in range(count):
            image, truth = photo(first + number, width, height)
            Image.fromarray(image).save(folder / "images" / split / f"{number:02d}.png")
            Image.fromarray(truth).save(folder / "masks" / split / f"{number:02d}.png")
    (folder / "classes.json").write_text(json.dumps(TWO_CLASSES))
    return folder


def files_below(folder: Path) -> dict[str, bytes]:
    """Every file that is not ours, with its content: to show that none was touched."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".pspnet-studio" not in path.parts
    }
