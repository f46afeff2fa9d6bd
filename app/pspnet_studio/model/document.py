"""The open image: its two planes, the prediction under them, and its history."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from PySide6.QtCore import QObject, Signal

from pspnet_core.imaging.patch import MaskPatch
from pspnet_core.imaging.planes import PlaneStore
from pspnet_core.imaging.runs import Runs
from pspnet_core.types import UNLABELLED, BoolMask, ClassMap, Prediction, Provenance, ProvenanceMap, Rect, RgbImage
from pspnet_studio.model.edited_planes import EditedPlanes, painted_provenance
from pspnet_studio.model.image_history import History
from pspnet_studio.model.pixel import Pixel
from pspnet_studio.model.pixels import ImagePixels, not_yet
from pspnet_studio.model.protected import Protected
from pspnet_studio.model.whole_image import Change, Planes, accepting, blocks_of, filling, patching

# Plain numbers: numpy compares an array with a member of an IntEnum ten times as slowly.
_UNTOUCHED, _ACCEPTED = int(Provenance.UNTOUCHED), int(Provenance.ACCEPTED)


class Document(Protected):
    """One image with its class map and provenance, edited through transactions that undo as one step.

    A transaction is ``begin_edit``, any number of ``paint`` or ``write``, then ``commit_edit`` or ``abort_edit``.

    Args:
        item_key: Key of the item in its project.
        image: Its pixels, or an array (H, W, 3) uint8 RGB, which is not changed and not copied.
        class_plane: Class ids, 255 = unlabelled; owned by the document from now on.
        provenance_plane: Provenance values; owned by the document from now on.
        history: Of an earlier visit to the same image, or None.

    Signals:
        region_changed: What is shown changed inside a Rect.
        runs_painted: Just these pixels, Runs, got one class by hand, an id; ``region_changed`` with their ``rect``
            follows. Both are sent before the planes are written: they are once somebody asks for one.
        history_changed: ``can_undo`` or ``can_redo`` may have changed.
        edited: A MaskPatch took effect (committed, undone or redone): the image has to be saved.
    """

    region_changed = Signal(object)
    runs_painted = Signal(object, int)
    history_changed = Signal()
    edited = Signal()

    def __init__(
        self,
        item_key: str,
        image: RgbImage | ImagePixels,
        class_plane: PlaneStore,
        provenance_plane: PlaneStore,
        history: History | None = None,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.item_key = item_key
        self.pixels = image if isinstance(image, ImagePixels) else ImagePixels.of_array(image)
        self.pixels.setParent(self)
        self._planes = EditedPlanes(class_plane, provenance_plane)
        self.history = history or History()
        self.prediction: Prediction | None = None
        self.prediction_version: int | None = None
        self.is_prediction_changing = False  # while ``region_changed`` tells of another prediction, not of an edit
        self.revision = 0
        self._edit_label: str | None = None
        assert self.pixels.rect == class_plane.rect

    @property
    def class_plane(self) -> PlaneStore:
        """Class ids, 255 = unlabelled, as they are now: to be asked for each time."""
        return self._planes.classes

    @property
    def provenance_plane(self) -> PlaneStore:
        """Provenance values as they are now: to be asked for each time."""
        return self._planes.provenance

    @property
    def rect(self) -> Rect:
        """The whole image."""
        return self._planes.rect

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the image."""
        return self.rect.h, self.rect.w

    @property
    def image(self) -> RgbImage:
        """The whole image, (H, W, 3) uint8 RGB, not to be written to; see :attr:`pixels` for images of any size.

        Raises:
            ImageReadError: It is still being read, or does not fit into memory.
        """
        array = self.pixels.array
        if array is None:
            raise not_yet()
        return array

    @property
    def is_editing(self) -> bool:
        """Whether a transaction is open."""
        return self._edit_label is not None

    def is_blank(self, rect: Rect) -> bool:
        """Whether nothing can lie over the photograph there: no pixel was ever labelled, and nothing is predicted."""
        planes = self.class_plane, self.provenance_plane
        return self.prediction is None and all(plane.is_unwritten(rect) for plane in planes)

    def set_prediction(
        self,
        prediction: Prediction | None,
        version: int | None = None,
        changed: Rect | tuple[Rect, ...] | None = None,
    ) -> None:
        """Show another prediction (or none) under the user's pixels.

        Args:
            prediction: Is shown as it is, also when it is written to later.
            version: Whose it is.
            changed: Where it differs from what was shown; None for everywhere.

        Raises:
            ValueError: Its size is not the image's.
        """
        if prediction is not None and prediction.class_map.shape != self.shape:
            raise ValueError(f"prediction {prediction.class_map.shape} does not fit image {self.shape}")
        self.prediction = prediction
        self.prediction_version = version if prediction is not None else None
        parts = (self.rect,) if changed is None else (changed,) if isinstance(changed, Rect) else changed
        was_changing, self.is_prediction_changing = self.is_prediction_changing, True
        for rect in parts:
            self.region_changed.emit(rect)
        self.is_prediction_changing = was_changing

    def displayed(self, rect: Rect, step: int = 1) -> tuple[ClassMap, BoolMask]:
        """What is shown in ``rect`` (clipped by the caller), or in every n-th pixel of it (:meth:`PlaneStore.read`).

        Returns:
            Class ids, 255 where nothing is shown, and a mask of the pixels that come from the prediction.
        """
        classes = self.class_plane.read(rect, step)
        if self.prediction is None:
            return classes, np.zeros(classes.shape, np.bool_)
        predicted = self.provenance_plane.read(rect, step) == _UNTOUCHED
        np.copyto(classes, self.prediction.class_map[rect.slices][::step, ::step], where=predicted)
        return classes, predicted

    def pixel(self, x: int, y: int) -> Pixel:
        """What is shown at column ``x`` and row ``y``, which lie in the image."""
        provenance = Provenance(self.provenance_plane.value_at(x, y))
        if provenance is Provenance.UNTOUCHED and self.prediction is not None:
            confidence = float(self.prediction.confidence[y, x]) / 255
            return Pixel(int(self.prediction.class_map[y, x]), provenance, confidence)
        return Pixel(self.class_plane.value_at(x, y), provenance, None)

    def committed_planes(self) -> tuple[ClassMap, ProvenanceMap]:
        """Copies of both planes as they are without the transaction that is open (it may still be aborted)."""
        class_plane, provenance_plane = self.committed_snapshot()
        return class_plane.to_array(), provenance_plane.to_array()

    def committed_snapshot(self) -> tuple[PlaneStore, PlaneStore]:
        """As :meth:`committed_planes`, for any thread and without copying: at any size it costs next to nothing."""
        return self._planes.committed()

    def catch_up(self) -> None:
        """Write what strokes put off into the planes: to be called when the hand is not waiting."""
        self._planes.catch_up()

    # --- transactions

    def begin_edit(self, label: str) -> None:
        """Open a transaction; ``label`` names it in the history."""
        assert not self.is_editing, "an edit is open already"
        self._edit_label = label
        self._kept_class = None
        self._refuses()

    def paint(self, rect: Rect, mask: BoolMask, class_id: int) -> None:
        """Give the pixels of ``mask`` (shape of ``rect``) a class by hand; 255 erases them by hand."""
        mask = self._changeable(rect, mask, class_id)
        self._remember(rect)
        self.class_plane.fill(rect, mask, class_id)
        self.provenance_plane.fill(rect, mask, painted_provenance(class_id))
        self.region_changed.emit(rect)

    def paint_runs(self, runs: Runs, class_id: int) -> None:
        """As :meth:`paint`, for pixels of a brush: costs what they are, not what the box around them is."""
        if self._protection.is_on and not runs.is_empty:
            classes = self.class_plane.read_runs(runs)
            allowed = self._protection.allowed(classes)
            self._note_kept(classes, ~allowed, class_id)
            runs = runs.where(allowed)
        if runs.is_empty:
            return
        assert self.is_editing, "begin_edit first"
        self._planes.paint(runs, class_id)
        self.runs_painted.emit(runs, class_id)
        self.region_changed.emit(runs.rect)

    def write(self, rect: Rect, mask: BoolMask, class_ids: ClassMap, provenance: Provenance) -> None:
        """Give the pixels of ``mask`` the classes in ``class_ids`` (both of the shape of ``rect``)."""
        mask = self._changeable(rect, mask)
        self._remember(rect)
        self.class_plane.write(rect, class_ids, mask)
        self.provenance_plane.fill(rect, mask, provenance)
        self.region_changed.emit(rect)

    def accept(self, rect: Rect, mask: BoolMask) -> None:
        """Take over the prediction, which must be there, on the pixels of ``mask`` that are untouched or accepted."""
        assert self.prediction is not None
        mask = mask & (self.provenance_plane.read(rect) <= _ACCEPTED)
        self.write(rect, mask, self.prediction.class_map[rect.slices], Provenance.ACCEPTED)

    def reject(self, rect: Rect, mask: BoolMask) -> None:
        """Give the pixels of ``mask`` that are accepted back to the prediction."""
        mask = mask & (self.provenance_plane.read(rect) == _ACCEPTED)
        self.write(rect, mask, np.full(mask.shape, UNLABELLED, np.uint8), Provenance.UNTOUCHED)

    def commit_edit(self) -> bool:
        """Close the transaction as one undoable step; False when it changed nothing."""
        assert self._edit_label is not None, "no edit is open"
        patch = self._planes.close(self.item_key, self._edit_label, self.prediction_version)
        self._edit_label = None
        if patch is None:
            if self._kept_class is not None and self._kept_class not in self._protection.locked:
                self.kept_off.emit(self._kept_class)
            return False
        self.history.push(patch)
        self._after_edit()
        return True

    def abort_edit(self) -> None:
        """Close the transaction and put back what it changed."""
        assert self._edit_label is not None, "no edit is open"
        self._edit_label = None
        for rect in self._planes.roll_back():
            self.region_changed.emit(rect)

    def undo(self) -> None:
        """Take back the last step; nothing happens while a transaction is open."""
        if self.history.can_undo:
            self.go_to(self.history.num_done - 1)

    def redo(self) -> None:
        """Do again what was taken back last; nothing happens while a transaction is open."""
        if self.history.can_redo:
            self.go_to(self.history.num_done + 1)

    def go_to(self, num_done: int, known: tuple[Planes, Sequence[MaskPatch]] | None = None) -> None:
        """Undo or redo until so many steps of the history are in force; what is shown changes once.

        Nothing happens while a transaction is open.

        Args:
            num_done: How many.
            known: What :meth:`History.way_to` made of a :meth:`committed_snapshot` of this revision, given away, and
                its records in order; when not given, it is worked out here.

        Raises:
            ValueError: There are not as many steps.
        """
        if self.is_editing or self._refuses():
            return
        moves = self.history.go_to(num_done, None if known is None else known[1])
        if known is not None:
            self._planes.take(known[0])
        else:
            for patch, is_forward in moves:
                (patch.apply if is_forward else patch.revert)(self.class_plane, self.provenance_plane)
        if len(moves) == 1:
            self._after_step(moves[0][0])
        elif moves:
            changed = (block.rect for patch, _ in moves for block in patch.blocks)
            for block in dict.fromkeys(part for rect in changed for part in blocks_of(rect, self.rect)):
                self.region_changed.emit(block)
            self._after_edit()

    # --- whole-image steps

    def accepting(
        self, only_unlabelled: bool = False, class_id: int | None = None, min_confidence: int = 0
    ) -> Change | None:
        """Taking over what is predicted now, or that of one class or from some confidence on (0 to 255), if there is.

        Only untouched and accepted pixels change; with ``only_unlabelled`` the accepted ones stay, too. So do those of
        locked classes.
        """
        if (shown := self.prediction) is None:
            return None
        version, protection = self.prediction_version, self._protection
        return accepting(self.item_key, shown, version, protection, only_unlabelled, class_id, min_confidence)

    def patching(self, find: Callable[[Planes], MaskPatch | None]) -> Change:
        """Doing what the record says that ``find`` gives, where no pixel is protected."""
        return patching(find, self._protection, self.prediction_version)

    def fill_unlabelled(self, class_id: int) -> bool:
        """Give every unlabelled pixel a class by hand, as one step; False when there was none."""
        return self.make(filling(self.item_key, class_id, self.prediction_version))

    def accept_prediction(
        self, only_unlabelled: bool = False, class_id: int | None = None, min_confidence: int = 0
    ) -> bool:
        """As :meth:`accepting`, at once, as one step; False when nothing changed."""
        change = self.accepting(only_unlabelled, class_id, min_confidence)
        return change is not None and self.make(change)

    def make(self, change: Change) -> bool:
        """Make a change as one step, False when it changes nothing; see ``WholeSteps`` for large images."""
        assert not self.is_editing, "an edit is open"
        if self._refuses() or (patch := change((self.class_plane, self.provenance_plane))) is None:
            return False
        self._push(patch)
        return True

    def take_over(self, planes: Planes, patch: MaskPatch) -> None:
        """Add a step that was made on a :meth:`committed_snapshot` of this revision, which is given away."""
        assert not self.is_editing, "an edit is open"
        if not self._refuses():
            self._planes.take(planes)
            self._push(patch)

    # --- inside

    def _push(self, patch: MaskPatch) -> None:
        self.history.push(patch)
        self._after_step(patch)

    def _after_step(self, patch: MaskPatch) -> None:
        for block in patch.blocks:
            self.region_changed.emit(block.rect)
        self._after_edit()

    def _after_edit(self) -> None:
        self.revision += 1
        self.history_changed.emit()
        self.edited.emit()

    def _changeable(self, rect: Rect, mask: BoolMask, class_id: int | None = None) -> BoolMask:
        """``mask`` without what is protected; ``rect`` lies in the image, as all areas of tools do.

        Nobody minds that pixels stay which have the class ``class_id`` already.
        """
        if not self._protection.is_on or rect.is_empty:
            return mask
        classes = self.class_plane.read(rect)
        changeable: BoolMask = mask & self._protection.allowed(classes)
        self._note_kept(classes, mask > changeable, class_id)
        return changeable

    def _remember(self, rect: Rect) -> None:
        assert self.is_editing, "begin_edit first"
        self._planes.catch_up()
        self._planes.remember(rect)
