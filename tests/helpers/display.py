"""A real X display with a window manager, and hands for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TOOLS = ("Xvfb", "openbox", "xdotool")


def missing_tools() -> list[str]:
    """Programs that real-display tests need and that are not installed."""
    return [tool for tool in TOOLS if shutil.which(tool) is None]


@contextmanager
def virtual_display(size: str = "1600x1000x24") -> Iterator[dict[str, str]]:
    """Start Xvfb and openbox on a free display; yields the environment for its clients."""
    read_end, write_end = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write_end), "-screen", "0", size, "-nolisten", "tcp"],
        pass_fds=(write_end,),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(write_end)
    with os.fdopen(read_end) as stream:
        number = stream.readline().strip()
    assert number, "Xvfb did not start"
    environment = {k: v for k, v in os.environ.items() if k not in ("QT_QPA_PLATFORM", "WAYLAND_DISPLAY")}
    environment["DISPLAY"] = f":{number}"
    manager = subprocess.Popen(["openbox"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(0.5)
    try:
        yield environment
    finally:
        for process in (manager, server):
            process.terminate()
            process.wait(10)


class Hands:
    """xdotool on one display."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment

    def do(self, *words: str | int) -> str:
        """Run one xdotool command line; returns what it prints."""
        command = ["xdotool", *(str(word) for word in words)]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=30).stdout.strip()

    def wait_for_window(self, name: str, timeout_s: float = 60) -> str:
        """Id of the first window whose title holds ``name``."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            found = self.do("search", "--onlyvisible", "--name", name).split()
            if found:
                return found[0]
            time.sleep(0.1)
        raise AssertionError(f"no window named {name!r}; windows: {self.titles()}")

    def titles(self) -> list[str]:
        """Titles of all visible windows."""
        windows = self.do("search", "--onlyvisible", "--name", ".").split()
        return [self.do("getwindowname", window) for window in windows]

    def drag(self, points: list[tuple[int, int]], pause_s: float = 0.02) -> None:
        """Press at the first point, move through the others, release at the last."""
        self.do("mousemove", *points[0])
        time.sleep(0.1)
        self.do("mousedown", 1)
        for x, y in points[1:]:
            time.sleep(pause_s)
            self.do("mousemove", x, y)
        time.sleep(0.1)
        self.do("mouseup", 1)

    def screenshot(self, path: Path) -> None:
        """Save the whole screen as PNG (needs ImageMagick)."""
        subprocess.run(["import", "-window", "root", str(path)], env=self.environment, check=True, timeout=30)


def wait_until(condition: object, timeout_s: float, what: str) -> None:
    """Poll a function until it is true."""
    assert callable(condition)
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError(f"waited {timeout_s:.0f} s in vain for {what}")
