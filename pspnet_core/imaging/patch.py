"""The one edit record: a reversible change of both planes of one item, in memory, history and journal."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

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
class PatchBlock:
    """The changed pixels of one small rectangle, and what they were and are.

    Attributes:
        rect: Where, in image pixels.
        changed: (rect.h, rect.w) bool.
        old_class: (n,) uint8, class ids of the n changed pixels before, row by row.
        new_class: (n,) uint8, after.
        old_provenance: (n,) uint8 of :class:`~pspnet_core.types.Provenance` values before.
        new_provenance: (n,) uint8, after.
    """

    rect: Rect
    changed: BoolMask
    old_class: Values
    new_class: Values
    old_provenance: Values
    new_provenance: Values

    def __post_init__(self) -> None:
        assert self.changed.shape == (self.rect.h, self.rect.w)
        assert self.changed.dtype == np.bool_
        num_changed = int(np.count_nonzero(self.changed))
        for values in self.planes:
            assert values.shape == (num_changed,)
            assert values.dtype == np.uint8

    @staticmethod
    def between(
        rect: Rect,
        old_class: ClassMap,
        new_class: ClassMap,
        old_provenance: ProvenanceMap,
        new_provenance: ProvenanceMap,
    ) -> PatchBlock | None:
        """What leads from one state of a rectangle to another, cut down to the box of what differs.

        Args:
            rect: Where the arrays lie in the image.
            old_class: (rect.h, rect.w) uint8 before; so are the others.
            new_class: After.
            old_provenance: Before.
            new_provenance: After.

        Returns:
            None when nothing differs. The block owns copies; an array in which all is equal is one value (stride 0).

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
        changed = differs[inner.slices]
        place = Rect(rect.x + inner.x, rect.y + inner.y, inner.w, inner.h)
        before, after, came_from, comes_from = (_compact(array[inner.slices][changed]) for array in arrays)
        return PatchBlock(place, _compact(changed), before, after, came_from, comes_from)

    @property
    def planes(self) -> tuple[Values, Values, Values, Values]:
        """Old class, new class, old provenance, new provenance."""
        return self.old_class, self.new_class, self.old_provenance, self.new_provenance

    def write(self, plane: PlaneStore, values: Values) -> None:
        """Put ``values`` into the changed pixels of a plane. Raises: ValueError when it reaches over the plane."""
        if self.rect.intersect(plane.rect) != self.rect:
            raise ValueError(f"patch {self.rect} reaches over the plane of {plane.width} x {plane.height}")
        full = np.zeros(self.changed.shape, np.uint8)
        full[self.changed] = values
        plane.write(self.rect, full, self.changed)


class PatchHead(NamedTuple):
    """What a step was.

    Attributes:
        label: What the person did.
        version: Number of the model version that was on display, if any.
        class_id: The class that all its pixels got, 255 = none any more; None where they got several.
        nbytes: Bytes of its arrays in memory; of a packed record, the most that they may need.
    """

    label: str
    version: int | None
    class_id: int | None
    nbytes: int


