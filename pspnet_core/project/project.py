"""A folder of images as a project: its items, classes, states and planes.

Everything that is written lies in ``<root>/.pspnet-studio`` (in the user's data folder where the root is
read-only); nothing is written before the first change.
"""

from __future__ import annotations

import secrets
import threading
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pspnet_core.classes import ClassDef, ClassSet, Color
from pspnet_core.errors import ProjectError
from pspnet_core.imaging.class_maps import ids_of
from pspnet_core.project import class_ids, plane_files
from pspnet_core.project.backups import Backups
from pspnet_core.project.discovery import Found, natural_key
from pspnet_core.project.home import Home
from pspnet_core.project.id_claims import IdClaims
from pspnet_core.project.locks import ItemLocks
from pspnet_core.project.mask_versions import MaskVersions
from pspnet_core.project.merging import SharedRecord
from pspnet_core.project.pages import PageCounts
from pspnet_core.project.places import OWN_FOLDER, journal_folder, own_folder
from pspnet_core.project.records import Annotation, Item, ItemState, Notice, PixelCounts, Split, Status
from pspnet_core.project.replay import replayed
from pspnet_core.project.scanning import Rescan, Scan, no_images, scan
from pspnet_core.project.sources import NewSources, plan_sources
from pspnet_core.project.store import ProjectRecord, read_record
from pspnet_core.types import ClassMap, ProvenanceMap

__all__ = [
    "OWN_FOLDER",
    "Annotation",
    "Item",
    "ItemState",
    "Notice",
    "Project",
    "Rescan",
    "Split",
    "Status",
]


_NEW = ItemState()


