"""Undoes what other libraries did to Qt's environment before our window starts."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from pathlib import PurePath

_POINTING_TO_PLUGINS = ("QT_QPA_PLATFORM_PLUGIN_PATH", "QT_QPA_FONTDIR")


def repair(environment: MutableMapping[str, str] = os.environ) -> list[str]:
    """Drop paths into the cv2 package: it brings plugins of another Qt, with which ours aborts.

    Returns:
        Names of the variables that were dropped.
    """
    spoiled = [n for n in _POINTING_TO_PLUGINS if "cv2" in PurePath(environment.get(n, "")).parts]
    for name in spoiled:
        del environment[name]
    return spoiled
