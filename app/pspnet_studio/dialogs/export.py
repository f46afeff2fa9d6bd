"""Where to, in which format and which images are exported, and what that would lose."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QDoubleSpinBox,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from pspnet_core.project.formats.catalogue import FORMATS
from pspnet_core.project.records import Split
from pspnet_studio.dialogs.class_boxes import label, primary_button
from pspnet_studio.messages import tr, tr_count
from pspnet_studio.theme import SPACE_L, SPACE_S

_WIDTH_PX = 560
_MAX_TOLERANCE_PX = 20.0
_LINES = 3


class ExportDialog(QDialog):
    """Asks for a format and an empty or own folder.

    Args:
        folder: The folder that is proposed.
        num_masks: How many images have a mask.
        splits: How many of them are in each split.

    Signals:
        trial_requested: Say what an export would do, without one; see :meth:`set_trial`.
    """

    trial_requested = Signal()

    def __init__(
        self, folder: Path, num_masks: int, parent: QWidget | None = None, splits: Mapping[Split, int] | None = None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Export masks"))
        self.setMinimumWidth(_WIDTH_PX)
        self._num_masks = num_masks
        self._format = QComboBox(self)
        for row in FORMATS.values():
            self._format.addItem(tr(row.title), row.id)
        self._keeps, self._trial = QLabel(self), QLabel(self)
        self._folder = QLineEdit(str(folder), self)
        self._folder.setAcceptDrops(False)
        counts = {split: count for split, count in (splits or {}).items() if count}
        self._splits = {
            split: QCheckBox(tr(f"{split.value} ({{count}})").format(count=count), self)
            for split, count in counts.items()
            if len(counts) > 1  # there is nothing to choose from one
        }
        self._shapes = QComboBox(self)
        self._shapes.addItem(tr("Polygons; masks where there are holes"), "auto")
        self._shapes.addItem(tr("Polygons"), "polygon")
        self._shapes.addItem(tr("Masks: exact in every reader"), "mask")
        self._images = QCheckBox(tr("Copy the &images, too"), self)
        self._tolerance = QDoubleSpinBox(self)
        self._tolerance.setRange(0, _MAX_TOLERANCE_PX)
        self._tolerance.setSingleStep(0.5)
        self._tolerance.setSuffix(tr(" px"))
        self._tolerance.setSpecialValueText(tr("0 px: every pixel"))
        self._buttons = QDialogButtonBox(self)
        self._export = primary_button(self._buttons, tr("Export"))
        self._try = self._buttons.addButton(tr("&Try it"), QDialogButtonBox.ButtonRole.ActionRole)
        self._try.setToolTip(tr("Say what would be written and lost, and write nothing"))
        self._buttons.addButton(QDialogButtonBox.StandardButton.Cancel)
        self._lay_out()
        self._connect()
        self._on_format()
        self._folder.setFocus()

    @property
    def format(self) -> str:
        """Id of the chosen format."""
        return str(self._format.currentData())

    @property
    def folder(self) -> Path:
        """Where to."""
        return Path(self._folder.text().strip()).expanduser()

    @property
    def options(self) -> dict[str, Any]:
        """Fields of the options of an export."""
        chosen = frozenset(split for split, box in self._splits.items() if box.isChecked())
        return {
            "splits": chosen if 0 < len(chosen) < len(self._splits) else None,
            "with_images": self._images.isChecked(),
            "shapes": self._shapes.currentData() if self._shapes.isEnabled() else "auto",
            "tolerance_px": self._tolerance.value() if self._tolerance.isEnabled() else 0.0,
        }

    def set_format(self, format_id: str) -> None:
        """Choose a format."""
        self._format.setCurrentIndex(self._format.findData(format_id))

    def set_trial(self, text: str) -> None:
        """Show what an export would do; empty while that is worked out."""
        self._trial.setText(text or tr("Working it out…"))

    # --- inside

    def _lay_out(self) -> None:
        browse = QPushButton(tr("Choose…"), self)
        browse.clicked.connect(self._choose)
        row = QHBoxLayout()
        row.setSpacing(SPACE_S)
        row.addWidget(self._folder, 1)
        row.addWidget(browse)
        form = QGridLayout()
        form.setSpacing(SPACE_S)
        form.setColumnStretch(1, 1)
        form.addWidget(label(tr("&Format"), self._format), 0, 0)
        form.addWidget(self._format, 0, 1)
        form.addWidget(self._keeps, 1, 1)
        form.addWidget(label(tr("Fol&der"), self._folder), 2, 0)
        form.addLayout(row, 2, 1)
        if self._splits:
            boxes = QHBoxLayout()
            for box in self._splits.values():
                box.setChecked(True)
                boxes.addWidget(box)
            boxes.addStretch(1)
            form.addWidget(QLabel(tr("Splits"), self), 3, 0)
            form.addLayout(boxes, 3, 1)
        form.addWidget(self._images, 4, 1)
        form.addWidget(label(tr("&Regions become"), self._shapes), 5, 0)
        form.addWidget(self._shapes, 5, 1)
        form.addWidget(label(tr("&Outlines may be off by"), self._tolerance), 6, 0)
        form.addWidget(self._tolerance, 6, 1)
        for text in (self._keeps, self._trial):
            text.setProperty("look", "muted")
            text.setWordWrap(True)
            text.setMinimumHeight(_LINES * self.fontMetrics().lineSpacing())  # the window keeps its size
        layout = QVBoxLayout(self)
        layout.setContentsMargins(SPACE_L, SPACE_L, SPACE_L, SPACE_L)
        layout.setSpacing(SPACE_L)
        layout.addLayout(form)
        layout.addWidget(self._trial)
        layout.addWidget(self._buttons)

    def _connect(self) -> None:
        self._buttons.accepted.connect(self.accept)
        self._buttons.rejected.connect(self.reject)
        self._try.clicked.connect(self.trial_requested)
        self._format.currentIndexChanged.connect(self._on_format)
        self._folder.textChanged.connect(self._update)
        for box in self._splits.values():
            box.toggled.connect(self._update)
        for changed in (self._images.toggled, self._tolerance.valueChanged, self._shapes.currentIndexChanged):
            changed.connect(self._update)

    def _on_format(self) -> None:
        row = FORMATS[self.format]
        loses = tr(row.loses) if row.loses else tr("nothing.")
        self._keeps.setText(tr("Keeps: {keeps} Loses: {loses}").format(keeps=tr(row.keeps), loses=loses))
        self._images.setChecked(row.with_images)
        self._tolerance.setEnabled(row.has_shapes)
        self._shapes.setEnabled(row.has_shapes and row.has_masks)
        self._update()

    def _update(self) -> None:
        has_split = not self._splits or any(box.isChecked() for box in self._splits.values())
        is_possible = bool(self._folder.text().strip()) and self._num_masks > 0 and has_split
        self._export.setEnabled(is_possible)
        self._try.setEnabled(is_possible)
        if self._num_masks:
            text = tr_count("1 image has a mask.", "{count} images have a mask.", self._num_masks)
            self._trial.setText(text + " " + tr("Files of others are never overwritten."))
        else:
            self._trial.setText(tr("No image is labelled yet: there is nothing to export."))

    def _choose(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, tr("Export to"), self._folder.text())
        if folder:
            self._folder.setText(folder)
