"""What an export of a network reports. Imports no torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from pspnet_core.export.checks import SizeCheck

Phase = Literal["capture", "translate", "check", "write"]
PHASES: tuple[Phase, ...] = ("capture", "translate", "check", "write")


@dataclass(frozen=True, slots=True)
class ExportPhase:
    """A part of the work begins.

    Attributes:
        phase: One of :data:`PHASES`.
    """

    phase: Phase

    def to_json(self) -> dict[str, Any]:
        """One line of the log."""
        return {"event": "phase", "phase": self.phase, "done": PHASES.index(self.phase), "total": len(PHASES)}


@dataclass(frozen=True, slots=True)
class ModelExported:
    """The end: the file lies there.

    Attributes:
        path: The file.
        num_bytes: Its size.
        checks: One for each size at which it was compared with the network.
    """

    path: Path
    num_bytes: int
    checks: tuple[SizeCheck, ...]

    def to_json(self) -> dict[str, Any]:
        """One line of the log."""
        return {
            "event": "finished",
            "path": str(self.path),
            "num_bytes": self.num_bytes,
            "checks": [asdict(check) for check in self.checks],
        }


@dataclass(frozen=True, slots=True)
class OnnxExported(ModelExported):
    """The end of an export to ONNX; see :class:`ModelExported`."""


@dataclass(frozen=True, slots=True)
class ProgramExported(ModelExported):
    """The end of an export for ``torch.export``; see :class:`ModelExported`."""


ExportEvent: TypeAlias = "ExportPhase | SizeCheck | ModelExported"
