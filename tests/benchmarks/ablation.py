"""What one setting of the recipe brings: trains with it for a number of steps and scores whole images.

    python -m tests.benchmarks.ablation DATA --images 8 --steps 300 --seeds 3 --set balance_power=0 --log FILE

Learns from `--images` training images at even distances, starting with the published weights, and scores on images that
take no part in the final figures: those of `val`, and training images that were not learned from, `--held` in all.
`--test` scores on all test images, too, for the final figures only. `--preset` chooses the recipe that `--set` changes.
`--strokes N` learns from N strokes for each class and image instead of full masks.

Settings are compared at equal steps, which no other work on the machine changes; `cpu_s_per_step` (processor time of
one thread) tells what a step costs. `--log FILE` keeps one JSON line for each run, and a run that is in it is not made
again.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pspnet_core.models.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from pspnet_core.project.dataset import Dataset, evenly_spaced, open_dataset
from pspnet_core.project.records import Item, Split
from pspnet_core.training import TrainConfig, fit
from pspnet_core.training.config import Recipe
from pspnet_core.training.data import LabelledCache, LabelledImage, labelled_images
from pspnet_core.training.evaluation import evaluate_images
from pspnet_core.training.events import Finished, Step
from pspnet_core.types import ClassMap, RgbImage
from tests.benchmarks.live_strokes import strokes_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--shift", type=int, default=0)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--preset", choices=("full", "quick"), default="full")
    parser.add_argument("--set", nargs="*", default=[], metavar="FIELD=VALUE")
    parser.add_argument("--strokes", type=int, default=0)
    parser.add_argument("--test", action="store_true", help="score on all test images, too")
    parser.add_argument("--held", type=int, default=16)
    parser.add_argument("--init", type=Path, help="start from this checkpoint")
    parser.add_argument("--out", type=Path, help="write the checkpoint of the last seed")
    parser.add_argument("--log", type=Path)
    options = parser.parse_args()
    known = _read(options.log)
    for seed in options.seeds:
        what = _what(options, seed)
        row = known.get(_key(what))
        if row is None:
            row = what | _run(options, recipe_of(options), seed)
            if options.log:
                with options.log.open("a") as file:
                    file.write(json.dumps(row) + "\n")
        print(json.dumps(row))
        sys.stdout.flush()


def recipe_of(options: argparse.Namespace) -> Recipe:
    """The preset with the changes of ``--set``."""
    changes = dict(pair.split("=", 1) for pair in options.set)
    preset = Recipe.quick() if options.preset == "quick" else Recipe.full()
    return replace(preset, **{name: json.loads(text) for name, text in changes.items()})


def chosen_items(dataset: Dataset, num_images: int, num_held: int, shift: int = 0) -> tuple[list[Item], list[Item]]:
    """Images to learn from, and to score on."""
    pool = [*dataset.items[Split.TRAIN], *dataset.items[Split.NONE]]
    learn = evenly_spaced(pool[shift:] + pool[:shift], num_images)
    val = dataset.items[Split.VAL]
    rest = [item for item in pool if item not in learn]
    from_rest = min(len(rest), max(num_held - len(val), num_held // 2))
    held = [*evenly_spaced(val, num_held - from_rest)] if val else []
    return learn, held + (evenly_spaced(rest, from_rest) if from_rest else [])


def _what(options: argparse.Namespace, seed: int) -> dict[str, Any]:
    """What a run is known by."""
    what = {"data": options.data.resolve().name, "images": options.images, "steps": options.steps, "seed": seed}
    what |= {
        "mode": options.preset,
        "test": options.test,
        "strokes": options.strokes,
        "shift": options.shift,
        "init": str(options.init or ""),
        "set": sorted(options.set),
    }
    return what | {"recipe": asdict(recipe_of(options))}


def _key(row: dict[str, Any]) -> str:
    names = ("data", "mode", "images", "steps", "seed", "test", "strokes", "shift", "init", "recipe")
    return json.dumps([row.get(name) or 0 for name in names], sort_keys=True)


def _read(log: Path | None) -> dict[str, dict[str, Any]]:
    if log is None or not log.exists():
        return {}
    return {_key(row): row for row in map(json.loads, log.read_text().splitlines())}


def _run(options: argparse.Namespace, recipe: Recipe, seed: int) -> dict[str, Any]:
    dataset = open_dataset(options.data)
    learn, held = chosen_items(dataset, options.images, options.held, options.shift)
    images = labelled_images(dataset, learn)
    if options.strokes:
        images = [LabelledImage(item.key, partial(_strokes, dataset, item, options.strokes, seed)) for item in learn]
    config = TrainConfig(
        train=images,
        classes=dataset.classes,
        init=load_checkpoint(options.init) if options.init else "imagenet",
        steps=options.steps,
        seed=seed,
        device="cpu",
        num_threads=1,
        recipe=recipe,
        mode=options.preset,
    )
    start_s, start_cpu_s = time.monotonic(), time.process_time()
    losses, finished = [], None
    for event in fit(config):
        if isinstance(event, Step):
            losses.append(event.loss)
        if isinstance(event, Finished):
            finished = event
    assert finished is not None
    if options.out:
        save_checkpoint(finished.checkpoint, options.out)
    took_s, took_cpu_s = time.monotonic() - start_s, time.process_time() - start_cpu_s
    return {
        "cpu_s_per_step": round(took_cpu_s / options.steps, 3),
        "wall_s": round(took_s),
        "load1": round(os.getloadavg()[0], 1),
        "loss": round(float(np.mean(losses[-20:])), 4),
        "held_images": len(held),
        **_scored(finished.checkpoint, dataset, held),
        **({"on_test": _scored(finished.checkpoint, dataset, dataset.items[Split.TEST])} if options.test else {}),
    }


def _strokes(dataset: Dataset, item: Item, strokes: int, seed: int) -> tuple[RgbImage, ClassMap]:
    image, truth = dataset.load(item)
    return image, strokes_of(truth, strokes, seed)


def _scored(checkpoint: Checkpoint, dataset: Dataset, items: Sequence[Item]) -> dict[str, Any]:
    evaluation = evaluate_images(checkpoint, labelled_images(dataset, items), LabelledCache(dataset.classes), "cpu")
    while True:
        try:
            next(evaluation)
        except StopIteration as stop:
            matrix = stop.value[0]
            iou = {dataset.classes[index].name: round(float(v), 3) for index, v in matrix.iou_by_id.items()}
            return {
                "miou": round(matrix.mean_iou, 4),
                "pixel_accuracy": round(matrix.pixel_accuracy, 4),
                "iou": iou,
            }


if __name__ == "__main__":
    main()
