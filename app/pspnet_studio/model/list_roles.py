"""What the lists of images can be asked for, and whom they ask."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Protocol

from PySide6.QtCore import Qt

from pspnet_studio.model.queue import Suggestion


class ItemRole(IntEnum):
    """Data roles of both models."""

    NAME = Qt.ItemDataRole.DisplayRole.value
    TOOL_TIP = Qt.ItemDataRole.ToolTipRole.value
    ACCESSIBLE_TEXT = Qt.ItemDataRole.AccessibleTextRole.value
    KEY = Qt.ItemDataRole.UserRole.value + 1
    FOLDER = Qt.ItemDataRole.UserRole.value + 2
    STATUS = Qt.ItemDataRole.UserRole.value + 3
    SPLIT = Qt.ItemDataRole.UserRole.value + 4
    SHARE = Qt.ItemDataRole.UserRole.value + 5
    """Labelled share, 0 to 1."""
    PAINTED = Qt.ItemDataRole.UserRole.value + 7
    """Share that a hand painted, 0 to 1."""
    ACCEPTED = Qt.ItemDataRole.UserRole.value + 8
    """Share that was accepted from a prediction, 0 to 1."""
    THUMBNAIL = Qt.ItemDataRole.UserRole.value + 6
    """What the thumbnail source has for the key, or None."""
    IMPORTED = Qt.ItemDataRole.UserRole.value + 10
    """Whether labels come from a file beside the image that nobody has counted yet: the share is not known."""
    SUGGESTION = Qt.ItemDataRole.UserRole.value + 9
    """Where an image stands in the queue of next ones, in a list of that order; else None."""


class SortBy(StrEnum):
    """How the list is ordered; equal ones by name."""

    NAME = "name"
    STATUS = "status"
    LABELLED = "labelled"
    PAINTED = "painted"
    ACCEPTED = "accepted"
    SUGGESTED = "suggested"


class SuggestionSource(Protocol):
    """The queue of next images."""

    def place(self, key: str) -> int | None:
        """Where an image stands, from 0; None when it is not suggested."""

    def suggestion(self, key: str) -> Suggestion | None:
        """The same with a reason."""


class ThumbnailSource(Protocol):
    """Where the pictures of the rows come from."""

    def thumbnail(self, key: str) -> object | None:
        """The picture, or None while it is not there; asking for it orders it."""
