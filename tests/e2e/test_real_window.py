"""The program as a person meets it: a process, an X display, a window manager, mouse and keys from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.display import Hands, wait_until
from tests.helpers.folders import files_below, make_data_set, make_folder

pytestmark = pytest.mark.display
Start = Callable[..., "subprocess.Popen[bytes]"]
ROOT = Path(__file__).resolve().parents[2]


def class_map(folder: Path, key: str) -> np.ndarray:
    return np.asarray(Image.open(folder / ".pspnet-studio" / "masks" / f"{key}.png"))


def place(hands: Hands, window: str, x: int, y: int, width: int = 1200, height: int = 800) -> None:
    hands.do("windowactivate", "--sync", window)
    hands.do("windowsize", "--sync", window, width, height)
    hands.do("windowmove", "--sync", window, x, y)
    time.sleep(0.5)


def test_a_folder_dropped_from_another_program_opens(
    start: Start, hands: Hands, home: dict[str, str], tmp_path: Path
) -> None:
    folder = make_folder(tmp_path / "meadow")
    start()
    window = hands.wait_for_window("PSPNet Studio")
    place(hands, window, 300, 60)
    source = subprocess.Popen([sys.executable, str(ROOT / "tests/helpers/drag_source.py"), str(folder)], env=home)
    try:
        hands.wait_for_window("drag source")
        time.sleep(0.5)
        hands.drag([(80, 60), (100, 80), (300, 200), (600, 350), (700, 400), (705, 405), (700, 402)], pause_s=0.15)
        hands.wait_for_window("photo_0.png — meadow", timeout_s=20)
    finally:
        source.kill()
        source.wait()


def test_a_second_drop_asks_whether_to_add_or_to_open(
    start: Start, hands: Hands, home: dict[str, str], tmp_path: Path
) -> None:
    first, second = make_folder(tmp_path / "meadow"), make_folder(tmp_path / "shore", with_classes=False)
    start(first)
    window = hands.wait_for_window("photo_0.png — meadow")
    place(hands, window, 300, 60)
    source = subprocess.Popen([sys.executable, str(ROOT / "tests/helpers/drag_source.py"), str(second)], env=home)
    try:
        hands.wait_for_window("drag source")
        time.sleep(0.5)
        hands.drag([(80, 60), (100, 80), (300, 200), (600, 350), (700, 400), (705, 405)], pause_s=0.15)
        hands.wait_for_window("Add or open", timeout_s=20)
        hands.do("key", "Return")  # "Add to project" is proposed
        record = first / ".pspnet-studio" / "project.json"
        wait_until(lambda: record.exists() and "shore" in record.read_text(), 20, "the folder to be added")
    finally:
        source.kill()
        source.wait()
    assert not (second / ".pspnet-studio").exists()


def test_painting_with_the_mouse_is_saved_and_undone_with_keys(start: Start, hands: Hands, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "meadow", width=640, height=480)
    before = files_below(folder)
    start(folder)
    window = hands.wait_for_window("photo_0.png — meadow")
    place(hands, window, 100, 50)
    time.sleep(1.0)
    hands.do("key", "2")
    hands.drag([(600, 400), (650, 420), (700, 400), (800, 450)])
    path = folder / ".pspnet-studio" / "masks" / "photo_0.png.png"
    wait_until(path.exists, 15, "the mask to be saved")
    painted = class_map(folder, "photo_0.png") == 1
    assert painted.sum() > 500
    hands.do("key", "ctrl+z")
    wait_until(lambda: not (class_map(folder, "photo_0.png") == 1).any(), 15, "undo to be saved")
    hands.do("key", "ctrl+shift+z")
    wait_until(lambda: (class_map(folder, "photo_0.png") == 1).sum() == painted.sum(), 15, "redo to be saved")
    hands.do("key", "g")
    wait_until(lambda: (class_map(folder, "photo_0.png") == 1).all(), 15, "everything to be filled")
    hands.do("key", "ctrl+d")
    hands.do("key", "d")
    hands.wait_for_window("photo_1.png — meadow")
    record = folder / ".pspnet-studio" / "project.json"
    wait_until(lambda: '"done"' in record.read_text(), 15, "the status to be saved")
    assert files_below(folder) == before


def test_fine_tune_predict_accept_quit(start: Start, hands: Hands, tmp_path: Path) -> None:
    folder = make_data_set(tmp_path / "discs", train=3, test=1)
    (folder / "masks" / "test" / "00.png").unlink()
    test_key = "images/test/00.png"
    process = start(folder)
    window = hands.wait_for_window("00.png — discs — PSPNet Studio")  # the first of train: test is not labelled first
    place(hands, window, 100, 50)
    time.sleep(1.0)
    hands.do("key", "ctrl+t")
    versions = folder / ".pspnet-studio" / "versions"
    wait_until(lambda: (versions / "current.json").exists(), 120, "the first version")
    hands.do("key", "a")  # back to the image of the test split
    accepted = folder / ".pspnet-studio" / "provenance" / f"{test_key}.png"

    def accept() -> bool:
        hands.do("key", "ctrl+Return")
        return accepted.exists()

    wait_until(accept, 60, "the prediction to come and to be accepted")
    wait_until(lambda: (np.asarray(Image.open(accepted)) == 1).all(), 10, "accepted pixels")
    assert set(np.unique(class_map(folder, test_key)).tolist()) <= {0, 1}
    hands.do("key", "ctrl+q")
    wait_until(lambda: process.poll() is not None, 20, "the program to end")
    assert process.returncode == 0
    record = json.loads((versions / "1" / "version.json").read_text())
    assert record["trained_items"] == [f"images/train/{n:02d}.png" for n in range(3)]
    assert test_key not in record["holdout_items"]


def test_quitting_while_training_asks_and_discarding_ends_it(start: Start, hands: Hands, tmp_path: Path) -> None:
    folder = make_data_set(tmp_path / "discs", train=3, test=1)
    process = start(folder)
    window = hands.wait_for_window("discs — PSPNet Studio")
    place(hands, window, 100, 50)
    time.sleep(1.0)
    hands.do("key", "ctrl+t")
    time.sleep(4.0)
    hands.do("key", "ctrl+q")
    hands.wait_for_window("A fine-tune is running", timeout_s=20)
    hands.do("key", "Escape")
    time.sleep(0.5)
    assert process.poll() is None, "Escape goes on working"
    hands.do("key", "ctrl+q")
    hands.wait_for_window("A fine-tune is running", timeout_s=20)
    hands.do("key", "alt+d")
    wait_until(lambda: process.poll() is not None, 20, "the program to end")
    assert process.returncode == 0
    assert not (folder / ".pspnet-studio" / "versions" / "current.json").exists()


def test_qt_starts_although_cv2_was_imported_first(display: dict[str, str]) -> None:
    code = (
        "from pspnet_core.imaging.cv import cv2\n"
        "from PySide6.QtWidgets import QApplication\n"
        "application = QApplication([])\n"
        "print(application.platformName())\n"
    )
    result = subprocess.run([sys.executable, "-c", code], env=display, capture_output=True, text=True, timeout=60)
    assert result.stdout.strip() == "xcb", result.stderr


def test_qt_starts_although_another_library_imported_cv2(display: dict[str, str]) -> None:
    """cv2 came first, through somebody else: the start of the program repairs the environment."""
    code = (
        "import cv2\n"
        "from pspnet_studio.bootstrap import bootstrap\n"
        "studio = bootstrap()\n"
        "print(studio.application.platformName())\n"
        "studio.runner.shutdown()\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], env=display | {"HOME": os.devnull}, capture_output=True, text=True, timeout=60
    )
    assert result.stdout.strip() == "xcb", result.stderr
