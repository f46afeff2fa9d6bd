"""What a project that was just opened begins with."""

from __future__ import annotations

from collections.abc import Sequence

from pspnet_core.project.project import Project, Split, Status

LOCKED = "locked_classes"
"""Name of a setting of the project."""


def first_key(project: Project, order: Sequence[str]) -> str:
    """The first image that needs work; one that may be trained on before one of the test split.

    Args:
        project: Whose images.
        order: Keys of its images, at least one, as they are shown.
    """
    open_keys = [key for key in order if project.state(key).status in (Status.NEW, Status.IN_PROGRESS)]
    trainable = (key for key in open_keys if project.item(key).split in (Split.NONE, Split.TRAIN))
    return next(trainable, next(iter(open_keys), order[0]))


def locked_in(project: Project) -> list[int]:
    """Ids of the classes that the project says are locked; what else a file may hold is left out."""
    stored = project.settings.get(LOCKED)
    return [index for index in project.classes.indices if index in stored] if isinstance(stored, list) else []
