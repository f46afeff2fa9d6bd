"""The journal of one item in one session: every stroke, undo and redo, on disk before the mask is saved."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from pspnet_core.atomic import atomic_writer, storage_error
from pspnet_core.errors import StorageError
from pspnet_core.imaging.patch import MaskPatch
from pspnet_core.imaging.planes import PlaneStore
from pspnet_core.project.home import Home
from pspnet_core.project.journal_file import JournalFile, remove_unless_held, set_aside, set_aside_unless_held
from pspnet_core.project.journal_log import FRAME_BYTES, Change, Digests, Kind, frame, go_frame, json_frame, jump_frame
from pspnet_core.project.places import journal_folder
from pspnet_core.project.project import Item, Project
from pspnet_core.project.replay import SUFFIX, Replay, digests_of

DEFAULT_BUDGET_BYTES = 256 * 1024 * 1024
"""For the undo history of all images of a project together."""

_WASTE_BYTES = 1024 * 1024
"""A file is written anew when it could be this much smaller, and half as large."""

_KEPT_SHARE = 0.75
"""How much of the budget is kept when it is exceeded: the next strokes do not exceed it again at once."""


class Position(NamedTuple):
    """A moment in the life of a journal: how many strokes and steps led to it, and the depth of the history then."""

    num_records: int
    depth: int


class _Waiting:
    """A stroke, or a step to another depth, that is not written yet; packed once, however often it is tried."""

    __slots__ = ("_packed", "depth", "is_stroke", "patches")

    def __init__(self, depth: int, patches: Sequence[tuple[MaskPatch, bool]], is_stroke: bool) -> None:
        self.depth, self.patches, self.is_stroke = depth, patches, is_stroke
        self._packed: list[Change] | None = None

    @property
    def changes(self) -> list[Change]:
        """What it does, packed."""
        if self._packed is None:
            self._packed = [Change(patch.to_bytes(), is_forward) for patch, is_forward in self.patches]
        return self._packed


class _Span(NamedTuple):
    """Where the packed form of a stroke lies in the file."""

    offset: int
    size: int


class Journal:
    """Remembers at once, writes when it is told to, in whatever thread.

    :meth:`push` and :meth:`go` touch no file. Nothing is written before the first of them.

    Args:
        home: The project's own folder.
        key: Of the item.
        session: Names this session; no other one has the same name.
        found: What there was when the item was opened; that journal is gone on with.
        planes: Snapshots of both planes as they were then, given away.
        budget_bytes: For the history of this item; may be changed at any time.
    """

    def __init__(
        self,
        home: Home,
        key: str,
        session: str,
        found: Replay,
        planes: tuple[PlaneStore, PlaneStore],
        budget_bytes: int = DEFAULT_BUDGET_BYTES,
    ) -> None:
        self._home, self._key, self._session, self.budget_bytes = home, key, session, budget_bytes
        self._queue_lock = threading.Lock()  # of what waits; never held during output
        self._waiting: list[_Waiting] = []
        self._position = Position(0, found.depth)
        self._write_lock = threading.RLock()  # of all below
        self._file = JournalFile(journal_folder(home.folder, key) / f"{session}{SUFFIX}")
        self._origin: tuple[Replay, tuple[PlaneStore, PlaneStore]] | None = found, planes
        self._first, self._depth = found.first, found.depth
        self._spans: list[_Span] = []
        self._number = 0  # of the last stroke or step in the file
        self._saved: tuple[int, Digests | None] = 0, None  # number of the planes that were saved last
        self._shift = 0  # what is added to a count to have its number in the file

    @property
    def path(self) -> Path:
        """Its file, which may not exist yet."""
        return self._file.path

    @property
    def position(self) -> Position:
        """What is in force now."""
        with self._queue_lock:
            return self._position

    @property
    def is_behind(self) -> bool:
        """Whether something waits to be written."""
        with self._queue_lock:
            return bool(self._waiting)

    def push(self, patch: MaskPatch, depth: int) -> None:
        """A stroke was done; what could be redone is gone.

        Args:
            patch: It.
            depth: Of the history afterwards, at least 1.
        """
        self._remember(_Waiting(depth, [(patch, True)], is_stroke=True))

    def go(self, depth: int, patches: Sequence[tuple[MaskPatch, bool]]) -> None:
        """Undo, redo or several of them at once led to this depth of the history.

        Args:
            depth: That is in force now.
            patches: What was done (True) or undone (False) on the way; written only if the file does not hold it.
        """
        self._remember(_Waiting(depth, patches, is_stroke=False))

    def write(self) -> list[tuple[MaskPatch, bytes]]:
        """Append what waits, and bring it to the disk.

        Returns:
            The strokes and their packed form.

        Raises:
            StorageError: It could not be written, and still waits.
        """
        with self._write_lock:
            with self._queue_lock:
                waiting = list(self._waiting)
            if not waiting:
                return []
            packed = [(one.patches[0][0], one.changes[0].data) for one in waiting if one.is_stroke]
            try:
                self._open()
                self._append(waiting)
            except OSError as error:
                raise storage_error(self._file.path, error) from error
            with self._queue_lock:
                del self._waiting[: len(waiting)]
            return packed

    def begin_save(self, position: Position, digests: Digests) -> None:
        """Say what the planes of ``position`` hold, before they are written to their files.

        Raises:
            StorageError: It could not be written.
        """
        with self._write_lock:
            self.write()
            if self._origin is not None and self._origin[0].path is None:
                return  # nothing was ever done here
            try:
                self._open()
                self._file.append(self._planes_frame(position.num_records + self._shift, position.depth, digests))
            except OSError as error:
                raise storage_error(self._file.path, error) from error

    def end_save(self, position: Position, digests: Digests) -> None:
        """The planes of ``position`` are in their files; what is needed no more goes.

        Raises:
            StorageError: It could not be written.
        """
        with self._write_lock:
            if self._origin is not None:
                return
            try:
                self._open()
                number = position.num_records + self._shift
                self._file.append(frame(Kind.SAVED, number), is_synced=False)
                self._saved = number, digests
                if self.position == position and not self.is_behind:
                    self._compact(position, digests)
            except OSError as error:
                raise storage_error(self._file.path, error) from error

    def release(self) -> None:
        """Close the file until the next write: the item is left."""
        with self._write_lock:
            self._file.close()

    # --- inside; the write lock is held

    def _remember(self, one: _Waiting) -> None:
        with self._queue_lock:
            self._waiting.append(one)
            self._position = Position(self._position.num_records + 1, one.depth)

    def _open(self) -> None:
        """Have a file to append to. Raises: StorageError (among others: the folder of the project is away)."""
        self._home.prepare()
        if self._origin is None:
            if not self._file.open():  # deleted or taken over by another session: what it held is theirs
                self._home.check()  # or it went away just now
                self._first, self._spans = self._depth, []
                number, digests = self._saved
                known = digests if number == self._number else None
                self._file.create(self._begin_frame(self._number, self._depth, known))
            return
        found, planes = self._origin
        if self._file.path in found.set_aside:  # this session's own, before the mask was changed outside
            set_aside(self._file.path)
        if found.path is not None and self._file.take_over(found.path, found.size, found.file_size):
            self._spans = [_Span(r.offset + FRAME_BYTES, len(r.payload)) for r in found.records]
            self._number = found.number
        elif not found.records:
            self._file.create(self._begin_frame(0, self._depth, digests_of(*planes)))
        else:
            payloads = [record.payload for record in found.records]
            spans: list[_Span] = []
            is_saved = not found.has_restored
            frames = list(self._anew(self._first, payloads, digests_of(*planes), spans, is_saved=is_saved))
            self._file.create(b"".join(frames))
            self._spans, self._number = spans, len(spans) + 1
        self._shift = self._number
        self._origin = None
        for paths, clear in ((found.superseded, remove_unless_held), (found.set_aside, set_aside_unless_held)):
            for path in paths:
                if path != self._file.path:  # which is there anew
                    with suppress(OSError):  # what stays says nothing new, or is told of again
                        clear(path)

    def _append(self, waiting: Sequence[_Waiting]) -> None:
        number, first, spans = self._number, self._first, list(self._spans)
        end, frames = self._file.size, []
        for one in waiting:
            number += 1
            if one.is_stroke:
                packed = one.changes[0].data
                data = frame(Kind.STROKE, number, packed)
                del spans[one.depth - 1 - first :]
                spans.append(_Span(end + FRAME_BYTES, len(packed)))
            elif first <= one.depth <= first + len(spans):
                data = go_frame(number, one.depth)
            else:
                data = jump_frame(number, one.depth, one.changes)
                first, spans = one.depth, []
            frames.append(data)
            end += len(data)
        self._file.append(b"".join(frames))
        self._number, self._first, self._spans, self._depth = number, first, spans, waiting[-1].depth

    def _compact(self, position: Position, digests: Digests) -> None:
        """Write the file anew, with only what can be undone and redone within the budget, if that is worth it.

        Strokes that come meanwhile wait: the file is at ``position``.
        """
        num_below, num_above = self._num_to_drop()
        kept = self._spans[num_below : len(self._spans) - num_above]
        waste = self._file.size - sum(FRAME_BYTES + span.size for span in kept)
        is_wasteful = waste > _WASTE_BYTES and waste > self._file.size / 2
        if not (num_below or num_above or is_wasteful):
            return
        first, size = self._first + num_below, 0
        spans: list[_Span] = []
        payloads = (self._file.read(*span) for span in kept)
        with atomic_writer(self._file.path) as stream:
            for data in self._anew(first, payloads, digests, spans, is_saved=True):
                stream.write(data)
                size += len(data)
        self._file.adopt(size)
        self._first, self._spans, self._number = first, spans, len(spans) + 1
        self._saved = self._number, digests
        self._shift = self._number - position.num_records

    def _num_to_drop(self) -> tuple[int, int]:
        """How many of the oldest strokes exceed the budget, and, where all those go, of the undone ones."""
        sizes = [FRAME_BYTES + span.size for span in self._spans]
        needed, below, above = sum(sizes), 0, 0
        if needed <= self.budget_bytes:
            return 0, 0
        num_done = self._depth - self._first
        while needed > self.budget_bytes * _KEPT_SHARE and below < num_done:
            needed -= sizes[below]
            below += 1
        while needed > self.budget_bytes * _KEPT_SHARE and above < len(sizes) - num_done:
            above += 1
            needed -= sizes[-above]
        return below, above

    def _anew(
        self, first: int, payloads: Iterable[bytes], digests: Digests, spans: list[_Span], is_saved: bool
    ) -> Iterator[bytes]:
        """The frames of a file with these strokes and the present state; ``spans`` gets where the strokes lie."""
        data = self._begin_frame(0, first, None)
        end, number = len(data), 0
        yield data
        for number, payload in enumerate(payloads, start=1):
            spans.append(_Span(end + FRAME_BYTES, len(payload)))
            data = frame(Kind.STROKE, number, payload)
            end += len(data)
            yield data
        yield go_frame(number + 1, self._depth)
        yield self._planes_frame(number + 1, self._depth, digests)
        if is_saved:
            yield frame(Kind.SAVED, number + 1)

    def _begin_frame(self, number: int, depth: int, digests: Digests | None) -> bytes:
        fields = {"item": self._key, "session": self._session, "depth": depth, "digests": digests}
        return json_frame(Kind.BEGIN, number, fields)

    def _planes_frame(self, number: int, depth: int, digests: Digests) -> bytes:
        return json_frame(Kind.PLANES, number, {"item": self._key, "depth": depth, "digests": digests})


def save_planes(
    project: Project, item: Item, class_plane: PlaneStore, provenance_plane: PlaneStore, journal: Journal, at: Position
) -> None:
    """Save the planes of an item so that its journal goes on to fit them.

    Args:
        project: Whose item.
        item: Which.
        class_plane: As it was at ``at``; not changed.
        provenance_plane: Likewise.
        journal: Of the item.
        at: When these planes were taken.

    Raises:
        StorageError: The planes or the journal could not be written. What could be, was.
    """
    digests = digests_of(class_plane, provenance_plane)
    failure: StorageError | None = None
    try:
        journal.begin_save(at, digests)
    except StorageError as error:
        failure = error
    project.save_annotation(item, class_plane.to_array(), provenance_plane.to_array())
    if failure is not None:
        raise failure
    journal.end_save(at, digests)
