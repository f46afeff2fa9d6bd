"""Which part of a 16-bit image's range of values is shown; no other part of the program sees a difference."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, Signal

from pspnet_core.errors import PspnetError
from pspnet_core.imaging.deep import DeepImage, Window, read_deep
from pspnet_core.imaging.read import read_bits
from pspnet_studio.jobs.runner import JobHandle, Lane, Priority
from pspnet_studio.messages import tr
from pspnet_studio.model.document import Document
from pspnet_studio.model.session import Session

_SUFFIXES = (".png", ".tif", ".tiff")


class WindowLevel(QObject):
    """Reads the 16-bit values of the open image when they are wanted, and shows a window of them.

    The window stays when another image is opened: the images of a series are lit alike.

    Args:
        session: Whose open image.

    Signals:
        changed: One of the properties changed.
        found: The open image has 16 bits per channel.
    """

    changed = Signal()
    found = Signal()

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._document: Document | None = None
        self._place: tuple[Path, int] | None = None
        self._job: JobHandle | None = None
        self._is_wanted = False
        self._wants_auto = False
        self.bits = 8
        """Per channel of the open image; 8 until it is known."""
        self.window = Window()
        """What is shown of 16-bit images."""
        self.values: DeepImage | None = None
        """Of the open image, once they are read."""
        self.problem = ""
        """Why the values of the open image cannot be shown; empty when they can."""
        session.document_changed.connect(self._on_document_changed)

    @property
    def is_deep(self) -> bool:
        """Whether the open image has 16 bits per channel."""
        return self.bits == 16

    def set_wanted(self, is_wanted: bool) -> None:
        """Whether somebody looks at the values: they are read even if the full range is shown."""
        self._is_wanted = is_wanted
        self._read_if_needed()

    def set_window(self, window: Window) -> None:
        """Show another part of the range."""
        self._wants_auto = False
        if window == self.window:
            return
        self.window = window
        self._show()
        self._read_if_needed()
        self.changed.emit()

    def set_auto(self) -> None:
        """Show the part of the range in which the open image has its values, as soon as they are read."""
        if self.values is not None:
            self.set_window(self.values.auto_window())
        else:
            self._wants_auto = True
            self._read_if_needed()

    # --- inside

    def _on_document_changed(self) -> None:
        document, project = self._session.document, self._session.project
        if document is self._document:
            return
        if self._job is not None:
            self._job.cancel()
            self._job = None
        if self._document is not None:
            self._document.pixels.loaded.disconnect(self._look)
        self._document = document
        self.bits, self.values, self.problem, self._wants_auto, self._place = 8, None, "", False, None
        if document is not None and project is not None:
            item = project.item(document.item_key)
            self._place = item.image_path, item.page
            document.pixels.loaded.connect(self._look)
            if document.pixels.is_loaded:
                self._look()
        self.changed.emit()

    def _look(self) -> None:
        """Look into the file how many bits it has; the image itself is there."""
        assert self._place is not None
        path, page = self._place
        if path.suffix.lower() in _SUFFIXES:
            self._job = self._session.runner.call(
                Lane.VIEW,
                lambda: read_bits(path, page),
                name=tr("looking into the image"),
                priority=Priority.VISIBLE,
                on_done=self._on_bits,
                on_error=lambda _error: self._end_job(),  # it was read a moment ago: whoever reads it next will tell
            )

    def _end_job(self) -> None:
        self._job = None

    def _on_bits(self, bits: int) -> None:
        self._job = None
        self.bits = bits
        if not self.is_deep:
            return
        assert self._document is not None
        if self._document.pixels.array is None:
            self.problem = tr("This image is read by pieces: the high byte of each value is shown.")
        self.changed.emit()
        self.found.emit()
        self._read_if_needed()

    def _read_if_needed(self) -> None:
        is_needed = self._is_wanted or self._wants_auto or not self.window.is_full
        is_possible = self.is_deep and self.values is None and not self.problem and self._job is None
        if not is_needed or not is_possible:
            return
        assert self._place is not None
        path, page = self._place
        self._job = self._session.runner.call(
            Lane.VIEW,
            lambda: read_deep(path, page),
            name=tr("reading 16-bit values"),
            priority=Priority.VISIBLE,
            on_done=self._on_values,
            on_error=self._on_error,
        )

    def _on_values(self, values: DeepImage) -> None:
        self._job = None
        assert self._document is not None
        if values.shape != self._document.shape:
            self.problem = tr("The file was changed meanwhile: open the image again.")
            self.changed.emit()
            return
        self.values = values
        if self._wants_auto:
            self._wants_auto = False
            self.window = values.auto_window()
        self._show()
        self.changed.emit()

    def _on_error(self, error: PspnetError) -> None:
        self._job = None
        self._wants_auto = False
        self.problem = " ".join(part for part in (error.title, error.remedy) if part)
        self.changed.emit()

    def _show(self) -> None:
        if self._document is not None and self.values is not None:
            self._document.pixels.show_window(self.values, self.window)
