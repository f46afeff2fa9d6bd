"""What a version confuses, where it is worst, and which labels look wrong: each number leads to its pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QApplication,
    QComboBox,
    QFrame,
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QSplitter,
    QStackedWidget,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from pspnet_studio.messages import tr, tr_count
from pspnet_studio.panels.confusion import ConfusionView, percent_text
from pspnet_studio.panels.disclosure import ElidedLabel
from pspnet_studio.panels.empty import EmptyState
from pspnet_studio.panels.review_rows import Row, RowList
from pspnet_studio.theme import SPACE_M, SPACE_S, SPACE_XS

if TYPE_CHECKING:
    from pspnet_core.classes import ClassSet, Color
    from pspnet_core.metrics import ConfusionMatrix
    from pspnet_core.training.review_events import ItemScore, Place, Review, Reviewing, Suspect
    from pspnet_studio.model.review import Reviews

_PROGRESS_STEPS = 1000
_MOST_ITEMS = 300  # the worst
_ALL, _UNLEARNED = "all", "unlearned"


class ReviewPanel(QWidget):
    """Shows the review of a version.

    Args:
        reviews: Makes it.

    Signals:
        place_chosen: A Place to go to.
        item_chosen: Key of an image to open.
        told: A sentence for a short time.
    """

    place_chosen = Signal(object)
    item_chosen = Signal(str)
    told = Signal(str)

    def __init__(self, reviews: Reviews, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._reviews = reviews
        self._shown: Review | None = None
        self._turn: tuple[object, int] = (None, -1)  # what was chosen last, and which of its places
        self._words = ""  # about it
        self._focus: QWidget | None = None  # that had the keyboard when it was chosen
        self.empty = EmptyState("review", "", "")
        self.start_button = QPushButton()
        self.start_button.setProperty("look", "primary")
        self.empty.add_widget(self.start_button)
        self.head = _Head()
        self.matrix = ConfusionView()
        nothing = (tr("Nothing is wrong"), tr("All labelled pixels are predicted as they are labelled."))
        self.classes = RowList(tr("IoU of each class"), EmptyState("done", *nothing))
        self.items = RowList(tr("Images, worst first"), EmptyState("image", *nothing))
        suspects = tr("Where the version is sure of another class than you gave, the place is listed here.")
        self.suspects = RowList(tr("Labels that look wrong"), EmptyState("done", tr("No label looks wrong"), suspects))
        self.tabs = QTabWidget()
        self._splitter = QSplitter()
        self._pages = QStackedWidget()
        self._lay_out()
        self._connect()
        self._refresh()

    @property
    def words(self) -> str:
        """What it says while there is nothing to show."""
        return self.empty.words

    # --- inside

    def _lay_out(self) -> None:
        self.tabs.setDocumentMode(True)
        self.tabs.setUsesScrollButtons(False)
        self.tabs.addTab(self.classes, tr("Classes"))
        self.tabs.addTab(self.items, tr("Images"))
        self.tabs.addTab(self.suspects, tr("Labels"))
        self.tabs.setTabToolTip(0, tr("IoU of each class; a click goes to where it is missed or seen in vain"))
        self.tabs.setTabToolTip(1, tr("Images by mIoU, the worst first"))
        self.tabs.setTabToolTip(2, tr("Labels that look wrong: the version is sure of another class"))
        self._splitter.setChildrenCollapsible(False)
        left = QWidget()
        rows = QVBoxLayout(left)
        rows.setContentsMargins(SPACE_M, SPACE_XS, 0, 0)
        rows.setSpacing(SPACE_XS)
        rows.addWidget(self.matrix, 1)
        self._splitter.addWidget(left)
        self._splitter.addWidget(self.tabs)
        self._splitter.setStretchFactor(0, 3)
        self._splitter.setStretchFactor(1, 2)
        self._pages.addWidget(self.empty)
        self._pages.addWidget(self._splitter)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.head)
        column.addWidget(self._pages, 1)

    def _connect(self) -> None:
        reviews = self._reviews
        self.start_button.clicked.connect(reviews.start)
        self.head.again_button.clicked.connect(reviews.start)
        self.head.stop_button.clicked.connect(reviews.finish_early)
        self.head.cancel_button.clicked.connect(reviews.cancel)
        self.head.scope_box.currentIndexChanged.connect(self._show_scores)
        reviews.changed.connect(self._refresh)
        reviews.progressed.connect(self.head.show_progress)
        self.place_chosen.connect(reviews.go_to)
        reviews.reached.connect(lambda _: self.told.emit(self._words))
        self.matrix.cell_chosen.connect(self._on_cell)
        self.classes.chosen.connect(self._on_class)
        self.items.chosen.connect(self._on_item)
        self.suspects.chosen.connect(lambda suspect: self._go(suspect, (suspect.place,), ""))

    def _refresh(self) -> None:
        """Show what there is now."""
        result, version = self._reviews.result, self._reviews.version
        self.head.show_state(self._reviews)
        self._pages.setCurrentWidget(self.empty if result is None else self._splitter)
        self.head.setVisible(result is not None or self._reviews.is_running)
        self.start_button.setVisible(version is not None and not self._reviews.is_running)
        self.start_button.setText(tr("Review version {number}").format(number=version))
        if version is None:
            self.empty.set_words(tr("No version to review yet"), tr("Fine-tune first: Model > Fine-tune (Ctrl+T)."))
        elif self._reviews.is_running:
            self.empty.set_words(
                tr("Looking at the labelled images…"), tr("What the version confuses is shown as soon as it is done.")
            )
        else:
            self.empty.set_words(
                tr("See where the version is wrong"),
                tr("All labelled images are predicted and compared with their labels."),
            )
        if result is not None and result is not self._shown:
            self._show(result)
        self._shown = result

    def _show(self, result: Review) -> None:
        self._turn = (None, -1)
        self.head.show_result(result)
        self._shown = result
        self._show_scores()
        self.items.show_rows([_item_row(score) for score in result.items[:_MOST_ITEMS]])
        self.suspects.show_rows([_suspect_row(suspect, result.classes) for suspect in result.suspects])
        self.tabs.setTabText(
            2, tr("Labels ({count})").format(count=len(result.suspects)) if result.suspects else tr("Labels")
        )

    def _show_scores(self) -> None:
        result = self._shown
        if result is None:
            return
        matrix = result.unlearned if self.head.scope_box.currentData() == _UNLEARNED else result.everything
        self.matrix.matrix.show_matrix(matrix, result.classes)
        self.matrix.fit_columns()
        self.classes.show_rows(_class_rows(matrix, result))

    def _on_cell(self, true_id: int, predicted_id: int) -> None:
        result = self._shown
        if result is None:
            return
        if true_id == predicted_id:
            self.told.emit(tr("These pixels are predicted as they are labelled."))
            return
        names = {"true": result.classes[true_id].name, "predicted": result.classes[predicted_id].name}
        nothing = tr("Nothing labelled as “{true}” is predicted as “{predicted}”.").format(**names)
        self._go((true_id, predicted_id), result.cells.get((true_id, predicted_id), ()), nothing)

    def _on_class(self, class_id: int) -> None:
        if self._shown is not None:
            name = self._shown.classes[class_id].name
            nothing = tr("“{name}” is nowhere missed, nor seen in vain.").format(name=name)
            self._go(class_id, self._shown.places_of_class(class_id), nothing)

    def _on_item(self, score: ItemScore) -> None:
        if score.places:
            self._go(score.key, score.places, "")
        else:
            self.item_chosen.emit(score.key)

    def _go(self, chosen: object, places: Sequence[Place], nothing: str) -> None:
        """Go to the next place of what was chosen: the largest first, then round."""
        if not places:
            self.told.emit(nothing)
            return
        number = (self._turn[1] + 1) % len(places) if self._turn[0] == chosen else 0
        self._turn = chosen, number
        place = places[number]
        assert self._shown is not None
        classes = self._shown.classes
        text = tr(
            "Labelled “{true}”, predicted “{predicted}”: place {number} of {total}. Choose it again for the next one."
        )
        if len(places) == 1:
            text = tr("Labelled “{true}”, predicted “{predicted}”.")
        names = {"true": classes[place.true_id].name, "predicted": _name(place.predicted_id, classes)}
        self._words = text.format(number=number + 1, total=len(places), **names)
        self._focus = self.focusWidget() if self.isAncestorOf(QApplication.focusWidget() or self) else None
        self.place_chosen.emit(place)

    def take_focus_back(self) -> None:
        """Give the keyboard back to what it was on when a place was chosen: Enter goes on to the next one."""
        if self._focus is not None:
            self._focus.setFocus()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        is_wide = self.width() > self.height()
        self._splitter.setOrientation(Qt.Orientation.Horizontal if is_wide else Qt.Orientation.Vertical)


class _Head(QFrame):
    """The line above: what was reviewed, its scores, whether it is outdated, or how far it is."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._title = ElidedLabel("title")
        self._outdated = ElidedLabel("warning")
        self._caption = ElidedLabel("muted")
        self._caption.setText(tr("Rows: labelled as. Columns: predicted as. Numbers: % of the row."))
        self.scope_box = QComboBox()
        self.scope_box.setAccessibleName(tr("Which labelled pixels count"))
        self.scope_box.addItem(tr("All labels"), _ALL)
        self.scope_box.addItem(tr("Not learned from"), _UNLEARNED)
        self.again_button = QPushButton(tr("Review again"))
        self.again_button.setProperty("look", "compact")
        self.progress = QProgressBar()
        self.progress.setRange(0, _PROGRESS_STEPS)
        self.progress.setTextVisible(False)
        self.progress.setAccessibleName(tr("Progress of the review"))
        self.stop_button = QPushButton(tr("Stop and show"))
        self.stop_button.setProperty("look", "compact")
        self.stop_button.setToolTip(tr("Show what is known from the images so far"))
        self.cancel_button = QPushButton(tr("Cancel"))
        self.cancel_button.setProperty("look", "compact")
        row = QHBoxLayout()
        row.setSpacing(SPACE_S)
        row.addWidget(self._title, 1)
        for widget in (self.again_button, self.stop_button, self.cancel_button):
            row.addWidget(widget)
        below = QHBoxLayout()
        below.setSpacing(SPACE_S)
        below.addWidget(self._caption, 1)
        below.addWidget(self.scope_box)
        column = QVBoxLayout(self)
        column.setContentsMargins(SPACE_M, SPACE_S, SPACE_M, SPACE_XS)
        column.setSpacing(SPACE_XS)
        column.addLayout(row)
        column.addWidget(self.progress)
        column.addWidget(self._outdated)
        column.addLayout(below)
        self._result_text = ""

    @property
    def text(self) -> str:
        """What it says."""
        return f"{self._title.text()} {self._outdated.text()}".strip()

    def show_result(self, result: Review) -> None:
        """Take over the scores of a review."""
        has_unlearned = result.unlearned.num_pixels > 0
        for row in range(self.scope_box.count()):
            if self.scope_box.itemData(row) == _UNLEARNED:
                self.scope_box.model().item(row).setEnabled(has_unlearned)
        if not has_unlearned:
            self.scope_box.setCurrentIndex(self.scope_box.findData(_ALL))
        self.scope_box.setToolTip(
            tr("Count all labelled pixels, or those only that the version did not learn from")
            if has_unlearned
            else tr("The version learned from all labelled pixels, or its record does not tell")
        )
        self._result_text = _summary(result)

    def show_state(self, reviews: Reviews) -> None:
        """Show what can be done now."""
        is_running = reviews.is_running
        for widget in (self.progress, self.stop_button, self.cancel_button):
            widget.setVisible(is_running)
        if is_running:
            self.progress.setRange(0, 0)
            self._title.setText(tr("Reviewing version {number}…").format(number=reviews.running_version))
        elif reviews.result is not None:
            self.show_result(reviews.result)
            self._title.setText(self._result_text)
        self.stop_button.setEnabled(False)
        self._outdated.setText(reviews.outdated)
        self._outdated.setVisible(bool(reviews.outdated))
        self.scope_box.setVisible(not is_running)
        self._caption.setVisible(not is_running)
        self.again_button.setVisible(not is_running)

    def show_progress(self, event: Reviewing) -> None:
        """Show how far it is."""
        self.progress.setRange(0, _PROGRESS_STEPS)
        self.progress.setValue(round(_PROGRESS_STEPS * event.fraction))
        self.stop_button.setEnabled(event.done > 0)
        text = tr("Reviewing: image {number} of {total}")
        self._title.setText(text.format(number=min(event.done + 1, event.total), total=event.total))


