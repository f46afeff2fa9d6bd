"""Correct the next images, click, and again: does the version in use ever get worse?

    python -m tests.benchmarks.rounds DATA --rounds 20 --steps 120 --work FOLDER --json

A project without labels (but those of `val`; `--no-val` leaves them out, so that the program holds out on its own) gets
the whole mask of the next training images in each round, then one quick fine-tune. Every candidate, adopted or not, is
scored on `test`, which the program never sees the labels of.

`test_miou`: one of each candidate. `adopted`: how many were. `line`: test mIoU of the version in use after each round.
`falls`: rounds in which an adopted candidate is worse on `test` than the version that it replaced by more than the 95 %
interval of that difference (paired bootstrap over test images). `wrong`: of the candidates that are worse on `test`,
those adopted; `missed`: of those that are better, those refused. `unlearned`: classes whose test IoU in the last
version in use is below half of what an earlier one in use had.

With --work everything is kept there, and a run that was broken off goes on. --steps makes it independent of the load.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pspnet_core.project.dataset import Dataset, open_dataset
from pspnet_core.project.project import Project
from pspnet_core.project.records import Item, Split
from tests.benchmarks.correction import class_iou, correct, difference, make_project, mean_iou, score


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--per-round", type=int, help="images that are corrected in a round; all of train by default")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-val", action="store_true")
    parser.add_argument("--work", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.work is not None:
        result = run(options, options.work)
    else:
        with tempfile.TemporaryDirectory() as folder:
            result = run(options, Path(folder))
    print(json.dumps(result) if options.json else json.dumps(result, indent=2))


def run(options: argparse.Namespace, work: Path) -> dict[str, Any]:
    """All rounds that are not in the log yet, then the summary."""
    dataset = open_dataset(options.data)
    every = dataset.items[Split.TRAIN] or dataset.items[Split.NONE]
    per_round = options.per_round or max(1, len(every) // options.rounds)
    # At random, so that a round is no neighbourhood of the list; the same order for every length of the run.
    order = [every[number] for number in np.random.default_rng(options.seed).permutation(len(every))]
    chosen = order[: options.rounds * per_round]
    log = work / "rounds.jsonl"
    rows = [json.loads(line) for line in log.read_text().splitlines()] if log.is_file() else []
    project = make_project(dataset, work / "project", chosen, not options.no_val)
    forget_unlogged(project, rows)
    for number in range(len(rows), options.rounds):
        images = chosen[number * per_round : (number + 1) * per_round]
        if not images:
            break
        rows.append(one_round(options, dataset, project, images, number))
        with log.open("a") as file:
            file.write(json.dumps(rows[-1]) + "\n")
        print({key: value for key, value in rows[-1].items() if key != "counts"}, flush=True)
    told = {"data": options.data.name, "rounds": len(rows), "per_round": per_round, "val": not options.no_val}
    length = {"steps": options.steps} if options.steps else {"seconds": options.seconds}
    return told | length | {"seed": options.seed} | summary(dataset, rows)


def forget_unlogged(project: Project, rows: Sequence[Mapping[str, Any]]) -> None:
    """Remove the version of a round that was broken off before its line was written: that round is made again."""
    from pspnet_core.training.versions import VersionStore

    store = VersionStore(project.folder / "versions")
    unknown = {version.number for version in store.list()} - {row["version"] for row in rows}
    if unknown:
        store.set_current(next((row["version"] for row in reversed(rows) if row["adopted"]), None))
        for number in unknown:
            store.remove(number)


def one_round(
    options: argparse.Namespace, dataset: Dataset, project: Project, images: Sequence[Item], number: int
) -> dict[str, Any]:
    """Correct, click, and score the candidate on `test`."""
    from pspnet_core.training.events import Decided
    from pspnet_core.training.finetune import finetune
    from pspnet_core.training.versions import VersionStore

    for item in images:
        correct(project, dataset, item)
    start = time.monotonic()
    length = {"steps": options.steps} if options.steps else {"seconds": options.seconds}
    *_, decided = finetune(project, **length, seed=options.seed * 1000 + number)
    assert isinstance(decided, Decided)
    seconds = time.monotonic() - start
    checkpoint = VersionStore(project.folder / "versions").load(decided.version.number)
    counts = score(checkpoint, dataset, dataset.items[Split.TEST])
    record = decided.version.record
    return {
        "round": number,
        "version": decided.version.number,
        "parent": record["parent"],
        "compared_with": record["compared_with"],
        "adopted": decided.adopted,
        "test_miou": mean_iou(counts),
        "miou": decided.mean_iou,
        "old_miou": decided.old_mean_iou,
        "interval": decided.interval and [round(bound, 4) for bound in decided.interval],
        "chance": record["chance"],
        "holdout": record["holdout"],
        "evidence": record["evidence"],
        "steps": record["steps"],
        "reason": decided.reason,
        "seconds": round(seconds, 1),
        "load1": round(os.getloadavg()[0], 2),
        "counts": {key: value.tolist() for key, value in counts.items()},
    }


def summary(dataset: Dataset, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What became of all candidates."""
    counts = [{key: np.array(value) for key, value in row["counts"].items()} for row in rows]
    versions = {row["version"]: number for number, row in enumerate(rows)}
    falls, wrong, missed, line = [], [], [], []
    worse = better = 0
    in_use = 0
    best = class_iou(counts[0])
    for number, row in enumerate(rows):
        if row["compared_with"] is not None:
            on_test = difference(dataset, counts[versions[row["compared_with"]]], counts[number])
            worse += on_test.difference < 0
            better += on_test.difference > 0
            if row["adopted"] and on_test.difference < 0:
                wrong.append([number, round(on_test.difference, 4)])
            if not row["adopted"] and on_test.difference > 0:
                missed.append([number, round(on_test.difference, 4)])
            if row["adopted"] and on_test.interval is not None and on_test.interval[1] < 0:
                falls.append(number)
        if row["adopted"]:
            in_use = number
            best = np.fmax(best, class_iou(counts[number]))
        line.append(rows[in_use]["test_miou"])
    last = class_iou(counts[in_use])
    lost = [c.name for c, had, has in zip(dataset.classes, best, last, strict=True) if has < had / 2 and had >= 0.1]
    return {
        "adopted": sum(row["adopted"] for row in rows),
        "test_miou": [row["test_miou"] for row in rows],
        "line": line,
        "falls": falls,
        "wrong": wrong,
        "num_worse": worse,
        "missed": missed,
        "num_better": better,
        "unlearned": lost,
        "load1": rows[-1]["load1"],
    }


if __name__ == "__main__":
    main()
