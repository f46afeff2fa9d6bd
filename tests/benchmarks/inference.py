"""The inference engine against plain eager float32 (full-size logits, argmax), on the same threads.

    python -m tests.benchmarks.inference --backbone resnet50 --classes 150 --size 2048x1024 --json
    python -m tests.benchmarks.inference --mosaic 300 --checkpoint CKPT --json
    python -m tests.benchmarks.inference --overlay --checkpoint CKPT --json

Each engine runs in a process of its own. ``peak_mb`` is what one prediction needs on top of the network that is ready
to predict; ``resident_mb`` is what making that network ready took. ``cpu_seconds`` are those of all threads: on a busy
machine they say more than ``seconds``. Labels are compared on whole photos of a data set with a checkpoint that was
trained on it: the one that is given, or one that is trained first; ``--images 0`` leaves that out.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "camvid"
PLAIN = "plain"


def main() -> None:
    """Print the rows, and as the last line one JSON object."""
    options = _options()
    if options.mosaic:
        result = _mosaic(options)
    elif options.overlay:
        result = _probe(options, "overlay")
    else:
        result = _compare(options)
    result |= {"threads": options.threads, "load1": round(os.getloadavg()[0], 2)}
    if not options.json:
        for row in result.get("rows", [result]):
            print(row)
    print(json.dumps(result))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--classes", type=int, default=150)
    parser.add_argument("--size", default="2048x1024", help="width x height")
    parser.add_argument("--repeats", type=int, default=2, help="after one that is not counted")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--engines", nargs="+", help="instead of all that are here, such as 'torch bfloat16'")
    parser.add_argument("--checkpoint", type=Path, help="trained on --data; default: one is trained")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--train-seconds", type=int, default=180)
    parser.add_argument("--images", type=int, default=6, help="photos on which labels are compared")
    parser.add_argument("--mosaic", type=float, metavar="MP", help="a mosaic of photos of so many megapixels, and 3 MP")
    parser.add_argument("--overlay", action="store_true", help="first answer at 12 MP and fine one at 1 MP")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _compare(options: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = (options.checkpoint or _trained(options, Path(folder))) if options.images else None
        engines = options.engines or _probe(options, "engines")["engines"]
        plain = _probe(options, "speed", engine=PLAIN)
        labels = Path(folder) / "labels.npz"
        if checkpoint is not None:
            _probe(options, "labels", engine=PLAIN, checkpoint=checkpoint, labels=labels)
        rows = []
        for engine in engines:
            row = _probe(options, "speed", engine=engine)
            row["ratio"] = round(plain["seconds"] / row["seconds"], 2)
            row["cpu_ratio"] = round(plain["cpu_seconds"] / row["cpu_seconds"], 2)
            row["memory_share"] = round(row["peak_mb"] / plain["peak_mb"], 3)
            if checkpoint is not None:
                row |= _probe(options, "labels", engine=engine, checkpoint=checkpoint, labels=labels)
            rows.append({"engine": engine, **row})
    best = min(rows, key=lambda row: row["seconds"])
    keys = ("seconds", "ratio", "peak_mb", "agreement", "engine")
    return {
        **{key: best.get(key) for key in keys},
        "seconds_plain": plain["seconds"],
        "peak_mb_plain": plain["peak_mb"],
        "rows": [*rows, {"engine": PLAIN, **plain}],
        "backbone": options.backbone,
        "classes": options.classes,
        "size": options.size,
    }


def _mosaic(options: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        options.checkpoint = options.checkpoint or _trained(options, Path(folder))
        rows = [_probe(options, "mosaic", megapixels=size) for size in (3.0, options.mosaic)]
    per_mp = [row["seconds_per_mp"] for row in rows]
    return {"ratio_per_mp": round(per_mp[1] / per_mp[0], 3), "peak_mb": rows[1]["peak_mb"], "rows": rows}


def _trained(options: argparse.Namespace, folder: Path) -> Path | None:
    """A checkpoint of the backbone, trained on the data for a while; None where there are no data."""
    if not options.data.is_dir():
        return None
    out = folder / "trained.safetensors"
    command = [sys.executable, "-m", "pspnet_studio", "train", str(options.data), "--out", str(out)]
    command += ["--seconds", str(options.train_seconds), "--backbone", options.backbone]
    if options.backbone.startswith("resnet"):
        command += ["--preset", "mmseg-512", "--init", "none"]
    subprocess.run(command, check=True, stdout=sys.stderr)
    return out


def _probe(options: argparse.Namespace, what: str, **values: Any) -> dict[str, Any]:
    """One measurement in a process of its own."""
    settings = {key: str(value) if isinstance(value, Path) else value for key, value in vars(options).items()}
    settings |= {key: str(value) if isinstance(value, Path) else value for key, value in values.items()}
    command = [sys.executable, "-m", "tests.benchmarks.inference_probe", what, json.dumps(settings)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    sys.stderr.write(done.stderr)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


if __name__ == "__main__":
    main()
