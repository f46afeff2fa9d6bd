"""Reading one item in the background: first a reduced picture and its two planes, then the picture itself."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass

from pspnet_core.errors import StorageError
from pspnet_core.imaging.opening import OpenStep, file_version, open_steps
from pspnet_core.imaging.planes import PlaneStore
from pspnet_core.imaging.source import ArraySource
from pspnet_core.imaging.tiff_source import TiffSource
from pspnet_core.project.lock_file import Holder
from pspnet_core.project.project import Item, Notice, Project
from pspnet_core.project.records import PixelCounts
from pspnet_core.project.replay import Replay
from pspnet_core.types import UNLABELLED, Provenance
from pspnet_studio.jobs.read_ahead import PictureStore

logger = logging.getLogger(__name__)

_DRAWING_S = 0.03
"""The reduced picture is drawn in this time; decoding begins by keeping the interpreter busy for about as long."""

Source = ArraySource | TiffSource
Planes = tuple[PlaneStore, PlaneStore]


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """What is enough to show an item and to paint on it.

    Attributes:
        item: Whose it is.
        step: The size; a reduced picture, the picture itself, or both.
        class_plane: Class ids, 255 = unlabelled.
        provenance_plane: Provenance values.
        counts: Of its pixels, where the project did not know them.
        notices: What a person should know (a mask of another size, new classes, ...).
        replay: What its journals hold; None where the planes are newer than the disk.
        holder: Who else is changing it, so that it can be looked at only.
    """

    item: Item
    step: OpenStep
    class_plane: PlaneStore
    provenance_plane: PlaneStore
    counts: PixelCounts | None
    notices: tuple[Notice, ...]
    replay: Replay | None
    holder: Holder | None = None

    @property
    def has_restored(self) -> bool:
        """Whether its planes are newer than their files, and to be saved."""
        return self.replay is not None and self.replay.has_restored and self.holder is None


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """The picture itself.

    Attributes:
        item: Whose it is.
        source: Its pixels.
    """

    item: Item
    source: Source


def open_item(
    project: Project, item: Item, unsaved: Planes | None = None, store: PictureStore | None = None
) -> Iterator[Opened | Loaded]:
    """Read an item; yields once ``Opened``, as soon as something can be shown, and last ``Loaded``.

    Args:
        project: Whose item it is.
        item: What to read.
        unsaved: Its planes where they are newer than the disk; given away.
        store: Has its picture, perhaps, and keeps it.

    Raises:
        ImageReadError: The picture cannot be read.
        ClassMapError: Our own mask is corrupt; nothing is replaced by an empty one.
    """
    version = file_version(item.image_path)
    known = None if store is None else store.get(item)
    if known is not None:
        steps = iter([OpenStep(known.width, known.height, None, known)])
    else:
        steps = open_steps(item.image_path, item.page)
    is_opened = False
    for step in steps:
        if not is_opened:
            yield _opened(project, item, step, unsaved)
            is_opened = True
            if step.source is None:
                time.sleep(_DRAWING_S)
        if step.source is not None:
            if store is not None and isinstance(step.source, ArraySource):
                store.put(item, version, step.source)
            yield Loaded(item, step.source)


def _opened(project: Project, item: Item, step: OpenStep, unsaved: Planes | None) -> Opened:
    width, height = step.width, step.height
    notices: tuple[Notice, ...] = ()
    replay: Replay | None = Replay()
    holder = _lock(project, item, is_fresh=unsaved is None)
    if unsaved is None:
        project.masks.note(item.key)
    if unsaved is not None and unsaved[0].shape == (height, width):
        (classes, provenance), replay = unsaved, None
    elif not project.has_annotation(item):  # nothing of the image's size is made for nothing
        classes, provenance = PlaneStore(width, height, UNLABELLED), PlaneStore(width, height, Provenance.UNTOUCHED)
    else:
        annotation = project.load_annotation(item, width, height)
        classes = PlaneStore.from_array(annotation.class_map, UNLABELLED)
        provenance = PlaneStore.from_array(annotation.provenance, Provenance.UNTOUCHED)
        notices, replay = tuple(annotation.notices), annotation.replay or replay
    state = project.state(item.key)
    is_known = state.total_px > 0 and (state.painted_px is not None or state.labelled_px == 0)
    counts = None if is_known else _counts(classes, provenance)
    if holder is not None:
        notices = ()  # they are about what is to be done with it, and that is not done here
    return Opened(item, step, classes, provenance, counts, notices, replay, holder)


def _lock(project: Project, item: Item, is_fresh: bool) -> Holder | None:
    """Have the item for this window, or say who has it; nothing is made in a folder where nothing was saved yet."""
    if not project.folder.is_dir():
        return None
    try:
        return project.locks.acquire(item.key, is_fresh)
    except StorageError as error:
        logger.warning("%s", error)  # it can be looked at; a save says the same
        return None


def _counts(class_plane: PlaneStore, provenance_plane: PlaneStore) -> PixelCounts:
    labelled = painted = accepted = 0
    for rect in class_plane.written_rects():
        part = PixelCounts.of(class_plane.read(rect), provenance_plane.read(rect))
        labelled, painted = labelled + part.labelled_px, painted + part.painted_px
        accepted += part.accepted_px
    return PixelCounts(labelled, class_plane.width * class_plane.height, painted, accepted)
