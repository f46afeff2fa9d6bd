"""How often would a rule adopt what is worse, and refuse what is better? Simulated on real candidates.

    python -m tests.benchmarks.adoption FOLDER/rounds.jsonl [...] --images 3 5 8 16 --json

The logs of `rounds` hold what every candidate found in each test image. Any two candidates of one log are an old and a
new version; their difference on all test images is the truth. Hold-outs of n images are drawn from these (with
replacement), and the rule sees nothing else. `rows`: for each n and each threshold of `chance` the share adopted of the
pairs by how much better they truly are; `coverage` of the truth by the 95 % interval.

`sequence`: 20 rounds of a project as numbers alone. The true level of a candidate trained on k images rises by a
saturating curve and scatters from run to run; what is seen of each version is off by an error that stays with it, as
large as n hold-out images leave (from the pairs above). `final` is the level at the end as a share of what always
knowing the truth would reach, `fall` the largest loss of the version in use against the best before, in points of
mIoU: mean over simulated projects, and the 95th percentile.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pspnet_core.training.evidence import Evidence, compare

THRESHOLDS = (0.5, 0.6, 0.65, 0.7, 0.8, 0.9, 0.975)
EDGES = (-1.0, -0.03, -0.01, 0.0, 0.01, 0.03, 1.0)
_DRAWS = 20
_PAIRS = 60
_PROJECTS = 4000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("logs", type=Path, nargs="+")
    parser.add_argument("--images", type=int, nargs="+", default=[3, 5, 8, 16])
    parser.add_argument("--noise", type=float, nargs="+", default=[0.01, 0.02], help="scatter of runs, in mIoU")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    candidates = [_candidates(log) for log in options.logs]
    rows, errors = [], {}
    for number in options.images:
        seen = [outcome for log in candidates for outcome in outcomes(log, number)]
        rows += table(number, seen)
        near = [evidence.difference - truth for truth, evidence in seen if abs(truth) < EDGES[-2]]
        errors[number] = float(np.std(near or [e.difference - t for t, e in seen]))
    found = {"errors": {str(n): round(e, 4) for n, e in errors.items()}}
    sequences = [
        row for noise in options.noise for number, error in errors.items() for row in sequence(number, error, noise)
    ]
    if not options.json:
        for row in (*rows, *sequences):
            print(row)
    print(json.dumps({"rows": rows, "sequence": sequences, **found}))


def _candidates(log: Path) -> NDArray[np.int64]:
    """(candidates, images, 3, C) counts."""
    rows = [json.loads(line)["counts"] for line in log.read_text().splitlines()]
    return np.array([[row[key] for key in sorted(row)] for row in rows])


def outcomes(candidates: NDArray[np.int64], number: int) -> Iterator[tuple[float, Evidence]]:
    """True differences of pairs, and what hold-outs of ``number`` images tell of them."""
    classes = tuple(range(candidates.shape[-1]))
    rng = np.random.default_rng(number)
    pairs = [(a, b) for pair in combinations(range(len(candidates)), 2) for a, b in (pair, pair[::-1])]
    for a, b in (pairs[int(i)] for i in rng.permutation(len(pairs))[:_PAIRS]):
        truth = _evidence(candidates, a, b, range(candidates.shape[1]), classes).difference
        for _ in range(_DRAWS):
            images = rng.integers(0, candidates.shape[1], number)
            yield truth, _evidence(candidates, a, b, images, classes)


def _evidence(candidates: NDArray[np.int64], a: int, b: int, images: Sequence[int], classes: Sequence[int]) -> Evidence:
    blocks = [{(f"{n:04}", 0, 0): candidates[side, image] for n, image in enumerate(images)} for side in (a, b)]
    evidence = compare(*blocks, classes)
    assert evidence is not None, "test images have labels"
    return evidence


def table(number: int, seen: Sequence[tuple[float, Evidence]]) -> list[dict[str, Any]]:
    """Shares adopted, by threshold and by how much better the new version truly is."""
    bins: dict[str, list[Evidence]] = defaultdict(list)
    inside = []
    for truth, evidence in seen:
        place = int(np.searchsorted(EDGES, truth)) - 1
        bins[f"{EDGES[place]:+.2f} to {EDGES[place + 1]:+.2f}"].append(evidence)
        assert evidence.interval is not None, "hold-outs of three images or more"
        inside.append(evidence.interval[0] <= truth <= evidence.interval[1])
    rows = []
    for threshold in THRESHOLDS:
        shares = {name: round(float(np.mean([e.chance >= threshold for e in bins[name]])), 3) for name in sorted(bins)}
        rows.append({"images": number, "threshold": threshold, "adopted": shares})
    counts = {name: len(bins[name]) for name in sorted(bins)}
    return [*rows, {"images": number, "coverage": round(float(np.mean(inside)), 3), "pairs": counts}]


def sequence(number: int, error: float, noise: float) -> list[dict[str, Any]]:
    """20 rounds of many projects under each threshold; errors are normal."""
    rng = np.random.default_rng(0)
    course = 0.35 + 0.25 * (1 - np.exp(-np.arange(20) / 6))  # 0.35 after the first image, 0.60 in the end
    levels = course + rng.normal(0, noise, (_PROJECTS, 20))
    seen = levels + rng.normal(0, error / 2**0.5, (_PROJECTS, 20))
    best = np.maximum.accumulate(levels, axis=1)[:, -1]
    rows = []
    for threshold in THRESHOLDS:
        needed = _normal_quantile(threshold) * error
        in_use, shown, top, fall = levels[:, 0], seen[:, 0], levels[:, 0], np.zeros(_PROJECTS)
        adopted = np.ones(_PROJECTS)
        for turn in range(1, 20):
            takes = seen[:, turn] - shown > needed
            in_use, shown = np.where(takes, levels[:, turn], in_use), np.where(takes, seen[:, turn], shown)
            adopted = adopted + takes
            top = np.maximum(top, in_use)
            fall = np.maximum(fall, top - in_use)
        rows.append(
            {
                "images": number,
                "noise": noise,
                "threshold": threshold,
                "adopted": round(float(adopted.mean()), 1),
                "final": round(float((in_use / best).mean()), 3),
                "fall": round(100 * float(fall.mean()), 2),
                "fall_p95": round(100 * float(np.quantile(fall, 0.95)), 2),
            }
        )
    return rows


def _normal_quantile(share: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf(share)


if __name__ == "__main__":
    main()
