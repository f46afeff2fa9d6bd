"""One row of the table of all commands, and where it may stand."""

from __future__ import annotations

from dataclasses import dataclass

WINDOW = "window"
VERSIONS = "versions"
"""The list of versions."""


@dataclass(frozen=True, slots=True)
class ActionSpec:
    """One command.

    Attributes:
        id: Its name in the code.
        text: What the menu says.
        icon: Name of an icon in resources/icons, or "".
        shortcut: Keys in Qt's portable notation, or "".
        menu: Title of the menu it is in, or "".
        context: Where the shortcut holds; two rows of one context never share a shortcut.
        tip: One sentence for the tooltip, or "".
        checkable: Whether it is on or off.
    """

    id: str
    text: str
    icon: str = ""
    shortcut: str = ""
    menu: str = ""
    context: str = WINDOW
    tip: str = ""
    checkable: bool = False


FILE, EDIT, VIEW, TOOL, IMAGE, MODEL, HELP = "&File", "&Edit", "&View", "&Tool", "&Image", "&Model", "&Help"
MENUS = (FILE, EDIT, VIEW, TOOL, IMAGE, MODEL, HELP)
