"""The sample project: painted aerial scenes, made on this machine, so that a first try needs no download."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from pspnet_core.atomic import storage_error, write_bytes, write_json
from pspnet_core.classes import ClassDef, ClassSet
from pspnet_core.imaging.class_maps import write_class_map
from pspnet_core.project.places import user_data_folder
from pspnet_core.sample_scene import RECIPES, paint_scene
from pspnet_core.sample_trees import Ground

NUM_TRAIN = 16
NUM_TEST = 8

CLASSES = ClassSet(
    (
        ClassDef(Ground.FIELD, "field", (230, 196, 84)),
        ClassDef(Ground.TREE, "tree", (0, 158, 115)),
        ClassDef(Ground.ROAD, "road", (204, 121, 167)),
        ClassDef(Ground.ROOF, "roof", (213, 94, 0)),
        ClassDef(Ground.WATER, "water", (86, 150, 233)),
    )
)

_SIZES = ((640, 480), (672, 448), (600, 480), (640, 512))
_FIRST_SEED = 1000
_JPEG_QUALITY = 92


def sample_folder() -> Path:
    """Where the sample lies: in the user's data folder."""
    return user_data_folder() / "sample"


def write_sample(folder: Path) -> Path:
    """Make the sample in a folder, unless it is there already.

    It has the layout of a data set without masks: ``images/train`` (16), ``images/test`` (8), ``classes.json``. The
    true class maps lie aside in ``.truth/<split>/<stem>.png``. A new folder appears complete or not at all; in one
    that exists only what is missing is made, everything else (work done on the sample above all) is left alone.

    Args:
        folder: Where; its parents are made.

    Returns:
        The folder.

    Raises:
        StorageError: It could not be written.
    """
    if folder.exists():
        _write_missing(folder)
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".sample-", dir=folder.parent) as temporary:
            new = Path(temporary) / folder.name
            new.mkdir()
            _write_missing(new)
            os.replace(new, folder)
    except OSError as error:
        raise storage_error(folder, error) from error
    return folder


def truth_path(folder: Path, split: str, stem: str) -> Path:
    """Where the true class map of a sample image lies."""
    return folder / ".truth" / split / f"{stem}.png"


def _write_missing(folder: Path) -> None:
    """Write each file that is not there; every one appears at once and whole."""
    for number, split, stem in _scenes():
        image_path, mask_path = folder / "images" / split / f"{stem}.jpg", truth_path(folder, split, stem)
        if image_path.is_file() and mask_path.is_file():
            continue
        width, height = _SIZES[number % len(_SIZES)]
        image, class_map = paint_scene(RECIPES[number % len(RECIPES)], _FIRST_SEED + number, width, height)
        stream = io.BytesIO()
        Image.fromarray(image).save(stream, "JPEG", quality=_JPEG_QUALITY)
        write_class_map(mask_path, class_map, CLASSES)
        write_bytes(image_path, stream.getvalue())
    if not (folder / "classes.json").is_file():
        write_json(folder / "classes.json", CLASSES.to_json())


def _scenes() -> Iterator[tuple[int, str, str]]:
    """Number, split and stem of each scene; every third is for testing, so that both splits have every recipe."""
    for number in range(NUM_TRAIN + NUM_TEST):
        yield number, "test" if number % 3 == 2 else "train", f"scene_{number + 1:02d}"
