"""One mouse move of a brush stroke, from the delivery of the event to the end of the repaint, on a real X display.

    python -m tests.benchmarks.painting --size 1024 16384 --radius 5 25 100 200 [--while-training] --json

Without a display a virtual one is started. Every row is at least 2,000 moves along smooth paths of changing speed, in
strokes of 200 moves, at 1:1 and with the whole image in the window. `coverage` is the share of the pixels under the
capsules between consecutive events that are painted. `plain_p50_ms` and `plain_p99_ms` are what the same moves take
over a widget that only copies a rectangle. While training, a fine-tune and predictions run in the same process; how
many of their steps and predictions got through is `steps_meanwhile` and `predictions_meanwhile`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.helpers.display import virtual_display

_VIEW = (1200, 800)
_STROKE = 200
_SMOOTHING = 24
_WORST = "undo_ms_p99", "undo_mb", "plain_p50_ms", "plain_p99_ms", "load1"
_LEAST = "steps_meanwhile", "predictions_meanwhile"


def path(num_moves: int, seed: int) -> NDArray[np.float64]:
    """(num_moves, 2) points in the window: a smooth random curve, 1 to about 60 px between points."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(num_moves + _SMOOTHING, 2)).cumsum(axis=0)
    kernel = np.hanning(_SMOOTHING + 1)[1:] / np.hanning(_SMOOTHING + 1).sum()
    smooth = np.stack([np.convolve(noise[:, axis], kernel, "valid")[:num_moves] for axis in (0, 1)], axis=1)
    speed = 4.0 * 2.0 ** (2 * np.sin(np.arange(num_moves) / 37))  # px a move, on average
    steps = np.diff(smooth, axis=0, prepend=smooth[:1])
    points = (steps / (np.hypot(*steps.T).mean() + 1e-9) * speed[:, None]).cumsum(axis=0) + np.array(_VIEW) / 2
    # Reflected at the borders of the window, so that every move is seen.
    size = np.array(_VIEW) - 1
    return size - np.abs(points % (2 * size) - size)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs="+", default=[1024, 4096, 8192, 16384])
    parser.add_argument("--radius", type=int, nargs="+", default=[5, 25, 100, 200])
    parser.add_argument("--moves", type=int, default=2000)
    parser.add_argument("--while-training", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        from tests.benchmarks.painting_probe import run

        print(json.dumps(run(options.size[0], options.radius, options.moves, options.while_training)))
        return
    results = list(_measured(options))
    rows = [row for result in results for row in result["rows"]]
    if not options.json:
        for row in rows:
            print(row)
    print(json.dumps({"rows": rows, **_summary(results)}))


def _summary(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Memory of the largest image; of everything else the worst of all sizes."""
    largest = max(results, key=lambda result: result["rows"][0]["size"])
    worst = {key: max(result[key] for result in results) for key in _WORST if key in results[0]}
    least = {key: min(result[key] for result in results) for key in _LEAST if key in results[0]}
    return {"rss_mb": largest["rss_mb"], "rss_over_image": largest["rss_over_image"], **worst, **least}


def _measured(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """One process per size, so that memory is that of one document."""
    with virtual_display() as environment, tempfile.TemporaryDirectory() as folder:
        environment |= {"QT_QPA_PLATFORM": "xcb", "XDG_CONFIG_HOME": folder, "OMP_NUM_THREADS": "1"}
        for size in options.size:
            command = [sys.executable, "-m", "tests.benchmarks.painting", "--inside", "--moves", str(options.moves)]
            command += ["--size", str(size), "--radius", *map(str, options.radius)]
            command += ["--while-training"] if options.while_training else []
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(done.stderr)
            yield json.loads(done.stdout.splitlines()[-1]) | {"load1": os.getloadavg()[0]}
            time.sleep(0.5)


if __name__ == "__main__":
    main()
