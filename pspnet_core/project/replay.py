"""What the journals of an item add to its saved planes: strokes that are newer, and the history to undo."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pspnet_core.errors import JournalError, ProjectError
from pspnet_core.imaging.patch import MaskPatch
from pspnet_core.imaging.planes import PlaneStore
from pspnet_core.project.journal_log import Change, Digests, Kind, Log, LogRecord, read_log
from pspnet_core.project.places import journal_folder
from pspnet_core.project.plane_files import settled
from pspnet_core.project.records import Annotation, Item, Notice
from pspnet_core.types import UNLABELLED, Provenance

SUFFIX = ".journal"
_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True, eq=False)
class Replay:
    """The journals of one item, held against its planes.

    Attributes:
        path: The journal that fits the planes and goes on; None where there is none.
        records: Its strokes, oldest first, also those that were undone.
        first: Depth below the oldest of them.
        depth: How deep in the history the planes are: ``first`` = all undone.
        number: Of its last stroke or step.
        size: Bytes of its whole records.
        file_size: Bytes of the file when it was read.
        num_strokes: Strokes that were not in the saved planes and are now.
        num_steps: Likewise, undo and redo.
        superseded: Journals that have nothing to add any more.
        set_aside: Journals with strokes that do not fit the planes.
        notices: What a person should know.
    """

    path: Path | None = None
    records: tuple[LogRecord, ...] = ()
    first: int = 0
    depth: int = 0
    number: int = 0
    size: int = 0
    file_size: int = 0
    num_strokes: int = 0
    num_steps: int = 0
    superseded: tuple[Path, ...] = ()
    set_aside: tuple[Path, ...] = ()
    notices: tuple[Notice, ...] = ()

    @property
    def has_restored(self) -> bool:
        """Whether the planes are newer than their files."""
        return bool(self.num_strokes or self.num_steps)


def digest_of(plane: PlaneStore) -> str:
    """What a plane holds, as 32 hexadecimal digits; costs time only where something was written.

    It is made of the CRC-32 of each tile: the first stroke in an image of 16,384 pixels a side waits for it, and a
    cryptographic digest of each pixel takes a second there.
    """
    digest = hashlib.blake2b(f"{plane.width} {plane.height} {plane.fill_value}".encode(), digest_size=_DIGEST_BYTES)
    for rect in sorted(plane.written_rects(), key=lambda rect: (rect.y, rect.x)):
        pixels = np.ascontiguousarray(plane.read(rect))
        if (pixels != plane.fill_value).any():
            digest.update(f"{rect.x} {rect.y} {zlib.crc32(pixels.data)}".encode())
    return digest.hexdigest()


def digests_of(class_plane: PlaneStore, provenance_plane: PlaneStore) -> Digests:
    """Of both planes of an item."""
    return Digests(digest_of(class_plane), digest_of(provenance_plane))


def journals_of(folder: Path, key: str) -> list[Path]:
    """The journal files of an item in a project's own folder; the one that was written last comes last."""
    place = journal_folder(folder, key)
    found = []
    try:
        for path in place.iterdir():
            if path.suffix == SUFFIX:
                found.append((path.stat().st_mtime_ns, path))
    except (FileNotFoundError, NotADirectoryError):  # none yet, or another session has taken it just now
        pass
    return [path for _, path in sorted(found)]


def replay(folder: Path, key: str, class_plane: PlaneStore, provenance_plane: PlaneStore) -> Replay:
    """Bring planes as they were saved up to date; the files stay as they are.

    Args:
        folder: The project's own folder.
        key: Of the item.
        class_plane: As its file holds it; changed where a journal knows more.
        provenance_plane: Likewise.

    Raises:
        JournalError: A journal holds strokes that are in no mask yet, but it is damaged or cannot be read.
    """
    paths = journals_of(folder, key)
    if not paths:
        return Replay()
    digests = digests_of(class_plane, provenance_plane)
    histories = [_History(path, key, _read(path)) for path in paths]
    fitting = [history for history in histories if history.match(digests) is not None]
    chosen = fitting[-1] if fitting else None
    others = [history for history in histories if history is not chosen and history.last_number]
    unused = [history for history in others if history.is_unsaved]
    notices: list[Notice] = []
    if chosen is None:
        for history in unused:
            if history.log.damaged_at is not None:
                raise _blocked(history)
        if others:
            notices.append(_changed_elsewhere(key))
    notices += [_left_over(history) for history in unused]
    leftovers = tuple(h.path for h in histories if h is not chosen and h not in unused), tuple(h.path for h in unused)
    if chosen is None:
        return Replay(superseded=leftovers[0], set_aside=leftovers[1], notices=tuple(notices))
    num_strokes, num_steps = chosen.bring_up_to_date(digests, class_plane, provenance_plane)
    if num_strokes or num_steps:
        notices.append(_restored(key, num_strokes))
    if chosen.log.cut_bytes:
        notices.append(_cut(chosen))
    return Replay(
        chosen.path,
        tuple(chosen.entries),
        chosen.first,
        chosen.depth,
        chosen.last_number,
        chosen.log.good_size,
        chosen.log.good_size + chosen.log.cut_bytes,
        num_strokes,
        num_steps,
        *leftovers,
        tuple(notices),
    )


