"""The one edit record: a reversible change of both planes of one item, in memory, history and journal."""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pspnet_core.errors import ProjectError
from pspnet_core.imaging.planes import PlaneStore
from pspnet_core.types import BoolMask, ClassMap, ProvenanceMap, Rect

_MAGIC = b"PSNP"
_FORMAT = 1
# magic, format, length of the JSON header, length of the zlib body, CRC-32 of both; little endian
_FRAME = struct.Struct("<4sBIQI")

Values = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class MaskPatch:
    """Which pixels of a rectangle changed, and what they were and are.

    Attributes:
        item_key: The item it belongs to.
        label: What the person did, for the undo menu.
        rect: The smallest rectangle around the changed pixels.
        changed: (rect.h, rect.w) bool.
        old_class: (n,) uint8, class ids of the n changed pixels before, row by row.
        new_class: (n,) uint8, after.
        old_provenance: (n,) uint8 of :class:`~pspnet_core.types.Provenance` values before.
        new_provenance: (n,) uint8, after.
        version: Number of the model version that was on display, if any.
    """

    item_key: str
    label: str
    rect: Rect
    changed: BoolMask
    old_class: Values
    new_class: Values
    old_provenance: Values
    new_provenance: Values
    version: int | None = None

    def __post_init__(self) -> None:
        assert self.changed.shape == (self.rect.h, self.rect.w)
        assert self.changed.dtype == np.bool_
        num_changed = int(np.count_nonzero(self.changed))
        for values in self._planes:
            assert values.shape == (num_changed,)
            assert values.dtype == np.uint8

    @staticmethod
    def between(
        item_key: str,
        label: str,
        rect: Rect,
        old_class: ClassMap,
        new_class: ClassMap,
        old_provenance: ProvenanceMap,
        new_provenance: ProvenanceMap,
        version: int | None = None,
    ) -> MaskPatch | None:
        """The patch that leads from one state of a rectangle to another, cut down to what differs.

        Args:
            item_key: The item.
            label: What the person did.
            rect: Where the arrays lie in the image.
            old_class: (rect.h, rect.w) uint8 before; so are the others.
            new_class: After.
            old_provenance: Before.
            new_provenance: After.
            version: Number of the model version on display.

        Returns:
            None when nothing differs. The patch owns copies.

        Raises:
            ValueError: A shape or dtype does not fit the rectangle.
        """
        arrays = (old_class, new_class, old_provenance, new_provenance)
        for array in arrays:
            if array.shape != (rect.h, rect.w) or array.dtype != np.uint8:
                raise ValueError(f"expected ({rect.h}, {rect.w}) uint8, got {array.shape} {array.dtype}")
        differs: BoolMask = (old_class != new_class) | (old_provenance != new_provenance)
        rows, columns = np.flatnonzero(differs.any(axis=1)), np.flatnonzero(differs.any(axis=0))
        if len(rows) == 0:
            return None
        inner = Rect(int(columns[0]), int(rows[0]), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1)
        changed = differs[inner.slices].copy()
        place = Rect(rect.x + inner.x, rect.y + inner.y, inner.w, inner.h)
        before, after, came_from, comes_from = (array[inner.slices][changed] for array in arrays)
        return MaskPatch(item_key, label, place, changed, before, after, came_from, comes_from, version)

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays in memory."""
        return self.changed.nbytes + sum(values.nbytes for values in self._planes)

    @property
    def num_changed(self) -> int:
        """Number of changed pixels."""
        return len(self.old_class)

    def apply(self, class_plane: PlaneStore, provenance_plane: PlaneStore) -> None:
        """Do it (again). Raises: ValueError when the patch reaches over the planes."""
        self._write(class_plane, self.new_class)
        self._write(provenance_plane, self.new_provenance)

    def revert(self, class_plane: PlaneStore, provenance_plane: PlaneStore) -> None:
        """Undo it. Raises: ValueError when the patch reaches over the planes."""
        self._write(class_plane, self.old_class)
        self._write(provenance_plane, self.old_provenance)

    def to_bytes(self) -> bytes:
        """The record as it is kept in the history and in the journal; knows its own length and checksum."""
        header = json.dumps(
            {
                "kind": "mask",
                "item": self.item_key,
                "label": self.label,
                "rect": list(self.rect),
                "pixels": self.num_changed,
                "version": self.version,
            },
            ensure_ascii=False,
        ).encode()
        raw = np.packbits(self.changed).tobytes() + b"".join(values.tobytes() for values in self._planes)
        body = zlib.compress(raw, 1)
        checksum = zlib.crc32(body, zlib.crc32(header))
        return _FRAME.pack(_MAGIC, _FORMAT, len(header), len(body), checksum) + header + body

    @staticmethod
    def from_bytes(data: bytes) -> MaskPatch:
        """Read one record.

        Raises:
            ProjectError: The bytes are damaged, cut off, or of a newer format.
        """
        header, body = _unframe(data)
        try:
            fields = json.loads(header)
            return _from_fields(fields, body)
        except (ValueError, KeyError, TypeError, AssertionError, zlib.error) as error:
            raise _damaged(f"its contents do not fit together ({error})") from error

    @property
    def _planes(self) -> tuple[Values, Values, Values, Values]:
        return self.old_class, self.new_class, self.old_provenance, self.new_provenance

    def _write(self, plane: PlaneStore, values: Values) -> None:
        if self.rect.intersect(plane.rect) != self.rect:
            raise ValueError(f"patch {self.rect} reaches over the plane of {plane.width} x {plane.height}")
        full = np.zeros(self.changed.shape, np.uint8)
        full[self.changed] = values
        plane.write(self.rect, full, self.changed)


def _unframe(data: bytes) -> tuple[bytes, bytes]:
    """JSON header and compressed body of a record whose length and checksum are right."""
    if len(data) < _FRAME.size:
        raise _damaged(f"only {len(data)} bytes are there")
    magic, version, header_size, body_size, checksum = _FRAME.unpack_from(data)
    if magic != _MAGIC:
        raise _damaged(f"it begins with {magic!r} where {_MAGIC!r} was expected")
    if version != _FORMAT:
        raise ProjectError(
            f"An edit record has format {version}.",
            f"This program reads format {_FORMAT}.",
            "Open the project with the newer program that wrote it.",
        )
    if len(data) != _FRAME.size + header_size + body_size:
        raise _damaged(f"{len(data)} bytes are there, {_FRAME.size + header_size + body_size} were written")
    header, body = data[_FRAME.size : _FRAME.size + header_size], data[_FRAME.size + header_size :]
    if zlib.crc32(body, zlib.crc32(header)) != checksum:
        raise _damaged("its checksum is wrong")
    return header, body


def _from_fields(fields: dict[str, Any], body: bytes) -> MaskPatch:
    rect = Rect(*(int(v) for v in fields["rect"]))
    num_changed = int(fields["pixels"])
    num_flags = rect.w * rect.h
    if rect.is_empty or not 0 <= num_changed <= num_flags or fields["kind"] != "mask":
        raise ValueError(f"{fields['kind']} record of {num_changed} pixels in {rect}")
    packed = (num_flags + 7) // 8
    expected = packed + 4 * num_changed
    unpacker = zlib.decompressobj()
    raw = np.frombuffer(unpacker.decompress(body, expected + 1), np.uint8)  # never more memory than was announced
    if len(raw) != expected:
        raise ValueError(f"{len(raw)} bytes unpacked, {expected} expected")
    flags = np.unpackbits(raw[:packed], count=num_flags).astype(np.bool_).reshape(rect.h, rect.w)
    old_class, new_class, old_provenance, new_provenance = raw[packed:].reshape(4, num_changed)
    version = fields["version"]
    return MaskPatch(
        str(fields["item"]),
        str(fields["label"]),
        rect,
        flags,
        old_class,
        new_class,
        old_provenance,
        new_provenance,
        None if version is None else int(version),
    )


def _damaged(why: str) -> ProjectError:
    return ProjectError(
        "An edit record is damaged.",
        f"Of a record of the edit history {why}.",
        "The saved masks are not affected; this step cannot be undone or replayed.",
    )
