"""Importing OpenCV leaves the environment of Qt as it was."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

CODE = """
import os
from pspnet_core.imaging.cv import cv2
assert cv2.getNumThreads() == 1
print(os.environ.get("QT_QPA_PLATFORM_PLUGIN_PATH"), os.environ.get("QT_QPA_FONTDIR"))
"""


@pytest.mark.parametrize("value", [None, "/set/by/the/user"])
def test_qt_variables_are_put_back(value) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("QT_QPA")}
    if value is not None:
        environment |= {"QT_QPA_PLATFORM_PLUGIN_PATH": value, "QT_QPA_FONTDIR": value}
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(value), str(value)]
