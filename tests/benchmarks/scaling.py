"""Several processes that train one network, against one process, with equal global batches.

    python -m tests.benchmarks.scaling --processes 2 --json

`loss_difference`: the largest difference of the losses of 20 steps in float64, without dropout, on sparse strokes of
very different sizes, so that a mean of means would show. `ratio`: images per second of all processes together, over
those of one, each process on a core of its own; the runs alternate, and the medians count. `after_kill`: a worker is
killed in the middle of a run; torchrun starts the workers again, and they go on from the kept state.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

STEPS = 20


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--steps", type=int, default=STEPS, help="of the runs whose losses are compared")
    parser.add_argument("--speed-steps", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batch", type=int, default=8, help="crops of all processes together, for the speed")
    parser.add_argument("--crop", type=int, default=256, help="side of the crops whose speed is measured")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    rows = []
    for _ in range(options.repeats):  # in turn, so that other work on the machine meets both
        rows += [speed(count, options.speed_steps, options.batch, options.crop) for count in (1, options.processes)]
    one, many = (statistics.median(r["images_per_s"] for r in rows[i::2]) for i in (0, 1))
    result = {
        "processes": options.processes,
        "images_per_s": round(many, 3),
        "images_per_s_one": round(one, 3),
        "ratio": round(many / one, 3),
        "loss_difference": loss_difference(options.processes, options.steps),
        "after_kill": after_kill(options.processes, options.steps),
        "batch": options.batch,
        "crop_px": options.crop,
        "cores": os.cpu_count(),
        "load1": round(os.getloadavg()[0], 2),
    }
    print(json.dumps(result) if options.json else json.dumps(result, indent=2))


def speed(processes: int, steps: int, batch: int, crop_px: int) -> dict[str, Any]:
    """Images per second of the usual network in its usual numbers, after the first five steps."""
    told = launch(processes, "--steps", str(steps), "--batch", str(batch), "--crop", str(crop_px), "--pin")
    return {"images_per_s": batch / statistics.median(told["step_s"][5:])}


def loss_difference(processes: int, steps: int) -> float:
    """The largest difference of the losses of a step."""
    one, many = (launch(count, "--steps", str(steps), "--crop", "64", "--exact")["losses"] for count in (1, processes))
    assert len(one) == len(many) == steps
    return max(abs(a - b) for a, b in zip(one.values(), many.values(), strict=True))


def after_kill(processes: int, steps: int) -> dict[str, Any]:
    """What became of a run whose last worker was killed in the middle."""
    told = launch(processes, "--steps", str(steps), "--crop", "64", "--kill-at", str(steps // 2))
    return {"finished": max(map(int, told["losses"])) == steps, "went_on_after_step": told["resumed"]}


def launch(processes: int, *arguments: str) -> dict[str, Any]:
    """Run :mod:`scaling_worker` in so many processes; what the first one told."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "told.json"
        torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
        torchrun += ["--max-restarts", "1", "--monitor-interval", "0.1"]
        command = [sys.executable, *torchrun, "-m", "tests.benchmarks.scaling_worker", str(out), *arguments]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"the processes failed:\n{done.stderr[-4000:]}")
        told: dict[str, Any] = json.loads(out.read_text())
        return told


if __name__ == "__main__":
    main()
