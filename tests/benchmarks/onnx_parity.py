"""A checkpoint as ONNX against the same in PyTorch, on real photos of a data set at five sizes, two of them odd.

    python -m tests.benchmarks.onnx_parity CKPT DATA --images 8 --json

It also takes the time of both on 512 x 512 pixels, with one thread each.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

SIZES = ((512, 512), (480, 640), (353, 475), (97, 121), (384, 736))
"""(height, width), pixels."""


def measure(path: Path, data: Path, num_images: int, repeats: int) -> dict[str, Any]:
    """Export ``path``, and compare and time it on evenly spaced photos of ``data``."""
    import onnx
    import onnxruntime
    import torch

    from pspnet_core.export.model_events import OnnxExported
    from pspnet_core.export.onnx import export_onnx
    from pspnet_core.models.checkpoint import load_checkpoint

    torch.set_num_threads(1)
    checkpoint = load_checkpoint(path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        exported = list(export_onnx(checkpoint, Path(folder) / "net.onnx"))[-1]
        export_s = time.perf_counter() - start
        assert isinstance(exported, OnnxExported)
        opset = onnx.load(exported.path).opset_import[0].version
        session = onnxruntime.InferenceSession(exported.path, options, providers=["CPUExecutionProvider"])

    def by_onnx(x: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(session.run(["logits"], {"image": x.numpy()})[0])

    @torch.inference_mode()
    def by_torch(x: torch.Tensor) -> torch.Tensor:
        return checkpoint.model(x)["out"]

    photos = _photos(data, num_images)
    rows = [_compare(by_torch, by_onnx, checkpoint.preprocessing, photos, size) for size in SIZES]
    x = _prepared(checkpoint.preprocessing, photos[0], (512, 512))
    return {
        "checkpoint": path.name,
        "data": data.name,
        "backbone": checkpoint.config.backbone,
        "classes": len(checkpoint.classes),
        "images": len(photos),
        "opset": opset,
        "num_bytes": exported.num_bytes,
        "export_s": round(export_s, 1),
        "max_difference": max(row["max_difference"] for row in rows),
        "equal_argmax": min(row["equal_argmax"] for row in rows),
        "rows": rows,
        "onnxruntime_ms": _median_ms(by_onnx, x, repeats),
        "torch_ms": _median_ms(by_torch, x, repeats),
        "torch_channels_last_ms": _median_ms(by_torch, _channels_last(checkpoint.model, x), repeats),
        "versions": {"torch": torch.__version__, "onnxruntime": onnxruntime.__version__},
        "load1": round(os.getloadavg()[0], 2),
    }


def _photos(data: Path, count: int) -> list[np.ndarray]:
    from pspnet_core.project.dataset import evenly_spaced, open_dataset

    dataset = open_dataset(data)
    items = [item for split in dataset.items.values() for item in split]
    return [dataset.load(item)[0] for item in evenly_spaced(items, count)]


def _compare(
    by_torch: Callable[[Any], Any],
    by_onnx: Callable[[Any], Any],
    preprocessing: Any,
    photos: list[np.ndarray],
    size: tuple[int, int],
) -> dict[str, Any]:
    from pspnet_core.export.checks import compare

    inputs = [_prepared(preprocessing, photo, size) for photo in photos]
    checks = [compare(by_torch(x), by_onnx(x)) for x in inputs]
    return {
        "height": size[0],
        "width": size[1],
        "max_difference": max(check.max_difference for check in checks),
        "scale": max(check.scale for check in checks),
        "equal_argmax": statistics.fmean(check.equal_argmax for check in checks),
        "different_pixels": sum(round((1 - check.equal_argmax) * size[0] * size[1]) for check in checks),
    }


def _prepared(preprocessing: Any, photo: np.ndarray, size: tuple[int, int]) -> Any:
    """A photo at a size (height, width), ready for the network."""
    from PIL import Image

    resized = Image.fromarray(photo).resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return preprocessing(np.asarray(resized)).contiguous()


def _channels_last(model: Any, x: Any) -> Any:
    import torch

    model.to(memory_format=torch.channels_last)
    return x.to(memory_format=torch.channels_last)


def _median_ms(run: Callable[[Any], Any], x: Any, repeats: int) -> float:
    run(x)
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run(x)
        times.append(time.perf_counter() - start)
    return round(1000 * statistics.median(times), 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", metavar="CKPT", type=Path)
    parser.add_argument("data", metavar="DATA", type=Path, help="as for `train`")
    parser.add_argument("--images", metavar="N", type=int, default=8)
    parser.add_argument("--repeats", metavar="N", type=int, default=9)
    parser.add_argument("--json", action="store_true", help="only the last line, one JSON object (also the default)")
    options = parser.parse_args()
    print(json.dumps(measure(options.checkpoint, options.data, options.images, options.repeats)))


if __name__ == "__main__":
    main()