@dataclass(frozen=True, slots=True, eq=False)
class MaskPatch:
    """One step of a person: blocks of changed pixels, so that a long thin stroke costs what it touches.

    Attributes:
        item_key: The item it belongs to.
        label: What the person did, for the undo menu.
        blocks: At least one; they do not overlap.
        version: Number of the model version that was on display, if any.
    """

    item_key: str
    label: str
    blocks: tuple[PatchBlock, ...]
    version: int | None = None

    @staticmethod
    def of(
        item_key: str, label: str, blocks: Iterable[PatchBlock | None], version: int | None = None
    ) -> MaskPatch | None:
        """A patch of the blocks in which something changed (the others are None); None when nothing did."""
        changed = tuple(block for block in blocks if block is not None)
        return MaskPatch(item_key, label, changed, version) if changed else None

    @property
    def rect(self) -> Rect:
        """The smallest rectangle around all blocks."""
        around = Rect(0, 0, 0, 0)
        for block in self.blocks:
            around = around.union(block.rect)
        return around

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays in memory; one in which all is equal may be a single byte (stride 0)."""
        return sum(_nbytes(array) for block in self.blocks for array in (block.changed, *block.planes))

    @property
    def num_changed(self) -> int:
        """Number of changed pixels."""
        return sum(len(block.old_class) for block in self.blocks)

    @property
    def head(self) -> PatchHead:
        """What there is to know about it without its pixels."""
        classes = [_only_value(block.new_class) for block in self.blocks]
        class_id = classes[0] if all(value == classes[0] for value in classes) else None
        return PatchHead(self.label, self.version, class_id, self.nbytes)

    def apply(self, class_plane: PlaneStore, provenance_plane: PlaneStore) -> None:
        """Do it (again). Raises: ValueError when the patch reaches over the planes."""
        for block in self.blocks:
            block.write(class_plane, block.new_class)
            block.write(provenance_plane, block.new_provenance)

    def revert(self, class_plane: PlaneStore, provenance_plane: PlaneStore) -> None:
        """Undo it. Raises: ValueError when the patch reaches over the planes."""
        for block in self.blocks:
            block.write(class_plane, block.old_class)
            block.write(provenance_plane, block.old_provenance)

    def to_bytes(self) -> bytes:
        """The record as it is kept in the history and in the journal; knows its own length and checksum."""
        header = json.dumps(
            {
                "kind": "mask",
                "item": self.item_key,
                "label": self.label,
                "blocks": [[*block.rect, len(block.old_class)] for block in self.blocks],
                "version": self.version,
                "class": self.head.class_id,
            },
            ensure_ascii=False,
        ).encode()
        packer, parts = zlib.compressobj(1), []
        for block in self.blocks:  # one after the other: all of them unpacked may be larger than the image
            parts.append(packer.compress(np.packbits(block.changed).tobytes()))
            parts += [packer.compress(values.tobytes()) for values in block.planes]
        body = b"".join([*parts, packer.flush()])
        checksum = zlib.crc32(body, zlib.crc32(header))
        return _FRAME.pack(_MAGIC, _FORMAT, len(header), len(body), checksum) + header + body

    @staticmethod
    def head_of(data: bytes) -> PatchHead:
        """What a record is, without looking at its pixels or at checksums. Raises: as :meth:`from_bytes`."""
        header_size, _, _ = _sizes(data)
        header = data[_FRAME.size : _FRAME.size + header_size]
        try:
            fields = json.loads(header)
            places = [(Rect(*(int(v) for v in row[:4])), int(row[4])) for row in fields["blocks"]]
            nbytes = sum(rect.w * rect.h + 4 * num_changed for rect, num_changed in places)
            version, class_id = fields["version"], fields.get("class")
            return PatchHead(
                str(fields["label"]),
                None if version is None else int(version),
                None if class_id is None else int(class_id),
                nbytes,
            )
        except (ValueError, KeyError, TypeError) as error:
            raise _damaged(f"its contents do not fit together ({error})") from error

    @staticmethod
    def item_of(data: bytes) -> str:
        """Key of the item that a record belongs to, without looking at anything else. Raises: as :meth:`from_bytes`."""
        header_size, _, _ = _sizes(data)
        try:
            return str(json.loads(data[_FRAME.size : _FRAME.size + header_size])["item"])
        except (ValueError, KeyError, TypeError) as error:
            raise _damaged(f"its contents do not fit together ({error})") from error

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


def _nbytes(array: NDArray[np.generic]) -> int:
    return array.nbytes if any(array.strides) else array.itemsize


def _compact(array: NDArray[Any]) -> NDArray[Any]:
    """The same values: one of them where all are equal, otherwise a copy that keeps nothing else in memory."""
    first = array.flat[0]
    return np.broadcast_to(first, array.shape) if array.min() == first == array.max() else array.copy()


def _only_value(values: Values) -> int | None:
    """The value that all have, if they have one."""
    first = int(values[0])
    if values.strides == (0,):
        return first
    return first if values.min() == first == values.max() else None


def _unframe(data: bytes) -> tuple[bytes, bytes]:
    """JSON header and compressed body of a record whose length and checksum are right."""
    header_size, _, checksum = _sizes(data)
    header, body = data[_FRAME.size : _FRAME.size + header_size], data[_FRAME.size + header_size :]
    if zlib.crc32(body, zlib.crc32(header)) != checksum:
        raise _damaged("its checksum is wrong")
    return header, body


def _sizes(data: bytes) -> tuple[int, int, int]:
    """Bytes of the header and of the body, and the checksum, of a record that has the length that it should have."""
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
    return header_size, body_size, checksum


def _from_fields(fields: dict[str, Any], body: bytes) -> MaskPatch:
    if fields["kind"] != "mask" or not fields["blocks"]:
        raise ValueError(f"{fields['kind']} record of {len(fields['blocks'])} blocks")
    places = [(Rect(*(int(v) for v in row[:4])), int(row[4])) for row in fields["blocks"]]
    expected = 0
    for rect, num_changed in places:
        if rect.is_empty or not 0 < num_changed <= rect.w * rect.h:
            raise ValueError(f"{num_changed} pixels in {rect}")
        expected += _packed_size(rect) + 4 * num_changed
    unpacker = zlib.decompressobj()
    raw = np.frombuffer(unpacker.decompress(body, expected + 1), np.uint8)  # never more memory than was announced
    if len(raw) != expected:
        raise ValueError(f"{len(raw)} bytes unpacked, {expected} expected")
    blocks = []
    for rect, num_changed in places:
        packed = _packed_size(rect)
        flags = np.unpackbits(raw[:packed], count=rect.w * rect.h).astype(np.bool_).reshape(rect.h, rect.w)
        planes = raw[packed : packed + 4 * num_changed].reshape(4, num_changed)
        blocks.append(PatchBlock(rect, _compact(flags), *(_compact(values) for values in planes)))
        raw = raw[packed + 4 * num_changed :]
    version = fields["version"]
    return MaskPatch(
        str(fields["item"]), str(fields["label"]), tuple(blocks), None if version is None else int(version)
    )


def _packed_size(rect: Rect) -> int:
    return (rect.w * rect.h + 7) // 8


def _damaged(why: str) -> ProjectError:
    return ProjectError(
        "An edit record is damaged.",
        f"Of a record of the edit history {why}.",
        "The saved masks are not affected; this step cannot be undone or replayed.",
    )
