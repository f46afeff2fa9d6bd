"""PSPNet against a fully convolutional network: the same backbone, head, data, crops and time, but no pyramid pooling.

    python -m tests.benchmarks.pspnet_vs_fcn DATA [DATA ...] --seconds 120 --seeds 3 --log runs.jsonl --json

Each run trains on `train` and is scored on `test`. With --log a run that was made before is not made again. The summary
is of the runs that were asked for alone: other backbones, times and seeds in the log do not count.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

MODELS: dict[str, Literal["pyramid", "none"]] = {"pspnet": "pyramid", "fcn": "none"}
KEYS = ("data", "model", "backbone", "seed", "seconds")
"""What makes two runs the same."""


def run(data: Path, model: str, seed: int, seconds: float, network: str) -> dict[str, Any]:
    """Train one network and score it; every run is one row."""
    from pspnet_core.models import PSPNetConfig
    from pspnet_core.project.dataset import open_dataset
    from pspnet_core.project.records import Split
    from pspnet_core.training import TrainConfig, fit
    from pspnet_core.training.data import LabelledCache, labelled_images
    from pspnet_core.training.evaluation import evaluate_images
    from pspnet_core.training.events import Finished

    dataset = open_dataset(data)
    preset = "studio-fast" if network.startswith("efficientnet") else "torchvision-backbone"
    shape = PSPNetConfig.preset(preset, len(dataset.classes), network)
    config = TrainConfig(
        train=labelled_images(dataset, dataset.items[Split.TRAIN]),
        classes=dataset.classes,
        model=replace(shape, context=MODELS[model]),
        seconds=seconds,
        seed=seed,
    )
    finished = next(event for event in fit(config) if isinstance(event, Finished))
    scoring = evaluate_images(
        finished.checkpoint,
        labelled_images(dataset, dataset.items[Split.TEST]),
        LabelledCache(dataset.classes),
    )
    while True:
        try:
            next(scoring)
        except StopIteration as stop:
            matrix, images = stop.value
            break
    return {
        "data": data.name,
        "model": model,
        "backbone": network,
        "seed": seed,
        "seconds": seconds,
        "steps": finished.metrics["steps"],
        "parameters": sum(p.numel() for p in finished.checkpoint.model.parameters()),
        "test_images": images,
        "mean_iou": round(matrix.mean_iou, 4),
        "load1": round(os.getloadavg()[0], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--log", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = [json.loads(line) for line in options.log.read_text().splitlines()] if _exists(options.log) else []
    done = {_key(row): row for row in rows}
    asked = []
    for data in options.data:
        for seed in range(options.seeds):
            for model in MODELS:
                key = data.name, model, options.backbone, seed, options.seconds
                if key not in done:
                    done[key] = run(data, model, seed, options.seconds, options.backbone)
                    if options.log:
                        with options.log.open("a") as file:
                            file.write(json.dumps(done[key]) + "\n")
                asked.append(done[key])
                print(done[key], flush=True)
    result = summary(asked)
    print(json.dumps({"rows": asked, "summary": result}) if options.json else json.dumps(result, indent=2))


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """For each data set: mean IoU on `test` by seed, its mean and its spread, of both networks and of their difference.

    Args:
        rows: Of :func:`run`; of one backbone and time.
    """
    scores: dict[str, dict[str, dict[int, float]]] = {}
    for row in rows:
        scores.setdefault(row["data"], {}).setdefault(row["model"], {})[row["seed"]] = row["mean_iou"]
    result = {}
    for data, models in scores.items():
        first, second = (models.get(model, {}) for model in MODELS)
        gain = {seed: first[seed] - second[seed] for seed in first if seed in second}
        named = models | {" - ".join(MODELS): gain}
        result[data] = {name: _spread(values) for name, values in named.items() if values}
    return result


def _spread(values: Mapping[int, float]) -> dict[str, Any]:
    """By seed (4 digits), their mean, smallest and largest, and the standard deviation where there are two or more."""
    numbers = list(values.values())
    row: dict[str, Any] = {"seeds": {seed: round(value, 4) for seed, value in sorted(values.items())}}
    row |= {"mean": round(statistics.mean(numbers), 4), "min": round(min(numbers), 4), "max": round(max(numbers), 4)}
    return row | ({"deviation": round(statistics.stdev(numbers), 4)} if len(numbers) > 1 else {})


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[key] for key in KEYS)


def _exists(path: Path | None) -> bool:
    return path is not None and path.is_file()


if __name__ == "__main__":
    main()
