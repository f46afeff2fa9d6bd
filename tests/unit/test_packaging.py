"""The desktop entry fits to the program."""

from __future__ import annotations

import configparser
import mimetypes
import tomllib
from pathlib import Path

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
