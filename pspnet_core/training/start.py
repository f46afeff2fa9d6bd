"""What a fine-tune of a project starts with, as it stands in the project's settings. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pspnet_core.pretrained import DEFAULT_BACKBONE, PRETRAINED, find_weights

SETTING = "start"
"""Name of the entry in the settings of a project."""


@dataclass(frozen=True, slots=True)
class Start:
    """A backbone with ImageNet weights, or an imported version.

    Attributes:
        backbone: Its name; of no meaning where there is a ``version``.
        file: Its ImageNet weights; None = those that are found on this computer.
        version: Number of an imported version of the project, which is then taken with its heads.

    Raises:
        ValueError: There is no such backbone, or no such number.
    """

    backbone: str = DEFAULT_BACKBONE
    file: Path | None = None
    version: int | None = None

    def __post_init__(self) -> None:
        if self.backbone not in PRETRAINED:
            raise ValueError(f"unknown backbone {self.backbone!r}; known are {', '.join(PRETRAINED)}")
        if self.version is not None and self.version < 1:
            raise ValueError(f"versions count from 1, found {self.version}")

    @property
    def has_weights(self) -> bool:
        """Whether the file is there: the given one, or one that is found. Always for a version."""
        if self.version is not None:
            return True
        return find_weights(self.backbone) is not None if self.file is None else self.file.is_file()

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary."""
        file = None if self.file is None else str(self.file)
        return {"backbone": self.backbone, "file": file, "version": self.version}

    @staticmethod
    def of(settings: Mapping[str, Any]) -> Start:
        """What a project's settings say; the default where they say nothing, or what only another program knows."""
        row = settings.get(SETTING)
        if not isinstance(row, dict):
            return Start()
        file, version = row.get("file"), row.get("version")
        try:
            return Start(
                str(row.get("backbone", DEFAULT_BACKBONE)),
                None if file is None else Path(str(file)),
                None if version is None else int(version),
            )
        except (TypeError, ValueError):
            return Start()
