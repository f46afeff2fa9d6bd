"""Which network a fine-tune starts with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QButtonGroup,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QGridLayout,
    QLabel,
    QRadioButton,
    QVBoxLayout,
    QWidget,
)

from pspnet_core.pretrained import weights_folder
from pspnet_core.training.start import Start
from pspnet_studio.messages import tr
from pspnet_studio.model.networks import NetworkChoice, choice_of
from pspnet_studio.theme import SPACE_L, SPACE_M, SPACE_S

_WIDTH_PX = 620


class NetworkDialog(QDialog):
    """Offers networks; one that is not on this computer is only used with its address and size before the eyes.

    Args:
        choices: What is offered.
        start: What is chosen now, one of them.
    """

    def __init__(self, choices: Sequence[NetworkChoice], start: Start, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Network"))
        self.setMinimumWidth(_WIDTH_PX)
        self._choices = list(choices)
        self._group = QButtonGroup(self)
        self._hints: list[QLabel] = []
        self._sizes: list[QLabel] = []
        self._details = _label("muted")
        self._details.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._buttons = QDialogButtonBox(self)
        self.file_button = self._buttons.addButton(tr("Choose a &file…"), QDialogButtonBox.ButtonRole.ResetRole)
        self.use_button = self._buttons.addButton(tr("&Use"), QDialogButtonBox.ButtonRole.AcceptRole)
        self.use_button.setDefault(True)
        self.use_button.setProperty("look", "primary")
        self.style().unpolish(self.use_button)  # the box has polished it already
        self.style().polish(self.use_button)
        self._buttons.addButton(QDialogButtonBox.StandardButton.Cancel)
        self._lay_out()
        self._buttons.accepted.connect(self.accept)
        self._buttons.rejected.connect(self.reject)
        self.file_button.clicked.connect(self._choose_file)
        self._group.idToggled.connect(lambda _id, _on: self._update())
        chosen = next((n for n, choice in enumerate(choices) if choice.start == start), 0)
        self._group.button(chosen).setChecked(True)
        self._group.button(chosen).setFocus()
        self._update()

    @property
    def choice(self) -> NetworkChoice:
        """What is chosen."""
        return self._choices[max(0, self._group.checkedId())]

    @property
    def details(self) -> str:
        """What it says about what is chosen."""
        return self._details.text()

    def choose(self, start: Start) -> None:
        """Choose what is offered as ``start``."""
        self._group.button([choice.start for choice in self._choices].index(start)).setChecked(True)

    def set_file(self, file: Path) -> None:
        """Use a file of the person's own for the chosen backbone."""
        place = self._group.checkedId()
        row = self._choices[place] = choice_of(Start(self.choice.start.backbone, file))
        self._hints[place].setText(row.hint)
        self._sizes[place].setText(row.size_text)
        self._update()

    # --- inside

    def _lay_out(self) -> None:
        grid = QGridLayout()
        grid.setHorizontalSpacing(SPACE_M)
        grid.setVerticalSpacing(SPACE_S)
        grid.setColumnStretch(1, 1)
        for place, row in enumerate(self._choices):
            button = QRadioButton(row.title.replace("&", "&&"), self)
            button.setAccessibleDescription(f"{row.hint}, {row.size_text}")
            self._group.addButton(button, place)
            hint, size = _label("muted"), _label("muted")
            hint.setText(row.hint)
            size.setText(row.size_text)
            size.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            size.setWordWrap(False)
            self._hints.append(hint)
            self._sizes.append(size)
            for column, widget in enumerate((button, hint, size)):
                grid.addWidget(widget, place, column)
        introduction = _label("")
        introduction.setText(
            tr(
                "Every fine-tune of this project starts with this network. It was trained on photographs of all kinds "
                "before, so that few labels are enough."
            )
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(SPACE_L, SPACE_L, SPACE_L, SPACE_L)
        layout.setSpacing(SPACE_L)
        layout.addWidget(introduction)
        layout.addLayout(grid)
        layout.addWidget(self._details)
        layout.addStretch(1)
        layout.addSpacing(SPACE_S)
        layout.addWidget(self._buttons)
        self._details.setMinimumHeight(4 * self.fontMetrics().lineSpacing())  # the window keeps its size

    def _update(self) -> None:
        row = self.choice
        is_backbone = row.start.version is None
        self.file_button.setEnabled(is_backbone)
        self.use_button.setEnabled(row.is_here or row.remote is not None)
        self.use_button.setText(tr("&Use") if row.is_here or row.remote is None else tr("&Download and use"))
        self._details.setText(_details_of(row))

    def _choose_file(self) -> None:
        file, _ = QFileDialog.getOpenFileName(
            self,
            tr("ImageNet weights of {name}").format(name=self.choice.title),
            str(Path.home()),
            tr("Weights (*.pth *.pt *.safetensors);;All files (*)"),
        )
        if file:
            self.set_file(Path(file))


def _details_of(row: NetworkChoice) -> str:
    if row.start.version is not None:
        if row.is_here:
            return tr("A fine-tune starts from all that this version knows, also of its classes.")
        return tr("Its file is gone. Choose another network.")
    if row.is_here:
        return tr("Its weights are in {path}.").format(path=row.place)
    if row.start.file is not None:
        return tr("{path} is gone. Choose a file, or another network.").format(path=row.start.file)
    if row.remote is None:
        return tr("Its weights are not on this computer. Choose a file, or another network.")
    return tr(
        "Its weights are not on this computer. “Download and use” fetches {size} from\n{url}\nand keeps them in "
        "{folder}. Nothing else is sent or fetched. Or choose a file that you have."
    ).format(size=row.remote.size_text, url=row.remote.url, folder=weights_folder())


def _label(look: str) -> QLabel:
    label = QLabel()
    label.setProperty("look", look)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    return label
