"""Which images to correct next: looked at in the background, put in order again whenever one is corrected."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path
from PySide6.QtCore import QObject, QTimer, Signal

from pspnet_core.classes import ClassSet
from pspnet_core.errors import PspnetError
from pspnet_core.inference.ranking import ImageSummary, Ranked, Reason
from pspnet_core.project.project import Item, Project
from pspnet_studio.jobs.queueing import (
    MAX_CANDIDATES,
    Engine,
    Found,
    Look,
    Plan,
    Role,
    SummaryStore,
    Wish,
    plan,
    ranked,
    read_pictures,
    role,
    try_to_keep,
)
from pspnet_studio.jobs.runner import JobHandle, Lane, Priority
from pspnet_studio.messages import tr
from pspnet_studio.model.session import Session
from pspnet_studio.model.training import Training

logger = logging.getLogger(__name__)

Done = Callable[[object], None]

_BATCH = 8
_FIRST_ORDER = 20  # images after which there is a first order; another one whenever they have doubled
_REST_MS = 800


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Where an image stands in the queue.

    Attributes:
        place: From 1.
        gain: What correcting it would add, as a share of what the first one would, 0 to 1.
        text: Why, in a word or two.
    """

    place: int
    gain: float
    text: str


class Queue(QObject):
    """The images of the open project that are best corrected next.

    All of it is done when nothing else waits. What is known of an image is kept in the user's cache.

    Args:
        session: Its project is looked at.
        training: Its current version tells how sure it is.
        engine: Computes features and doubts in the torch lane.
        is_on: Whether it works.
        cache: Folder for what is known; the user's cache when not given.
        max_candidates: So many images at most are looked at.

    Signals:
        changed: The order is another one.
        progressed: :attr:`progress` is different.
    """

    changed = Signal()
    progressed = Signal()

    def __init__(
        self,
        session: Session,
        training: Training,
        engine: Engine,
        is_on: bool = True,
        parent: QObject | None = None,
        cache: Path | None = None,
        max_candidates: int = MAX_CANDIDATES,
    ) -> None:
        super().__init__(parent)
        self._session, self._training, self._engine = session, training, engine
        self._is_on, self._cache, self._max_candidates = is_on, cache, max_candidates
        self._project: Project | None = None
        self._version: int | None = None
        self._order: tuple[Ranked, ...] = ()
        self._places: dict[str, int] = {}
        self._plan: Plan | None = None
        self._summaries: dict[str, ImageSummary] = {}
        self._unreadable: set[str] = set()
        self._wishes: list[Wish] = []
        self._num_looked, self._next_order = 0, _FIRST_ORDER  # since the plan was made
        self._looking: JobHandle | None = None  # or planning, or computing: one after the other
        self._ordering: JobHandle | None = None
        self._orders_again = False
        self._rest = QTimer(self, singleShot=True, interval=_REST_MS)
        self._rest.timeout.connect(self._make_plan)
        session.project_changed.connect(self._on_project_changed)
        session.items_changed.connect(self._on_items_changed)
        session.state_changed.connect(self._on_state_changed)
        training.current_changed.connect(self._on_version_changed)

    @property
    def is_on(self) -> bool:
        """Whether images are looked at and suggested."""
        return self._is_on

    def set_on(self, is_on: bool) -> None:
        """Suggest images, or stop that; what is known is kept."""
        if is_on == self._is_on:
            return
        self._is_on = is_on
        self._stop()
        if is_on:
            self._rest.start()
        else:
            self._set_order(())
        self.progressed.emit()

    @property
    def progress(self) -> tuple[int, int] | None:
        """(images looked at, images to look at); None when there is nothing to do."""
        if self._plan is None or not self._wishes or not self._is_on:
            return None
        total = len(self._plan.candidates) + len(self._plan.corrected)
        return total - len(self._wishes), total

    @property
    def is_ready(self) -> bool:
        """Whether all images were looked at."""
        return self._is_on and self._plan is not None and not self._wishes and self._ordering is None

    @property
    def order(self) -> tuple[Ranked, ...]:
        """All suggested images, best first."""
        return self._order

    def place(self, key: str) -> int | None:
        """Where an image stands, from 0; None when it is not suggested."""
        return self._places.get(key)

    def suggestion(self, key: str) -> Suggestion | None:
        """Where an image stands; None when it is not suggested."""
        place, project = self._places.get(key), self._project
        if place is None or project is None:
            return None
        entry = self._order[place]
        return Suggestion(place + 1, entry.gain, reason_text(entry, project.classes))

    def best(self, other_than: str | None = None) -> str | None:
        """Key of the image that is best corrected next; None when none is known."""
        project = self._project
        if project is None:
            return None
        keys = (entry.key for entry in self._order if entry.key != other_than)
        return next((key for key in keys if role(project.item(key), project.state(key)) is Role.CANDIDATE), None)

    # --- following

    def _on_project_changed(self) -> None:
        self._stop()
        self._project = self._session.project
        self._version = self._training.current_version
        self._plan = None
        self._summaries, self._unreadable = {}, set()
        self._set_order(())
        self._begin_soon()

    def _on_items_changed(self) -> None:
        self._stop()
        self._unreadable = set()  # perhaps they were put right
        self._summaries = {}  # perhaps they were written anew; what is kept on the disk is known by its file
        self._begin_soon()

    def _on_state_changed(self, key: str) -> None:
        project, known = self._project, self._plan
        if project is None or known is None:
            return
        if role(project.item(key), project.state(key)) is not known.roles.get(key):
            self._begin_soon()

    def _on_version_changed(self) -> None:
        version = self._training.current_version
        if version == self._version:
            return
        self._stop()
        self._version = version
        self._summaries = {key: ImageSummary(summary.cells) for key, summary in self._summaries.items()}
        self._begin_soon()

    def _begin_soon(self) -> None:
        """Look again at what takes part, when the hand rests."""
        if self._is_on and self._project is not None:
            self._rest.start()

    def _stop(self) -> None:
        self._rest.stop()
        for job in (self._looking, self._ordering):
            if job is not None:
                job.cancel()
        self._looking = self._ordering = None
        self._wishes = []
        self._orders_again = False

    # --- looking

    def _make_plan(self) -> None:
        project, count = self._project, self._max_candidates
        if project is None:
            return
        self._stop()
        self._looking = self._session.runner.call(
            Lane.TOOL,
            lambda: plan(project, count),
            name=tr("looking for the next image"),
            priority=Priority.TIDY,
            on_done=self._on_planned,
            on_error=self._on_error,
        )

    def _on_planned(self, found: Plan) -> None:
        self._plan = found
        keys = {item.key for item in (*found.candidates, *found.corrected)}
        self._summaries = {key: summary for key, summary in self._summaries.items() if key in keys}
        # In turn, so that the first order knows of both.
        pairs = itertools.zip_longest(found.corrected, found.candidates)
        items = [item for pair in pairs for item in pair if item is not None and item.key not in self._unreadable]
        self._wishes = [wish for item in items if (wish := self._wish(found, item)) is not None]
        self._num_looked, self._next_order = 0, _FIRST_ORDER
        if self._wishes:
            if self._order:
                self._put_in_order()  # by what is known: it may be much
            self._look_on()
        else:
            self._put_in_order()
        self.progressed.emit()

    def _wish(self, found: Plan, item: Item) -> Wish | None:
        summary = self._summaries.get(item.key)
        wants_doubt = self._version is not None and found.roles[item.key] is Role.CANDIDATE
        if summary is not None and (summary.doubt is not None or not wants_doubt):
            return None
        return Wish(item, None if summary is None else summary.cells, wants_doubt)

    def _look_on(self) -> None:
        """Read the next few images, in the io lane, then compute, in the torch lane, then keep what was found."""
        project, wishes = self._project, self._wishes[:_BATCH]
        assert project is not None
        folder = self._cache or user_cache_path("pspnet-studio", appauthor=False) / "summaries"
        store = SummaryStore(folder / project.uuid)
        checkpoint = self._training.checkpoint_path(self._version) if self._version is not None else None
        looks: list[Look] = []
        found: list[Found] = []

        def on_read(_: object) -> None:
            if any(look.picture is not None for look in looks):
                self._compute(looks, checkpoint, found, on_computed)
            else:
                self._on_looked(wishes, looks, found)

        def on_computed(_: object) -> None:
            self._session.runner.call(
                Lane.IO,
                lambda: try_to_keep(found, store, checkpoint),
                name=tr("keeping what images look like"),
                priority=Priority.TIDY,
            )
            self._on_looked(wishes, looks, found)

        self._looking = self._session.runner.submit(
            Lane.IO,
            lambda: read_pictures(wishes, store, checkpoint),
            name=tr("looking at images"),
            priority=Priority.THUMBNAIL,
            on_event=looks.append,
            on_done=on_read,
            on_error=self._on_error,
        )

    def _compute(self, looks: list[Look], checkpoint: Path | None, found: list[Found], on_done: Done) -> None:
        engine = self._engine

        def on_event(event: Found | None) -> None:
            if event is not None:
                found.append(event)

        self._looking = self._session.runner.submit(
            Lane.TORCH,
            lambda: engine.look(looks, checkpoint),
            name=tr("looking at images"),
            priority=Priority.TIDY,
            on_event=on_event,
            on_done=on_done,
            on_error=self._on_error,
        )

    def _on_looked(self, wishes: list[Wish], looks: list[Look], found: list[Found]) -> None:
        self._looking = None
        for look in looks:
            key = look.wish.item.key
            if look.error is not None:
                logger.warning("%s is not among the suggestions: %s", key, look.error)
                self._unreadable.add(key)
            elif look.summary is not None:
                self._summaries[key] = look.summary
        for entry in found:
            self._summaries[entry.look.wish.item.key] = entry.summary
        del self._wishes[: len(wishes)]
        if self._wishes:
            self._look_on()
        self._num_looked += len(wishes)
        if not self._wishes or self._num_looked >= self._next_order:
            self._next_order = 2 * self._num_looked
            self._put_in_order()
        self.progressed.emit()

    def _on_error(self, error: PspnetError) -> None:
        logger.warning("images cannot be suggested: %s", error)
        self._stop()
        self.progressed.emit()

    # --- the order

    def _put_in_order(self) -> None:
        project = self._project
        assert project is not None
        if self._ordering is not None:
            self._orders_again = True
            return
        summaries, labelled_px = dict(self._summaries), _labelled_px(self._training)

        def on_done(order: tuple[Ranked, ...]) -> None:
            self._ordering = None
            self._set_order(order)
            if self._orders_again:
                self._orders_again = False
                self._put_in_order()

        self._ordering = self._session.runner.call(
            Lane.TOOL,
            lambda: ranked(summaries, project, labelled_px),
            name=tr("looking for the next image"),
            priority=Priority.TIDY,
            on_done=on_done,
            on_error=self._on_error,
        )

    def _set_order(self, order: tuple[Ranked, ...]) -> None:
        if order == self._order:
            return
        self._order = order
        self._places = {entry.key: place for place, entry in enumerate(order)}
        self.changed.emit()


def reason_text(entry: Ranked, classes: ClassSet) -> str:
    """Why an image is suggested, in a word or two."""
    if entry.reason is Reason.RARE and entry.class_id is not None and entry.class_id in classes:
        return tr("rare: {name}").format(name=classes[entry.class_id].name)
    return {
        Reason.UNLIKE: tr("unlike the others"),
        Reason.UNSURE: tr("model unsure"),
    }.get(entry.reason, tr("typical"))


def _labelled_px(training: Training) -> dict[int, int]:
    """Class id -> labelled pixels that the current version learned from."""
    record = next((v.record for v in training.versions() if v.number == training.current_version), {})
    metrics = record.get("metrics")
    counts = metrics.get("labelled_px") if isinstance(metrics, dict) else None
    return {int(index): int(count) for index, count in counts.items()} if isinstance(counts, dict) else {}
