"""A real display, a window manager, and the program as a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers.display import Hands, missing_tools, virtual_display

SETTINGS = "[General]\ntraining_seconds=12\ntheme=light\n"


@pytest.fixture(scope="session")
def display() -> Iterator[dict[str, str]]:
    if missing_tools():
        pytest.skip(f"not installed: {', '.join(missing_tools())}")
    with virtual_display() as environment:
        yield environment


@pytest.fixture
def home(display: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """The display's environment with an empty home of its own."""
    home = tmp_path / "home"
    settings = home / ".config" / "PSPNet Studio"
    settings.mkdir(parents=True)
    (settings / "studio.ini").write_text(SETTINGS)
    return display | {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_DATA_HOME": str(home / ".local/share"),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "QT_SCALE_FACTOR": "1",
    }


@pytest.fixture
def hands(home: dict[str, str]) -> Hands:
    return Hands(home)


@pytest.fixture
def start(home: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start the studio with arguments; ended and checked for tracebacks afterwards."""
    processes: list[subprocess.Popen[bytes]] = []
    log = tmp_path / "stderr.txt"

    def run(*arguments: object) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "pspnet_studio", *(str(a) for a in arguments)]
        with log.open("ab") as stream:
            process = subprocess.Popen(command, env=home, stdout=stream, stderr=stream)
        processes.append(process)
        return process

    yield run
    for process in processes:
        if process.poll() is None:
            process.kill()
            process.wait()
    assert "Traceback" not in log.read_text(), log.read_text()
