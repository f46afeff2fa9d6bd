"""Class maps of a project as PNG files that other programs read, in the layout of a data set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pspnet_core.project.formats.exporting import ExportFinished, ExportProgress, export_project
from pspnet_core.project.project import Project

__all__ = ["FORMATS", "ExportFinished", "ExportProgress", "export_masks"]

FORMATS = ("png", "png-palette", "color")
"""Grey class ids; class ids with a palette; a picture in the colours of the classes (no class map any more)."""


def export_masks(
    project: Project,
    out: Path,
    format: str = "png",  # noqa: A002 - the name of the command-line option
) -> Iterator[ExportProgress | ExportFinished]:
    """Write the saved masks of a project; see :func:`~pspnet_core.project.formats.exporting.export_project`.

    Args:
        project: Its saved planes, or the masks found beside its images, are written.
        out: Folder for the export; it is made.
        format: One of :data:`FORMATS`.

    Raises:
        ProjectError: No mask at all, or files of someone else are in the way; nothing was written.
        StorageError: A file could not be written.
        ValueError: There is no such format.
    """
    if format not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, got {format!r}")
    yield from export_project(project, out, format)
