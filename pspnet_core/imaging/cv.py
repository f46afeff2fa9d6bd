"""The only place that imports OpenCV.

On Linux ``import cv2`` of the opencv-python wheel points Qt to plugins of its own, older Qt; a
``QApplication`` of PySide6 that starts afterwards aborts ("could not load the Qt platform plugin xcb"). Here
the environment is put back as it was.
"""

from __future__ import annotations

import os

# The library path does nothing to this process, but the programs that we start would take other libraries.
_SPOILED = ("QT_QPA_PLATFORM_PLUGIN_PATH", "QT_QPA_FONTDIR", "LD_LIBRARY_PATH")

_before = {name: os.environ.get(name) for name in _SPOILED}

import cv2  # noqa: E402, TID251 - this is the place that repairs it

for _name, _value in _before.items():
    if _value is None:
        os.environ.pop(_name, None)
    else:
        os.environ[_name] = _value

# The program has its own workers; OpenCV's pool beside them only makes each slower.
cv2.setNumThreads(1)

__all__ = ["cv2"]
