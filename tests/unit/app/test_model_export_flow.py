"""Export of a network from the window: when it can be done, what is told, and what a cancel ends."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtWidgets import QProgressDialog
from pytestqt.qtbot import QtBot

from pspnet_core.atomic import write_json
from pspnet_core.errors import PspnetError
from pspnet_core.export import onnx_packages
from pspnet_core.project.project import Notice
from pspnet_studio.bootstrap import Studio
from pspnet_studio.jobs import model_export
from pspnet_studio.jobs.model_export import ExportReport, export_apart
from pspnet_studio.windows import model_export_flow
from pspnet_studio.windows.model_export_flow import ModelExportFlow
from tests.helpers.folders import make_folder
from tests.helpers.studio import open_paths, running_studio

CHECKS = [
    {"height": 65, "width": 99, "batch": 1, "max_difference": 2e-6, "scale": 5.0, "equal_argmax": 1.0},
    {"height": 127, "width": 64, "batch": 2, "max_difference": 1e-6, "scale": 5.0, "equal_argmax": 0.99995},
]
RESULT = {"event": "finished", "path": "/out/net.onnx", "num_bytes": 15_400_000, "checks": CHECKS}


@pytest.fixture
def studio(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    with running_studio(qtbot, tmp_path / "settings.ini") as studio:
        yield studio


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with two versions, of which the second is in use."""
    root = make_folder(tmp_path / "meadow")
    versions = root / ".pspnet-studio" / "versions"
    for number in (1, 2):
        write_json(versions / str(number) / "version.json", {"number": number})
        (versions / str(number) / "checkpoint.safetensors").write_bytes(b"not read here")
    write_json(versions / "current.json", {"current": 2})
    return root


@pytest.fixture
def told() -> list[Any]:
    return []


@pytest.fixture
def asked() -> list[Path]:
    return []


@pytest.fixture
def flow(studio: Studio, told: list[Any], asked: list[Path], tmp_path: Path) -> ModelExportFlow:
    def ask(_: object, proposal: Path) -> Path:
        asked.append(proposal)
        return tmp_path / "net.onnx"

    return ModelExportFlow(studio.session, studio.training, studio.window, told.append, ask)


def dialogs(studio: Studio) -> list[QProgressDialog]:
    return studio.window.findChildren(QProgressDialog)


def test_the_menu_says_why_nothing_can_be_exported(qtbot: QtBot, studio: Studio, folder: Path, tmp_path: Path) -> None:
    action = studio.window.actions_by_id["export_model"]
    assert not action.isEnabled()
    assert "Open a folder" in action.toolTip()
    open_paths(qtbot, studio, make_folder(tmp_path / "empty"))
    assert not action.isEnabled()
    assert "no version to export yet" in action.toolTip()
    open_paths(qtbot, studio, folder)
    qtbot.waitUntil(action.isEnabled)
    assert "ONNX" in action.toolTip()
    studio.training.set_current(None)
    assert not action.isEnabled()
    assert "No version is in use" in action.toolTip()


