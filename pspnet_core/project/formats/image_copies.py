"""Images that come along with the annotations of another program."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from pspnet_core.atomic import atomic_writer
from pspnet_core.errors import StorageError
from pspnet_core.imaging.read import IMAGE_SUFFIXES
from pspnet_core.project.formats.source_files import SourceError, SourceFiles

_NOT_IMAGES = frozenset(
    ("masks", "mask", "color", "gtfine", "gtcoarse", "segmentationclass", "segmentationobject", "labels", "arrays")
)


def bring_images(source: Path, root: Path) -> Iterator[Path]:
    """Copy the images of a source into the folder of a project; what is there stays as it is.

    Args:
        source: A folder, a .zip or a file.
        root: Of the project; it is made.

    Yields:
        Each image that was copied, under the path that it has in the source.

    Raises:
        SourceError: The source cannot be read.
        StorageError: An image could not be written.
    """
    root = Path(os.path.abspath(root))
    files = SourceFiles(source)
    try:
        if files.source == root or root.is_relative_to(files.source):
            raise SourceError(f"{root} lies in {files.source}.", "Images cannot be copied into their own folder.")
        for name in files.names:
            path = PurePosixPath(name)
            if path.suffix.lower() not in IMAGE_SUFFIXES or _NOT_IMAGES & {part.casefold() for part in path.parts}:
                continue
            target = root.joinpath(*path.parts)
            if os.path.lexists(target):
                continue
            _copy(files.path(name), target)
            yield target
    finally:
        files.close()


def _copy(source: Path, target: Path) -> None:
    try:
        stream = open(source, "rb")  # noqa: SIM115 - closed below; an error in it is not one of writing
    except OSError as error:
        raise StorageError(f"{source.name} could not be read.", f"{source}: {error.strerror}.") from error
    with stream, atomic_writer(target) as out:
        shutil.copyfileobj(stream, out, 1 << 20)
