"""Tells which images have strokes of a crash: only the one that is opened would be told of by itself."""

from __future__ import annotations

from collections.abc import Callable

from pspnet_core.project.journal_budget import unsaved_items
from pspnet_core.project.project import Notice, Project
from pspnet_studio.jobs.runner import JobRunner, Lane, Priority
from pspnet_studio.messages import tr

_NUM_NAMES = 5


def tell_of_leftovers(
    runner: JobRunner, project: Project, open_key: Callable[[], str | None], tell: Callable[[Notice], None]
) -> None:
    """Look through the journals of a project that was just opened.

    Args:
        runner: Does it, when there is nothing else to do.
        project: Whose.
        open_key: Gives the key of the image that is open, which need not be told of.
        tell: Gets the notice, if there is anything to tell.
    """
    found: list[str] = []

    def on_event(key: str | None) -> None:
        if key is not None:
            found.append(key)

    def on_done(_: object) -> None:
        known = {item.key for item in project.items} - {open_key()}
        keys = sorted(known.intersection(found))
        if not keys:
            return
        title = tr("{count} more images have strokes that had not been saved.").format(count=len(keys))
        if len(keys) == 1:
            title = tr("{name} has strokes that had not been saved, too.").format(name=keys[0])
        names = ", ".join(keys[:_NUM_NAMES]) + (", …" if len(keys) > _NUM_NAMES else "")
        detail = tr("The program had ended before these were saved: {names}.").format(names=names)
        tell(Notice(title, detail, tr("Nothing is lost: the strokes are there when the image is opened.")))

    runner.submit(
        Lane.IO,
        lambda: unsaved_items(project.folder),
        name=tr("looking through journals"),
        priority=Priority.TIDY,
        on_event=on_event,
        on_done=on_done,
    )
