"""The commands ``export`` and ``import``. Importing it imports no numpy."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pspnet_core.cli_output import Output, UsageError, report_error
from pspnet_core.errors import PspnetError
from pspnet_core.project.formats.catalogue import FORMATS

if TYPE_CHECKING:
    from pspnet_core.project.formats.exporting import ExportFinished
    from pspnet_core.project.formats.importing import ImportFinished, ImportPlanned
    from pspnet_core.project.records import Notice

DONE, FAILED = 0, 1

_SPLITS = ("none", "train", "val", "test")


def add_export(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``export``; it sets ``run``: options -> exit code."""
    parser = commands.add_parser(
        "export",
        help="write the annotations of a project for other programs",
        description="Write the annotations of a project for other programs. All files come at the end, or none.",
        epilog=_list_of_formats(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("project", metavar="PROJECT", type=Path, help="folder of the project")
    parser.add_argument("--format", choices=tuple(FORMATS), default="png", help="see below (default: png)")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder for the files; it is made")
    parser.add_argument("--split", choices=_SPLITS, nargs="+", help="only images of these splits (default: all)")
    parser.add_argument("--all", action="store_true", help="also images without a labelled pixel")
    images = parser.add_mutually_exclusive_group()
    images.add_argument("--images", action="store_true", default=None, help="copy the images, too")
    images.add_argument(
        "--no-images", dest="images", action="store_false", help="do not (default: voc, yolo and cityscapes have them)"
    )
    parser.add_argument(
        "--shapes",
        choices=("auto", "polygon", "mask"),
        default="auto",
        help="regions of labelme, cvat and coco: auto is polygons, and masks where there are holes",
    )
    parser.add_argument(
        "--tolerance", metavar="PX", type=float, default=0.0, help="how far polygons may be off (default: 0, exact)"
    )
    _add_common(parser)
    parser.set_defaults(run=_export)


def add_import(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``import``; it sets ``run``: options -> exit code."""
    parser = commands.add_parser(
        "import",
        help="take annotations of other programs over into a project",
        description="Take annotations over. Classes are matched by name; what was painted by hand stays as it is "
        "unless --over says otherwise; each image gets one step that can be undone.",
        epilog=_list_of_formats(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", metavar="SOURCE", type=Path, help="a folder, a .zip or a file")
    parser.add_argument("--format", choices=tuple(FORMATS), help="see below (default: guessed)")
    parser.add_argument("--project", metavar="DIR", type=Path, required=True, help="folder of the project")
    parser.add_argument(
        "--images", action="store_true", help="first copy images of SOURCE that DIR lacks into it, under their paths"
    )
    parser.add_argument(
        "--over",
        choices=("free", "accepted", "all"),
        default="free",
        help="what may change: free (unlabelled and imported pixels), accepted (these and what was accepted from a "
        "prediction), all (also what was painted or erased by hand)",
    )
    parser.add_argument(
        "--class",
        metavar="NAME=NAME",
        dest="classes",
        action="append",
        default=[],
        help="class of the source = class of the project; with nothing behind the = it is left out; may be repeated",
    )
    _add_common(parser)
    parser.set_defaults(run=_import)


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="work everything out, write nothing")
    parser.add_argument("--json", action="store_true", help="events and result as JSON lines on stdout")


def _list_of_formats() -> str:
    rows = [f"  {row.id:12} {row.title}. {row.keeps}{' Loses: ' + row.loses if row.loses else ''}" for row in _rows()]
    return "\n".join(["formats:", *rows])


def _rows() -> Iterable[Any]:
    return FORMATS.values()


def _export(options: argparse.Namespace) -> int:
    if not 0 <= options.tolerance < float("inf"):
        raise UsageError(f"--tolerance {options.tolerance} is not possible.", "Expected 0 or more pixels.")
    from pspnet_core.project.formats.exporting import ExportFinished, export_project
    from pspnet_core.project.formats.writing import ExportOptions
    from pspnet_core.project.project import Project, Split

    output = Output(options.json)
    chosen = ExportOptions(
        splits=None if options.split is None else frozenset(Split(split) for split in options.split),
        with_empty=options.all,
        with_images=options.images,
        shapes=options.shapes,
        tolerance_px=options.tolerance,
        dry_run=options.dry_run,
    )
    project = Project.open(options.project)
    for event in export_project(project, options.out, options.format, chosen):
        output.event(event.to_json())
        if isinstance(event, ExportFinished):
            return _tell_export(event, output)
    raise AssertionError("an export ends with ExportFinished")


def _tell_export(finished: ExportFinished, output: Output) -> int:
    _tell(finished.notices, finished.failures)
    would = "would be" if finished.is_dry_run else "were"
    output.text(f"{finished.num_written} mask(s) {would} written to {finished.folder}.")
    if finished.num_empty:
        output.text(f"{finished.num_empty} image(s) without a labelled pixel {would} left out.")
    if finished.mean_iou is not None and finished.mean_iou < 1:
        output.text(f"Polygons agree with the masks to a mean IoU of {finished.mean_iou:.4f}.")
    for remark in finished.remarks:
        output.text(f"Not as it was: {remark}.")
    return FAILED if finished.failures else DONE


def _import(options: argparse.Namespace) -> int:
    classes = dict(_pair(text) for text in options.classes)
    from pspnet_core.project.formats.importing import (
        ImportFinished,
        ImportOptions,
        ImportPlanned,
        import_annotations,
    )
    from pspnet_core.project.project import Project

    output = Output(options.json)
    if options.images:
        _bring_images(options, output)
    project = Project.open(options.project)
    chosen = ImportOptions(options.over, classes, options.dry_run)
    for event in import_annotations(project, options.source, options.format, chosen):
        output.event(event.to_json())
        if isinstance(event, ImportPlanned):
            _tell_plan(event, output)
        if isinstance(event, ImportFinished):
            return _tell_import(event, output)
    raise AssertionError("an import ends with ImportFinished")


def _bring_images(options: argparse.Namespace, output: Output) -> None:
    from pspnet_core.project.formats.image_copies import bring_images

    if options.dry_run:
        raise UsageError("--images and --dry-run do not go together.", "Images have to be there to be looked at.")
    for path in bring_images(options.source, options.project):
        output.event({"event": "image", "path": str(path)})


def _tell_plan(plan: ImportPlanned, output: Output) -> None:
    output.text(f"{plan.format_id}: {plan.num_matched} of {plan.num_entries} image(s) are in the project.")


def _tell_import(finished: ImportFinished, output: Output) -> int:
    _tell((), finished.failures)
    for row in finished.classes:
        what = "is left out" if row.target is None else f"-> {row.target}"
        output.text(f"{row.name} {what}{' (new)' if row.class_id is None and row.target is not None else ''}")
    would = "would change" if finished.is_dry_run else "changed"
    output.text(f"{finished.num_pixels:,} pixel(s) of {finished.num_changed} image(s) {would}.")
    for remark in finished.remarks:
        output.text(f"Not taken over: {remark}.")
    return FAILED if finished.failures else DONE


def _tell(notices: Iterable[Notice], failures: Iterable[Notice]) -> None:
    for notice in notices:
        logging.getLogger(__name__).warning("%s: %s %s", notice.item_key, notice.title, notice.detail)
    for failure in failures:
        title = f"{failure.item_key}: {failure.title}" if failure.item_key else failure.title
        report_error(PspnetError(title, failure.detail, failure.remedy))


def _pair(text: str) -> tuple[str, str]:
    source, sign, target = text.partition("=")
    if not sign or not source.strip():
        raise UsageError(f"--class {json.dumps(text)} is not NAME=NAME.", "For example --class road=street.")
    return source.strip(), target.strip()
