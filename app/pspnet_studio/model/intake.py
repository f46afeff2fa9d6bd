"""What a person means by dropping or naming paths."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pspnet_core.errors import ProjectError
from pspnet_core.imaging.read import IMAGE_SUFFIXES, is_image_name
from pspnet_core.project.places import OWN_FOLDER


@dataclass(frozen=True, slots=True)
class Intake:
    """A folder to open and what comes with it.

    Attributes:
        root: The project's folder.
        include: Names of single files in it, when only these are meant; None for the whole folder.
        others: Further folders and files to add to it.
    """

    root: Path
    include: tuple[str, ...] | None
    others: tuple[Path, ...]


def plan_intake(paths: Sequence[Path]) -> Intake:
    """Decide which folder becomes the project.

    A folder is taken whole; single images are taken alone, without their neighbours.

    Raises:
        ProjectError: A path does not exist, or there is no folder and no image among them.
    """
    for path in paths:
        if not path.exists():
            raise ProjectError(f"{path} does not exist.", remedy="Check the path, or drop the folder on the window.")
    folders = [_project_root(Path(os.path.abspath(path))) for path in paths if path.is_dir()]
    files = [Path(os.path.abspath(p)) for p in paths if p.is_file() and is_image_name(p)]
    if folders:
        return Intake(folders[0], None, (*folders[1:], *files))
    if not files:
        names = ", ".join(path.name for path in paths[:3])
        raise ProjectError(
            f"No image among these files: {names}.",
            "Images are " + ", ".join(sorted(s.lstrip(".").upper() for s in IMAGE_SUFFIXES)) + ".",
            "Drop a folder of photos, or image files.",
        )
    root = files[0].parent
    include = tuple(path.name for path in files if path.parent == root)
    return Intake(root, include, tuple(path for path in files if path.parent != root))


def _project_root(folder: Path) -> Path:
    return folder.parent if folder.name == OWN_FOLDER else folder
