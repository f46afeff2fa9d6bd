"""What the commands say: text for people, or one JSON object a line for programs; messages always on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from pspnet_core.errors import PspnetError


class UsageError(PspnetError):
    """Options that do not go together: the command was called wrongly, and nothing failed."""


class Output:
    """Where a command reports to.

    Args:
        as_json: One JSON line per event on stdout, and no text for people.
        is_quiet: Nothing at all: another process reports for this one.
    """

    def __init__(self, as_json: bool, is_quiet: bool = False) -> None:
        self.as_json, self._is_quiet = as_json, is_quiet

    def event(self, data: Mapping[str, Any]) -> None:
        """An event or result; shown only as JSON."""
        if self.as_json and not self._is_quiet:
            self._write(json.dumps(data, ensure_ascii=False))

    def text(self, line: str) -> None:
        """A line for people; not shown with JSON."""
        if not self.as_json and not self._is_quiet:
            self._write(line)

    @staticmethod
    def _write(line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def report_error(error: PspnetError) -> None:
    """Title, detail and remedy on stderr."""
    sys.stderr.write(f"{error}\n")
    sys.stderr.flush()
