"""The log file: written, rotated, named in messages, and never in the way."""

from __future__ import annotations

import faulthandler
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from pspnet_core.errors import PspnetError
from pspnet_studio import excepthook, log_file
from pspnet_studio.jobs.runner import JobRunner, Lane, Priority


@pytest.fixture(autouse=True)
def logging_put_back() -> Iterator[None]:
    root = logging.getLogger()
    handlers = list(root.handlers)
    levels = {name: logging.getLogger(name).level for name in ("pspnet_studio", "pspnet_core")}
    was_enabled = faulthandler.is_enabled()
    yield
    for handler in root.handlers[:]:
        if handler not in handlers:
            root.removeHandler(handler)
            handler.close()
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    faulthandler.enable(sys.__stderr__) if was_enabled else faulthandler.disable()


def test_what_ours_say_is_written_and_the_folder_is_made(tmp_path: Path) -> None:
    path = log_file.install(tmp_path / "a" / "logs")
    assert path is not None
    assert log_file.current() == path
    logging.getLogger("pspnet_core.project").info("forty-two")
    logging.getLogger("somebody.else").info("chatter")
    text = path.read_text()
    assert "PSPNet Studio" in text
    assert "forty-two" in text
    assert "chatter" not in text
    assert (path.parent / "crash.log").exists()


def test_it_stays_small(tmp_path: Path) -> None:
    path = log_file.install(tmp_path)
    assert path is not None
    for _ in range(300):
        logging.getLogger("pspnet_studio.test").info("x" * 10_000)
    files = list(tmp_path.glob("studio.log*"))
    assert len(files) == 2
    assert sum(file.stat().st_size for file in files) < 2_100_000


def test_a_folder_that_cannot_be_made_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert log_file.install(tmp_path / "file" / "logs") is None
    assert log_file.current() is None
    assert "terminal" in log_file.how_to_report()


def test_messages_about_bugs_name_the_file(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = log_file.install(tmp_path)
    shown: list[object] = []
    runner = JobRunner()
    runner.call(Lane.IO, lambda: 1 / 0, name="division", priority=Priority.OPEN, on_error=shown.append)
    qtbot.waitUntil(lambda: bool(shown))
    assert runner.shutdown(5)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    excepthook.install(shown.append)
    error = KeyError("bug")
    sys.excepthook(KeyError, error, None)
    for message in shown:
        assert isinstance(message, PspnetError)
        assert str(path) in message.remedy
    assert path is not None
    text = path.read_text()
    assert "ZeroDivisionError" in text
    assert "KeyError: 'bug'" in text


def test_the_program_starts_it(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "import PySide6.QtWidgets as widgets\n"
        "widgets.QApplication.exec = lambda *_: 0\n"
        "from pspnet_studio.__main__ import main\n"
        "sys.argv = ['x']\n"
        "code = main([])\n"
        "from pspnet_studio import log_file\n"
        "print(log_file.current())\n"
        "import os; sys.stdout.flush(); os._exit(code)\n"
    )
    env = {"QT_QPA_PLATFORM": "offscreen", "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=env)
    assert result.returncode == 0, result.stderr
    path = Path(result.stdout.strip())
    assert path.is_relative_to(tmp_path)
    assert "PSPNet Studio" in path.read_text()
