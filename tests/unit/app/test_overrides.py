"""An error in a method that Qt calls becomes a message; the window lives on."""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest
from PySide6.QtWidgets import QPushButton
from shiboken6 import Shiboken

import pspnet_studio
from pspnet_studio import overrides

ROOT = Path(__file__).resolve().parents[3]

_PROGRAM = """
import os, sys, time
from pathlib import Path
from PySide6.QtCore import QEvent, QSettings, Qt
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QDialog, QWidget
from pspnet_studio.bootstrap import bootstrap
from pspnet_studio.excepthook import install
from tests.helpers.folders import make_folder

folder = Path(sys.argv[1])
store = QSettings(str(folder / "settings.ini"), QSettings.Format.IniFormat)
studio = bootstrap(["studio"], settings_store=store, device="cpu")
messages = []
install(lambda error: messages.append(error.detail) or print("MESSAGE", error.detail, flush=True))
make_folder(folder / "images", 2)
studio.window.show()
studio.session.open_folder(folder / "images")

def wait_for(is_so):
    end = time.monotonic() + 30
    while not is_so() and time.monotonic() < end:
        studio.application.processEvents()
        time.sleep(0.01)
    assert is_so()

wait_for(lambda: studio.session.document is not None and not studio.session.is_loading)
canvas, panel = studio.window.canvas, studio.window.images_panel
if sys.argv[2] == "move":
    from pspnet_studio.canvas.tools.brush import BrushTool
    BrushTool.move = lambda self, pointer: int("x")
    at, button = canvas.event_position(10, 10), Qt.MouseButton.NoButton
    place = canvas.mapToGlobal(at)
    move = QMouseEvent(QEvent.Type.MouseMove, at, place, button, button, Qt.KeyboardModifier.NoModifier)
    studio.application.postEvent(canvas, move)
elif sys.argv[2] == "data":
    from pspnet_studio.model.lists import ItemListModel
    value = ItemListModel.value
    ItemListModel.value = lambda self, row, role: int("x")
    for widget in panel.findChildren(QWidget):
        widget.update()
elif sys.argv[2] == "late":
    class Late(QDialog):
        __module__ = "pspnet_studio.dialogs.late"
        def event(self, event): return super().event(event)
        def paintEvent(self, event): int("x")
    late = Late()
    late.show()
wait_for(lambda: messages)
if sys.argv[2] == "data":
    ItemListModel.value = value
wait_for(lambda: not studio.runner.jobs)
print("ALIVE", studio.window.isVisible(), flush=True)
os._exit(0)  # how the window is closed is tested elsewhere
"""


def _run(tmp_path: Path, where: str) -> str:
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "app"))),
        "QT_QPA_PLATFORM": "offscreen",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    arguments = [sys.executable, "-c", _PROGRAM, str(tmp_path), where]
    result = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("where", ["move", "data", "late"])
def test_an_error_in_an_override_is_shown_and_the_window_lives_on(tmp_path: Path, where: str) -> None:
    lines = _run(tmp_path, where).splitlines()
    assert "MESSAGE ValueError: invalid literal for int() with base 10: 'x'" in lines
    assert lines[-1] == "ALIVE True"


def _classes() -> set[type]:
    """All classes of the program that derive from the binding's."""
    names = [module.name for module in pkgutil.walk_packages(pspnet_studio.__path__, "pspnet_studio.")]
    modules = [importlib.import_module(name) for name in names if not name.endswith("__main__")]
    found = {value for module in modules for _, value in inspect.getmembers(module, inspect.isclass)}
    return {cls for cls in found if issubclass(cls, Shiboken.Object) and cls.__module__.startswith("pspnet_studio")}


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="errors are whole from Python 3.12 on")
def test_no_override_is_forgotten() -> None:
    overrides.install()
    classes, forgotten, num_guarded = _classes(), [], 0
    for cls in classes:
        bases = [base for base in cls.__mro__ if base.__module__.startswith(("PySide6", "Shiboken"))]
        for owner in (base for base in cls.__mro__ if base.__module__.startswith("pspnet_studio")):
            for name, method in vars(owner).items():
                if name.startswith("__") or not inspect.isfunction(method):
                    continue
                if any(name in vars(base) for base in bases):
                    num_guarded += 1
                    forgotten += [] if overrides.is_guarded(method) else [f"{owner.__name__}.{name}"]
    assert len(classes) > 60
    assert num_guarded > 100
    assert forgotten == []


def test_a_guarded_method_takes_what_it_took_before(qtbot: object) -> None:
    class Button(QPushButton):
        def setFocus(self) -> None:  # a signal must not hand it more than it takes
            self.was_called = True

        def resize(self, w: int, h: int = 7, *, times: int = 2, **others: int) -> tuple[object, ...]:
            return w, h, times, others

        def move(self, *place: int) -> tuple[int, ...]:
            return place

    Button.__module__ = "pspnet_studio.somewhere"
    overrides.guard(Button)
    button = Button()
    button.clicked.connect(button.setFocus)
    button.click()
    assert all(overrides.is_guarded(method) for method in (Button.setFocus, Button.resize, Button.move))
    assert button.was_called
    assert button.resize(1) == (1, 7, 2, {})
    assert button.resize(h=3, w=2, times=4, x=5) == (2, 3, 4, {"x": 5})
    assert button.move(1, 2) == (1, 2)
