"""The open project and the open image: what the panels look at and act on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal

from pspnet_core.classes import ClassDef, ClassSet
from pspnet_core.errors import PspnetError
from pspnet_core.project.project import Notice, Project, Rescan, Status
from pspnet_studio.jobs.opening import Loaded, Opened
from pspnet_studio.jobs.runner import JobRunner, Lane, Priority
from pspnet_studio.messages import tr
from pspnet_studio.model.autosave import AutoSave
from pspnet_studio.model.document import Document
from pspnet_studio.model.edit_locks import EditLocks
from pspnet_studio.model.folder_watch import FolderWatch
from pspnet_studio.model.history import HistoryStore
from pspnet_studio.model.leftovers import tell_of_leftovers
from pspnet_studio.model.loader import Loader
from pspnet_studio.model.neighbours import Neighbours
from pspnet_studio.model.pixels import ImagePixels
from pspnet_studio.model.project_start import LOCKED, first_key, locked_in
from pspnet_studio.model.tool_state import ToolState

logger = logging.getLogger(__name__)

_REST_MS = 200


class Session(QObject):
    """One project at a time, one image at a time.

    A failed load keeps what is on screen. An image is shown, and can be painted on, as soon as a reduced picture of it
    is there; :attr:`Document.pixels` tells when the image itself has come. Its neighbours are then read ahead.

    Signals:
        project_changed: Another project is open (or none).
        items_changed: Images were added to the project or went away.
        state_changed: Status or labelled share of the item with this key changed.
        document_leaving: The open image is about to be left: an edit under way has to be ended now.
        document_changed: Another image is open (or none).
        classes_changed: The project's classes changed.
        loading_changed: Whether an image or a project is being read.
        notice: A PspnetError or a Notice that a person should see.
    """

    project_changed = Signal()
    items_changed = Signal()
    state_changed = Signal(str)
    document_leaving = Signal()
    document_changed = Signal()
    classes_changed = Signal()
    loading_changed = Signal(bool)
    notice = Signal(object)

    def __init__(self, runner: JobRunner, tool_state: ToolState, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.runner = runner
        self.tool_state = tool_state
        self.autosave = AutoSave(runner, self)
        self.autosave.item_saved.connect(self.state_changed)
        self.autosave.failed.connect(self.notice)
        self.project: Project | None = None
        self.document: Document | None = None
        self._order: list[str] = []
        self._wanted_key: str | None = None
        self.unreadable_key: str | None = None  # of the image that was wanted last, if it could not be opened
        self._loader = Loader(runner, self)
        self._loader.changed.connect(self.loading_changed)
        self._replaced: Document | None = None  # open before an image of which only a reduced picture is there
        self._neighbours = Neighbours(runner, self)
        self.histories = HistoryStore(runner)
        self._told_classes: ClassSet | None = None
        self.edit_locks, self.folder_watch = EditLocks(self), FolderWatch(self)

    # --- project

    @property
    def current_key(self) -> str | None:
        """Key of the image that is open or being opened."""
        return self._wanted_key

    @property
    def is_loading(self) -> bool:
        """Whether an image or a project is being read."""
        return self._loader.is_loading

    @property
    def neighbours(self) -> Neighbours:
        """The images next to the open one."""
        return self._neighbours

    def open_folder(self, folder: Path, include: Sequence[str] | None = None, others: Sequence[Path] = ()) -> None:
        """Open a folder as a project.

        Args:
            folder: Its root.
            include: Limits a new project to these of its files (single files were given).
            others: Folders and files from elsewhere that are added to it.
        """

        def open_project() -> Project:
            project = Project.open(folder, include=include)
            if others:
                project.add_source(others)
                project.save()
            return project

        self.autosave.flush()
        name = tr("opening {name}").format(name=folder.name)
        self._loader.call(open_project, self._on_project_opened, self.notice.emit, name)

    def add_paths(self, paths: Sequence[Path]) -> None:
        """Add folders or files from elsewhere to the open project."""
        project = self.project
        assert project is not None, "no project is open"
        self._look_again(
            project,
            lambda: project.add_source(paths),
            tr("These images are in the project already."),
            tr("adding images"),
        )

    def rescan(self, is_quiet: bool = False) -> None:
        """Look again for images and masks in the project's folders; ``is_quiet``: say nothing when nothing changed."""
        project = self.project
        assert project is not None, "no project is open"
        nothing = "" if is_quiet else tr("Nothing changed in the folder.")
        self._look_again(project, project.rescan, nothing, tr("reading the folder"))

    def close_project(self) -> None:
        """Save and close; the start page follows."""
        self._set_document(None)
        self.autosave.watch(None, None)
        self.project = None
        self._wanted_key = None
        self.histories.clear()
        self._neighbours.clear()
        self.tool_state.set_locked(())
        self.project_changed.emit()

    def set_classes(self, classes: ClassSet) -> None:
        """Change the project's classes (add, rename, recolour, show or hide)."""
        assert self.project is not None, "no project is open"
        self.project.set_classes(classes)
        self._after_classes_changed()
        self.autosave.project_changed()

    def add_class(self, name: str) -> int:
        """Add a class and return its id. Raises: ClassSetError (the name is taken or empty, no id is left)."""
        assert self.project is not None, "no project is open"
        class_id = self.project.add_class(name).indices[-1]
        self._after_classes_changed()
        self.autosave.project_changed()
        return class_id

    def add_classes(self, classes: Iterable[ClassDef]) -> None:
        """Add classes with their names and colours; each gets an id of this project.

        Raises: ClassSetError (a name is taken, no id is left); those before it are then there.
        """
        assert self.project is not None, "no project is open"
        try:
            for c in classes:
                self.project.add_class(c.name, c.color)
        finally:
            self._after_classes_changed()
            self.autosave.project_changed()

    def set_locked(self, class_id: int, is_locked: bool) -> None:
        """Keep edits off the pixels of a class, or let them; remembered with the project."""
        assert self.project is not None, "no project is open"
        locked = self.tool_state.locked - {class_id} | ({class_id} if is_locked else set())
        self.project.settings[LOCKED] = sorted(locked)
        self.tool_state.set_locked(locked)
        self.autosave.project_changed()

    def set_status(self, key: str, status: Status) -> None:
        """Say how far an image is."""
        assert self.project is not None, "no project is open"
        self.project.set_state(key, status=status)
        self.state_changed.emit(key)
        self.autosave.project_changed()

    def save_now(
        self, then: Callable[[], None] | None = None, on_failed: Callable[[PspnetError], None] | None = None
    ) -> None:
        """Write what is unsaved; ``then`` is called after it was written, ``on_failed`` if it could not be."""
        self.document_leaving.emit()
        self.autosave.flush(then, on_failed)

    # --- images

    def set_order(self, keys: list[str]) -> None:
        """The order in which the list shows the images, after filter and sort."""
        self._order = keys

    def neighbour(self, step: int) -> str | None:
        """Key of the next (+1) or previous (-1) image in the list's order; None where there is none."""
        if self._wanted_key not in self._order:
            return None
        index = self._order.index(self._wanted_key) + step
        return self._order[index] if 0 <= index < len(self._order) else None

    def set_undo_budget(self, budget_bytes: int) -> None:
        """Let the histories of all images together need more or less, in memory and on disk."""
        self.histories.set_budget(budget_bytes)
        self.autosave.budget_bytes = budget_bytes

    def item_rewritten(self, key: str) -> None:
        """An image that is not open was changed on disk, and its journal, too."""
        self.histories.drop(key)
        self.state_changed.emit(key)
        self.autosave.project_changed()

    def step(self, step: int) -> None:
        """Open the next (+1) or previous (-1) image in the list's order."""
        if not self._order:
            return
        base = self.unreadable_key or self._wanted_key
        if base in self._order:
            index = self._order.index(base) + step
        else:
            index = 0
        if 0 <= index < len(self._order):
            self.go_to(self._order[index])

    def go_to(self, key: str) -> None:
        """Open an image; what was edited is saved first."""
        project = self.project
        assert project is not None, "no project is open"
        document = self.document
        if document is None or document.item_key != key:
            self._read(project, key)
            return
        if key != self._wanted_key and self._loader.is_loading:
            self._loader.cancel()  # another image was on its way: this one is still here
            if not document.pixels.is_loaded:  # but not all of it: the rest was given up for the other one
                self._read(project, key)
                return
        self._wanted_key, self.unreadable_key = key, None

    def read_again(self) -> None:
        """Read the open image again, picture, planes and history: on disk they are other ones now."""
        if self.project is not None and (key := self._wanted_key) and self.document and self.document.item_key == key:
            self.histories.drop(key)
            self._read(self.project, key, is_refresh=True)

    # --- inside

    def _read(self, project: Project, key: str, is_refresh: bool = False) -> None:
        """Read an image; of the one that is open only the picture, unless its planes are to be read again, too."""
        previous = self._wanted_key
        self._wanted_key, self.unreadable_key = key, None
        self.document_leaving.emit()
        self.autosave.flush()
        item = project.item(key)
        kept = self.document if self.document is not None and self.document.item_key == key else None
        newer = kept if kept is not None and not is_refresh else self.autosave.unsaved_planes(project, key)
        planes = (newer.class_plane.snapshot(), newer.provenance_plane.snapshot()) if newer is not None else None
        revision = kept.revision if kept is not None and is_refresh else None

        def on_error(error: PspnetError) -> None:
            self._wanted_key = previous
            self._return_to_readable(project, key)
            self.unreadable_key = key  # the next step goes on from there, or it would end here again
            self.document_changed.emit()
            self.notice.emit(error)

        self._neighbours.stop()
        self._loader.open(
            project,
            item,
            planes,
            self._neighbours.pictures,
            on_event=lambda event: self._on_item_event(project, event, revision),
            on_done=lambda: self._neighbours.read(project, self._order, key),
            on_error=on_error,
        )

    def _return_to_readable(self, project: Project, failed_key: str) -> None:
        """An image could not be read, perhaps after a reduced picture of it was shown."""
        document = self.document
        is_half = document is not None and document.item_key == failed_key and not document.pixels.is_loaded
        if document is not None and is_half and document.revision == 0:
            replaced, self._replaced = self._replaced, None
            self._set_document(replaced)
            document = replaced
        if document is not None:
            self._wanted_key = document.item_key
            if document.item_key != failed_key and not document.pixels.is_loaded:
                self._read(project, document.item_key)

    def _look_again(self, project: Project, look: Callable[[], Rescan], nothing: str, name: str) -> None:
        def run() -> Rescan:
            change = look()
            if any(change):
                project.save()
            return change

        def on_done(change: Rescan) -> None:
            if project is not self.project or not (any(change) or nothing):
                return
            self.items_changed.emit()
            if self._told_classes != project.classes:  # new masks brought new ones
                self._after_classes_changed()
            if self.document is not None and self.document.item_key in change.changed:
                self._refresh(project, self.document)
            if not any(change):
                self.notice.emit(Notice(nothing))

        self.runner.call(Lane.IO, run, name=name, priority=Priority.OPEN, on_done=on_done, on_error=self.notice.emit)

    def _refresh(self, project: Project, document: Document) -> None:
        """Read the planes of the open image again, unless it was edited; not while a hand is at it."""
        is_open = document is self.document and document.item_key == self._wanted_key
        if project is not self.project or not is_open or document.revision:
            return
        if document.is_editing:
            QTimer.singleShot(_REST_MS, self, lambda: self._refresh(project, document))
        else:
            self._read(project, document.item_key, is_refresh=True)

    def _on_project_opened(self, project: Project) -> None:
        self._set_document(None)
        self.autosave.watch(project, None)
        self.project = project
        self._wanted_key = None
        self.histories.clear()
        self._neighbours.clear()
        self._order = [item.key for item in project.items]
        self.tool_state.set_locked(locked_in(project))
        self.project_changed.emit()
        self._after_classes_changed()
        for notice in project.notices:
            self.notice.emit(notice)
        if self._order and self._wanted_key is None:
            self.go_to(first_key(project, self._order))
        tell_of_leftovers(
            self.runner,
            project,
            lambda: self._wanted_key,
            lambda n: self.notice.emit(n) if project is self.project else None,
        )

    def _on_item_event(self, project: Project, event: Opened | Loaded, revision: int | None) -> None:
        if project is not self.project or event.item.key != self._wanted_key:
            return
        if isinstance(event, Opened):
            if not self._keeps_document(project, event, revision):
                self._on_item_opened(project, event)
        elif self.document is not None and not self.document.pixels.is_loaded:
            self.document.pixels.set_source(event.source)
            self._drop_replaced()

    def _keeps_document(self, project: Project, opened: Opened, revision: int | None) -> bool:
        """Whether the planes that are open stay, because they are as new as those that were read, or newer.

        Args:
            project: That is open.
            opened: What was read.
            revision: Of the open document when its planes began to be read again; None where only the picture is.
        """
        document, step = self.document, opened.step
        if document is None or document.item_key != opened.item.key or document.shape != (step.height, step.width):
            return False
        if revision == document.revision and not document.is_editing:
            return False
        if self._told_classes != project.classes:
            self._after_classes_changed()
        if revision == document.revision:  # a stroke is under way, which may come to nothing
            self._refresh(project, document)
        return True

    def _on_item_opened(self, project: Project, opened: Opened) -> None:
        key, step = opened.item.key, opened.step
        pixels = ImagePixels(step.width, step.height, step.preview, step.source, self.runner)
        pixels.failed.connect(self.notice)
        planes = opened.class_plane, opened.provenance_plane
        document = Document(key, pixels, *planes, self.histories.open(project, key, opened.replay, planes), self)
        self._set_document(document, has_restored=opened.has_restored)
        if opened.counts is not None:  # an imported mask was never counted: the list shows its share from now on
            project.set_state(key, **opened.counts.to_state())
            self.state_changed.emit(key)
        if self._told_classes != project.classes:  # its mask brought new ones
            self._after_classes_changed()
        for notice in opened.notices:
            self.notice.emit(notice)

    def _set_document(self, document: Document | None, has_restored: bool = False) -> None:
        self.document_leaving.emit()
        old, self.document = self.document, document
        self.autosave.watch(self.project, document, has_restored)
        self.document_changed.emit()
        if old is None:
            return
        old.pixels.pause()
        if document is not None and not document.pixels.is_loaded and old.pixels.is_loaded:
            self._drop_replaced()
            self._replaced = old  # what comes back if the image itself cannot be read
        else:
            old.deleteLater()
        if document is None or document.pixels.is_loaded:
            self._drop_replaced()

    def _drop_replaced(self) -> None:
        if self._replaced is not None:
            self._replaced.deleteLater()
            self._replaced = None

    def _after_classes_changed(self) -> None:
        assert self.project is not None
        self._told_classes = self.project.classes
        if self.tool_state.class_id not in self.project.classes:
            self.tool_state.set_class_id(next(iter(self._told_classes.indices), None))
        self.classes_changed.emit()
