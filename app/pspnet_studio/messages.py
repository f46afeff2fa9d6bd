"""Words that a person reads go through here."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication


def tr(text: str) -> str:
    """``text`` in the language of the program."""
    return QCoreApplication.translate("studio", text)