def _summary(result: Review) -> str:
    count = len(result.items)
    parts = [
        tr("Version {number}").format(number=result.version),
        tr("mIoU {score}").format(score=_score(result.everything)),
    ]
    if result.unlearned.num_pixels:
        parts.append(tr("on what it did not learn from {score}").format(score=_score(result.unlearned)))
    if result.test.num_pixels:
        parts.append(tr("test {score}").format(score=_score(result.test)))
    parts.append(tr_count(tr("{count} image"), tr("{count} images"), count))
    if result.unread:
        parts.append(tr_count(tr("{count} could not be read"), tr("{count} could not be read"), len(result.unread)))
    return " · ".join(parts)


def _score(matrix: ConfusionMatrix) -> str:
    return f"{matrix.mean_iou:.2f}"


def _class_rows(matrix: ConfusionMatrix, result: Review) -> list[Row]:
    """Worst first: that is where something can be done."""
    iou = matrix.iou_by_id
    found = [(iou[c.index], c) for c in result.classes if c.index in iou]
    rows = []
    for value, c in sorted(found, key=lambda pair: pair[0]):
        detail = "" if c.index in result.known else tr("the version does not know this class")
        rows.append(Row(c.name, f"{value:.2f}", c.index, detail, (c.color,), value))
    has_detail = any(row.detail for row in rows)  # all rows are of one height
    return [Row(r.title, r.value, r.target, r.detail or " ", r.colors, r.bar) for r in rows] if has_detail else rows


