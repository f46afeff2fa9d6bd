"""The only place that starts threads: seven lanes (:class:`Lane`), each a priority queue of generators.

A job is a function that makes a generator. It is made and run in the lane's thread; between its yields the lane looks
for cancel, pause and for more urgent jobs, which it runs first. Callbacks run on the GUI thread.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from typing import Any

from PySide6.QtCore import QObject, Qt, Signal, Slot

from pspnet_core.errors import PspnetError
from pspnet_studio import log_file
from pspnet_studio.jobs.lanes import Lane, Priority, Quiet
from pspnet_studio.messages import tr

__all__ = ["JobHandle", "JobRunner", "Lane", "Priority"]

logger = logging.getLogger(__name__)

_PROGRESS_INTERVAL_S = 0.05
_LOOK_S = 0.02  # how soon a job that rests sees that it is to go on or to end

SHORT_S = 0.5
"""A save or a refinement that takes less is not shown: it would only flicker."""

JobFactory = Callable[[], Iterator[Any]]


_SHORT = (Priority.SAVE, Priority.REFINE)


class JobHandle:
    """One job: its wishes go in from the GUI thread, its events come out there."""

    def __init__(
        self,
        name: str,
        priority: int,
        factory: JobFactory,
        on_event: Callable[[Any], None] | None,
        on_done: Callable[[Any], None] | None,
        on_error: Callable[[PspnetError], None] | None,
        on_cancelled: Callable[[], None] | None,
    ) -> None:
        self.name = name
        self.priority = priority
        self.submitted_s = time.monotonic()
        self._factory = factory
        self._on_event = on_event
        self._on_done = on_done
        self._on_error = on_error
        self._on_cancelled = on_cancelled
        self._cancel = threading.Event()
        self._finish: BaseException | None = None
        self._resumed = threading.Event()
        self._resumed.set()
        self._finished = threading.Event()
        self._events: deque[Any] = deque()
        self._posted_s = 0.0

    @property
    def is_running(self) -> bool:
        """Whether it waits or runs, that is: has not ended yet."""
        return not self._finished.is_set()

    @property
    def is_cancelled(self) -> bool:
        """Whether :meth:`cancel` was called."""
        return self._cancel.is_set()

    def cancel(self) -> None:
        """End it at its next yield; no further event, result or error of it is delivered."""
        self._cancel.set()
        self._resumed.set()

    def finish_early(self, signal: BaseException) -> None:
        """Throw ``signal`` into the generator at its next yield: stop, but keep what there is."""
        self._finish = signal
        self._resumed.set()

    def pause(self) -> None:
        """Let it rest at its next yield until :meth:`resume`."""
        self._resumed.clear()

    def resume(self) -> None:
        """Go on after :meth:`pause`."""
        self._resumed.set()

    def wait(self, timeout_s: float) -> bool:
        """Block until it ended; False when it did not within ``timeout_s``."""
        return self._finished.wait(timeout_s)


class _Bridge(QObject):
    """Carries calls from the lanes to the GUI thread."""

    posted = Signal(object)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.posted.connect(self._on_posted, Qt.ConnectionType.QueuedConnection)

    @Slot(object)
    def _on_posted(self, call: Callable[[], None]) -> None:
        call()


class _LaneThread:
    """A thread with a priority queue of jobs."""

    def __init__(
        self,
        lane: Lane,
        post: Callable[[Callable[[], None]], None],
        changed: Callable[[], None],
        prepare: Callable[[], None],
        quiet: Quiet,
    ) -> None:
        self._post = post
        self._quiet = quiet
        self._changed = changed
        self._prepare = prepare
        self._is_prepared = False
        self._condition = threading.Condition()
        self._queue: list[tuple[int, int, JobHandle]] = []
        self._order = itertools.count()
        self._is_stopping = False
        self._current: list[JobHandle] = []
        self.thread = threading.Thread(target=self._loop, name=f"lane-{lane.value}", daemon=True)
        self.thread.start()

    def submit(self, job: JobHandle) -> None:
        with self._condition:
            if self._is_stopping:
                job.cancel()
                job._finished.set()
                return
            self._queue.append((job.priority, next(self._order), job))
            self._queue.sort(key=lambda row: row[:2])
            self._condition.notify()

    def jobs(self) -> list[JobHandle]:
        with self._condition:
            return [*self._current, *(row[2] for row in self._queue)]

    def stop(self) -> None:
        with self._condition:
            self._is_stopping = True
            self._condition.notify()

    def _loop(self) -> None:
        while True:
            with self._condition:
                while not self._queue and not self._is_stopping:
                    self._condition.wait()
                if not self._queue:
                    return
                job = self._queue.pop(0)[2]
            self._run(job)
            del job  # or this thread, not the window's, would be the last to know the objects that it calls

    def _run(self, job: JobHandle) -> None:
        self._current.append(job)
        self._changed()
        result: Any = None
        error: PspnetError | None = None
        try:
            if not self._is_prepared:
                self._prepare()
                self._is_prepared = True
            if not job.is_cancelled:
                result = self._drive(job)
        except PspnetError as caught:
            logger.info("job %s: %s", job.name, caught)
            error = caught
        except MemoryError as caught:
            logger.warning("job %s: not enough memory: %s", job.name, caught)
            error = PspnetError(
                tr("Not enough memory."), f"{job.name}: {caught}", tr("Close other programs, or use smaller images.")
            )
        except Exception as caught:  # the one place where a bug in a job must not take the lane down
            logger.exception("job %s failed", job.name)
            error = PspnetError(
                tr("Something unexpected happened; your work is kept."),
                f"{job.name}: {type(caught).__name__}: {caught}",
                log_file.how_to_report(),
            )
        self._current.remove(job)
        job._finished.set()
        self._post(lambda: _deliver_end(job, result, error))
        self._changed()

    def _drive(self, job: JobHandle) -> Any:
        last: Any = None
        has_begun = False  # a signal can only be thrown into a generator that stands at a yield
        generator = job._factory()
        try:
            self._step_aside(job)
            while not job.is_cancelled:
                if not job._resumed.is_set():
                    self._rest(job)
                    continue
                try:
                    if job._finish is not None and has_begun and isinstance(generator, Generator):
                        signal, job._finish = job._finish, None
                        last = generator.throw(signal)
                    else:
                        last = next(generator)
                        has_begun = True
                except StopIteration:
                    return last
                self._publish(job, last)
                self._step_aside(job)
            return None
        finally:
            if isinstance(generator, Generator):
                generator.close()

    def _rest(self, job: JobHandle) -> None:
        while not job._resumed.wait(_LOOK_S):
            self._step_aside(job)

    def _step_aside(self, job: JobHandle) -> None:
        while not job.is_cancelled:
            urgent = None
            with self._condition:
                if self._queue and self._queue[0][0] < job.priority:
                    urgent = self._queue.pop(0)[2]
                elif left_s := self._quiet.left_s(job.priority):
                    self._condition.wait(min(left_s, _LOOK_S))
                else:
                    return
            if urgent is not None:
                self._run(urgent)

    def _publish(self, job: JobHandle, event: Any) -> None:
        if job._on_event is None:
            return
        job._events.append(event)
        now = time.monotonic()
        if now - job._posted_s >= _PROGRESS_INTERVAL_S:
            job._posted_s = now
            self._post(lambda: _deliver_events(job))


def _deliver_events(job: JobHandle) -> None:
    while job._events and job._on_event is not None:
        event = job._events.popleft()
        if not job.is_cancelled:
            job._on_event(event)


def _deliver_end(job: JobHandle, result: Any, error: PspnetError | None) -> None:
    _deliver_events(job)
    if job.is_cancelled:
        if job._on_cancelled is not None:
            job._on_cancelled()
    elif error is not None:
        if job._on_error is not None:
            job._on_error(error)
    elif job._on_done is not None:
        job._on_done(result)


class JobRunner(QObject):
    """Runs generators in the background and delivers what they yield on the GUI thread.

    Args:
        prepare_torch: Called once in the torch lane's thread before its first job: imports torch and sets its threads.

    Signals:
        jobs_changed: A job began, ended or was added.
        torch_ready: torch is imported.
    """

    jobs_changed = Signal()
    torch_ready = Signal()

    def __init__(self, prepare_torch: Callable[[], None] | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._bridge = _Bridge(self)
        self._prepare_torch = prepare_torch
        self.torch_import_s: tuple[float, float] | None = None
        self._quiet = Quiet()
        self._lanes = {
            lane: _LaneThread(lane, self._post, self._on_lane_changed, prepare, self._quiet)
            for lane in Lane
            for prepare in [self._prepare if lane is Lane.TORCH else lambda: None]
        }

    def submit(
        self,
        lane: Lane,
        factory: JobFactory,
        *,
        name: str,
        priority: int,
        on_event: Callable[[Any], None] | None = None,
        on_done: Callable[[Any], None] | None = None,
        on_error: Callable[[PspnetError], None] | None = None,
        on_cancelled: Callable[[], None] | None = None,
    ) -> JobHandle:
        """Queue a job.

        Args:
            lane: Where it runs.
            factory: Makes the generator, in the lane's thread.
            name: Shown in the status bar (:attr:`visible_jobs`), begins in lower case.
            priority: See :class:`Priority`.
            on_event: Gets every event, in order, at most 20 deliveries a second.
            on_done: Gets the last event (None when there was none) after a full run.
            on_error: Gets what went wrong.
            on_cancelled: Called when it ended because it was cancelled.
        """
        job = JobHandle(name, priority, factory, on_event, on_done, on_error, on_cancelled)
        self._lanes[lane].submit(job)
        self.jobs_changed.emit()
        return job

    def call(
        self,
        lane: Lane,
        function: Callable[[], Any],
        *,
        name: str,
        priority: int,
        on_done: Callable[[Any], None] | None = None,
        on_error: Callable[[PspnetError], None] | None = None,
    ) -> JobHandle:
        """Queue a plain function; ``on_done`` gets what it returns."""

        def once() -> Iterator[Any]:
            yield function()

        return self.submit(lane, once, name=name, priority=priority, on_done=on_done, on_error=on_error)

    def keep_quiet(self, seconds: float) -> None:
        """Let training, and what is done ahead, rest for so long: the hand is at work. 0: let it go on."""
        self._quiet.keep(seconds)

    @property
    def jobs(self) -> list[str]:
        """Names of the jobs that run or wait, most urgent first."""
        return [job.name for job in self._open_jobs()]

    @property
    def visible_jobs(self) -> list[str]:
        """Of :attr:`jobs` those that a person wants to know about: no thumbnails, no tidying, no short saves."""
        long_ago_s = time.monotonic() - SHORT_S
        return [
            job.name
            for job in self._open_jobs()
            if job.priority < Priority.TIDY and (job.priority not in _SHORT or job.submitted_s <= long_ago_s)
        ]

    def shutdown(self, timeout_s: float = 10.0) -> bool:
        """Cancel everything but saves, wait for the lanes to end; False when one did not in time."""
        for lane in self._lanes.values():
            for job in lane.jobs():
                if job.priority != Priority.SAVE:
                    job.cancel()
            lane.stop()
        deadline = time.monotonic() + timeout_s
        for lane in self._lanes.values():
            lane.thread.join(max(0.0, deadline - time.monotonic()))
        return not any(lane.thread.is_alive() for lane in self._lanes.values())

    def _open_jobs(self) -> list[JobHandle]:
        return [job for lane in self._lanes.values() for job in lane.jobs() if not job.is_cancelled]

    def _prepare(self) -> None:
        if self._prepare_torch is None:
            return
        begin_s = time.perf_counter()
        self._prepare_torch()
        self.torch_import_s = (begin_s, time.perf_counter())
        self._post(self.torch_ready.emit)

    def _post(self, call: Callable[[], None]) -> None:
        self._bridge.posted.emit(call)

    def _on_lane_changed(self) -> None:
        self._post(self.jobs_changed.emit)
