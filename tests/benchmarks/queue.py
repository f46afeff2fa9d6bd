"""Images picked by the queue against images picked at random: how good is what was learned from them?

    python -m tests.benchmarks.queue DATA --steps 120 --seeds 5 --log runs.jsonl --json

Both begin with nothing labelled. The queue picks two images by what they look like; a network is trained on their whole
masks; the queue picks two more, knowing where that network doubts, then four more. Every network starts from the
ImageNet weights, learns for the same number of steps, and is scored on `test`. Seeds are those of the choice and of
the training. With --log a run that was made before is not made again.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

SIZES = (2, 4, 8)
ARMS = ("picked", "random")


class Runner:
    """One data set: trains on some of its training images and scores on its test images."""

    def __init__(self, path: Path, steps: int) -> None:
        from pspnet_core.inference.summaries import Summariser
        from pspnet_core.project.dataset import open_dataset
        from pspnet_core.project.records import Split
        from pspnet_core.training.data import LabelledCache, labelled_images

        self._data, self._steps = open_dataset(path), steps
        self.train = {image.key: image for image in labelled_images(self._data, self._data.items[Split.TRAIN])}
        self._test = labelled_images(self._data, self._data.items[Split.TEST])
        self._cache = LabelledCache(self._data.classes)
        summariser = Summariser("cpu")
        self._cells = {key: summariser.cells(image.load()[0]) for key, image in self.train.items()}

    def learn(self, keys: Sequence[str], seed: int) -> Any:
        """The network after training on these images."""
        from pspnet_core.training import TrainConfig, fit
        from pspnet_core.training.events import Finished

        config = TrainConfig(
            train=[self.train[key] for key in keys], classes=self._data.classes, steps=self._steps, seed=seed
        )
        return next(event for event in fit(config) if isinstance(event, Finished)).checkpoint

    def score(self, checkpoint: Any) -> float:
        """Mean IoU on the test images."""
        from pspnet_core.training.evaluation import evaluate_images

        evaluation = evaluate_images(checkpoint, self._test, self._cache)
        while True:
            try:
                next(evaluation)
            except StopIteration as stop:
                return float(stop.value[0].mean_iou)

    def pick(self, corrected: Sequence[str], count: int, checkpoint: Any, seed: int) -> list[str]:
        """The first of the queue."""
        from pspnet_core.inference.predictor import Predicted, Predictor
        from pspnet_core.inference.ranking import rank
        from pspnet_core.inference.summaries import summary

        logits = {}
        if checkpoint is not None:
            predictor = Predictor(checkpoint, "cpu")
            for key, image in self.train.items():
                events = predictor.predict_windows(image.load()[0])
                logits[key] = next(event.logits for event in events if isinstance(event, Predicted))
        summaries = {key: summary(cells, logits.get(key)) for key, cells in self._cells.items()}
        return [entry.key for entry in rank(summaries, corrected, seed=seed)[:count]]

    def run(self, arm: str, seed: int) -> list[float]:
        """Mean IoU after 2, 4 and 8 images."""
        rng = np.random.default_rng(seed)
        order = list(rng.permutation(sorted(self.train)))
        chosen: list[str] = []
        checkpoint = None
        scores = []
        for size in SIZES:
            more = size - len(chosen)
            left = [str(key) for key in order if key not in chosen]
            chosen += self.pick(chosen, more, checkpoint, seed) if arm == "picked" else left[:more]
            checkpoint = self.learn(chosen, seed)
            scores.append(round(self.score(checkpoint), 4))
        return scores


def summarise(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean and its standard error for each arm and size, and for the difference of the two by seed."""
    scores = {(row["arm"], row["seed"]): row["miou"] for row in rows}
    seeds = sorted({row["seed"] for row in rows})
    result: dict[str, Any] = {}
    for name in (*ARMS, "gain"):
        by_seed = [
            scores[name, seed]
            if name in ARMS
            else [a - b for a, b in zip(scores["picked", seed], scores["random", seed], strict=True)]
            for seed in seeds
        ]
        columns = list(zip(*by_seed, strict=True))
        result[name] = {str(n): round(statistics.mean(column), 4) for n, column in zip(SIZES, columns, strict=True)}
        if len(seeds) > 1:
            result[f"{name}_error"] = {
                str(n): round(statistics.stdev(column) / len(column) ** 0.5, 4)
                for n, column in zip(SIZES, columns, strict=True)
            }
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    known = options.log.read_text().splitlines() if options.log and options.log.is_file() else []
    done = {_key(row): row for row in map(json.loads, known)}
    runner, rows = None, []
    for seed in range(options.seeds):
        for arm in ARMS:
            row = {"data": options.data.name, "steps": options.steps, "seed": seed, "arm": arm}
            if _key(row) not in done:
                runner = runner or Runner(options.data, options.steps)
                row |= {"miou": runner.run(arm, seed), "load1": round(os.getloadavg()[0], 2)}
                done[_key(row)] = row
                if options.log:
                    with options.log.open("a") as file:
                        file.write(json.dumps(row) + "\n")
            rows.append(done[_key(row)])
            print(rows[-1], flush=True)
    result = {"data": options.data.name, "steps": options.steps, "seeds": options.seeds} | summarise(rows)
    print(json.dumps(result) if options.json else json.dumps(result, indent=2))


def _key(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["data"], row["steps"], row["seed"], row["arm"]


if __name__ == "__main__":
    main()
