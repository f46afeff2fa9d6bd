"""Pictures of a hard kind: two classes, and what matters is small, pale and covers little: cells under a microscope."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from pspnet_core.classes import ClassSet
from pspnet_core.imaging.cv import cv2
from pspnet_core.types import ClassMap, RgbImage

CLASSES = ClassSet().add("background").add("cell")
SHARE = 0.13
"""Of the pixels of a picture that are cells."""


def picture(seed: int, size: int = 256, contrast: float = 60.0) -> tuple[RgbImage, ClassMap]:
    """(size, size, 3) uint8 RGB, grey: blurred bright blobs on uneven ground; and its class map with ids 0 and 1."""
    rng = np.random.default_rng(seed)
    class_map: ClassMap = np.zeros((size, size), np.uint8)
    while class_map.mean() < SHARE:
        centre = tuple(int(v) for v in rng.integers(0, size, 2))
        axes = tuple(int(v) for v in rng.integers(4, 11, 2))
        cv2.ellipse(class_map, centre, axes, float(rng.uniform(0, 180)), 0, 360, 1, -1)
    ground = cv2.resize(rng.uniform(20, 70, (3, 3)).astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    texture = cv2.GaussianBlur(rng.normal(0, 30, (size, size)).astype(np.float32), (0, 0), 2.0)
    light = cv2.GaussianBlur(class_map.astype(np.float32) * np.float32(contrast * rng.uniform(0.6, 1.4)), (0, 0), 1.5)
    grey = ground + texture + light + rng.normal(0, 8, (size, size))
    return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=2), class_map


def write_data_set(root: Path, train: int = 8, val: int = 8, test: int = 8, size: int = 256) -> Path:
    """A data-set folder of such pictures."""
    rows = [{"index": c.index, "name": c.name, "color": list(c.color)} for c in CLASSES]
    root.mkdir(parents=True, exist_ok=True)
    (root / "classes.json").write_text(json.dumps({"classes": rows}))
    seed = 0
    for split, count in (("train", train), ("val", val), ("test", test)):
        for number in range(count):
            image, class_map = picture(seed, size)
            seed += 1
            for kind, array in (("images", image), ("masks", class_map)):
                folder = root / kind / split
                folder.mkdir(parents=True, exist_ok=True)
                Image.fromarray(array).save(folder / f"p{number}.png")
    return root
