"""HTTP towards one DICOMweb server (PS3.18), with a deadline on every wait and a limit on every answer."""

import logging
import math
import os
import socket
import ssl
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx

from service.core.errors import Unreached
from service.core.identity import IMPLEMENTATION_VERSION
from service.core.outbox import Trouble
from service.edge.dialing import DEADLINES, keeping_alive
from service.edge.watchdog import Watchdog

for _library in ("httpx", "httpcore"):
    logging.getLogger(_library).setLevel(logging.WARNING)  # they write down URLs, and a query names a patient

ANSWER_SECONDS = 12.0  # for all of an answer, from the last byte of the request
MOST_ANSWER_BYTES = 8 * 1024 * 1024
_MOST_TOKEN_BYTES = 16 * 1024
_OTHERS = 0o077  # permissions that a secret may not give
CURES = {  # what a person has to change, by HTTP status
    HTTPStatus.UNAUTHORIZED: "it does not take our token, or wants one: see token_file",
    HTTPStatus.FORBIDDEN: "it knows us and does not allow this: have it allowed there",
    HTTPStatus.NOT_FOUND: "there is no such service at that address: see url",
    HTTPStatus.METHOD_NOT_ALLOWED: "there is no such service at that address: see url",
    HTTPStatus.NOT_ACCEPTABLE: "it does not answer in application/dicom+json",
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED: "something before it wants us to log in",
    HTTPStatus.GONE: "there is no such service at that address any more: see url",
}
_REDIRECT = "redirects are not followed: write the address that it names in url"
_BUSY = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
_NOT_ITS_OWN = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT}


@dataclass(frozen=True, slots=True)
class WebServer:
    """A DICOMweb server we call: its URL without a slash at the end, and files of secrets and certificates."""

    url: str
    token_file: Path | None = None
    authorities: Path | None = None
    certificate: Path | None = None
    private_key: Path | None = None
    answer_seconds: float = ANSWER_SECONDS

    def __str__(self) -> str:
        return self.url

    @property
    def configuration(self) -> str:
        """All of it in words; never what stands in the files."""
        named = ("token_file", "authorities", "certificate", "private_key")
        return ", ".join([self.url, *(f"{name} {path}" for name in named if (path := getattr(self, name)))])


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered; a body longer than any that is asked for counts as none."""

    status: int
    content: bytes


@dataclass(slots=True)
class _Exchange:
    """One request and its answer."""

    has_begun: bool = False  # the server may have got the request
    watchdog: Watchdog | None = None

    @property
    def was_cut(self) -> bool:
        return self.watchdog is not None and self.watchdog.has_cut

    def end(self) -> None:
        if self.watchdog:
            self.watchdog.call_off()


@dataclass(slots=True)
class Line:
    """Requests to one server, one after the other, over one connection where it keeps it open."""

    server: WebServer
    _client: httpx.Client
    _ends_at: float
    _connection: socket.socket | None = None
    _exchange: _Exchange = field(default_factory=_Exchange)

    def get(self, path: str, query: Mapping[str, str]) -> Answer:
        """GET below the server's URL. Raises Unreached."""
        return self._ask(self._client.build_request("GET", self.server.url + path, params=query))

    def post(self, path: str, content: Iterable[bytes], headers: Mapping[str, str]) -> Answer:
        """POST below the server's URL, the content as it comes. Raises Unreached."""
        return self._ask(self._client.build_request("POST", self.server.url + path, content=content, headers=headers))

    def _ask(self, request: httpx.Request) -> Answer:
        if time.monotonic() > self._ends_at:
            raise Unreached(Trouble.NO_ANSWER, f"{self.server} takes too long over its answers")
        self._exchange = _Exchange()
        request.extensions = {**request.extensions, "trace": self._follow}
        try:
            response = self._client.send(request, stream=True)
            try:
                answer = Answer(response.status_code, _body(response))
            finally:
                response.close()
        except (httpx.TransportError, httpx.StreamError) as error:
            raise self._failure(error) from error
        finally:
            self._exchange.end()
        if self._exchange.was_cut:  # an answer of no stated length looks whole then
            raise self._unanswered()
        return answer

    def _follow(self, event: str, details: Mapping[str, Any]) -> None:
        """How far the request is: httpcore calls this."""
        if event in {"connection.connect_tcp.complete", "connection.start_tls.complete"}:
            self._connection = details["return_value"].get_extra_info("socket")
        if event == "http11.send_request_headers.started":
            self._exchange.has_begun = True
        if event == "http11.receive_response_headers.started" and self._connection:
            self._exchange.watchdog = Watchdog(self.server.answer_seconds, self._connection)

    def _failure(self, error: Exception) -> Unreached:
        words = _tls_words(error, has_begun=self._exchange.has_begun)
        if words:
            return Unreached(Trouble.CONFIGURATION, f"{self.server}: {words}")
        if self._exchange.has_begun:
            return self._unanswered()
        return Unreached(Trouble.NETWORK, f"{self.server} is not reachable, or closed the connection")

    def _unanswered(self) -> Unreached:
        seconds = f"{self.server.answer_seconds:g} s"
        return Unreached(Trouble.NO_ANSWER, f"{self.server} gave no answer, or not all of it within {seconds}")


