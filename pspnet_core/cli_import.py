"""The command ``import-weights``. Importing it imports no torch."""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pspnet_core.atomic import check_place
from pspnet_core.cli_output import Output
from pspnet_core.errors import ClassSetError

if TYPE_CHECKING:
    from pspnet_core.classes import ClassSet
    from pspnet_core.models.checkpoint import Checkpoint

_SHOWN = 5  # names in a line


def add_import_weights(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``import-weights``; it sets ``run``: options -> exit code."""
    parser = commands.add_parser(
        "import-weights",
        help="make a checkpoint of published weights",
        description="Read weights of hszhao/semseg, mmsegmentation, CSAIL (encoder and decoder), PyTorch-Encoding, "
        "meetps (converted from Caffe), PaddleSeg, torchvision or timm, and write them as a checkpoint. Nothing of a "
        "file is run. What had to be guessed is said.",
    )
    parser.add_argument("files", metavar="FILE", type=Path, nargs="+", help="one file; two for CSAIL")
    parser.add_argument("--out", metavar="CKPT", type=Path, required=True, help="file to write, .safetensors")
    parser.add_argument(
        "--publisher",
        metavar="P",
        help="semseg, mmseg, mmseg-512, mmseg-769, csail, encoding, caffe, paddle, torchvision, timm or studio "
        "(default: found by the names in the file)",
    )
    parser.add_argument(
        "--classes",
        metavar="FILE",
        help="classes.json with the classes in channel order, or ade20k, cityscapes, voc, camvid (default: what the "
        "file says, else the set with as many classes)",
    )
    parser.add_argument(
        "--align-corners",
        choices=("true", "false"),
        help="how the network interpolates (default: as the publisher does; mmsegmentation: true for crops of 769)",
    )
    parser.add_argument("--json", action="store_true", help="result as a JSON line on stdout")
    parser.set_defaults(run=import_weights)


def import_weights(options: argparse.Namespace) -> int:
    """Import a file and write the checkpoint; the exit code."""
    check_place(options.out, options.files)
    classes = None if options.classes is None else _read_classes(options.classes)
    from pspnet_core.models.checkpoint import save_checkpoint
    from pspnet_core.models.importers import importing
    from pspnet_core.models.importers.reading import finish

    align_corners = None if options.align_corners is None else options.align_corners == "true"
    checkpoint = finish(importing(options.files, options.publisher, classes=classes, align_corners=align_corners))
    save_checkpoint(checkpoint, options.out)
    _report(checkpoint, options.out, Output(options.json))
    return 0


def _report(checkpoint: Checkpoint, out: Path, output: Output) -> None:
    report: dict[str, Any] = checkpoint.origin["import"]
    config = checkpoint.config
    output.event(
        {"event": "imported", "output": str(out), "id": checkpoint.id, "backbone": config.backbone}
        | {"classes": list(checkpoint.classes.names), "config": config.to_json(), **report}
    )
    for text in report["warnings"]:
        logging.getLogger(__name__).warning("%s", text)
    output.text(f"Publisher: {report['publisher']}. Network: {config.backbone}, {config.num_classes} classes.")
    output.text(f"Kept: {report['kept']} tensors.{_named(' Not needed', report['ignored'])}")
    output.text(f"New and untrained: {len(report['new'])} tensors{_list(report['new'])}.")
    output.text(f"Guessed: {len(report['warnings'])} choices{', as said above' if report['warnings'] else ''}.")
    output.text(f"{out} was written.")


def _named(title: str, names: list[str]) -> str:
    return f"{title}: {len(names)}{_list(names)}." if names else ""


def _list(names: list[str]) -> str:
    if not names:
        return ""
    return f" ({', '.join(names[:_SHOWN])}{', ...' if len(names) > _SHOWN else ''})"


def _read_classes(text: str) -> ClassSet:
    """The class set of a name or of a ``classes.json``. Raises: ClassSetError."""
    from pspnet_core.class_sets import CLASS_SETS, class_set
    from pspnet_core.classes import ClassSet

    if text in CLASS_SETS:
        return class_set(text)
    try:
        data = json.loads(Path(text).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ClassSetError(
            f"The classes could not be read from {text}.",
            str(error),
            f"Give a classes.json, or one of {', '.join(CLASS_SETS)}.",
        ) from error
    if not isinstance(data, dict):
        raise ClassSetError(f"The classes could not be read from {text}.", "Expected an object with 'classes'.")
    return ClassSet.from_json(data)
