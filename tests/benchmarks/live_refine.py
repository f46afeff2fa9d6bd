"""How good the overlay is after a few strokes, and how soon it is there; beside the pinned random forest.

    python -m tests.benchmarks.live_refine DATA --strokes 3 --images 12 --seeds 5 --json

From the same strokes (see live_strokes) our head and the forest label the rest of the same image. `miou` and
`miou_forest` are means over images and seeds of each image's mIoU on all other pixels, over the classes that its mask
holds; `lead` is their difference with a 95 % interval (bootstrap over images). `--cross`: strokes on 3
other images, none on this one. `miou_pooled` and `miou_forest_pooled` come from one confusion matrix per seed instead.

`p50_ms` and `p95_ms`: from the release of a stroke to the end of painting the new overlay, in the real window on a real
X display (a virtual one where there is none), with features cached, for images of `--megapixels` (`rows`, also while
training), the worst row counting. `--no-timing` leaves that out. `--log FILE` keeps what is finished.
"""

from __future__ import annotations

import argparse
import json
import os
import zlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pspnet_core.inference.features import FeatureExtractor, ImageFeatures
from pspnet_core.inference.kept_rows import KeptRows
from pspnet_core.inference.live_head import LiveHead
from pspnet_core.project.dataset import Dataset, evenly_spaced, open_dataset
from pspnet_core.project.records import Item, Split
from pspnet_core.types import UNLABELLED, ClassMap, Rect
from tests.benchmarks.forest import Forest, features
from tests.benchmarks.live_strokes import strokes_of

_OTHERS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--strokes", type=int, default=3)
    parser.add_argument("--images", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--cross", action="store_true")
    parser.add_argument("--no-timing", action="store_true")
    parser.add_argument("--megapixels", type=int, nargs="*", default=[1, 12])
    parser.add_argument("--log", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    dataset = open_dataset(options.data)
    items = evenly_spaced(dataset.items[Split.TEST] or dataset.items[Split.NONE], options.images)
    rows = list(_rows(dataset, items, options))
    result = summary(rows) | {"images": len(items), "strokes": options.strokes, "cross": options.cross}
    if not options.no_timing:
        from tests.benchmarks.live_probe import measured

        result |= measured(dataset, items[0], options.megapixels)
    result["load1"] = round(os.getloadavg()[0], 2)
    if not options.json:
        for row in rows:
            print({k: v for k, v in row.items() if not k.startswith("counts")})
    print(json.dumps(result))


def _rows(dataset: Dataset, items: list[Item], options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """One row for each image and seed: made, or found in the log."""
    name = options.data.resolve().name
    known = {}
    if options.log and options.log.exists():
        for line in options.log.read_text().splitlines():
            row = json.loads(line)
            known[row["data"], row["image"], row["seed"], row["strokes"], row["cross"]] = row
    for item in items:
        keys = [(name, item.key, seed, options.strokes, options.cross) for seed in range(options.seeds)]
        missing = [key[2] for key in keys if key not in known]
        made = _compared(dataset, items, item, missing, options) if missing else iter(())
        for (seed, ours, forest), key in zip(made, [key for key in keys if key not in known], strict=True):
            row = {"data": name, "image": item.key, "seed": seed, "strokes": options.strokes, "cross": options.cross}
            row |= {"miou": mean_iou(ours), "miou_forest": mean_iou(forest)}
            row |= {"counts": ours.tolist(), "counts_forest": forest.tolist()}
            known[key] = row
            if options.log:
                with options.log.open("a") as file:
                    file.write(json.dumps(row) + "\n")
        yield from (known[key] for key in keys)


def _compared(
    dataset: Dataset, items: list[Item], item: Item, seeds: list[int], options: argparse.Namespace
) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int64]]]:
    extractor = FeatureExtractor()
    num_classes = max(dataset.classes.indices) + 1
    image, truth = dataset.load(item)
    found, values = extractor.features(image), features(image)
    for seed in seeds:
        forest = Forest(seed)
        if options.cross:
            strokes = np.full_like(truth, UNLABELLED)
            kept = _from_others(dataset, items, item, seed, options.strokes, extractor, forest)
            head = LiveHead(found, num_classes, kept=kept)
        else:
            strokes = strokes_of(truth, options.strokes, seed_of(item, seed))
            forest.add(values, strokes)
            head = LiveHead(found, num_classes)
        forest.fit()
        ours = head.refine(strokes).class_map
        yield seed, counts(truth, ours, strokes), counts(truth, forest.predict(values), strokes)


