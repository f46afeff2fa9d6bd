"""A small HTTP server that serves one file, and misbehaves as it is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class FileServer:
    """What it serves and how.

    Attributes:
        data: The file.
        cut_after: Bytes of each answer after which the connection is cut; the list is used up, one entry an answer.
        ranges: Whether it knows ``Range``.
        status: Instead of the file, for as many answers as the list has.
        announced: Content-Length, instead of the true one; 0 = none, the end of the connection ends the file.
        chunk_pause_s: Between pieces of 64 KiB.
        silent_after: Bytes after which nothing more comes, and the connection stays open; None = never.
        requests: ``Range`` of each request, None without one.
    """

    data: bytes
    cut_after: list[int] = field(default_factory=list)
    ranges: bool = True
    status: list[int] = field(default_factory=list)
    announced: int | None = None
    chunk_pause_s: float = 0.0
    silent_after: int | None = None
    requests: list[str | None] = field(default_factory=list)
    url: str = ""
    stopped: threading.Event = field(default_factory=threading.Event)


@contextmanager
def serving(server: FileServer) -> Iterator[FileServer]:
    """Serve it on this machine at ``server.url``."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _answer(self, server)

        def log_message(self, *arguments: object) -> None:
            pass

    http_server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http_server.daemon_threads = True
    thread = threading.Thread(target=http_server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    server.url = f"http://127.0.0.1:{http_server.server_port}/models/net-12345678.pth"
    try:
        yield server
    finally:
        server.stopped.set()
        http_server.shutdown()
        http_server.server_close()
        thread.join()


def _answer(handler: BaseHTTPRequestHandler, server: FileServer) -> None:
    wish = handler.headers.get("Range")
    server.requests.append(wish)
    if server.status:
        handler.send_error(server.status.pop(0))
        return
    start = int(wish.removeprefix("bytes=").removesuffix("-")) if wish and server.ranges else 0
    if start and start >= len(server.data):
        handler.send_response(416)
        handler.send_header("Content-Range", f"bytes */{len(server.data)}")
        handler.end_headers()
        return
    body = server.data[start:]
    handler.send_response(206 if start else 200)
    if start:
        handler.send_header("Content-Range", f"bytes {start}-{len(server.data) - 1}/{len(server.data)}")
    if server.announced != 0:
        handler.send_header("Content-Length", str(server.announced or len(body)))
    handler.end_headers()
    if server.cut_after:
        body = body[: server.cut_after.pop(0)]
    if server.silent_after is not None:
        body = body[: server.silent_after]
    try:
        for position in range(0, len(body), 1 << 16):
            handler.wfile.write(body[position : position + (1 << 16)])
            time.sleep(server.chunk_pause_s)
    except (BrokenPipeError, ConnectionResetError):
        return  # the client has enough
    if server.silent_after is not None:
        server.stopped.wait(20)