def replayed(folder: Path, item: Item, annotation: Annotation, is_own: bool) -> Annotation:
    """An annotation as it was read from its files, brought up to date.

    Args:
        folder: The project's own folder.
        item: Whose it is.
        annotation: Given away.
        is_own: Whether it comes from files of ours; then its planes fit together afterwards.

    Raises:
        JournalError: As :func:`replay`.
    """
    if not journals_of(folder, item.key):
        return settled(annotation) if is_own else annotation
    found, planes = _found(folder, item, annotation)
    if is_own and found.path is None:
        annotation = settled(annotation)  # a journal that was begun when they had just been made to fit together
        found, planes = _found(folder, item, annotation)
    annotation = replace(annotation, notices=(*annotation.notices, *found.notices), replay=found)
    if found.has_restored:
        annotation = replace(annotation, class_map=planes[0].to_array(), provenance=planes[1].to_array())
    return settled(annotation) if is_own else annotation


def _found(folder: Path, item: Item, annotation: Annotation) -> tuple[Replay, tuple[PlaneStore, PlaneStore]]:
    planes = (
        PlaneStore.from_array(annotation.class_map, UNLABELLED),
        PlaneStore.from_array(annotation.provenance, Provenance.UNTOUCHED),
    )
    return replay(folder, item.key, *planes), planes


class _Mark(NamedTuple):
    """Where in the history the planes were at some number, and what they held, where that is known."""

    number: int
    depth: int
    digests: Digests | None


class _History:
    """What one journal file tells.

    Attributes:
        path: Of the file.
        key: Of the item.
        log: As it was read.
        entries: The strokes that can be undone or redone at its end.
        first: Depth below the oldest of them.
        depth: In force at its end.
        last_number: Of the last stroke or step that it tells of.
        is_unsaved: Whether it tells of something that was in no mask when it was written.
    """

    def __init__(self, path: Path, key: str, log: Log) -> None:
        self.path, self.key, self.log = path, key, log
        self.entries: list[LogRecord] = []
        self.first = self.depth = 0
        self._moves: dict[int, Sequence[Change]] = {}  # what each stroke or step does, by its number
        self._marks = [mark for record in log.records if (mark := _mark_of(record, key)) is not None]
        self._strokes: set[int] = set()
        self._number: int | None = None  # up to here the history is known
        for record in log.records:
            if record.kind in (Kind.STROKE, Kind.GO, Kind.JUMP):
                self._follow(record)
        saved = [record.number for record in log.records if record.kind is Kind.SAVED]
        self._end()
        self.last_number = max([0, *(record.number for record in log.records)])
        self.is_unsaved = self.last_number > max(saved, default=0)

    def match(self, digests: Digests) -> tuple[int, int] | None:
        """The newest numbers at which each plane was as it is; not the same where a crash came between two saves."""
        newest = []
        for place, digest in enumerate(digests):
            numbers = [mark.number for mark in self._marks if mark.digests and mark.digests[place] == digest]
            if not numbers:
                return None
            newest.append(max(numbers))
        return newest[0], newest[1]

    def bring_up_to_date(
        self, digests: Digests, class_plane: PlaneStore, provenance_plane: PlaneStore
    ) -> tuple[int, int]:
        """Do to each plane what is newer than it; how many strokes and how many other steps that were.

        Raises:
            JournalError: Something between is missing.
        """
        match = self.match(digests)
        assert match is not None
        counts = [0, 0]
        for number in range(min(match) + 1, self.last_number + 1):
            moves = self._moves.get(number)
            if moves is None:
                raise _blocked(self)
            for data, is_forward in moves:
                try:
                    _apply(
                        MaskPatch.from_bytes(data),
                        is_forward,
                        class_plane if number > match[0] else None,
                        provenance_plane if number > match[1] else None,
                    )
                except (ProjectError, ValueError) as error:
                    raise _blocked(self, str(error)) from error
            counts[0 if number in self._strokes else 1] += 1
        return counts[0], counts[1]

    def _follow(self, record: LogRecord) -> None:
        if self._number is None or record.number != self._number + 1:
            before = next((mark for mark in self._marks if mark.number == record.number - 1), None)
            if before is None:  # something is missing: nobody knows how deep this is
                self._number = None
                return
            self._jump(before)
        if record.kind is Kind.STROKE:
            del self.entries[self.depth - self.first :]
            self.entries.append(record)
            self.depth += 1
            self._strokes.add(record.number)
            self._moves[record.number] = record.changes
        elif record.kind is Kind.JUMP:
            self._moves[record.number] = record.changes
            self._jump(_Mark(record.number, record.depth, None))
        elif self.first <= record.depth <= self.first + len(self.entries):
            self._moves[record.number] = self._between(record.depth)
            self.depth = record.depth
        else:
            self._number = None
            return
        self._number = record.number

    def _end(self) -> None:
        """What the last marks tell may be newer than the last stroke that can be read."""
        latest = max(self._marks, default=None, key=lambda mark: mark.number)
        if latest is not None and (self._number is None or latest.number > self._number):
            self._jump(latest)

    def _between(self, depth: int) -> list[Change]:
        """What leads from the depth in force to another one, in the order in which it is done or undone."""
        low, high = sorted((self.depth - self.first, depth - self.first))
        is_forward = depth > self.depth
        strokes = self.entries[low:high]
        return [Change(stroke.payload, is_forward) for stroke in (strokes if is_forward else strokes[::-1])]

    def _jump(self, mark: _Mark) -> None:
        self.entries = []
        self.first = self.depth = mark.depth
        self._number = mark.number


