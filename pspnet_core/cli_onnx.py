"""The command ``export-onnx``. Importing it imports no torch."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pspnet_core.atomic import check_place
from pspnet_core.cli_output import Output
from pspnet_core.errors import PspnetError

if TYPE_CHECKING:
    from pspnet_core.export.model_events import ModelExported


def add_export_onnx(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``export-onnx``; it sets ``run``: options -> exit code."""
    parser = commands.add_parser(
        "export-onnx",
        help="write a network as ONNX, for other programs",
        description="Write a checkpoint as an ONNX file that takes images of every size. It is run and compared with "
        "the network before it is written. Input: float32, (batch, 3, height, width), RGB, normalised as the metadata "
        "of the file say; output: logits, (batch, classes, height, width).",
    )
    parser.add_argument("checkpoint", metavar="CKPT", type=Path)
    parser.add_argument("--out", metavar="FILE", type=Path, required=True, help="file to write, .onnx")
    parser.add_argument("--json", action="store_true", help="events and result as JSON lines on stdout")
    parser.set_defaults(run=export_onnx)


def export_onnx(options: argparse.Namespace) -> int:
    """Write the file; the exit code."""
    output = Output(options.json)
    try:
        _run(options, output)
    except PspnetError as error:  # who reads JSON lines gets the reason as one of them, too
        output.event({"event": "failed", "title": error.title, "detail": error.detail, "remedy": error.remedy})
        raise
    return 0


def _run(options: argparse.Namespace, output: Output) -> None:
    from pspnet_core.export.onnx_packages import require_onnx

    require_onnx()
    check_place(options.out, [options.checkpoint])
    from pspnet_core.export.model_events import ModelExported
    from pspnet_core.export.onnx import export_onnx as export
    from pspnet_core.models.checkpoint import load_checkpoint

    for event in export(load_checkpoint(options.checkpoint), options.out):
        output.event(event.to_json())
        if isinstance(event, ModelExported):
            _tell(event, output)


def _tell(event: ModelExported, output: Output) -> None:
    for check in event.checks:
        output.text(
            f"{check.width:>4} x {check.height}, batch {check.batch}: largest difference {check.max_difference:.1e} of "
            f"logits up to {check.scale:.3g}, {check.equal_argmax:.2%} equal pixels"
        )
    output.text(f"{event.path}, {event.num_bytes / 1e6:.1f} MB, computes what the network computes.")
