"""Thumbnails in memory: read in the background when a row is painted, the least recently seen dropped first."""

from __future__ import annotations

from collections import OrderedDict

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QImage, QPixmap

from pspnet_core.errors import PspnetError
from pspnet_studio.jobs.runner import JobHandle, Lane, Priority
from pspnet_studio.jobs.thumbnails import Thumbnail, ThumbnailRequests, thumbnails
from pspnet_studio.messages import tr
from pspnet_studio.model.session import Session

THUMBNAIL_PX = 68
"""Side of a thumbnail in logical pixels."""

_CACHE_BYTES = 32 * 1024 * 1024


class ThumbnailCache(QObject):
    """What :class:`~pspnet_studio.model.lists.ItemListModel` asks for pictures.

    Args:
        session: Its project's items are read, by its runner.
        ratio: Device pixels per logical pixel of the sharpest screen.
        cache_bytes: Memory the pictures may take.

    Signals:
        arrived: The picture of this key is there, or it is known that there will be none.
    """

    arrived = Signal(str)

    def __init__(
        self,
        session: Session,
        ratio: float = 1.0,
        cache_bytes: int = _CACHE_BYTES,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._size_px = round(THUMBNAIL_PX * max(1.0, ratio))
        self._cache_bytes = cache_bytes
        self._num_bytes = 0
        self._pictures: OrderedDict[str, QPixmap] = OrderedDict()
        self._errors: dict[str, PspnetError] = {}
        self._asked: set[str] = set()
        self._requests = ThumbnailRequests()
        self._job: JobHandle | None = None
        session.project_changed.connect(self.clear)

    def thumbnail(self, key: str) -> QPixmap | PspnetError | None:
        """The picture of an item, why there is none, or None while it is being read (then it was ordered)."""
        picture = self._pictures.get(key)
        if picture is not None:
            self._pictures.move_to_end(key)
            return picture
        if key in self._errors:
            return self._errors[key]
        if key not in self._asked:
            self._ask(key)
        return None

    def retry(self) -> None:
        """Read again what could not be read, when it is painted next."""
        failed = list(self._errors)
        self._errors.clear()
        for key in failed:
            self.arrived.emit(key)

    def clear(self) -> None:
        """Forget everything: another project is open."""
        if self._job is not None:
            self._job.cancel()
            self._job = None
        self._requests = ThumbnailRequests()
        self._pictures.clear()
        self._errors.clear()
        self._asked.clear()
        self._num_bytes = 0

    def _ask(self, key: str) -> None:
        project = self._session.project
        if project is None:
            return
        item = project.item(key)
        self._asked.add(key)
        self._asked.difference_update(self._requests.add(key, item.image_path, item.page))
        if self._job is None:
            self._start()

    def _start(self) -> None:
        requests, size_px = self._requests, self._size_px
        self._job = self._session.runner.submit(
            Lane.IO,
            lambda: thumbnails(requests, size_px),
            name=tr("reading thumbnails"),
            priority=Priority.THUMBNAIL,
            on_event=self._on_thumbnail,
            on_done=lambda _last: self._on_ended(),
            on_error=lambda _error: self._on_failed(),
        )

    def _on_thumbnail(self, thumbnail: Thumbnail) -> None:
        key = thumbnail.key
        self._asked.discard(key)
        if thumbnail.image is None:
            assert thumbnail.error is not None
            self._errors[key] = thumbnail.error
        else:
            h, w = thumbnail.image.shape[:2]
            image = QImage(thumbnail.image.data, w, h, 3 * w, QImage.Format.Format_RGB888)
            self._remember(key, QPixmap.fromImage(image))
        self.arrived.emit(key)

    def _remember(self, key: str, picture: QPixmap) -> None:
        self._pictures[key] = picture
        self._num_bytes += _num_bytes(picture)
        while self._num_bytes > self._cache_bytes and len(self._pictures) > 1:
            self._num_bytes -= _num_bytes(self._pictures.popitem(last=False)[1])

    def _on_ended(self) -> None:
        self._job = None
        if len(self._requests):  # asked for after the job had looked for the last time
            self._start()

    def _on_failed(self) -> None:
        # Only a bug or a lack of memory ends up here (the runner logged it): what was asked for may be asked again.
        self._job = None
        self._requests.clear()
        self._asked.clear()


def _num_bytes(picture: QPixmap) -> int:
    return picture.width() * picture.height() * 4