def _mark_of(record: LogRecord, key: str) -> _Mark | None:
    if record.kind not in (Kind.BEGIN, Kind.PLANES):
        return None
    try:
        fields: dict[str, Any] = record.fields()
        depth, digests = fields["depth"], fields.get("digests")
        if not isinstance(depth, int) or depth < 0 or fields["item"] != key:
            return None
        return _Mark(record.number, depth, None if digests is None else Digests(str(digests[0]), str(digests[1])))
    except (JournalError, KeyError, IndexError, TypeError):
        return None  # it says nothing that could be used: what follows it counts as unknown


def _apply(patch: MaskPatch, is_forward: bool, class_plane: PlaneStore | None, provenance: PlaneStore | None) -> None:
    for block in patch.blocks:
        if class_plane is not None:
            block.write(class_plane, block.new_class if is_forward else block.old_class)
        if provenance is not None:
            block.write(provenance, block.new_provenance if is_forward else block.old_provenance)


def _read(path: Path) -> Log:
    try:
        return read_log(path)
    except FileNotFoundError:
        return Log((), 0, 0, None)  # another session has taken it just now
    except OSError as error:
        raise JournalError(
            f"The journal {path.name} could not be read.",
            f"{path}: {error.strerror}. It may hold strokes that are in no mask yet.",
            "Check the rights of the file.",
        ) from error


def _blocked(history: _History, why: str = "") -> JournalError:
    damaged_at = history.log.damaged_at
    where = f"near byte {damaged_at}" if damaged_at is not None else why or "a record is missing"
    return JournalError(
        f"The journal of {history.key} is damaged.",
        f"{history.path}: {where}. It holds strokes that are not in the saved mask. Nothing was changed.",
        "Put back a copy of the journal. Or move it away: the image then opens as it was last saved, "
        "without those strokes.",
    )


def _restored(key: str, num_strokes: int) -> Notice:
    strokes = f"{num_strokes} strokes that had" if num_strokes != 1 else "1 stroke that had"
    title = f"{strokes} not been saved" if num_strokes else "Undo and redo that had not been saved"
    verb = "were" if num_strokes != 1 else "was"
    return Notice(
        f"{title} {verb} restored.",
        f"The program had ended before {key} was saved.",
        "Nothing needs to be done; Undo takes them back.",
        key,
    )


def _cut(history: _History) -> Notice:
    return Notice(
        f"The last record of the journal of {history.key} was not written to its end.",
        f"{history.path}: {history.log.cut_bytes} bytes are left out; all before them is there.",
        "Check whether the last stroke is there.",
        history.key,
    )


def _changed_elsewhere(key: str) -> Notice:
    return Notice(
        f"The mask of {key} was changed outside of this program.",
        "It is shown as it is now. Its undo history does not fit it any more and is left out.",
        "",
        key,
    )


def _left_over(history: _History) -> Notice:
    return Notice(
        f"A journal of {history.key} holds strokes that do not fit its mask.",
        f"They are not shown. {history.path} is kept.",
        "Put back the mask that they belong to, if you have it, or delete the file.",
        history.key,
    )
