"""All that is known about a version, to be read and copied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import QLocale
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QPlainTextEdit, QVBoxLayout, QWidget

from pspnet_core.classes import ClassSet
from pspnet_core.training.versions import Version
from pspnet_studio.messages import tr
from pspnet_studio.panels.training_words import date_of, duration_text, is_imported, mode_text
from pspnet_studio.theme import SPACE_M

_WIDTH_PX, _HEIGHT_PX = 460, 480


class VersionDetails(QDialog):
    """Shows how a version was made, its scores, what it learned from, and its recipe.

    Args:
        version: Which.
        classes: Of the project.
    """

    def __init__(self, version: Version, classes: ClassSet, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Version {number}").format(number=version.number))
        self.text = details_text(version, classes)
        view = QPlainTextEdit(self.text)
        view.setReadOnly(True)
        view.setTabChangesFocus(True)
        view.setAccessibleName(self.windowTitle())
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        copy = buttons.addButton(tr("Copy"), QDialogButtonBox.ButtonRole.ActionRole)
        copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(self.text))
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.setContentsMargins(SPACE_M, SPACE_M, SPACE_M, SPACE_M)
        column.setSpacing(SPACE_M)
        column.addWidget(view)
        column.addWidget(buttons)
        self.resize(_WIDTH_PX, _HEIGHT_PX)


def details_text(version: Version, classes: ClassSet) -> str:
    """All of it, a line each."""
    record = version.record
    lines = [
        tr("Version {number}").format(number=version.number),
        *_how(record, version),
        "",
        *_scores(record, classes),
    ]
    if reason := record.get("reason"):
        lines += ["", str(reason)]
    recipe = record.get("recipe")
    if isinstance(recipe, Mapping):
        lines += ["", tr("Recipe"), *(f"  {name}: {_plain(value)}" for name, value in recipe.items())]
    trained = record.get("trained_items")
    if isinstance(trained, list) and trained:
        lines += ["", tr("Learned from ({count})").format(count=len(trained)), *(f"  {key}" for key in trained)]
    held = record.get("holdout_items")
    if isinstance(held, list) and held:
        lines += [
            "",
            tr("Held out, wholly or in part ({count})").format(count=len(held)),
            *(f"  {key}" for key in held),
        ]
    return "\n".join(lines)


def _how(record: Mapping[str, Any], version: Version) -> list[str]:
    made = date_of(record.get("created"))
    metrics = record.get("metrics") if isinstance(record.get("metrics"), Mapping) else {}
    rows: list[tuple[str, object]] = [
        (tr("Made"), QLocale().toString(made, QLocale.FormatType.LongFormat) if made.isValid() else None),
        (tr("Mode"), tr("imported") if is_imported(version) else mode_text(str(record.get("mode", "")))),
        (tr("Started from version"), record.get("parent")),
        (tr("Labelled images"), record.get("num_images")),
        (tr("Steps"), _steps(record, metrics)),
        (tr("Time allowed"), duration_text(record["seconds"]) if record.get("seconds") else None),
        (tr("Time taken"), _seconds(metrics.get("seconds"))),
        (tr("Seed"), record.get("seed")),
        (tr("Checkpoint"), record.get("id")),
        (tr("File"), version.path),
    ]
    imported = record.get("imported")
    if isinstance(imported, Mapping):
        rows += [(tr("Publisher"), imported.get("publisher")), (tr("From file"), imported.get("file"))]
    return [f"{name}: {value}" for name, value in rows if value not in (None, "")]


def _scores(record: Mapping[str, Any], classes: ClassSet) -> list[str]:
    mean_iou, old = record.get("mean_iou"), record.get("old_mean_iou")
    if mean_iou is None:
        lines = [tr("No evidence yet: nothing was measured.")]
    else:
        lines = [tr("mIoU on held-out areas: {score}").format(score=f"{mean_iou:.4f}")]
    if old is not None:
        text = tr("Version {number} on the same pixels: {score}")
        lines.append(text.format(number=record.get("compared_with"), score=f"{old:.4f}"))
    interval = record.get("interval")
    if isinstance(interval, list) and len(interval) == 2:
        text = tr("Difference, 95 % interval: {low} to {high}")
        lines.append(text.format(low=f"{interval[0]:+.4f}", high=f"{interval[1]:+.4f}"))
    scores = record.get("per_class")
    if isinstance(scores, Mapping) and scores:
        lines += ["", tr("IoU of each class: before, now")]
        lines += [f"  {_name(index, classes)}: {_score(pair[0])}, {_score(pair[1])}" for index, pair in scores.items()]
    return lines


def _name(index: str, classes: ClassSet) -> str:
    return classes[int(index)].name if index.isdecimal() and int(index) in classes else index


def _score(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _steps(record: Mapping[str, Any], metrics: Mapping[str, Any]) -> str | None:
    steps, planned = record.get("steps", metrics.get("steps")), record.get("planned_steps")
    if steps is None or planned in (None, steps):
        return None if steps is None else str(steps)
    return tr("{steps} of {planned} planned").format(steps=steps, planned=planned)


def _seconds(value: object) -> str | None:
    return tr("{number} s").format(number=round(value)) if isinstance(value, int | float) else None


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
