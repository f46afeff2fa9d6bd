"""Words that a person reads go through here."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication


def tr(text: str) -> str:
    """``text`` in the language of the program."""
    return QCoreApplication.translate("studio", text)


def tr_count(one: str, many: str, count: int) -> str:
    """``one`` or ``many`` in the language of the program, as ``count`` wants it; other ``{fields}`` stay."""
    return tr(one if count == 1 else many).replace("{count}", str(count))
