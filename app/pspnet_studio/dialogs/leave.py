"""Questions before something that runs or is unsaved would be left."""

from __future__ import annotations

from enum import Enum

from PySide6.QtCore import QDateTime, QLocale
from PySide6.QtWidgets import QMessageBox, QPushButton, QWidget

from pspnet_core.project.backups import Backup
from pspnet_studio.messages import tr


class TrainingChoice(Enum):
    """What to do with a fine-tune that runs."""

    WAIT = "wait"
    KEEP = "keep"
    DISCARD = "discard"
    STAY = "stay"


class DropChoice(Enum):
    """What to do with a folder that was dropped on an open project."""

    ADD = "add"
    OPEN = "open"
    NOTHING = "nothing"


def ask_about_training(parent: QWidget, purpose: str) -> TrainingChoice:
    """Ask what happens to the running fine-tune before ``purpose`` (for instance "quitting")."""
    box = QMessageBox(QMessageBox.Icon.Question, tr("A fine-tune is running"), "", parent=parent)
    box.setText(tr("A fine-tune is running. What should happen to it before {purpose}?").format(purpose=purpose))
    box.setInformativeText(tr("Your painting is saved in any case."))
    buttons = {
        _button(box, tr("&Wait until it ends"), QMessageBox.ButtonRole.AcceptRole): TrainingChoice.WAIT,
        _button(box, tr("&Stop now and keep what it learned"), QMessageBox.ButtonRole.AcceptRole): TrainingChoice.KEEP,
        _button(box, tr("&Discard it"), QMessageBox.ButtonRole.DestructiveRole): TrainingChoice.DISCARD,
    }
    stay = box.addButton(tr("&Go on working"), QMessageBox.ButtonRole.RejectRole)
    box.setEscapeButton(stay)
    box.setDefaultButton(next(iter(buttons)))
    box.exec()
    return next((choice for button, choice in buttons.items() if box.clickedButton() is button), TrainingChoice.STAY)


def ask_add_or_open(parent: QWidget, name: str, project_name: str) -> DropChoice:
    """Ask whether what was dropped joins the open project or replaces it."""
    box = QMessageBox(QMessageBox.Icon.Question, tr("Add or open?"), "", parent=parent)
    box.setText(
        tr("Add “{name}” to the project “{project}”, or open it instead?").format(name=name, project=project_name)
    )
    add = _button(box, tr("&Add to project"), QMessageBox.ButtonRole.AcceptRole)
    instead = _button(box, tr("&Open instead"), QMessageBox.ButtonRole.AcceptRole)
    nothing = box.addButton(tr("Cancel"), QMessageBox.ButtonRole.RejectRole)
    box.setEscapeButton(nothing)
    box.setDefaultButton(add)
    box.exec()
    if box.clickedButton() is add:
        return DropChoice.ADD
    return DropChoice.OPEN if box.clickedButton() is instead else DropChoice.NOTHING


def ask_whose_mask(parent: QWidget, name: str) -> bool | None:
    """Ask whether what was painted here stays (True) or the mask of another program (False); None to decide later."""
    box = QMessageBox(QMessageBox.Icon.Question, tr("Which mask?"), "", parent=parent)
    box.setText(tr("The mask of “{name}” was changed by another program, and here.").format(name=name))
    box.setInformativeText(
        tr("Nothing was written over yet. What does not stay is kept as a backup where it was saved.")
    )
    ours = _button(box, tr("&Keep what I painted"), QMessageBox.ButtonRole.AcceptRole)
    theirs = _button(box, tr("&Take the other one"), QMessageBox.ButtonRole.DestructiveRole)
    later = box.addButton(tr("&Decide later"), QMessageBox.ButtonRole.RejectRole)
    box.setEscapeButton(later)
    box.setDefaultButton(later)
    box.exec()
    if box.clickedButton() is ours:
        return True
    return False if box.clickedButton() is theirs else None


def ask_restore_project(parent: QWidget, backup: Backup) -> bool:
    """Ask whether a damaged project file is replaced by its newest backup."""
    when = QLocale().toString(QDateTime.fromSecsSinceEpoch(int(backup.written_s)), QLocale.FormatType.ShortFormat)
    box = QMessageBox(QMessageBox.Icon.Warning, tr("Damaged project file"), "", parent=parent)
    box.setText(tr("The project file is damaged. Put back its backup of {when}?").format(when=when))
    box.setInformativeText(tr("Masks stay as they are. The damaged file is kept beside it."))
    restore = _button(box, tr("&Restore"), QMessageBox.ButtonRole.AcceptRole)
    leave = box.addButton(tr("&Not now"), QMessageBox.ButtonRole.RejectRole)
    box.setEscapeButton(leave)
    box.setDefaultButton(restore)
    box.exec()
    return box.clickedButton() is restore


def ask_quit_unsaved(parent: QWidget, detail: str) -> bool:
    """Say that the work cannot be written; True when the person quits all the same."""
    box = QMessageBox(QMessageBox.Icon.Warning, tr("Not saved"), "", parent=parent)
    box.setText(tr("Your last changes could not be saved."))
    box.setInformativeText(detail)
    leave = _button(box, tr("&Quit and lose them"), QMessageBox.ButtonRole.DestructiveRole)
    stay = box.addButton(tr("&Go back"), QMessageBox.ButtonRole.RejectRole)
    box.setEscapeButton(stay)
    box.setDefaultButton(stay)
    box.exec()
    return box.clickedButton() is leave


def _button(box: QMessageBox, text: str, role: QMessageBox.ButtonRole) -> QPushButton:
    return box.addButton(text, role)
