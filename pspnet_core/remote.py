"""What is known of a file elsewhere. Light: it is imported before the window shows; the network is in ``download``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

_DIGEST = re.compile(r"[0-9a-f]{8,64}")


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file and how it is recognised.

    Attributes:
        url: Its address, http or https.
        num_bytes: Its exact size, None where it is not known.
        sha256: Of the file, lower-case hexadecimal: all 64 digits, or as many of the first as are known, at least 8.
        about_bytes: Roughly its size, for people and for the check of free space, where the exact one is not known.

    Raises:
        ValueError: Another kind of address, or digits that are no SHA-256.
    """

    url: str
    num_bytes: int | None
    sha256: str
    about_bytes: int | None = None

    def __post_init__(self) -> None:
        if urlsplit(self.url).scheme not in ("http", "https"):
            raise ValueError(f"the address must begin with http:// or https://, found {self.url!r}")
        if not _DIGEST.fullmatch(self.sha256):
            raise ValueError(f"sha256 must be 8 to 64 lower-case hexadecimal digits, found {self.sha256!r}")

    @property
    def name(self) -> str:
        """File name at the end of the address."""
        return urlsplit(self.url).path.rsplit("/", 1)[-1]

    @property
    def host(self) -> str:
        """Of the address."""
        return urlsplit(self.url).hostname or ""

    @property
    def size_text(self) -> str:
        """The size for people, for example ``102.5 MB``."""
        if self.num_bytes is not None:
            return megabytes(self.num_bytes)
        return "unknown size" if self.about_bytes is None else f"about {megabytes(self.about_bytes)}"


def megabytes(num_bytes: int) -> str:
    """``num_bytes`` for people, in MB of a million bytes."""
    return f"{num_bytes / 1e6:.1f} MB"
