"""Export of a network in a process of its own.

To follow a network takes 10 to 60 s of Python without a pause. In a thread that stopped the window for up to 0.7 s at a
time and could not be cancelled (measured); a process leaves the window alone and can be ended at once.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pspnet_core.atomic import unfinished
from pspnet_core.cores import num_cores
from pspnet_core.errors import PspnetError
from pspnet_studio import log_file
from pspnet_studio.messages import tr

_LOOK_S = 0.05
_PATIENCE_S = 5.0
_MAX_CHARACTERS = 600


@dataclass(frozen=True, slots=True)
class ExportReport:
    """How the export stands.

    Attributes:
        phase: What it does now; see ``pspnet_core.export.model_events``. Empty before it has begun.
        done: Parts of the work that are done.
        total: Parts of the work; 0 when that is not known yet.
        result: The last event, as the command ``export-onnx`` writes it, or None.
    """

    phase: str = ""
    done: int = 0
    total: int = 0
    result: dict[str, Any] | None = None


def export_apart(checkpoint: Path, path: Path) -> Iterator[ExportReport]:
    """Run ``export-onnx`` for a checkpoint file; ends the process when it is closed, and leaves nothing half-written.

    Yields:
        About every 50 ms how it stands; the last one has a result.

    Raises:
        PspnetError: It failed; the reason is that of the command.
    """
    before = unfinished(path)
    # Files, because a pipe that nobody reads would stop the process, and reading one would stop us.
    with tempfile.TemporaryDirectory(prefix="pspnet-studio-") as folder:
        (out, out_name), (errors, errors_name) = tempfile.mkstemp(dir=folder), tempfile.mkstemp(dir=folder)
        try:
            process = _start(checkpoint, path, out, errors)
        finally:
            os.close(out)
            os.close(errors)
        try:
            has_ended = False
            while not has_ended:
                has_ended = process.poll() is not None  # asked first: then all that it wrote is read below
                report = _report(Path(out_name).read_bytes())
                if not has_ended:
                    yield report
                    time.sleep(_LOOK_S)
        finally:
            _end(process)
            for left in unfinished(path) - before:  # by a process that was killed while it wrote
                left.unlink(missing_ok=True)
        if process.returncode or report.result is None:
            raise _unexpected(process.returncode, Path(errors_name).read_text("utf-8", "replace"))
        yield report


def command(*arguments: str) -> list[str]:
    """How this program is called with ``arguments``, from a checkout, a wheel or a frozen app."""
    if getattr(sys, "frozen", False):
        return [sys.executable, *arguments]
    return [sys.executable, "-m", "pspnet_studio", *arguments]


def _start(checkpoint: Path, path: Path, out: int, errors: int) -> subprocess.Popen[bytes]:
    threads = str(max(1, num_cores() - 1))
    try:
        return subprocess.Popen(
            command("export-onnx", str(checkpoint), "--out", str(path), "--json"),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=errors,
            env={**os.environ, "OMP_NUM_THREADS": threads, "PYTHONIOENCODING": "utf-8"},
        )
    except OSError as error:
        raise PspnetError(
            tr("The export could not be started."), str(error), tr("Close other programs, then try again.")
        ) from error


def _end(process: subprocess.Popen[bytes]) -> None:
    """Let it tidy up, where the system can ask for that; else end it."""
    if process.poll() is not None:
        return
    if os.name == "posix":
        process.send_signal(signal.SIGINT)
    else:
        process.terminate()
    try:
        process.wait(_PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _report(written: bytes) -> ExportReport:
    """What the lines so far say. Raises: PspnetError: That it failed."""
    report = ExportReport()
    for line in written.split(b"\n")[:-1]:  # what follows the last end of line is not whole yet
        event = json.loads(line)
        if event["event"] == "failed":
            raise PspnetError(event["title"], event["detail"], event["remedy"])
        if event["event"] == "phase":
            report = ExportReport(event["phase"], event["done"], event["total"])
        elif event["event"] == "finished":
            report = ExportReport(report.phase, report.total, report.total, event)
    return report


def _unexpected(code: int, errors: str) -> PspnetError:
    last = errors.strip()[-_MAX_CHARACTERS:]
    return PspnetError(
        tr("The export ended unexpectedly; nothing was written."),
        tr("Exit code {code}. {errors}").format(code=code, errors=last),
        log_file.how_to_report(),
    )
