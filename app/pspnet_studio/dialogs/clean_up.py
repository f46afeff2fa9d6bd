"""What is to be cleaned up, and how many pixels that would change."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QSignalBlocker, Signal
from PySide6.QtWidgets import QComboBox, QDialog, QDialogButtonBox, QGridLayout, QLabel, QSpinBox, QVBoxLayout, QWidget

from pspnet_core.classes import ClassSet
from pspnet_studio.dialogs.class_boxes import label, primary_button, would_change
from pspnet_studio.messages import tr
from pspnet_studio.theme import SPACE_L, SPACE_S, indent_value

_WIDTH_PX = 380


@dataclass(frozen=True, slots=True)
class _Kind:
    text: str
    amount: str
    default: int
    maximum: int
    has_replacement: bool
    hint: str


def _kinds() -> dict[str, _Kind]:
    return {
        "holes": _Kind(
            tr("Fill holes"),
            tr("&Up to"),
            200,
            10_000_000,
            False,
            tr("Regions that the class encloses, whatever they hold, get the class if they are not larger."),
        ),
        "islands": _Kind(
            tr("Remove islands"), tr("&Below"), 100, 10_000_000, True, tr("Regions of fewer pixels lose the class.")
        ),
        "grow": _Kind(
            tr("Grow"),
            tr("&By"),
            2,
            100,
            False,
            tr("The class takes the pixels around it; all classes together take only unlabelled ones."),
        ),
        "shrink": _Kind(
            tr("Shrink"),
            tr("&By"),
            2,
            100,
            True,
            tr("The class gives up its outermost pixels; all classes together leave gaps."),
        ),
        "smooth": _Kind(
            tr("Smooth"), tr("&Radius"), 3, 100, True, tr("A pixel gets the class that most pixels around it have.")
        ),
    }


class CleanUpDialog(QDialog):
    """Stays open beside the image, which shows what would change, until it is closed.

    Signals:
        task_changed: Something else is to be looked for.
        apply_requested: What is shown is to be done.
    """

    task_changed = Signal()
    apply_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Clean up regions"))
        self.setMinimumWidth(_WIDTH_PX)
        self._kinds = _kinds()
        self._amounts = {name: kind.default for name, kind in self._kinds.items()}
        self.operation_box, self.class_box, self.replacement_box = QComboBox(), QComboBox(), QComboBox()
        self.amount_box = QSpinBox()
        indent_value(self.amount_box)
        self._amount_label = label("", self.amount_box)
        self._replacement_label = label(tr("&Then they are"), self.replacement_box)
        self._hint, self.result_label = QLabel(), QLabel()
        self._buttons = QDialogButtonBox()
        self.apply_button = primary_button(self._buttons, tr("&Apply"))
        close = self._buttons.addButton(QDialogButtonBox.StandardButton.Close)
        self._fill()
        self._lay_out()
        self.operation_box.currentIndexChanged.connect(self._on_operation)
        self.amount_box.valueChanged.connect(self._on_amount)
        self.class_box.currentIndexChanged.connect(self.task_changed)
        self.replacement_box.currentIndexChanged.connect(self.task_changed)
        self.apply_button.clicked.connect(self.apply_requested)
        close.clicked.connect(self.close)
        self._on_operation()
        self.show_busy()

    @property
    def operation(self) -> str:
        """As in :class:`~pspnet_core.imaging.cleanup.CleanUp`; so are the others."""
        return str(self.operation_box.currentData())

    @property
    def amount(self) -> int:
        """Pixels, or a radius."""
        return self.amount_box.value()

    @property
    def is_for_all(self) -> bool:
        """Whether all classes are meant, or only the current one."""
        return bool(self.class_box.currentData())

    @property
    def replacement(self) -> str:
        """What pixels become that lose their class."""
        return str(self.replacement_box.currentData())

    def set_current_class(self, classes: ClassSet, class_id: int | None) -> None:
        """Name the class that is painted with."""
        name = classes[class_id].name if class_id is not None and class_id in classes else tr("none")
        self.class_box.setItemText(0, tr("Current class: {name}").format(name=name))

    def show_busy(self) -> None:
        """It is being looked for."""
        self.result_label.setText(tr("Looking…"))
        self.apply_button.setEnabled(False)

    def show_result(self, num_pixels: int) -> None:
        """It was found."""
        if num_pixels:
            text = would_change(num_pixels) + "."
        else:
            text = tr("Nothing would change.")
        self.result_label.setText(text)
        self.apply_button.setEnabled(num_pixels > 0)

    def show_nothing(self, text: str) -> None:
        """It cannot be looked for, for a reason."""
        self.result_label.setText(text)
        self.apply_button.setEnabled(False)

    # --- inside

    def _fill(self) -> None:
        for name, kind in self._kinds.items():
            self.operation_box.addItem(kind.text, name)
        self.class_box.addItem("", False)
        self.class_box.addItem(tr("All classes"), True)
        self.replacement_box.addItem(tr("What surrounds them"), "surrounding")
        self.replacement_box.addItem(tr("Unlabelled"), "unlabelled")
        self.amount_box.setSuffix(tr(" px"))
        self.amount_box.setGroupSeparatorShown(True)

    def _lay_out(self) -> None:
        grid = QGridLayout()
        grid.setSpacing(SPACE_S)
        grid.setColumnStretch(1, 1)
        rows = (
            (label(tr("&Do"), self.operation_box), self.operation_box),
            (self._amount_label, self.amount_box),
            (label(tr("&Classes"), self.class_box), self.class_box),
            (self._replacement_label, self.replacement_box),
        )
        for row, (name, control) in enumerate(rows):
            grid.addWidget(name, row, 0)
            grid.addWidget(control, row, 1)
        self._hint.setProperty("look", "muted")
        self._hint.setWordWrap(True)
        self._hint.setMinimumHeight(2 * self.fontMetrics().lineSpacing())  # the window keeps its size
        self.result_label.setProperty("look", "title")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(SPACE_L, SPACE_L, SPACE_L, SPACE_L)
        layout.setSpacing(SPACE_L)
        layout.addLayout(grid)
        layout.addWidget(self._hint)
        layout.addWidget(self.result_label)
        layout.addWidget(self._buttons)

    def _on_operation(self) -> None:
        kind = self._kinds[self.operation]
        with QSignalBlocker(self.amount_box):
            self.amount_box.setRange(1, kind.maximum)
            self.amount_box.setValue(self._amounts[self.operation])
        self._amount_label.setText(kind.amount)
        self._hint.setText(kind.hint)
        self._replacement_label.setEnabled(kind.has_replacement)
        self.replacement_box.setEnabled(kind.has_replacement)
        self.task_changed.emit()

    def _on_amount(self, amount: int) -> None:
        self._amounts[self.operation] = amount
        self.task_changed.emit()
