"""What a project is made of: items, their state, and things to tell about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pspnet_core.types import UNLABELLED, ClassMap, Provenance, ProvenanceMap

if TYPE_CHECKING:
    from pspnet_core.project.replay import Replay

# Plain numbers: numpy compares an array with a member of an IntEnum ten times as slowly.
_PAINTED, _ACCEPTED = int(Provenance.PAINTED), int(Provenance.ACCEPTED)
_BAND_PX = 256


class Split(StrEnum):
    """What an item may be used for. ``TEST`` is never trained on, held out, used to stop, or ranked."""

    NONE = "none"
    TRAIN = "train"
    VAL = "val"
    TEST = "test"


class Status(StrEnum):
    """How far a person is with an item."""

    NEW = "new"
    IN_PROGRESS = "in_progress"
    DONE = "done"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Item:
    """One image of a project.

    Attributes:
        key: Path relative to the project's root with "/" and in Unicode form NFC; "@name/..." for an image
            that lies elsewhere, "...#3" for the third page of a TIFF.
        image_path: Where the file is.
        page: Of a TIFF, from 0.
        split: From the names of its folders.
        found_mask: A mask file that lay beside the images, if any; it is imported, never written.
        num_pages: How many items the file has.
    """

    key: str
    image_path: Path
    page: int = 0
    split: Split = Split.NONE
    found_mask: Path | None = None
    num_pages: int = 1


@dataclass(frozen=True, slots=True)
class ItemState:
    """What is remembered about an item beside its planes.

    Attributes:
        status: Set by the person or by the first stroke.
        labelled_px: Labelled pixels when the planes were last saved.
        total_px: All pixels then; 0 when they never were.
        painted_px: Those of the labelled ones that a hand painted; None when they were never counted.
        accepted_px: Those that were accepted from a prediction; None when they were never counted.
        class_ids: Ids in the mask when it was last saved, ascending; empty when they were never looked for.
        unaided_blocks: Hexadecimal bit string of the blocks labelled before any prediction was shown.
        prediction_shown: Whether a prediction was ever on display over this item.
    """

    status: Status = Status.NEW
    labelled_px: int = 0
    total_px: int = 0
    painted_px: int | None = None
    accepted_px: int | None = None
    class_ids: tuple[int, ...] = ()
    unaided_blocks: str = ""
    prediction_shown: bool = False

    def to_json(self) -> dict[str, Any]:
        """Only what differs from a new item."""
        default = ItemState()
        fields = {name: getattr(self, name) for name in ItemState.__slots__}
        row = {name: value for name, value in fields.items() if value != getattr(default, name)}
        return row | {"class_ids": list(self.class_ids)} if self.class_ids else row

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> ItemState:
        """Read what :meth:`to_json` gave.

        Raises: ValueError, TypeError, AttributeError when it is something else.
        """
        return ItemState(
            Status(data.get("status", Status.NEW)),
            int(data.get("labelled_px", 0)),
            int(data.get("total_px", 0)),
            _count(data.get("painted_px")),
            _count(data.get("accepted_px")),
            tuple(int(index) for index in data.get("class_ids", ())),
            str(data.get("unaided_blocks", "")),
            bool(data.get("prediction_shown", False)),
        )


def _count(value: Any) -> int | None:
    return None if value is None else int(value)


@dataclass(frozen=True, slots=True)
class PixelCounts:
    """How many pixels of an item are labelled, and how they came to be; named as in :class:`ItemState`.

    Attributes:
        labelled_px: With a class.
        total_px: All.
        painted_px: With a class that a hand painted.
        accepted_px: With a class that was accepted from a prediction.
    """

    labelled_px: int
    total_px: int
    painted_px: int
    accepted_px: int

    @staticmethod
    def of(class_map: ClassMap, provenance: ProvenanceMap) -> PixelCounts:
        """Count two planes of one shape (H, W)."""
        labelled_px = painted_px = accepted_px = 0
        for top in range(0, class_map.shape[0], _BAND_PX):  # in bands: no mask is as large as the image
            band, origin = class_map[top : top + _BAND_PX], provenance[top : top + _BAND_PX]
            labelled = band != UNLABELLED
            labelled_px += int(np.count_nonzero(labelled))
            painted_px += int(np.count_nonzero(labelled & (origin == _PAINTED)))
            accepted_px += int(np.count_nonzero(labelled & (origin == _ACCEPTED)))
        return PixelCounts(labelled_px, int(class_map.size), painted_px, accepted_px)

    def to_state(self) -> dict[str, int]:
        """The fields of a state."""
        return {name: getattr(self, name) for name in PixelCounts.__slots__}


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to tell a person that is no error: the work goes on.

    Attributes:
        title: What was found, with the value.
        detail: What was done about it.
        remedy: What the person can do.
        item_key: The item it is about, if it is about one.
    """

    title: str
    detail: str = ""
    remedy: str = ""
    item_key: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Annotation:
    """Both planes of an item, owned by the caller.

    Attributes:
        class_map: (H, W) uint8 class ids, 255 = unlabelled, displayed orientation.
        provenance: (H, W) uint8 of :class:`~pspnet_core.types.Provenance` values.
        notices: What a person should know about how they came to be.
        replay: What the journals added, and the history; None where there are none.
    """

    class_map: ClassMap
    provenance: ProvenanceMap
    notices: tuple[Notice, ...] = ()
    replay: Replay | None = None
