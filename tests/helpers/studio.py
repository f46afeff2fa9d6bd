"""The wired program for tests, with everything put back afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PySide6.QtCore import QSettings
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from pspnet_studio.bootstrap import Studio, bootstrap
from pspnet_studio.theme import ThemeManager


@contextmanager
def running_studio(qtbot: QtBot, settings: Path) -> Iterator[Studio]:
    """A shown window; its threads are ended and the application's look is restored."""
    application = QApplication.instance()
    assert isinstance(application, QApplication)
    look = application.palette(), application.style().objectName(), application.styleSheet()
    environment = pytest.MonkeyPatch()
    environment.setenv("XDG_CACHE_HOME", str(settings.parent / "cache"))
    studio = bootstrap(settings_store=QSettings(str(settings), QSettings.Format.IniFormat), device="cpu")
    # Not given to qtbot: it would close the window before this is over, and the window asks about a fine-tune.
    studio.window.show()
    qtbot.waitExposed(studio.window)
    try:
        yield studio
    finally:
        studio.training.cancel()
        qtbot.waitUntil(lambda: not studio.training.is_running, timeout=30_000)  # or closing the window would ask
        studio.window.close()
        qtbot.waitUntil(lambda: not studio.window.isVisible(), timeout=30_000)
        has_ended = studio.runner.shutdown(30)
        environment.undo()
        studio.window.deleteLater()
        for manager in application.findChildren(ThemeManager):
            application.styleHints().colorSchemeChanged.disconnect(manager._apply)
            manager.setParent(None)
        application.styleHints().unsetColorScheme()
        application.setStyleSheet(look[2])
        application.setStyle(look[1])
        application.setPalette(look[0])
    assert has_ended, "a lane did not end"


def open_paths(qtbot: QtBot, studio: Studio, *paths: Path) -> None:
    """Open paths and wait for the first image."""
    studio.window.intake.open(list(paths))
    qtbot.waitUntil(lambda: studio.session.document is not None and not studio.session.is_loading, timeout=10_000)
