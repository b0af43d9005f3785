"""A DICOMweb server that answers what it is told to, wants a token, and remembers what it was asked."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import socket
from typing import Any

Answer = Callable[["Handler"], None]
_REMEMBERED_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Asked:
    """One request; of a long body only that it came."""

    path: str
    headers: dict[str, str]
    body: bytes
    length: int


@dataclass(slots=True)
class Scripted:
    """A running server: its answers in turn, the last one for ever."""

    port: int
    answers: list[Answer]
    token: str = ""
    scheme: str = "http"
    asked: list[Asked] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """Where its service is."""
        return f"{self.scheme}://127.0.0.1:{self.port}/dicom-web"

    def next_answer(self) -> Answer:
        """The answer to the request that was just remembered."""
        return self.answers[min(len(self.asked), len(self.answers)) - 1]


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    scripted: Scripted

    def do_GET(self) -> None:
        """Any request."""
        length = int(self.headers.get("Content-Length", 0))
        body = self._body(length)
        self.scripted.asked.append(Asked(self.path, dict(self.headers.items()), body, length))
        if self.scripted.token and self.headers.get("Authorization") != f"Bearer {self.scripted.token}":
            status(401)(self)
        else:
            self.scripted.next_answer()(self)

    do_POST = do_GET  # noqa: N815 - as the library calls it

    def _body(self, length: int) -> bytes:
        kept, left = bytearray(), length
        while left:
            piece = self.rfile.read(min(left, 65536))
            left -= len(piece)
            if len(kept) < _REMEMBERED_BYTES:
                kept += piece
        return bytes(kept)

    def reply(self, code: int, body: bytes, **headers: str) -> None:
        """A whole answer."""
        self.send_response(code)
        for name, value in ({"Content_Length": str(len(body))} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


def status(code: int, body: bytes = b"", **headers: str) -> Answer:
    """An answer with a body as it is."""
    return lambda handler: handler.reply(code, body, **headers)


def told(code: int, *, failed: int | None = None, warning: int | None = None, **changes: Any) -> Answer:
    """A STOW-RS answer about the object that came: stored, stored with a warning, or failed with a reason."""

    def answer(handler: Handler) -> None:
        uid = uid_of(handler.scripted.asked[-1].body)
        item = {"00081155": {"vr": "UI", "Value": [uid]}}
        if failed is not None:
            content = {"00081198": {"vr": "SQ", "Value": [item | {"00081197": {"vr": "US", "Value": [failed]}}]}}
        else:
            more = {"00081196": {"vr": "US", "Value": [warning]}} if warning is not None else {}
            content = {"00081199": {"vr": "SQ", "Value": [item | more]}}
        handler.reply(code, json.dumps(content | changes).encode())

    return answer


def listing(*uids: str) -> Answer:
    """A QIDO-RS answer with these instances."""
    return status(200, json.dumps([{"00080018": {"vr": "UI", "Value": [uid]}} for uid in uids]).encode())


def dripping(head: bytes, piece: bytes = b" ") -> Answer:
    """An answer that never ends: a piece each tenth of a second."""

    def answer(handler: Handler) -> None:
        handler.close_connection = True
        with suppress(OSError):
            handler.wfile.write(head)
            while not handler.scripted.over.wait(0.1):
                handler.wfile.write(piece)

    return answer


def silence(handler: Handler) -> None:
    """No answer."""
    handler.close_connection = True
    handler.scripted.over.wait()


def hanging_up(handler: Handler) -> None:
    """No answer, and the connection closed."""
    handler.close_connection = True


def flood(handler: Handler) -> None:
    """An answer without end, as fast as it is taken."""
    handler.close_connection = True
    with suppress(OSError):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while not handler.scripted.over.is_set():
            handler.wfile.write(b"[" * 65536)


def uid_of(multipart: bytes) -> str:
    """The SOP Instance UID in the file meta information of the object in a body."""
    at = multipart.index(b"\x02\x00\x03\x00UI") + 8
    length = int.from_bytes(multipart[at - 2 : at], "little")
    return multipart[at : at + length].rstrip(b"\0").decode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    context: ssl.SSLContext | None = None

    def finish_request(self, request: Any, client_address: Any) -> None:
        """TLS in the connection's own thread."""
        secured: socket = self.context.wrap_socket(request, server_side=True) if self.context else request
        try:
            super().finish_request(secured, client_address)
        finally:
            secured.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A peer that leaves is part of the script."""


@contextmanager
def scripted(*answers: Answer, token: str = "", context: ssl.SSLContext | None = None) -> Iterator[Scripted]:
    """A server with that script; over TLS where there is a context."""
    server = _Server(("127.0.0.1", 0), type("Scene", (Handler,), {}))
    server.context = context
    script = Scripted(int(server.server_address[1]), list(answers), token, "https" if context else "http")
    server.RequestHandlerClass.scripted = script  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield script
    finally:
        script.over.set()
        server.shutdown()
        thread.join()
        server.server_close()
