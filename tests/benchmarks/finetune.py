"""One click on fine-tune in a project with some corrected images: how good, how soon, and does the window stay alive?

    python -m tests.benchmarks.finetune DATA --images 8 --mode quick --seeds 3 --log runs.jsonl --json

A real project in a temporary folder gets the whole masks of N evenly spaced training images, marked as done; those of
`val` are its hold-out (`--no-val`: it holds out on its own). `seconds` is from the click to the decision. All mIoU are
of `test`: `miou_before` of the majority class of the labels, or with --versions K of the version in use after K clicks
before (quick runs then start from that); `miou_after` of the version in use after the click; `miou_plain` of the first
recipe as a plain PyTorch loop (plain_recipe.py) on the same images for as many seconds, or steps with --steps;
`miou_forest` of the pinned forest (forest.py) on 20,000 pixels of each image at full size. `gui_p99_ms`: in the real
window on a (virtual) X display, while such a fine-tune runs, from the delivery of a mouse move of a brush stroke to the
end of its painting.

Peers that take long can be left out: --peers plain. With --log what was measured before is not measured again.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pspnet_core.project.dataset import Dataset, evenly_spaced, open_dataset
from pspnet_core.project.records import Item, Split
from pspnet_core.types import UNLABELLED, ClassMap, RgbImage
from tests.benchmarks.correction import correct, counts_of, make_project, mean_iou, score

PEERS = ("plain", "forest", "gui")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--mode", choices=("quick", "full"), default="quick")
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--versions", type=int, default=0, help="clicks before the one that is measured")
    parser.add_argument("--no-val", action="store_true")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=PEERS)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.seconds is not None and options.steps is not None:
        parser.error("give either --seconds or --steps")
    dataset = open_dataset(options.data)
    result = summary(_rows(options, dataset))
    told = {"data": options.data.name, "images": options.images, "mode": options.mode, "seeds": options.seeds}
    result = told | result | {"load1": round(os.getloadavg()[0], 2)}
    print(json.dumps(result) if options.json else json.dumps(result, indent=2))


def _rows(options: argparse.Namespace, dataset: Dataset) -> list[dict[str, Any]]:
    """One row for each seed and arm, also those of the log."""
    log = options.log.read_text().splitlines() if options.log and options.log.is_file() else []
    known = [json.loads(line) for line in log]
    items = evenly_spaced(dataset.items[Split.TRAIN] or dataset.items[Split.NONE], options.images)
    rows: list[dict[str, Any]] = []
    told = {"data": options.data.name, "images": options.images, "mode": options.mode}
    told |= {"seconds": options.seconds, "steps": options.steps}
    told |= {"versions": options.versions, "val": not options.no_val}
    for seed in range(options.seeds):
        for arm in ("ours", *(peer for peer in PEERS if peer in options.peers)):
            if arm == "gui" and seed:
                continue
            # The forest needs no time of its own: one row serves every mode and length.
            key = {"data": options.data.name, "images": options.images} if arm == "forest" else told
            key = key | {"seed": seed, "arm": arm}
            row = next((old for old in known if key.items() <= old.items()), None)
            if row is None:
                ours = next((r for r in rows if r["seed"] == seed and r["arm"] == "ours"), {})
                row = key | _arm(arm, options, dataset, items, seed, ours) | {"load1": round(os.getloadavg()[0], 2)}
                if options.log:
                    with options.log.open("a") as file:
                        file.write(json.dumps(row) + "\n")
            rows.append(row)
            print(row, flush=True)
    return rows


def _arm(
    arm: str, options: argparse.Namespace, dataset: Dataset, items: Sequence[Item], seed: int, ours: dict[str, Any]
) -> dict[str, Any]:
    if arm == "ours":
        return _ours(options, dataset, items, seed)
    if arm == "plain":
        return _plain(options, dataset, items, seed, ours["click_s"])
    if arm == "forest":
        return _forest(dataset, items, seed)
    from tests.benchmarks.finetune_probe import measured

    with tempfile.TemporaryDirectory() as folder:
        project = make_project(dataset, Path(folder), items, not options.no_val)
        for item in items:
            correct(project, dataset, item)
        return measured(Path(folder), options.mode)


def _ours(options: argparse.Namespace, dataset: Dataset, items: Sequence[Item], seed: int) -> dict[str, Any]:
    """Correct, click, wait for the decision."""
    from pspnet_core.training.finetune import finetune
    from pspnet_core.training.versions import VersionStore

    test = dataset.items[Split.TEST]
    length = {"steps": options.steps} if options.steps else {"seconds": options.seconds}
    with tempfile.TemporaryDirectory() as folder:
        project = make_project(dataset, Path(folder), items, not options.no_val)
        for item in items:
            correct(project, dataset, item)
        store = VersionStore(project.folder / "versions")
        for number in range(options.versions):
            list(finetune(project, **length, mode=options.mode, seed=1000 * (number + 1) + seed, device=options.device))
        if store.current is None:
            most = _majority(dataset, items)
            before = _scored(dataset, test, lambda image: np.full(image.shape[:2], most, np.uint8))
        else:
            before = mean_iou(score(store.load(store.current), dataset, test))
        start = time.monotonic()
        *_, decided = finetune(project, **length, mode=options.mode, seed=seed, device=options.device)
        seconds = time.monotonic() - start
        record = decided.version.record
        candidate = mean_iou(score(store.load(decided.version.number), dataset, test))
        assert store.current is not None, "the first version is adopted"
        after = candidate if decided.adopted else mean_iou(score(store.load(store.current), dataset, test))
    return {
        "click_s": round(seconds, 2),
        "adopted": decided.adopted,
        "miou_before": before,
        "miou_candidate": candidate,
        "miou_after": after,
        "miou_holdout": decided.mean_iou,
        "num_steps": record["steps"],
        "planned_steps": record["planned_steps"],
        "parent": record["parent"],
        "reason": decided.reason,
    }


def _majority(dataset: Dataset, items: Sequence[Item]) -> int:
    counts = sum(np.bincount(dataset.load(item)[1].ravel(), minlength=256) for item in items)
    return int(np.argmax(np.asarray(counts)[:UNLABELLED]))


def _plain(
    options: argparse.Namespace, dataset: Dataset, items: Sequence[Item], seed: int, seconds: float
) -> dict[str, Any]:
    """The first recipe for as long as the click took, or as many steps."""
    from tests.benchmarks.plain_recipe import PlainRecipe

    pairs = [dataset.load(item) for item in items]
    recipe = PlainRecipe(dataset.classes, seed)
    start = time.monotonic()
    recipe.fit(pairs, None if options.steps else seconds, options.steps)
    taken = round(time.monotonic() - start, 2)
    miou = _scored(dataset, dataset.items[Split.TEST], recipe.predict)
    return {"plain_s": taken, "num_steps": recipe.num_steps, "miou_plain": miou}


def _forest(dataset: Dataset, items: Sequence[Item], seed: int) -> dict[str, Any]:
    """The pinned forest on the same images."""
    from tests.benchmarks.forest import MAX_MASK_PIXELS, Forest, features

    forest = Forest(seed, MAX_MASK_PIXELS)
    start = time.monotonic()
    for item in items:
        image, class_map = dataset.load(item)
        forest.add(features(image), class_map)
    forest.fit()
    taken = round(time.monotonic() - start, 2)
    miou = _scored(dataset, dataset.items[Split.TEST], lambda image: forest.predict(features(image)))
    return {"forest_s": taken, "miou_forest": miou}


def _scored(dataset: Dataset, items: Sequence[Item], predict: Callable[[RgbImage], ClassMap]) -> float:
    counts = {}
    for item in items:
        image, truth = dataset.load(item)
        counts[item.key] = counts_of(dataset, truth, predict(image))
    return mean_iou(counts)


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means over the seeds; and each seed's value where there are several."""
    result: dict[str, Any] = {}
    names = {"click_s": "seconds"} | {name: name for name in ("miou_before", "miou_after", "miou_plain", "miou_forest")}
    for source, name in names.items():
        values = [row[source] for row in rows if source in row]
        if values:
            result[name] = round(statistics.mean(values), 4)
            if len(values) > 1:
                result[f"{name}_seeds"] = values
    ours = [row for row in rows if row["arm"] == "ours"]
    result |= {"adopted": sum(row["adopted"] for row in ours), "steps": [row["num_steps"] for row in ours]}
    for row in rows:
        result |= {key: value for key, value in row.items() if key.startswith("gui_")}
    return result


if __name__ == "__main__":
    main()