class Project:
    """An open project. Make one with :meth:`open`.

    Any thread may call any method; changes are kept in memory until :meth:`save`.
    """

    def __init__(self, root: Path, folder: Path, record: ProjectRecord, is_new: bool) -> None:
        self.session = secrets.token_hex(8)  # nobody else has the same, wherever and whenever
        self.home = home = Home(folder, record.uuid)
        self.masks, self.backups = MaskVersions(home), Backups(folder)
        self.locks = ItemLocks(folder, self.session, home, self.masks.check)
        self._root, self._folder = root, folder
        self._record, self._is_new = record, is_new
        self._file, self._claims = SharedRecord(home, record.raw), IdClaims(home)
        self._items: dict[str, Item] = {}
        self._gone: dict[str, Item] = {}  # were here in this session: what is open of them can still be saved
        self._notices, self._opening_notices = (
            tuple[Notice, ...](),
            tuple[Notice, ...](),
        )  # of the last scan, and before
        self._pages = PageCounts()
        self._found: Scan | None = None
        self._read_masks: frozenset[Path] = frozenset()  # their ids are classes or reserved
        self._lock = threading.RLock()  # of the record; never held during input or output, but to claim an id
        self._scan_lock = threading.RLock()

    @staticmethod
    def open(root: Path, include: Sequence[str] | None = None) -> Project:
        """Open a folder; nothing is written.

        Args:
            root: The folder of the images.
            include: Take only these of its files and sub folders (relative paths with "/") into a new
                project, or add them to those an existing one was limited to. When None, everything in a new
                project, what was chosen before in an existing one.

        Raises:
            ProjectError: No such folder, no image in it, or its project file is damaged or of a newer format.
            StorageError: A read-only project could not be copied to the user's folder.
        """
        root = Path(root).absolute()
        if not root.is_dir():
            raise ProjectError(
                f"{root.name or root} is not a folder." if root.exists() else f"There is no folder {root.name}.",
                f"{root}.",
                "Choose a folder that holds images.",
            )
        folder, own_notices = own_folder(root)
        record = read_record(folder)
        project = Project(root, folder, record or ProjectRecord(), record is None)
        if include is not None and (record is None or record.include is not None):
            before = project._record.include or ()
            project._record.include = tuple(dict.fromkeys([*before, *map(_nfc, include)]))
        found = project._scan()
        if not project._items:
            raise no_images(root, found)
        table_notices: tuple[Notice, ...] = ()
        if project._record.classes is None:
            project._record.classes, table_notices = class_ids.read_class_table(root)
        project._opening_notices = (*own_notices, *table_notices)
        project._learn_ids()
        return project

    @property
    def root(self) -> Path:
        """The folder of the images."""
        return self._root

    @property
    def folder(self) -> Path:
        """Where everything of ours lies; it may not exist yet."""
        return self._folder

    @property
    def uuid(self) -> str:
        """Identifies the project wherever its folder lies."""
        return self._record.uuid

    @property
    def classes(self) -> ClassSet:
        """The classes; they grow when a mask holds an id that is not among them."""
        return self._record.classes or ClassSet()

    @property
    def items(self) -> tuple[Item, ...]:
        """In natural order of their keys."""
        return tuple(self._items.values())

    @property
    def pages(self) -> PageCounts:
        """What is known of the pages of TIFF files; those not looked at yet come with a :meth:`rescan` after that."""
        return self._pages

    @property
    def notices(self) -> tuple[Notice, ...]:
        """What a person should know about the folder."""
        return (*self._opening_notices, *self._notices)

    @property
    def settings(self) -> dict[str, Any]:
        """JSON values that belong to the project, by name; saved with it. Replace values, do not change them."""
        return self._record.settings

    def item(self, key: str) -> Item:
        """The item with this key, also one that a rescan no longer found. Raises: KeyError."""
        return self._items.get(key) or self._gone[key]

    def has_item(self, key: str) -> bool:
        """Whether the last scan found an item with this key."""
        return key in self._items

    def state(self, key: str) -> ItemState:
        """The state of an item; that of a new one when nothing was said about it."""
        return self._record.states.get(key) or _NEW

    def set_state(self, key: str, **changes: Any) -> ItemState:
        """Change fields of an item's state, named as in :class:`ItemState`.

        Raises:
            KeyError: There is no such item.
            TypeError: There is no such field.
        """
        with self._lock:
            self.item(key)
            self._record.states[key] = state = replace(self.state(key), **changes)
        return state

    def set_classes(self, classes: ClassSet) -> None:
        """Replace the class set. What masks added to it since it was read is lost: see :meth:`change_classes`."""
        self.change_classes(lambda _: classes)

    def change_classes(self, change: Callable[[ClassSet], ClassSet]) -> ClassSet:
        """Replace the class set by what ``change`` makes of it; no other thread changes it meanwhile.

        Raises: what ``change`` raises; the class set is then as it was.
        """
        with self._lock:
            before = self.classes
            self._record.classes = after = change(before)
            added = set(after.indices).difference(before.indices)
            self._claims.note(added)
            if self._record.blind_ids is not None:
                self._record.blind_ids |= added
        return after

    def add_class(self, name: str, color: Color | None = None, wanted: int | None = None) -> ClassSet:
        """Add a class, the last one of the result; its id was never used and is in no mask that was found.

        It is ``wanted`` where that is such an id, and where all masks were read.

        Raises:
            ClassSetError: The name is taken or empty, or no id is left.
        """
        return self.change_classes(
            lambda classes: self._claims.with_one_more(classes, name, color, self._ids_for(classes, wanted))
        )

    def with_classes(self, added: Iterable[ClassDef]) -> ClassSet:
        """The class set that :meth:`add_class` would make of these one after the other; nothing is changed.

        Raises:
            ClassSetError: A name is taken, or no id is left.
        """
        classes = self.classes
        for c in added:
            classes = self._claims.with_one_more(classes, c.name, c.color, self._ids_for(classes), is_kept=False)
        return classes

    def save(self) -> None:
        """Write ``project.json`` as it is now. Changes during the write wait for the next one.

        What another window changed in it since is taken over where it was not changed here.

        Raises:
            ClassClashError: Another window gave the id of a class of ours to another one; nothing was written.
            StorageError: It could not be written; the previous file is intact.
        """
        self._file.exchange(self._record, self._lock, self.backups.keep_project)
        self._is_new = False

    def save_if_new(self) -> None:
        """Before the first mask or stroke: it means little without the class table. Raises: StorageError."""
        if self._is_new:
            self.save()

    def has_annotation(self, item: Item) -> bool:
        """Whether planes were saved for the item, strokes are in its journal, or a mask was found beside it."""
        paths = plane_files.mask_path(self._folder, item.key), journal_folder(self._folder, item.key)
        return item.found_mask is not None or any(path.exists() for path in paths)

    def load_annotation(self, item: Item, width: int, height: int) -> Annotation:
        """The planes of an item: the saved ones, else the mask found beside the image, else empty ones.

        Class ids that are not in the class set are added to it, and that is told; call :meth:`save` to keep
        them.

        Args:
            item: Of this project.
            width: Of the image as displayed, in pixels.
            height: Likewise.

        Returns:
            Planes of (height, width), owned by the caller. A found mask that cannot be used is left out, with
            a notice; also one that was not read before its ids were given to new classes.

        Raises:
            ClassMapError: A file of ours is damaged or does not fit the image; it is left as it is.
            JournalError: Likewise a journal with strokes that are in no mask yet.
        """
        own = plane_files.read_own(self._folder, item, width, height)
        annotation = own or plane_files.read_found(item, width, height)
        if own is None:
            doubtful = (self._record.blind_ids or frozenset()).intersection(ids_of(annotation.class_map))
            if doubtful:
                annotation = plane_files.empty(width, height, class_ids.refused(item, doubtful, self.classes))
        annotation = replayed(self._folder, item, annotation, is_own=own is not None)
        added = self._add_classes(ids_of(annotation.class_map))
        if not added:
            return annotation
        return replace(annotation, notices=(*annotation.notices, class_ids.were_added(item, added)))

    def save_annotation(self, item: Item, class_map: ClassMap, provenance: ProvenanceMap) -> None:
        """Save the planes of an item, and count in its state what is labelled, painted and accepted.

        Args:
            item: Of this project.
            class_map: (H, W) uint8 class ids; not changed.
            provenance: (H, W) uint8; not changed.

        Raises:
            ItemLockedError: Another session is changing the item.
            MaskChangedError: Another program has written the mask since it was opened.
            ClassClashError: As :meth:`save` said.
            StorageError: They could not be written; the previous ones are intact.
        """
        self.save_if_new()
        self._file.check()
        with self.locks.writing(item.key):
            self.masks.check(item.key)
            self.backups.keep_mask(item.key)
            plane_files.write_own(self._folder, item.key, class_map, provenance, self.classes)
            self.masks.wrote(item.key)
        self.set_state(item.key, class_ids=ids_of(class_map), **PixelCounts.of(class_map, provenance).to_state())

    def add_source(self, paths: Path | Iterable[Path]) -> Rescan:
        """Add folders or files, also from elsewhere; call :meth:`save` to keep them.

        Returns:
            The keys that came; none when all were in the project before.

        Raises:
            ProjectError: A path does not exist, a folder contains the project, or there is no image.
        """
        chosen = [Path(paths)] if isinstance(paths, (str, Path)) else [Path(path) for path in paths]
        with self._scan_lock:
            before = NewSources(self._record.include, self._record.sources)
            plan = plan_sources(self._root, *before, chosen)
            self._set_sources(plan)
            change = self.rescan()
            if not change.added and plan != before:
                self._set_sources(before)
                self.rescan()
        return change

    def rescan(self) -> Rescan:
        """Look again for images and masks, and tell anew what is to be told about them.

        States and planes of items that are gone are kept, and are there again when they come back.

        Raises:
            ProjectError: The root cannot be listed any more; the items stay as they were.
        """
        with self._scan_lock:
            known, before = self._gone | self._items, self._items
            self._scan()
            self._learn_ids()
            now = self._items
            renewed = [key for key, item in now.items() if item != known.get(key, item)]
            self._count_anew(renewed)
        removed = sorted(before.keys() - now.keys(), key=natural_key)
        return Rescan(
            tuple(key for key in now if key not in before), tuple(removed), tuple(k for k in renewed if k in before)
        )

    def is_outdated(self) -> bool:
        """Whether :meth:`rescan` would find other files; quick, and blind for a file that was written anew in place."""
        return self._found is not None and self._found.is_outdated()

    def _count_anew(self, keys: Iterable[str]) -> None:
        """Forget how much of the found mask of these items is labelled: it is another one now."""
        for key in keys:
            if not plane_files.mask_path(self._folder, key).exists() and self.state(key).total_px:
                self.set_state(key, labelled_px=0, total_px=0, painted_px=None, accepted_px=None, class_ids=())

    def _set_sources(self, sources: NewSources) -> None:
        with self._lock:
            self._record.include, self._record.sources = sources

    def _scan(self) -> Found:
        found = self._found = scan(self._root, self._folder, self._record, self._pages)
        self._gone |= self._items
        self._items, self._notices = found.items, found.notices
        return found.root

    def _learn_ids(self) -> None:
        """Read the ids in masks that were found since the last time, so that no new class gets one of them.

        Masks of ours are read, too, where the project file is new or came in the place of one that was damaged.
        """
        masks = [item.found_mask for item in self._items.values() if item.found_mask is not None]
        digest = class_ids.digest_of(self._items.values())
        if digest != self._record.known_masks:
            own = [] if self._record.known_masks else plane_files.own_masks(self._folder)
            found = class_ids.ids_in_masks([*own, *(path for path in masks if path not in self._read_masks)])
            with self._lock:
                class_ids.learn(self._record, found, digest)
        self._read_masks |= set(masks)

    def _ids_for(self, classes: ClassSet, wanted: int | None = None) -> tuple[int, ...]:
        return class_ids.in_order(classes, wanted, is_blind=self._record.blind_ids is not None)

    def _add_classes(self, ids: Sequence[int]) -> list[str]:
        """Add the ids that are missing; the names that were given."""
        if any(index not in self.classes for index in ids):  # another window may have named them
            self._file.look(self._record, self._lock)
        with self._lock:
            missing = [index for index in ids if index not in self.classes]
            self._record.classes = class_ids.with_ids(self.classes, missing)
            self._claims.note(missing)
            return [self.classes[index].name for index in missing]


def _nfc(path: str) -> str:
    return unicodedata.normalize("NFC", path)
