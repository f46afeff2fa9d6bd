"""The commands that need no window: training, prediction, measuring, weights, export, and a look at the machine."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import traceback
from collections.abc import Sequence

from pspnet_core import __version__
from pspnet_core.cli_output import Output, UsageError, report_error
from pspnet_core.errors import PspnetError

DONE, FAILED, MISUSED = 0, 1, 2

_DEBUG_VARIABLE = "PSPNET_STUDIO_DEBUG"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: Arguments without the program's name; those of the process when not given.

    Returns:
        0 when it is done; 1 when it failed: title, detail and remedy are then on stderr, without a traceback; 2 when it
        was called wrongly.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    try:
        options = make_parser().parse_args(argv)
    except SystemExit as stop:  # argparse has said why, or has shown its help
        return int(stop.code or 0)
    try:
        return int(options.run(options))
    except UsageError as error:
        report_error(error)
        return MISUSED
    except PspnetError as error:
        report_error(error)
    except KeyboardInterrupt:
        report_error(PspnetError("Interrupted.", "Nothing half-written was left behind."))
    except BrokenPipeError:
        # The reader of our output went away; without this the interpreter complains once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:  # noqa: BLE001 - the last resort of the commands
        report_error(_unexpected(error))
    return FAILED


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands; each sets ``run``, a function that takes the options and returns the exit code."""
    from pspnet_core.cli_formats import add_export, add_import
    from pspnet_core.cli_import import add_import_weights
    from pspnet_core.cli_ml import add_commands
    from pspnet_core.cli_onnx import add_export_onnx
    from pspnet_core.cli_video import add_sample_video

    parser = argparse.ArgumentParser(
        prog="pspnet-studio",
        description="Teach a segmentation network by correcting it: the commands without a window.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    add_commands(commands)
    add_import_weights(commands)
    add_export_onnx(commands)
    add_export(commands)
    add_import(commands)
    add_sample_video(commands)
    _add_doctor(commands)
    return parser


def _add_doctor(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "doctor",
        help="check this machine",
        description="Check versions, devices, the Qt platform, the clash of OpenCV with Qt, free memory and disk.",
    )
    add_json_option(parser)
    parser.set_defaults(run=_doctor)


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--json``."""
    parser.add_argument("--json", action="store_true", help="events and result as JSON lines on stdout")


def _doctor(options: argparse.Namespace) -> int:
    from pspnet_core.cli_doctor import Level, examine

    output = Output(options.json)
    worst = Level.OK
    for finding in examine():
        output.event(finding.to_json())
        mark = {Level.OK: "ok", Level.WARNING: "note", Level.ERROR: "FAIL"}[finding.level]
        output.text(f"{mark:>4}  {finding.name}: {finding.detail}")
        if finding.remedy:
            output.text(f"      {finding.remedy}")
        worst = max(worst, finding.level)
    return FAILED if worst is Level.ERROR else DONE


def _unexpected(error: Exception) -> PspnetError:
    if os.environ.get(_DEBUG_VARIABLE):
        traceback.print_exc()
    return PspnetError(
        "Something went wrong that should not have.",
        f"{type(error).__name__}: {error}",
        f"Please report it with what you did; {_DEBUG_VARIABLE}=1 shows where it happened.",
    )
