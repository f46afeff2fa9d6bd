"""Deleting versions that nothing needs any more. Needs no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pspnet_core.errors import CheckpointError
from pspnet_core.training.interrupted import left_behind
from pspnet_core.training.start import Start
from pspnet_core.training.versions import VersionStore

if TYPE_CHECKING:
    from pspnet_core.project.project import Project


def delete_version(project: Project, number: int) -> None:
    """Delete a version of a project for good; its number is not used again.

    Raises:
        CheckpointError: There is no such version, or it is needed: it is in use, fine-tunes start from it, or one that
            was interrupted did.
        StorageError: It could not be removed.
    """
    if Start.of(project.settings).version == number:
        raise CheckpointError(
            f"Version {number} is needed.",
            "Fine-tunes of this project start from it.",
            "Let them start from another network first.",
        )
    run = left_behind(project)
    if run is not None and number in (run.parent, run.start.version):
        raise CheckpointError(
            f"Version {number} is needed.",
            "A fine-tune that did not come to its end started from it.",
            "Resume that fine-tune, or forget it, first.",
        )
    VersionStore(project.folder / "versions").delete(number)
