"""Looking through all folders of a project for its items."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pspnet_core.errors import ProjectError
from pspnet_core.project.discovery import Found, find_items, natural_key
from pspnet_core.project.pages import PageCounts
from pspnet_core.project.records import Item, Notice
from pspnet_core.project.store import ProjectRecord


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


def scan(root: Path, record: ProjectRecord, pages: PageCounts) -> Scan:
    """Look through the root and the added folders.

    Args:
        root: The folder of the images.
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
    return Scan({item.key: item for item in items}, tuple(notices), found, tuple(folders))


def _changed(folder: Path) -> int | None:
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return None
