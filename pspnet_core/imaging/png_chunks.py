"""What lies in a PNG file behind its pixels, found without decoding them."""

from __future__ import annotations

import struct
from typing import BinaryIO

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MAX_EXIF_BYTES = 1 << 20
_MAX_CHUNKS = 1 << 20  # of a few bytes each: a file of more is no picture


def exif_in_png(stream: BinaryIO) -> bytes | None:
    """The EXIF data of a PNG file, wherever in it they lie; None where there are none.

    Only the heads of the chunks are read. The position of the stream is as before.

    Raises:
        OSError: The file cannot be read.
    """
    before = stream.tell()
    try:
        stream.seek(0)
        if stream.read(8) != _SIGNATURE:
            return None
        for _ in range(_MAX_CHUNKS):
            head = stream.read(8)
            if len(head) < 8:
                return None
            length, kind = struct.unpack(">I4s", head)
            if kind == b"eXIf":
                return stream.read(length) if length <= _MAX_EXIF_BYTES else None
            if kind == b"IEND":
                return None
            stream.seek(length + 4, 1)
        return None
    finally:
        stream.seek(before)
