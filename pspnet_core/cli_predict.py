"""The command ``predict``. Importing it imports no torch."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

from pspnet_core.cli_output import Output, UsageError, report_error
from pspnet_core.errors import DataError
from pspnet_core.inference.folder import (
    FolderEvent,
    ImageFailed,
    ImagePredicted,
    WindowProgress,
    check_targets,
    find_images,
    is_much,
    output_names,
    predict_files,
    process_place,
    share_of,
)

if TYPE_CHECKING:
    from pspnet_core.inference.predictor import Predictor

_GRID_PX = 32
_LEAST_PX = 64
_PROGRESS_S = 1.0


def predict(options: argparse.Namespace) -> int:
    """Predict images and write their class maps; the exit code."""
    output = Output(options.json)
    rank, num_processes, local_rank = process_place()
    names = output_names(find_images(options.inputs, options.out))
    own = share_of(names, rank, num_processes)
    check_targets(names, options.out, options.confidence, own)  # of all processes: each may have another disk
    counts = dict.fromkeys(("predicted", "skipped", "failed"), 0)
    with _Together(num_processes):
        predictor = _predictor(options, local_rank, num_processes, is_much(own))
        told_s = time.monotonic()
        for event in predict_files(predictor, own, options.out, options.confidence, options.again):
            if isinstance(event, WindowProgress):  # of interest in large images only
                if time.monotonic() - told_s < _PROGRESS_S:
                    continue
                told_s = time.monotonic()
            _report(event, output, counts)
    place = {"rank": rank, "processes": num_processes} if num_processes > 1 else {}
    output.event({"event": "finished", **counts, **place})
    if counts["skipped"]:
        output.text(f"{counts['skipped']} image(s) were predicted in the same way before.")
    if counts["failed"]:
        raise DataError(
            f"{counts['failed']} of {len(own)} image(s) could not be predicted.",
            "They are named above.",
            "Repair them.",
        )
    return 0


def _predictor(options: argparse.Namespace, local_rank: int, num_processes: int, tune: bool) -> Predictor:
    from pspnet_core.inference.predictor import Predictor
    from pspnet_core.inference.views import Views
    from pspnet_core.models.checkpoint import load_checkpoint

    device = options.device
    if num_processes > 1 and device in ("auto", "cuda"):
        import torch

        device = f"cuda:{local_rank}" if torch.cuda.is_available() else "cpu"
    try:
        views = Views(options.flip, tuple(options.scales))
        window = options.window
        if window is not None and (window < _LEAST_PX or window % _GRID_PX):
            raise ValueError(f"window must be a multiple of {_GRID_PX} and at least {_LEAST_PX}, found {window}")
    except ValueError as error:
        raise UsageError(f"{error}.") from error
    overlap = {} if window is None else {"overlap_px": -(-window // (3 * _GRID_PX)) * _GRID_PX}  # two thirds on
    return Predictor(load_checkpoint(options.checkpoint), device, window, views=views, tune=tune, **overlap)


def _report(event: FolderEvent, output: Output, counts: dict[str, int]) -> None:
    row: dict[str, Any]
    if isinstance(event, WindowProgress):
        row = {"input": str(event.image), "share": round(event.share, 4), "done": event.done, "total": event.total}
        output.event({"event": "progress", **row})
    elif isinstance(event, ImageFailed):
        counts["failed"] += 1
        report_error(event.error)
        output.event({"event": "failed", "input": str(event.image), "done": event.done, "total": event.total})
    elif isinstance(event, ImagePredicted):
        counts["skipped" if event.was_there else "predicted"] += 1
        row = {
            "event": "skipped" if event.was_there else "predicted",
            "input": str(event.image),
            "output": str(event.output),
            "seconds": round(event.seconds, 3),
            "done": event.done,
            "total": event.total,
            "seconds_left": None if event.seconds_left is None else round(event.seconds_left, 1),
        }
        output.event(row | ({"confidence": str(event.confidence)} if event.confidence is not None else {}))
        if not event.was_there:
            output.text(f"{event.image} -> {event.output} ({event.done} of {event.total}{_left(event.seconds_left)})")


def _left(seconds: float | None) -> str:
    return "" if not seconds else f", {seconds:.0f} s left" if seconds < 120 else f", {seconds / 60:.0f} min left"


class _Together:
    """Processes of ``torchrun`` that end together: it would end the others when the first one fails.

    Args:
        num_processes: 1 for no others.
    """

    def __init__(self, num_processes: int) -> None:
        self._num_processes = num_processes

    def __enter__(self) -> None:
        if self._num_processes > 1:
            from datetime import timedelta

            import torch.distributed as dist

            dist.init_process_group("gloo", timeout=timedelta(days=7))
            dist.barrier()  # nobody writes before all have looked at what is there

    def __exit__(self, *error: object) -> None:
        if self._num_processes > 1:
            import torch.distributed as dist

            if error[0] is None:
                dist.barrier()
            dist.destroy_process_group()
