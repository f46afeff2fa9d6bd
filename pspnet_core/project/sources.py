"""What it means to add folders and files to an open project."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pspnet_core.errors import ProjectError
from pspnet_core.imaging.read import IMAGE_SUFFIXES, is_image_name
from pspnet_core.project.store import Source


class NewSources(NamedTuple):
    """What of the root belongs to a project (all when None), and its folders from elsewhere."""

    include: tuple[str, ...] | None
    sources: tuple[Source, ...]


def plan_sources(
    root: Path, include: tuple[str, ...] | None, sources: tuple[Source, ...], paths: Sequence[Path]
) -> NewSources:
    """What ``include`` and ``sources`` become when ``paths`` are added.

    Raises:
        ProjectError: A path does not exist, is a file that is no image, or contains the project.
    """
    for given in paths:
        path = Path(os.path.abspath(given))
        _check(root, path)
        if path == root:
            include = None
        elif path.is_relative_to(root):
            if include is not None:
                include = _merged(include, path.relative_to(root))
        else:
            sources = _with_source(root, sources, path)
    return NewSources(include, sources)


def _check(root: Path, path: Path) -> None:
    if not path.exists():
        raise ProjectError(f"{path.name} is not there.", f"{path}.", "Check the path.")
    if path.is_file() and not is_image_name(path):
        known = ", ".join(sorted(IMAGE_SUFFIXES))
        raise ProjectError(f"{path.name} is not an image.", f"{path}; known are {known}.", "Add images or folders.")
    if path != root and root.is_relative_to(path):
        raise ProjectError(
            f"{path.name or path} contains this project.",
            f"{root} lies in {path}.",
            "Open that folder as a project of its own.",
        )


def _with_source(root: Path, sources: tuple[Source, ...], path: Path) -> tuple[Source, ...]:
    """``sources`` with a folder or file that lies outside the root."""
    for position, source in enumerate(sources):
        if path != source.path and not path.is_relative_to(source.path):
            continue
        if source.files is None:
            return sources  # it is in already
        whole = path == source.path
        files = None if whole else _merged(source.files, path.relative_to(source.path))
        grown = Source(source.name, source.path, files)
        return (*sources[:position], grown, *sources[position + 1 :])
    folder = path.parent if path.is_file() else path
    files = (unicodedata.normalize("NFC", path.name),) if path.is_file() else None
    return (*sources, Source(_name(root, sources, folder), folder, files))


def _merged(files: tuple[str, ...], path: Path) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*files, unicodedata.normalize("NFC", path.as_posix())]))


def _name(root: Path, sources: tuple[Source, ...], folder: Path) -> str:
    """A name that no other source and no folder of the root has."""
    taken = {source.name.casefold() for source in sources}
    base = name = "@" + (unicodedata.normalize("NFC", folder.name).strip() or "folder").replace("\\", "_")
    number = 2
    while name.casefold() in taken or (root / name).exists():
        name, number = f"{base}-{number}", number + 1
    return name
