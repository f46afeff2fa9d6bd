"""``doctor``: what of this machine matters to the program, and what is wrong with it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from pspnet_core import __version__
from pspnet_core.cores import num_cores
from pspnet_core.memory import available_memory
from pspnet_core.project.places import user_data_folder

_DISTRIBUTION = "pspnet-studio"
_REQUIREMENT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_ONE_OF_TWO = "opencv-python"  # the headless one does as well: looked at on its own
_LOW_MEMORY_BYTES = 2 * 1024**3
_LOW_DISK_BYTES = 1024**3
_PROBE_TIMEOUT_S = 60

# Run in a process of its own: a clash ends it with an abort, not with an exception.
_PROBE = """
import os, sys
before = {n: os.environ.get(n) for n in ("QT_QPA_PLATFORM_PLUGIN_PATH", "QT_QPA_FONTDIR")}
from pspnet_core.imaging.cv import cv2
assert before == {n: os.environ.get(n) for n in before}, "the environment was not put back"
if sys.argv[1] == "window":
    from PySide6.QtGui import QGuiApplication
    print(QGuiApplication([]).platformName())
"""


class Level(IntEnum):
    """How bad a finding is."""

    OK = 0
    WARNING = 1
    ERROR = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: What.
        level: How bad it is.
        detail: What was found.
        remedy: What to do, where something is wrong.
    """

    name: str
    level: Level
    detail: str
    remedy: str = ""

    def to_json(self) -> dict[str, Any]:
        """One line of the log."""
        return {"check": self.name, "level": self.level.name.lower(), "detail": self.detail, "remedy": self.remedy}


def examine() -> Iterator[Finding]:
    """Look at everything; one finding after the other, since torch takes a while to load."""
    yield Finding("program", Level.OK, f"PSPNet Studio {__version__}")
    yield Finding("system", Level.OK, f"Python {platform.python_version()}, {platform.platform()}")
    yield _packages()
    yield _opencv()
    yield _memory()
    yield _disk()
    yield _display()
    yield _clash()
    yield from _devices()


def _packages() -> Finding:
    names = required_packages()
    if names is None:
        remedy = f"pip install {_DISTRIBUTION}, or in a checkout: pip install -e ."
        return Finding("packages", Level.WARNING, "the program is not installed: what it needs is not known", remedy)
    versions = {name: _version(name) for name in names if name != _ONE_OF_TWO}
    detail = ", ".join(f"{name} {version or 'missing'}" for name, version in versions.items())
    missing = [name for name, version in versions.items() if version is None]
    if not missing:
        return Finding("packages", Level.OK, detail)
    return Finding("packages", Level.ERROR, detail, "pip install " + " ".join(missing))


def required_packages() -> list[str] | None:
    """Names of what this program requires, as its own metadata say; None where it is not installed."""
    try:
        requirements = importlib.metadata.requires(_DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    names = []
    for requirement in requirements:
        name, marker = _REQUIREMENT_NAME.match(requirement.strip()), requirement.partition(";")[2]
        if name is not None and "extra" not in marker:
            names.append(name[0])
    return list(dict.fromkeys(names))


def _opencv() -> Finding:
    found = [f"{n} {v}" for n in ("opencv-python", "opencv-python-headless") if (v := _version(n)) is not None]
    if not found and importlib.util.find_spec("cv2") is None:
        return Finding("opencv", Level.ERROR, "missing", "pip install opencv-python")
    if len(found) > 1:
        remedy = "Keep one of them: the files of the two overwrite each other."
        return Finding("opencv", Level.WARNING, " and ".join(found), remedy)
    return Finding("opencv", Level.OK, found[0] if found else "installed by the system")


def _memory() -> Finding:
    available = available_memory()
    if available is None:
        return Finding("memory", Level.OK, "free memory is not known on this system")
    detail = f"{available / 1024**3:.1f} GB available"
    if available < _LOW_MEMORY_BYTES:
        return Finding("memory", Level.WARNING, detail, "Training wants about 2 GB: close other programs.")
    return Finding("memory", Level.OK, detail)


def _disk() -> Finding:
    folder = user_data_folder()
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    detail = f"{free / 1024**3:.1f} GB free for {folder}"
    if free < _LOW_DISK_BYTES:
        return Finding("disk", Level.WARNING, detail, "Free some space.")
    return Finding("disk", Level.OK, detail)


def _display() -> Finding:
    chosen = os.environ.get("QT_QPA_PLATFORM")
    if chosen:
        return Finding("display", Level.OK, f"QT_QPA_PLATFORM={chosen}")
    if not sys.platform.startswith("linux"):
        return Finding("display", Level.OK, "of the system")
    for name in ("WAYLAND_DISPLAY", "DISPLAY"):
        if os.environ.get(name):
            return Finding("display", Level.OK, f"{name}={os.environ[name]}")
    remedy = "The commands work without one; the studio needs a desktop, or: xvfb-run -a pspnet-studio tour"
    return Finding("display", Level.WARNING, "there is none", remedy)


def _clash() -> Finding:
    """Whether Qt still starts after OpenCV was imported, really, where there is a display."""
    name = "opencv beside Qt"
    has_display = not sys.platform.startswith("linux") or any(
        os.environ.get(n) for n in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    )
    command = [sys.executable, "-c", _PROBE, "window" if has_display else "environment"]
    # Where this package was imported from, also when it is a checkout that is not installed.
    paths = [str(Path(__file__).resolve().parent.parent), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_PROBE_TIMEOUT_S, env=environment, check=False
        )
    except subprocess.TimeoutExpired:
        return Finding(name, Level.ERROR, f"Qt did not start within {_PROBE_TIMEOUT_S} s", "Check the display.")
    if done.returncode == 0:
        works = f"Qt starts ({done.stdout.strip()})" if has_display else "the environment is left as it was"
        return Finding(name, Level.OK, works)
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    reason = lines[-1].strip() if lines else f"exit code {done.returncode}"
    remedy = "Unset QT_QPA_PLATFORM_PLUGIN_PATH, or install opencv-python-headless in place of opencv-python."
    return Finding(name, Level.ERROR, reason, remedy)


def _devices() -> Iterator[Finding]:
    try:
        import torch
    except (ImportError, OSError) as error:
        yield Finding("torch", Level.ERROR, str(error), "pip install --force-reinstall torch")
        return
    yield Finding("cpu", Level.OK, f"{num_cores()} cores, {torch.get_num_threads()} threads")
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        detail = f"{properties.name}, {properties.total_memory / 1024**3:.0f} GB"
        yield Finding(f"cuda:{index}", Level.OK, detail)
    if torch.backends.mps.is_available():
        yield Finding("mps", Level.OK, "Apple GPU")


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
