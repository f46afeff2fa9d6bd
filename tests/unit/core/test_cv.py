"""Importing OpenCV leaves the environment as it was."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

CODE = """
import os
from pspnet_core.imaging.cv import cv2
assert cv2.getNumThreads() == 1
names = ("QT_QPA_PLATFORM_PLUGIN_PATH", "QT_QPA_FONTDIR", "LD_LIBRARY_PATH")
print(*(os.environ.get(name) for name in names))
"""


@pytest.mark.parametrize("value", [None, "/set/by/the/user"])
def test_variables_are_put_back(value) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("QT_QPA", "LD_LIBRARY"))}
    if value is not None:
        environment |= {"QT_QPA_PLATFORM_PLUGIN_PATH": value, "QT_QPA_FONTDIR": value, "LD_LIBRARY_PATH": value}
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(value)] * 3
