"""From the wish to see an image to its picture in the real window, on a real X display.

    python -m tests.benchmarks.opening --megapixels 12 300 --folder-of 100000 --json

Without a display a virtual one is started. Up to 100 megapixels the images are JPEG files, above tiled BigTIFF files
(256 px, deflate with predictor), once with reduced pictures inside (`tiff-pyramid`) and once without (`tiff-tiles`).
Each is opened in a window of its own process; times are medians over repeats, from the call to the end of painting:

- `first_ms`: something of the new image is seen; `full_ms`: everything in sight is as sharp as it gets;
- `neighbour_ms`: as `first_ms`, and `neighbour_full_ms`: as `full_ms`, for the next image after a pause;
- `rss_mb`: the most memory that the process ever needed, with torch (`rss_before_mb`: before the first image);
- `baseline_ms`: Pillow alone, decoding the whole file (none for the TIFF files: it has no use for tiles).

`folder_s`: a folder with so many small images, from opening it to its first image and its list on screen.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.helpers.display import virtual_display

_JPEG_UP_TO = 100
_TILE_PX = 256
_NUM_JPEGS, _NUM_TIFFS = 8, 3
_LINKS = 30_000  # names of one file; file systems allow 65,000 at most


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megapixels", type=int, nargs="*", default=[12, 300])
    parser.add_argument("--folder-of", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--inside", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        from tests.benchmarks.opening_probe import run

        print(json.dumps(run(options.inside[0], Path(options.inside[1]))))
        return
    result: dict[str, Any] = {"rows": list(_rows(options.megapixels)), "folder_s": None}
    if options.folder_of:
        result |= _folder(options.folder_of)
    result["load1"] = round(os.getloadavg()[0], 2)
    if not options.json:
        for row in result["rows"]:
            print(row)
    print(json.dumps(result))


def _rows(megapixels: list[int]) -> Iterator[dict[str, Any]]:
    for size in megapixels:
        for kind in ["jpeg"] if size <= _JPEG_UP_TO else ["tiff-tiles", "tiff-pyramid"]:
            with tempfile.TemporaryDirectory() as folder:
                photos = Path(folder) / "photos"
                photos.mkdir()
                make_images(photos, kind, size)
                yield {"megapixels": size, "kind": kind, **_measured("images", photos)}


def _folder(count: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        photos = Path(folder) / "photos"
        photos.mkdir()
        for number in range(count):
            path = photos / f"image_{number:06}.jpg"
            if number % _LINKS == 0:
                first = path
                Image.fromarray(scene(48, 64)).save(first)
            else:
                os.link(first, path)
        return _measured("folder", photos)


def _measured(what: str, photos: Path) -> dict[str, Any]:
    with virtual_display() as environment, tempfile.TemporaryDirectory() as home:
        environment |= {
            "QT_QPA_PLATFORM": "xcb",
            "OMP_NUM_THREADS": "1",
            **{f"XDG_{name}_HOME": home for name in ("CONFIG", "CACHE", "DATA")},
        }
        command = [sys.executable, "-m", "tests.benchmarks.opening", "--inside", what, str(photos)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(done.stderr)
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return result


def make_images(folder: Path, kind: str, megapixels: int) -> None:
    """A few images of one kind; those of TIFF are one file under several names, so that they are made only once."""
    if kind == "jpeg":
        height, width = _shape(megapixels, 3 / 4)
        for number in range(_NUM_JPEGS):
            Image.fromarray(scene(height, width, number)).save(folder / f"photo_{number}.jpg", quality=90)
        return
    side, _ = _shape(megapixels, 1)
    write_tiff(folder / "slide_0.tif", side, with_pyramid=kind == "tiff-pyramid")
    for number in range(1, _NUM_TIFFS):
        os.link(folder / "slide_0.tif", folder / f"slide_{number}.tif")


def scene(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """A picture with about as much detail as a photograph: a 12 megapixel JPEG of it has some 5 MB."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (max(2, height // 200), max(2, width // 200), 3), np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    grain = rng.integers(0, 24, (512, 512, 1), np.uint8)
    grain = np.tile(grain, (-(-height // 512), -(-width // 512), 1))[:height, :width]
    return (smooth // 8 * 7 + grain).astype(np.uint8)


def write_tiff(path: Path, side: int, with_pyramid: bool) -> None:
    """A square BigTIFF in tiles, written tile by tile; no array of its size is made."""
    import tifffile

    pattern = scene(2048, 2048)

    def tiles(size: int) -> Iterator[NDArray[np.uint8]]:
        for y in range(0, size, _TILE_PX):
            for x in range(0, size, _TILE_PX):
                part = pattern[y % 2048 : y % 2048 + _TILE_PX, x % 2048 : x % 2048 + _TILE_PX]
                yield part // 2 + np.uint8((x * 90 // size) + (y * 30 // size))

    levels = 0
    while with_pyramid and side >> levels > 512:
        levels += 1
    options: dict[str, Any] = {
        "dtype": np.uint8,
        "tile": (_TILE_PX, _TILE_PX),
        "photometric": "rgb",
        "compression": "deflate",
        "compressionargs": {"level": 1},
        "predictor": True,
        "maxworkers": 1,
    }
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        writer.write(tiles(side), shape=(side, side, 3), subifds=levels, **options)
        for level in range(1, levels + 1):
            size = side >> level
            writer.write(tiles(size), shape=(size, size, 3), subfiletype=1, **options)


def _shape(megapixels: int, aspect: float) -> tuple[int, int]:
    width = round((megapixels * 1e6 / aspect) ** 0.5)
    return round(width * aspect), width


if __name__ == "__main__":
    main()
