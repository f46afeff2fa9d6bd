"""What a tool of the canvas works out in the background, while the hand waits for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from pspnet_core.errors import PspnetError
from pspnet_studio.jobs.runner import JobRunner, Lane, Priority
from pspnet_studio.messages import tr


class Work(Protocol):
    """Something that is being worked out."""

    def cancel(self) -> None:
        """Nobody waits for it any more: its result is dropped."""
        ...


Compute = Callable[[Callable[[], Any], Callable[[Any], None], Callable[[PspnetError], None]], Work]
"""Runs a function; gives its result to the second, or what went wrong to the third, on the GUI thread."""


def in_tool_lane(runner: JobRunner) -> Compute:
    """Work in a lane of its own: what the hand waits for waits neither for files nor for the network."""

    def compute(
        function: Callable[[], Any], on_done: Callable[[Any], None], on_error: Callable[[PspnetError], None]
    ) -> Work:
        return runner.call(
            Lane.TOOL,
            function,
            name=tr("working out an area"),
            priority=Priority.VISIBLE,
            on_done=on_done,
            on_error=on_error,
        )

    return compute


class _Ended:
    """Work that has ended before anyone could wait for it."""

    def cancel(self) -> None:
        """Nothing is left to be dropped."""


def at_once(
    function: Callable[[], Any], on_done: Callable[[Any], None], on_error: Callable[[PspnetError], None]
) -> Work:
    """Work before returning: for canvases without a runner."""
    try:
        result = function()
    except PspnetError as error:
        on_error(error)
    else:
        on_done(result)
    return _Ended()