def _from_others(
    dataset: Dataset,
    items: list[Item],
    item: Item,
    seed: int,
    strokes: int,
    extractor: FeatureExtractor,
    forest: Forest,
) -> KeptRows:
    """What the strokes on three other images leave behind for us; the forest learns their pixels."""
    rng = np.random.default_rng(seed_of(item, seed))
    others = [other for other in items if other is not item]
    kept = []
    for index in rng.choice(len(others), min(_OTHERS, len(others)), replace=False):
        image, truth = dataset.load(others[index])
        drawn = strokes_of(truth, strokes, seed_of(others[index], seed))
        forest.add(features(image), drawn)
        kept.append(rows_of(extractor.features(image), drawn))
    return KeptRows.joined(kept)


def rows_of(found: ImageFeatures, strokes: ClassMap) -> KeptRows:
    """What is kept of an image for later ones."""
    cells = found.reduced(strokes, Rect(0, 0, *found.grid[::-1]))
    return LiveHead(found, UNLABELLED).marked_rows(cells)


def seed_of(item: Item, seed: int) -> int:
    """Another seed for each image."""
    return zlib.crc32(item.key.encode()) % 10_000 * 100 + seed


def counts(truth: ClassMap, prediction: ClassMap, strokes: ClassMap) -> NDArray[np.int64]:
    """(256, 256) pixels by true and predicted class, where there is a truth and no stroke; cut to what occurs."""
    scored = (truth != UNLABELLED) & (strokes == UNLABELLED)
    size = int(max(truth[scored].max(initial=0), prediction[scored].max(initial=0))) + 1
    pairs = truth[scored].astype(np.int64) * size + prediction[scored]
    return np.bincount(pairs, minlength=size * size).reshape(size, size)


def mean_iou(table: NDArray[np.int64]) -> float:
    """Over the classes that are in the truth."""
    hits = np.diag(table)
    union = table.sum(axis=0) + table.sum(axis=1) - hits
    is_there = table.sum(axis=1) > 0
    return float((hits[is_there] / union[is_there]).mean())


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Means, and the lead over the forest with its interval."""
    of_image: dict[str, list[float]] = defaultdict(list)
    pooled: dict[tuple[str, int], NDArray[np.int64]] = {}
    for row in rows:
        of_image[row["image"]].append(row["miou"] - row["miou_forest"])
        for which in ("counts", "counts_forest"):
            table = np.array(row[which])
            key = which, row["seed"]
            size = max(len(table), len(pooled.get(key, ())))
            total = np.zeros((size, size), np.int64)
            for part in (table, pooled.get(key)):
                if part is not None:
                    total[: len(part), : len(part)] += part
            pooled[key] = total
    leads = np.array([np.mean(v) for v in of_image.values()])
    rng = np.random.default_rng(0)
    drawn = rng.choice(leads, (2_000, len(leads))).mean(axis=1)
    low, high = np.percentile(drawn, (2.5, 97.5))

    def mean(values: Any) -> float:
        return round(float(np.mean(list(values))), 4)

    return {
        "miou": mean(row["miou"] for row in rows),
        "miou_forest": mean(row["miou_forest"] for row in rows),
        "lead": mean(leads),
        "lead_interval": [round(float(low), 4), round(float(high), 4)],
        "miou_pooled": mean(mean_iou(t) for (which, _), t in pooled.items() if which == "counts"),
        "miou_forest_pooled": mean(mean_iou(t) for (which, _), t in pooled.items() if which == "counts_forest"),
        "seeds": len({row["seed"] for row in rows}),
    }


if __name__ == "__main__":
    main()