def test_the_version_in_use_is_exported_and_what_was_compared_is_told(
    qtbot: QtBot,
    studio: Studio,
    flow: ModelExportFlow,
    folder: Path,
    told: list[Any],
    asked: list[Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[tuple[Path, Path]] = []
    labels: list[str] = []

    def export(checkpoint: Path, path: Path) -> Iterator[ExportReport]:
        seen.append((checkpoint, path))
        for number, phase in enumerate(("", "capture", "translate", "check", "write")):
            yield ExportReport(phase, max(0, number - 1), 4 if number else 0)
            time.sleep(0.1)
        yield ExportReport("write", 4, 4, RESULT)

    monkeypatch.setattr(model_export_flow, "export_apart", export)
    open_paths(qtbot, studio, folder)
    flow.ask()
    (dialog,) = dialogs(studio)
    assert dialog.isVisible()
    qtbot.waitUntil(lambda: bool(told) or bool(labels.append(dialog.labelText())), timeout=10_000)
    assert asked == [folder.parent / "meadow-2.onnx"]
    assert seen == [(folder / ".pspnet-studio/versions/2/checkpoint.safetensors", folder.parent / "net.onnx")]
    assert {"Following the network…", "Comparing the file with the network…"} <= set(labels)
    (notice,) = told
    assert isinstance(notice, Notice)
    assert notice.title == "Version 2 was exported to /out/net.onnx."
    for part in ("15.4 MB", "99 × 65, 64 × 127", "2e-06", "99.99%"):
        assert part in notice.detail
    qtbot.waitUntil(lambda: dialogs(studio) == [])


def test_a_failure_is_told_as_the_command_says_it(
    qtbot: QtBot,
    studio: Studio,
    flow: ModelExportFlow,
    folder: Path,
    told: list[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def export(*_: Path) -> Iterator[ExportReport]:
        yield ExportReport()
        raise PspnetError("The disk is full.")

    monkeypatch.setattr(model_export_flow, "export_apart", export)
    open_paths(qtbot, studio, folder)
    flow.ask()
    qtbot.waitUntil(lambda: bool(told), timeout=10_000)
    assert [error.title for error in told] == ["The disk is full."]
    qtbot.waitUntil(lambda: dialogs(studio) == [])


def test_cancel_ends_the_export_and_tells_nothing(
    qtbot: QtBot,
    studio: Studio,
    flow: ModelExportFlow,
    folder: Path,
    told: list[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended: list[bool] = []

    def export(*_: Path) -> Iterator[ExportReport]:
        try:
            while True:
                yield ExportReport("capture", 0, 4)
                time.sleep(0.01)
        finally:
            ended.append(True)

    monkeypatch.setattr(model_export_flow, "export_apart", export)
    open_paths(qtbot, studio, folder)
    flow.ask()
    qtbot.waitUntil(lambda: dialogs(studio)[0].labelText() == "Following the network…")
    flow.ask()
    assert len(dialogs(studio)) == 1, "one at a time"
    dialogs(studio)[0].canceled.emit()
    qtbot.waitUntil(lambda: bool(ended))
    qtbot.wait(100)
    assert told == []
    qtbot.waitUntil(lambda: dialogs(studio) == [])


def test_missing_packages_are_told_before_a_file_is_asked_for(
    qtbot: QtBot,
    studio: Studio,
    flow: ModelExportFlow,
    folder: Path,
    told: list[Any],
    asked: list[Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(onnx_packages, "find_spec", lambda _: None)
    open_paths(qtbot, studio, folder)
    flow.ask()
    assert asked == []
    assert "pip install" in told[0].remedy


@pytest.mark.parametrize("place", [".pspnet-studio/versions/2/checkpoint.safetensors", ".pspnet-studio/net.onnx"])
def test_files_of_the_project_are_not_overwritten(
    qtbot: QtBot, studio: Studio, folder: Path, told: list[Any], place: str
) -> None:
    flow = ModelExportFlow(studio.session, studio.training, studio.window, told.append, lambda *_: folder / place)
    open_paths(qtbot, studio, folder)
    flow.ask()
    assert dialogs(studio) == []
    (error,) = told
    assert isinstance(error, PspnetError)
    assert error.remedy
    assert (folder / ".pspnet-studio/versions/2/checkpoint.safetensors").read_bytes() == b"not read here"


def script(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Let the process run ``code`` instead of the command."""
    monkeypatch.setattr(model_export, "command", lambda *arguments: [sys.executable, "-c", code, *arguments])


def test_the_process_is_followed_and_its_result_given_back(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    code = (
        "import json, sys, time\n"
        "def say(text):\n"
        "    sys.stdout.write(text); sys.stdout.flush(); time.sleep(0.2)\n"
        "say('{\"event\": \"phase\", \"phase\": \"capture\", \"done\": 0, \"total\": 4}\\n')\n"
        "say('{\"event\": \"phase\", \"phase\"')\n"
        "say(': \"check\", \"done\": 2, \"total\": 4}\\n')\n"
        "say(json.dumps({'event': 'finished', 'arguments': sys.argv[1:]}) + '\\n')\n"
    )  # fmt: skip
    script(monkeypatch, code)
    reports = list(export_apart(tmp_path / "a b", tmp_path / "ü.onnx"))
    assert [phase for phase in dict.fromkeys(report.phase for report in reports) if phase] == ["capture", "check"]
    last = reports[-1]
    assert (last.done, last.total) == (4, 4)
    assert last.result is not None
    assert last.result["arguments"] == [
        "export-onnx",
        str(tmp_path / "a b"),
        "--out",
        str(tmp_path / "ü.onnx"),
        "--json",
    ]


def test_a_process_that_dies_is_told_with_its_last_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script(monkeypatch, "import sys, os; sys.stderr.write('no memory left'); sys.stderr.flush(); os._exit(9)")
    with pytest.raises(PspnetError, match="unexpectedly") as caught:
        list(export_apart(tmp_path, tmp_path / "net.onnx"))
    assert "9" in caught.value.detail
    assert "no memory left" in caught.value.detail


@pytest.mark.skipif(os.name != "posix", reason="looks for a process by its id")
@pytest.mark.parametrize("is_stubborn", [False, True])
def test_closing_ends_the_process(is_stubborn: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    place = tmp_path / "pid"
    ignore = "signal.signal(signal.SIGINT, signal.SIG_IGN)" if is_stubborn else ""
    script(
        monkeypatch,
        f"import os, signal, time, pathlib\n{ignore}\npathlib.Path({str(place)!r}).write_text(str(os.getpid()))\n"
        "time.sleep(60)",
    )
    monkeypatch.setattr(model_export, "_PATIENCE_S", 1.0)
    export = export_apart(tmp_path, tmp_path / "net.onnx")
    for _ in export:
        if place.exists() and place.read_text():
            break
    export.close()  # type: ignore[attr-defined]
    with pytest.raises(ProcessLookupError):
        os.kill(int(place.read_text()), 0)


@pytest.mark.skipif(os.name != "posix", reason="a process that cannot be asked to end")
def test_what_a_killed_process_has_half_written_is_removed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    half, other = tmp_path / ".net.onnx.0123abcd.tmp", tmp_path / ".net.onnx.deadbeef.tmp"
    other.write_text("of another program")
    script(
        monkeypatch,
        "import pathlib, signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        f"pathlib.Path({str(half)!r}).write_text('half')\ntime.sleep(60)",
    )
    monkeypatch.setattr(model_export, "_PATIENCE_S", 0.5)
    export = export_apart(tmp_path / "net.safetensors", tmp_path / "net.onnx")
    for _ in export:
        if half.exists():
            break
    export.close()  # type: ignore[attr-defined]
    assert list(tmp_path.iterdir()) == [other]


def test_the_real_command_is_found_and_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(PspnetError, match=r"gone\.safetensors could not be read"):
        list(export_apart(tmp_path / "gone.safetensors", tmp_path / "net.onnx"))
