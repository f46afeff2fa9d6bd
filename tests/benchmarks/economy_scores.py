"""What is measured around the work of a simulated person: speed, versions, the forest, and what all labels give."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pspnet_core.project.dataset import Dataset, evenly_spaced
from pspnet_core.project.project import Project
from pspnet_core.project.records import Split
from pspnet_core.types import UNLABELLED

TRAINING_SHARE = 0.8
"""Of the time of a fine-tune is spent in steps (measured: 49 of 60 s); the rest goes to reading, scoring, comparing."""

QUIET_S, PAINTING_S = 0.3, 0.1
"""How long training rests, at most, from the end of a stroke and from each answer to it on: as in the program."""

FULL_SECONDS = 1200.0
_SPEED_STEPS, _SPEED_SKIPPED, _SPEED_IMAGES = 16, 4, 4
_FOREST_TEST_PIXELS = 600_000


def leased(answered_s: Sequence[float]) -> float:
    """Seconds for which training rests after a stroke whose answers came at these seconds from its end on."""
    begun_s = (0.0, *answered_s)
    leases = (QUIET_S, *(PAINTING_S for _ in answered_s))
    ends_s = (*answered_s, float("inf"))
    return sum(min(end - begun, lease) for begun, end, lease in zip(begun_s, ends_s, leases, strict=True))


def score(checkpoint: Any, dataset: Dataset, device: str) -> float:
    """Mean IoU on the test images."""
    from pspnet_core.training.data import LabelledCache, labelled_images
    from pspnet_core.training.evaluation import evaluate_images

    images = labelled_images(dataset, dataset.items[Split.TEST])
    evaluation = evaluate_images(checkpoint, images, LabelledCache(dataset.classes), device)
    while True:
        try:
            next(evaluation)
        except StopIteration as stop:
            return float(stop.value[0].mean_iou)


def measured_speed(dataset: Dataset, options: argparse.Namespace, mode: str) -> float:
    """Steps per second; with one thread of its processor time, so that other programs do not count."""
    from pspnet_core.training import TrainConfig, fit
    from pspnet_core.training.data import labelled_images
    from pspnet_core.training.events import Step

    images = labelled_images(dataset, evenly_spaced(dataset.items[Split.TRAIN], _SPEED_IMAGES))
    clock = time.process_time if options.threads == 1 and options.device == "cpu" else time.monotonic
    config = TrainConfig(
        train=images,
        classes=dataset.classes,
        steps=_SPEED_STEPS,
        mode=mode,  # type: ignore[arg-type]
        seed=options.seed,
        device=options.device,
        num_threads=options.threads,
    )
    times = [clock() for event in fit(config) if isinstance(event, Step)]
    return 1 / statistics.median(np.diff(times)[_SPEED_SKIPPED:].tolist())


def full_miou(dataset: Dataset, options: argparse.Namespace, speed: float) -> float:
    """Mean IoU on test of a full training on all training images for 20 minutes at this speed."""
    from pspnet_core.training import TrainConfig, fit
    from pspnet_core.training.data import labelled_images
    from pspnet_core.training.events import Finished

    config = TrainConfig(
        train=labelled_images(dataset, dataset.items[Split.TRAIN]),
        classes=dataset.classes,
        steps=round(speed * FULL_SECONDS * TRAINING_SHARE),
        mode="full",
        seed=options.seed,
        device=options.device,
        num_threads=options.threads,
    )
    finished = next(event for event in fit(config) if isinstance(event, Finished))
    return score(finished.checkpoint, dataset, options.device)


def forest_scores(
    project: Project, dataset: Dataset, moments: Sequence[tuple[float, Sequence[str]]], seed: int
) -> Iterator[tuple[float, float]]:
    """(seconds, mean IoU) of the forest at moments at which these items of the project were done."""
    from pspnet_core.imaging.read import read_image
    from pspnet_core.metrics import ConfusionMatrix
    from tests.benchmarks.forest import MAX_MASK_PIXELS, Forest, features

    test = _test_sample(dataset, seed)
    for at_s, keys in moments:
        forest = Forest(seed, MAX_MASK_PIXELS)
        for key in keys:
            item = project.item(key)
            image = read_image(item.image_path, item.page)
            labels = project.load_annotation(item, image.shape[1], image.shape[0]).class_map
            forest.add(features(image), labels)
        forest.fit()
        matrix = ConfusionMatrix(dataset.classes.indices)
        for rows, truth in test:
            matrix.update(truth, forest.predict(rows))
        yield at_s, float(matrix.mean_iou)


def _test_sample(dataset: Dataset, seed: int) -> list[tuple[Any, Any]]:
    """(1, n, C) features and (1, n) truth of some labelled pixels of each test image, equally large a share of each."""
    from pspnet_core.imaging.read import read_info
    from tests.benchmarks.forest import features

    items = dataset.items[Split.TEST]
    infos = [read_info(item.image_path, item.page) for item in items]
    share = min(1.0, _FOREST_TEST_PIXELS / sum(info.width * info.height for info in infos))
    rng = np.random.default_rng(seed)
    sample = []
    for item in items:
        image, truth = dataset.load(item)
        chosen = np.flatnonzero((truth != UNLABELLED) & (rng.random(truth.shape) < share))
        values = features(image)
        sample.append((values.reshape(-1, values.shape[-1])[chosen][None], truth.ravel()[chosen][None]))
    return sample


class Scores:
    """What was computed after the work, kept line by line.

    Args:
        path: JSONL file.
        tell: Gets a line of text for each.
    """

    def __init__(self, path: Path, tell: Callable[[str], None]) -> None:
        self._path, self._tell = path, tell
        lines = path.read_text().splitlines() if path.is_file() else []
        self._known = {row["name"]: row["value"] for row in map(json.loads, lines)}

    def get(self, name: str) -> Any:
        """None when it is not known yet."""
        return self._known.get(name)

    def put(self, name: str, value: float) -> float:
        """Keep a value, and tell it."""
        self._known[name] = value = round(value, 4)
        row = {"name": name, "value": value, "load1": round(os.getloadavg()[0], 2)}
        with self._path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        self._tell(f"{name}: {value}")
        return value
