"""The bottom line: jobs a person wants to know about, without flicker."""

from __future__ import annotations

import threading
from pathlib import Path

from pytestqt.qtbot import QtBot

from pspnet_studio.jobs.runner import Lane, Priority
from tests.helpers.studio import running_studio


def test_long_saves_are_shown_but_thumbnails_are_not(qtbot: QtBot, tmp_path: Path) -> None:
    with running_studio(qtbot, tmp_path / "settings.ini") as studio:
        label = studio.window.status_line.jobs_label
        qtbot.waitUntil(lambda: studio.runner.torch_import_s is not None, timeout=60_000)
        qtbot.waitUntil(lambda: studio.runner.jobs == [] and label.text() == "", timeout=30_000)
        seen: list[str] = []
        studio.runner.jobs_changed.connect(lambda: seen.append(label.text()))
        go_on = threading.Event()
        for name, priority in (("reading thumbnails", Priority.THUMBNAIL), ("saving", Priority.SAVE)):
            studio.runner.call(Lane.IO, lambda: go_on.wait(10), name=name, priority=priority)
        assert label.text() == ""
        qtbot.waitUntil(lambda: label.text() == "Saving", timeout=5_000)
        go_on.set()
        qtbot.waitUntil(lambda: label.text() == "" and studio.runner.jobs == [], timeout=5_000)
        assert set(seen) <= {"", "Saving"}
