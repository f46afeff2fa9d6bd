"""One measurement of ``tests.benchmarks.inference``, in a process of its own: prints one JSON line."""

from __future__ import annotations

import json
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from pspnet_core.devices import resolve_device
from pspnet_core.imaging.read import IMAGE_SUFFIXES, read_image
from pspnet_core.inference.engines import _makers
from pspnet_core.inference.predictor import Predictor, WindowDone
from pspnet_core.inference.upsample import PartDone
from pspnet_core.models import PSPNetConfig, make_model
from pspnet_core.models.checkpoint import Checkpoint, load_checkpoint
from pspnet_core.types import Rect, RgbImage

_MEBI = 1024 * 1024


class Memory:
    """Watches how much memory this process holds."""

    def __init__(self) -> None:
        self._peak = 0
        self._stop = threading.Event()

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Look every 2 ms while the block runs."""
        self._peak = resident()
        self._stop.clear()
        thread = threading.Thread(target=self._look)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def _look(self) -> None:
        while not self._stop.wait(0.002):
            self._peak = max(self._peak, resident())

    @property
    def peak(self) -> int:
        """Most bytes that were held inside of the block."""
        return self._peak


def resident() -> int:
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def checkpoint_of(settings: dict[str, Any]) -> Checkpoint:
    """Random weights of the shape that was asked for."""
    from pspnet_core.classes import ClassSet

    classes = ClassSet()
    for number in range(settings["classes"]):
        classes = classes.add(f"class {number}")
    backbone = settings["backbone"]
    preset = "mmseg-512" if backbone.startswith("resnet") else "studio-fast"
    torch.manual_seed(0)
    model = make_model(PSPNetConfig.preset(preset, settings["classes"], backbone)).eval().requires_grad_(False)
    return Checkpoint(model, classes)


def photos_of(folder: Path, count: int) -> list[RgbImage]:
    """Evenly spaced photos of a data set's test split."""
    place = folder / "images" / "test"
    files = sorted(p for p in (place if place.is_dir() else folder).rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    step = max(1, len(files) // count)
    return [read_image(file) for file in files[::step][:count]]


def predict_of(checkpoint: Checkpoint, engine: str) -> Callable[[RgbImage], np.ndarray[Any, Any]]:
    """From an image to class ids, the plain way or with an engine."""
    ids = np.array(checkpoint.classes.indices, np.uint8)
    if engine == "plain":

        @torch.inference_mode()
        def plain(image: RgbImage) -> np.ndarray[Any, Any]:
            channel: np.ndarray[Any, Any] = (
                checkpoint.model(checkpoint.preprocessing(image))["out"].argmax(1)[0].numpy()
            )
            return ids[channel]

        return plain
    made = dict(_makers(checkpoint.model, resolve_device("cpu")))[engine]()
    predictor = Predictor(checkpoint, "cpu", window_px=None, engine=made)
    return lambda image: predictor.predict(image).class_map


def engines(settings: dict[str, Any]) -> dict[str, Any]:
    """Names of the engines that are here."""
    return {
        "engines": [name for name, _ in _makers(checkpoint_of(settings | {"classes": 2}).model, torch.device("cpu"))]
    }


def speed(settings: dict[str, Any]) -> dict[str, Any]:
    """Seconds and memory of one image."""
    width, height = (int(part) for part in settings["size"].split("x"))
    checkpoint = checkpoint_of(settings)
    before = resident()
    predict = predict_of(checkpoint, settings["engine"])
    data = Path(settings["data"])
    photo = photos_of(data, 1)[0] if data.is_dir() else np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)
    predict(np.ascontiguousarray(photo[:96, :96]))  # the first call prepares
    image = np.asarray(Image.fromarray(photo).resize((width, height), Image.Resampling.BICUBIC))
    ready, memory, seconds, used = resident(), Memory(), [], []
    with memory.watch():
        for _ in range(1 + settings["repeats"]):  # the first one of a size may prepare more; its memory counts
            start, used_before = time.perf_counter(), time.process_time()
            predict(image)
            seconds.append(time.perf_counter() - start)
            used.append(time.process_time() - used_before)
    return {
        "seconds": round(statistics.median(seconds[1:]), 3),
        "cpu_seconds": round(statistics.median(used[1:]), 3),
        "first_seconds": round(seconds[0], 3),
        "peak_mb": round((memory.peak - ready) / _MEBI),
        "resident_mb": round((ready - before) / _MEBI),
    }


def labels(settings: dict[str, Any]) -> dict[str, Any]:
    """Labels of photos by a trained checkpoint: kept by the plain way, compared with those by an engine."""
    checkpoint = load_checkpoint(Path(settings["checkpoint"]))
    predict = predict_of(checkpoint, settings["engine"])
    found = [predict(photo) for photo in photos_of(Path(settings["data"]), settings["images"])]
    file = Path(settings["labels"])
    if settings["engine"] == "plain":
        np.savez(file, *found)
        return {}
    with np.load(file) as kept:
        same = [(kept[name] == labels).mean() for name, labels in zip(kept.files, found, strict=True)]
    return {"agreement": round(float(np.mean(same)), 6)}


class Mosaic:
    """Photos side by side, over and over: an image of any size that is nowhere in memory."""

    num_levels = 1

    def __init__(self, photos: list[RgbImage], width: int, height: int) -> None:
        self.width, self.height = width, height
        self._photos = photos
        self._h, self._w = photos[0].shape[:2]

    def read(self, rect: Rect, level: int = 0) -> RgbImage:
        """The part of ``rect``."""
        out = np.empty((rect.h, rect.w, 3), np.uint8)
        for row in range(rect.y // self._h, (rect.bottom - 1) // self._h + 1):
            for column in range(rect.x // self._w, (rect.right - 1) // self._w + 1):
                place = Rect(column * self._w, row * self._h, self._w, self._h)
                part = place.intersect(rect)
                photo = self._photos[(row * 7 + column) % len(self._photos)]
                out[Rect(part.x - rect.x, part.y - rect.y, part.w, part.h).slices] = photo[
                    Rect(part.x - place.x, part.y - place.y, part.w, part.h).slices
                ]
        return out


def mosaic(settings: dict[str, Any]) -> dict[str, Any]:
    """Time per megapixel and memory of a mosaic, whose prediction is handed on part by part."""
    height = int((settings["megapixels"] * 1e6 * 3 / 4) ** 0.5) // 8 * 8
    width = int(settings["megapixels"] * 1e6 / height) // 8 * 8
    photos = photos_of(Path(settings["data"]), 12)
    photos = [photo for photo in photos if photo.shape == photos[0].shape]
    predictor = Predictor(load_checkpoint(Path(settings["checkpoint"])), "cpu", window_px=None)
    predictor.predict(photos[0])
    image, memory, seen, windows = Mosaic(photos, width, height), Memory(), 0, 0
    ready, start = resident(), time.perf_counter()
    with memory.watch():
        for _ in range(settings["repeats"] if settings["megapixels"] < 10 else 1):
            for event in predictor.predict_parts(image):
                if isinstance(event, PartDone):
                    seen += event.rect.w * event.rect.h
                elif isinstance(event, WindowDone):
                    windows = event.total
    seconds = time.perf_counter() - start
    return {
        "megapixels": round(width * height / 1e6, 1),
        "seconds_per_mp": round(seconds / (seen / 1e6), 4),
        "peak_mb": round((memory.peak - ready) / _MEBI),
        "rss_mb": round(memory.peak / _MEBI),
        "windows": windows,
        "engine": predictor.engine.name,
    }


def overlay(settings: dict[str, Any]) -> dict[str, Any]:
    """What the window waits for: the first answer at 12 MP, and the fine one at 1 MP, in windows of 512 px."""
    from pspnet_core.imaging.source import ArraySource
    from pspnet_core.inference.predictor import Predicted
    from pspnet_studio.jobs.prediction import Coarse, PredictionEngine, Request

    path = Path(settings["checkpoint"])
    photos = photos_of(Path(settings["data"]), 6)
    engine = PredictionEngine("cpu")
    first_ms, fine_s, agreement = [], [], []

    def large(photo: RgbImage, size: tuple[int, int]) -> RgbImage:
        return np.asarray(Image.fromarray(photo).resize(size, Image.Resampling.BICUBIC))

    list(engine.predict(Request(path, 600, 900, preview=large(photos[0], (900, 600)))))  # the network is loaded
    for photo in photos:
        whole, preview = large(photo, (4000, 3000)), large(photo, (1000, 750))
        start = time.perf_counter()
        events = engine.predict(Request(path, 3000, 4000, preview=preview, source=ArraySource(whole)))
        coarse = next(event for event in events if isinstance(event, Coarse)).prediction
        first_ms.append(1000 * (time.perf_counter() - start))
        kept = coarse.class_map.copy()
        for event in events:
            if isinstance(event, Predicted):
                agreement.append(float((event.prediction.class_map == kept).mean()))
        one = ArraySource(large(photo, (1152, 864)))
        start = time.perf_counter()
        for _ in engine.predict(Request(path, 864, 1152, source=one)):
            pass
        fine_s.append(time.perf_counter() - start)
    return {
        "first_ms": round(statistics.median(first_ms)),
        "first_ms_max": round(max(first_ms)),
        "first_agreement": round(float(np.mean(agreement)), 4),
        "fine_1mp_s": round(statistics.median(fine_s), 3),
        "fine_1mp_s_max": round(max(fine_s), 3),
    }


def main() -> None:
    """What, and the settings as JSON."""
    what, settings = sys.argv[1], json.loads(sys.argv[2])
    torch.set_num_threads(settings["threads"])
    functions = {"engines": engines, "speed": speed, "labels": labels, "mosaic": mosaic, "overlay": overlay}
    print(json.dumps(functions[what](settings)))


if __name__ == "__main__":
    main()