@contextmanager
def connected(server: WebServer, in_all: float = math.inf) -> Iterator[Line]:
    """A line to a server, with the token and the certificates as the files hold them now. Raises Unreached.

    After so many seconds nothing more is asked.
    """
    headers = {
        "Accept": "application/dicom+json",
        "Accept-Encoding": "identity",  # an answer may not be larger than it looks
        "User-Agent": IMPLEMENTATION_VERSION,
    }
    if server.token_file:
        headers["Authorization"] = f"Bearer {_token(server, server.token_file)}"
    transport = httpx.HTTPTransport(
        verify=_context(server) if server.url.startswith("https:") else False,
        trust_env=False,
        limits=httpx.Limits(max_connections=1),
        socket_options=keeping_alive(DEADLINES.stall_seconds),
    )
    timeout = httpx.Timeout(DEADLINES.connect_seconds, read=server.answer_seconds, write=DEADLINES.stall_seconds)
    with httpx.Client(transport=transport, headers=headers, timeout=timeout, trust_env=False) as client:
        yield Line(server, client, time.monotonic() + in_all)


def require_service(server: WebServer, path: str, status: int) -> None:
    """Raises Unreached where a status says that the request never came to the service that it was meant for."""
    answered = f"{server}{path} answered {status}"
    if status in CURES:
        raise Unreached(Trouble.CONFIGURATION, f"{answered}: {CURES[HTTPStatus(status)]}")
    if 300 <= status < 400:
        raise Unreached(Trouble.CONFIGURATION, f"{answered}: {_REDIRECT}")
    if status in _BUSY:
        raise Unreached(Trouble.BUSY, f"{answered}: it is busy")
    if status in _NOT_ITS_OWN:
        raise Unreached(Trouble.NO_ANSWER, f"{answered}: it, or what stands before it, gave up waiting")


def _body(response: httpx.Response) -> bytes:
    if int(response.headers.get("Content-Length", 0)) > MOST_ANSWER_BYTES:
        return b""
    content = bytearray()
    for piece in response.iter_raw():
        content += piece
        if len(content) > MOST_ANSWER_BYTES:
            return b""
    return bytes(content)


def _token(server: WebServer, path: Path) -> str:
    """The token as its file holds it now: it may be changed at any time."""
    content = _secret(server, path).decode("ascii", "replace").strip()
    if not content or not all("!" <= letter <= "~" for letter in content):
        raise Unreached(Trouble.CONFIGURATION, f"{server}: {path} has to hold a token, and nothing else")
    return content


def _secret(server: WebServer, path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            content = stream.read(_MOST_TOKEN_BYTES)
    except OSError as error:
        raise Unreached(Trouble.CONFIGURATION, f"{server}: {path} cannot be read: {error.strerror}") from error
    if mode & _OTHERS:
        raise Unreached(Trouble.CONFIGURATION, f"{server}: others can read {path}: chmod 600 it, and change the secret")
    return content


def _context(server: WebServer) -> ssl.SSLContext:
    """The authorities named, else those of the system; TLS 1.2 or later (PS3.15 B.12)."""
    if server.private_key:
        _secret(server, server.private_key)
    try:
        context = ssl.create_default_context(cafile=server.authorities)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if server.certificate and server.private_key:
            context.load_cert_chain(server.certificate, server.private_key)
    except OSError as error:
        named = ", ".join(str(path) for path in (server.authorities, server.certificate, server.private_key) if path)
        raise Unreached(Trouble.CONFIGURATION, f"{server}: {named} cannot be used: {error}") from error
    return context


def _tls_words(error: BaseException, *, has_begun: bool) -> str:
    """What a person has to change about TLS; empty where that was not the trouble."""
    cause: BaseException | None = error
    while cause and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({cause.verify_message}): see authorities, and the name in url"
    if not isinstance(cause, ssl.SSLError) or isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return ""
    if has_begun and "ALERT" not in str(cause.reason):  # in TLS 1.3 our own certificate is refused this late
        return ""
    return f"no TLS with it ({cause.reason}): see url, certificate and private_key"
