"""Looking through all folders of a project for its items."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pspnet_core.errors import ProjectError
from pspnet_core.project.discovery import Found, find_items, natural_key
from pspnet_core.project.pages import PageCounts
from pspnet_core.project.places import journal_folder
from pspnet_core.project.plane_files import mask_path
from pspnet_core.project.records import Item, Notice
from pspnet_core.project.store import ProjectRecord

_MAX_NAMED = 5


class Rescan(NamedTuple):
    """Keys of the items that came, went, and stayed but found another mask (or none any more)."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Scan:
    """What was found.

    Attributes:
        items: By key, in natural order.
        notices: What a person should know.
        root: What the root itself holds.
        folders: All folders, and when each was changed last.
    """

    items: dict[str, Item]
    notices: tuple[Notice, ...]
    root: Found
    folders: tuple[tuple[Path, int], ...] = ()

    def is_outdated(self) -> bool:
        """Whether something came into one of the folders, went or was renamed since; looks at the folders only."""
        return any(_changed(folder) != then for folder, then in self.folders)


def scan(root: Path, folder: Path, record: ProjectRecord, pages: PageCounts) -> Scan:
    """Look through the root and the added folders.

    Args:
        root: The folder of the images.
        folder: The project's own one.
        record: Says what of it belongs to the project, and which folders were added.
        pages: Of TIFF files; remembers what it learns.

    Raises:
        ProjectError: The root cannot be listed.
    """
    try:
        found = find_items(root, only=record.include)
    except OSError as error:
        raise ProjectError(
            f"The folder {root.name} could not be read.",
            f"{root}: {error.strerror}.",
            "Check that it is still there and may be read.",
        ) from error
    items, notices, folders = list(found.items), list(found.notices), list(found.folders)
    for source in record.sources:
        try:
            more = find_items(source.path, f"{source.name}/", source.files)
        except OSError as error:
            notices.append(
                Notice(
                    f"The added folder {source.path.name} could not be read.",
                    f"{source.path}: {error.strerror}. Its images are left out; what was painted is kept.",
                    "Put it back or connect the drive, then read the folder again.",
                )
            )
            continue
        items += more.items
        notices += more.notices
        folders += more.folders
    if record.include is not None:
        title = f"Only {len(found.items)} chosen image(s) of {root.name} belong to this project."
        notices.append(Notice(title, "", "Drop the folder on the open project to add all of it."))
    items = pages.paged(items)
    if record.sources or len(items) > len(found.items):  # else they are in order: sorting 100,000 takes half a second
        items.sort(key=lambda item: natural_key(item.key))
    by_key = {item.key: item for item in items}
    notices += _labels_without_image(folder, record, by_key)
    return Scan(by_key, tuple(notices), found, tuple(folders))


def _labels_without_image(folder: Path, record: ProjectRecord, items: Container[str]) -> list[Notice]:
    """What is to be told of labels whose image is not there any more: it went, or has another name."""
    places = tuple(f"{source.name}/" for source in record.sources if source.path.is_dir())  # of the others it was told
    lost = [
        key
        for key in list(record.states)  # all at once: another thread may add to them
        if key not in items
        and key.partition("#")[0] not in items  # a page that was not counted yet
        and (not key.startswith("@") or key.startswith(places))
        and (mask_path(folder, key).exists() or journal_folder(folder, key).is_dir())
    ]
    if not lost:
        return []
    lost.sort(key=natural_key)
    more = f" and {len(lost) - _MAX_NAMED} more" if len(lost) > _MAX_NAMED else ""
    images = "1 image" if len(lost) == 1 else f"{len(lost)} images"
    return [
        Notice(
            f"The labels of {images} are kept, without an image of that name.",
            f"{', '.join(lost[:_MAX_NAMED])}{more}. The masks lie in {folder / 'masks'}.",
            "What was renamed or moved has its labels again under its old name and in its old place.",
        )
    ]


def _changed(folder: Path) -> int | None:
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return None


def no_images(root: Path, found: Found) -> ProjectError:
    """Why a folder cannot be opened in which nothing was found."""
    return ProjectError(
        f"There is no image in {root.name or root}.",
        f"{root} and its folders hold {found.num_other_files} other file(s) and {found.num_masks} mask(s). "
        "Images are JPEG, PNG, TIFF, BMP and WebP files; hidden folders are left out.",
        "Choose the folder that holds the photos.",
    )
