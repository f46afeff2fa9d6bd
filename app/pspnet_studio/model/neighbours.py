"""The images next to the open one: read ahead while nothing else is to be read."""

from __future__ import annotations

from collections.abc import Sequence

from pspnet_core.project.project import Project
from pspnet_studio.jobs.read_ahead import PictureStore, read_ahead
from pspnet_studio.jobs.runner import JobHandle, JobRunner, Lane, Priority
from pspnet_studio.messages import tr


class Neighbours:
    """Reads the next and the previous image into a store of pictures.

    Args:
        runner: Does it, after all that somebody waits for.

    Attributes:
        pictures: Those that were read ahead, and those that were open last.
    """

    def __init__(self, runner: JobRunner) -> None:
        self.pictures = PictureStore()
        self._runner = runner
        self._job: JobHandle | None = None

    def read(self, project: Project, order: Sequence[str], key: str) -> None:
        """Begin with the image after ``key`` in ``order``, then the one before."""
        self.stop()
        if key not in order:
            return
        place = order.index(key)
        items = [project.item(near) for near in (*order[place + 1 : place + 2], *order[max(0, place - 1) : place])]
        self._job = self._runner.submit(
            Lane.IO, lambda: read_ahead(self.pictures, items), name=tr("reading ahead"), priority=Priority.TIDY
        )

    def stop(self) -> None:
        """Something else is wanted; what is being decoded just now is still kept."""
        if self._job is not None:
            self._job.cancel()
            self._job = None
