"""Tiny labelled pictures that a network learns in a few steps: dark ground, bright squares, coloured bars."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from pspnet_core.classes import ClassSet
from pspnet_core.types import ClassMap, RgbImage

CLASSES = ClassSet().add("ground", index=2).add("square", index=0).add("bar", index=5)


def picture(seed: int, size: int = 96) -> tuple[RgbImage, ClassMap]:
    """(size, size, 3) uint8 RGB and its class map with ids 2, 0 and 5."""
    rng = np.random.default_rng(seed)
    image = rng.integers(30, 60, (size, size, 3)).astype(np.uint8)
    class_map = np.full((size, size), 2, np.uint8)
    for _ in range(3):
        y, x = rng.integers(0, size - 24, 2)
        image[y : y + 24, x : x + 24] = rng.integers(190, 250, 3)
        class_map[y : y + 24, x : x + 24] = 0
    y = int(rng.integers(0, size - 14))
    image[y : y + 14] = (20, 60, 200)
    class_map[y : y + 14] = 5
    return image, class_map


def write_data_set(root: Path, train: int = 4, val: int = 0, test: int = 2, size: int = 96) -> Path:
    """A data-set folder of such pictures."""
    import json

    rows = [{"index": c.index, "name": c.name, "color": list(c.color)} for c in CLASSES]
    root.mkdir(parents=True, exist_ok=True)
    (root / "classes.json").write_text(json.dumps({"classes": rows}))
    seed = 0
    for split, count in (("train", train), ("val", val), ("test", test)):
        for number in range(count):
            image, class_map = picture(seed, size)
            seed += 1
            for kind, array, suffix in (("images", image, "png"), ("masks", class_map, "png")):
                folder = root / kind / split
                folder.mkdir(parents=True, exist_ok=True)
                Image.fromarray(array).save(folder / f"p{number}.{suffix}")
    return root