def _item_row(score: ItemScore) -> Row:
    wrong = tr("{percent} % wrong").format(percent=percent_text(score.wrong_px / max(1, score.labelled_px)))
    learned = (
        tr("not learned from")
        if score.is_held_out
        else tr("partly learned from")
        if score.unlearned_px
        else tr("learned from")
    )
    value = "–" if math.isnan(score.mean_iou) else f"{score.mean_iou:.2f}"
    return Row(score.key.rpartition("/")[2], value, score, f"{wrong} · {learned}", bar=score.mean_iou)


def _suspect_row(suspect: Suspect, classes: ClassSet) -> Row:
    place = suspect.place
    names = {"true": _name(place.true_id, classes), "predicted": _name(place.predicted_id, classes)}
    title = tr("{true} → {predicted}?").format(**names)
    detail = tr("{name} · {count} pixels").format(name=place.key.rpartition("/")[2], count=f"{place.area_px:,}")
    sure = tr("{percent} % sure").format(percent=round(100 * suspect.margin))
    return Row(title, sure, suspect, detail, _colors((place.true_id, place.predicted_id), classes))


def _colors(ids: Sequence[int], classes: ClassSet) -> tuple[Color, ...]:
    return tuple(classes[i].color for i in ids if i in classes)


def _name(class_id: int, classes: ClassSet) -> str:
    return classes[class_id].name if class_id in classes else str(class_id)
