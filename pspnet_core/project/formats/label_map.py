"""``labelmap.txt``: a class a line, ``name:r,g,b:parts:actions``, as CVAT and Datumaro write it.

A colon or a line break in a name would end it: they are written as "_".
"""

from __future__ import annotations

from collections.abc import Iterable

from pspnet_core.classes import Color
from pspnet_core.project.formats.reading import SourceClass, color_of
from pspnet_core.project.formats.source_files import SourceFiles

FILE = "labelmap.txt"


def label_map_text(rows: Iterable[tuple[str, tuple[int, ...]]]) -> str:
    """The text for names and colours."""
    lines = [f"{plain_name(name)}:{','.join(map(str, color))}::" for name, color in rows]
    return "\n".join(["# label:color_rgb:parts:actions", *lines]) + "\n"


def plain_name(name: str) -> str:
    """A name that can stand in the file."""
    text = "".join("_" if c == ":" or not c.isprintable() else c for c in name).strip()
    return f"_{text[1:]}" if text.startswith("#") else text or "_"


def read_label_map(files: SourceFiles) -> list[tuple[SourceClass, Color | None]]:
    """Classes and their colours in the order of the file; none without one. Raises: SourceError."""
    path = files.named(FILE)
    found: dict[str, tuple[SourceClass, Color | None]] = {}
    for line in files.read(path).decode("utf-8", "replace").splitlines() if path is not None else ():
        name, _, rest = line.strip().partition(":")
        if name.strip() and not line.startswith("#"):
            color = color_of(rest.partition(":")[0])
            found.setdefault(name.strip(), (SourceClass(name.strip(), color), color))
    return list(found.values())
