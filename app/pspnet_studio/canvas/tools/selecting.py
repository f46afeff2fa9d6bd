"""Base of the tools that select pixels first and give them a class then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

from PySide6.QtGui import QPainter

from pspnet_core.errors import PspnetError
from pspnet_core.imaging.areas import Area, united, without
from pspnet_core.types import UNLABELLED, Rect
from pspnet_studio.canvas.tools.base import NO_GUIDES, Pointer, Tool, ToolHost, no_class_hint, paint_areas
from pspnet_studio.canvas.tools.selection import Selection, in_tiles
from pspnet_studio.jobs.tool_work import Work
from pspnet_studio.messages import tr
from pspnet_studio.model.document import Document
from pspnet_studio.model.tool_specs import Value

Finder = Callable[[], Area]
"""Works out an area, in any thread."""


class Mode(Enum):
    """What a new area does to what is selected."""

    REPLACE = "replace"
    ADD = "add"
    SUBTRACT = "subtract"


@dataclass(frozen=True, slots=True)
class Way:
    """What is to be done with an area once it is known.

    Attributes:
        mode: How it changes the selection.
        at_once: Whether it gets the class at once, without becoming a selection.
        erase: Whether it then loses its class.
    """

    mode: Mode
    at_once: bool = False
    erase: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class _Request:
    """An area that was asked for, so that it can be asked for again with other options."""

    way: Way
    before: Area
    make: Callable[[], Finder]
    document: Document
    revision: int


class SelectionTool(Tool):
    """A click or drag selects, Shift adds, Alt or the secondary button takes away; Enter gives the selection the class.

    Delete and X erase it, Esc discards it. With the option ``at_once``, where a tool has it, a plain click with nothing
    selected gives the class (or with the secondary button takes it) without waiting. What is selected stays when
    another selection tool is taken.

    Args:
        host: The canvas.
        selection: Shared by the selection tools of the canvas.
    """

    id: ClassVar[str] = ""
    """Key of :func:`~pspnet_studio.model.tool_specs.tool_specs`, and name of its steps in the history."""

    def __init__(self, host: ToolHost, selection: Selection) -> None:
        super().__init__(host)
        self._selection = selection
        self._request: _Request | None = None
        self._work: Work | None = None
        self._options = self._option_values()
        host.tool_state.changed.connect(self._on_options_changed)

    @property
    def is_active(self) -> bool:
        return self.is_dragging or self.is_busy or self.has_pending

    @property
    def has_pending(self) -> bool:
        return not self._selection.is_empty

    @property
    def is_busy(self) -> bool:
        """Whether an area is being worked out."""
        return self._work is not None

    # --- for subclasses

    def idle_hint(self) -> str:
        """What a press does while nothing is selected."""
        return ""

    def busy_hint(self) -> str:
        """What is being worked out."""
        return tr("Looking for the area… Esc stops.")

    def option(self, name: str) -> Value:
        """Value of an option of this tool."""
        return self._host.tool_state.option(self.id, name)

    def way_of(self, pointer: Pointer) -> Way | None:
        """What a press is meant to do; None, after a hint, where it can do nothing."""
        if pointer.subtract or (pointer.erase and self.has_pending):
            if not self.has_pending:
                self._host.show_hint(tr("Nothing is selected that could be taken away from."))
                return None
            return Way(Mode.SUBTRACT)
        if pointer.straight:
            return Way(Mode.ADD)
        at_once = "at_once" in self._options and bool(self.option("at_once")) and not self.has_pending
        if pointer.erase and not at_once:
            self._host.show_hint(tr("Nothing is selected that could be taken away from."))
            return None
        if at_once and not pointer.erase and self._host.tool_state.class_id is None:
            self._host.show_hint(no_class_hint())
            return None
        return Way(Mode.REPLACE, at_once, pointer.erase)

    def request(self, way: Way, make: Callable[[], Finder], before: Area | None = None) -> None:
        """Have an area worked out in the background, then do with it what ``way`` says.

        Args:
            way: What to do with it.
            make: Gives the function that works it out; called again when an option changes while it is selected.
            before: What was selected before; what is selected now when not given.
        """
        document = self._host.document
        if document is None:
            return
        self.stop_work()
        before = self._selection.area if before is None else before
        self._request = _Request(way, before, make, document, document.revision)
        self._run(self._request)

    def select(self, way: Way, area: Area, before: Area) -> None:
        """Do with an area what ``way`` says."""
        if way.at_once:
            self._give(area, way.erase)
        else:
            self._show(_combined(way.mode, before, area))

    def failed(self) -> None:
        """What was asked for could not be worked out; the person was told."""
        self._request = None
        self._host.update_guides()

    def stop_work(self) -> None:
        """Forget what is being worked out."""
        work, self._work = self._work, None
        if work is not None:
            work.cancel()

    # --- Tool

    def hint(self) -> str:
        if self.is_busy:
            return self.busy_hint()
        if self.has_pending:
            return tr(
                "Enter gives the selection the class, Delete erases it, Esc drops it. Shift adds, Alt or the right "
                "button takes away."
            )
        if self._host.tool_state.class_id is None:
            return no_class_hint()
        return self.idle_hint()

    def cancel(self) -> None:
        if self.is_busy:
            self.stop_work()
            self._request = None
        elif self.has_pending:
            self._request = None
            self._selection.clear()
        else:
            return
        self.changed()

    def finish(self) -> None:
        if self.has_pending and not self.is_busy:
            if self._host.tool_state.class_id is None:
                self._host.show_hint(no_class_hint())
                return
            self._apply(erase=False)

    def erase(self) -> None:
        if self.has_pending and not self.is_busy:
            self._apply(erase=True)

    def put_down(self, successor: Tool) -> None:
        self.end_drag()
        self.stop_work()
        self._request = None
        self.leave()
        if not isinstance(successor, SelectionTool):
            self._selection.clear()

    def reset(self) -> None:
        self.end_drag()
        self.stop_work()
        self._request = None
        self._selection.clear()

    def guide_rect(self) -> Rect:
        if self._host.document is None or self._selection.is_empty:
            return NO_GUIDES
        return self._selection.picture.device_rect(self._host.viewport, self._host.pixel_ratio)

    def paint_guides(self, painter: QPainter) -> None:
        self._selection.picture.paint(painter, self._host.viewport, self._host.pixel_ratio)

    def changed(self) -> None:
        """What is drawn and what can be done next may be another: show it."""
        self._host.update_guides()
        self._host.show_hint(self.hint())

    # --- inside

    def _run(self, request: _Request) -> None:
        find, way = request.make(), request.way

        def work() -> Area:
            area = find()
            return area if way.at_once else _combined(way.mode, request.before, area)

        has_ended = False

        def on_done(area: Area) -> None:
            nonlocal has_ended
            has_ended, self._work = True, None
            self._on_found(request, area)

        def on_error(_: PspnetError) -> None:
            nonlocal has_ended
            has_ended, self._work = True, None
            self.failed()

        handle = self._host.compute(work, on_done, on_error)
        if not has_ended:
            self._work = handle
            self._host.show_hint(self.busy_hint())

    def _on_found(self, request: _Request, area: Area) -> None:
        if not request.way.at_once:
            self._show(area)
        elif request.document.revision == request.revision and not request.document.is_editing:
            self._give(area, request.way.erase)
        else:  # the image was edited meanwhile: what was asked for is not what it would be now
            self.changed()

    def _show(self, area: Area) -> None:
        self._selection.set(area)
        self.changed()
        if self._selection.is_empty:
            self._host.show_hint(tr("Nothing was found there."))

    def _apply(self, erase: bool) -> None:
        area = self._selection.area
        self._request = None
        self._selection.clear()
        self._give(area, erase)

    def _give(self, area: Area, erase: bool) -> None:
        """Give an area the class, or take it, as one step."""
        document = self._host.document
        class_id = UNLABELLED if erase else self._host.tool_state.class_id
        if document is None or class_id is None or document.is_editing:
            return
        has_changed = paint_areas(document, self.id, in_tiles(area), class_id)
        self.changed()
        state = self._host.tool_state
        if not has_changed and not state.only_unlabelled and not state.locked:  # the canvas tells what is protected
            self._host.show_hint(tr("Nothing changed: it is like this already."))

    def _option_values(self) -> dict[str, Value]:
        state = self._host.tool_state
        return {option.name: state.option(self.id, option.name) for option in state.spec_of(self.id).options}

    def _on_options_changed(self) -> None:
        options = self._option_values()
        has_changed, self._options = options != self._options, options
        request = self._request
        if not has_changed or request is None or self._host.tool_state.tool != self.id or request.way.at_once:
            return
        self.stop_work()
        self._run(request)


def _combined(mode: Mode, before: Area, area: Area) -> Area:
    if mode is Mode.ADD:
        return united([before, area])
    return without(before, area) if mode is Mode.SUBTRACT else area
