"""A connection to a peer, made within a deadline, with options that let no dead peer keep us (tcp(7))."""

import queue
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from service.core.errors import Unreached
from service.core.outbox import Trouble
from service.edge.tls import Credentials
from service.edge.tls_failures import unreached

ANSWER_SECONDS = 12.0


@dataclass(frozen=True, slots=True)
class Remote:
    """A peer we call."""

    calling_ae_title: str
    called_ae_title: str
    host: str
    port: int
    tls: Credentials | None = None
    answer_seconds: float = ANSWER_SECONDS

    def __str__(self) -> str:
        return f"{self.called_ae_title} at {self.host}:{self.port}" + (" over TLS" if self.tls else "")


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a peer may take; how long for an answer is said of each `Remote`.

    Whatever a peer does or does not, no more than 15 s pass without progress: the longest waits that follow one
    another are for the connection and for the negotiation.
    """

    connect_seconds: float = 5.0  # name, TCP
    negotiation_seconds: float = 5.0  # TLS, A-ASSOCIATE
    stall_seconds: float = 10.0  # in which the peer takes next to nothing of what is sent
    release_seconds: float = 2.0


DEADLINES = Deadlines()

_KEEPALIVE = {socket.TCP_KEEPIDLE: 4, socket.TCP_KEEPINTVL: 2, socket.TCP_KEEPCNT: 3}  # seconds, seconds, probes

_Address = tuple[Any, ...]


def dial(remote: Remote, deadlines: Deadlines) -> socket.socket:
    """A connection to a peer, without TLS. Raises Unreached within `connect_seconds`."""
    until = time.monotonic() + deadlines.connect_seconds
    reason = "the name has no address"
    addresses = _addresses(remote, deadlines.connect_seconds)
    for number, (family, address) in enumerate(addresses):
        left = (until - time.monotonic()) / (len(addresses) - number)
        try:
            return _connect(family, address, max(left, 0.001), deadlines)
        except TimeoutError:
            reason = f"no answer to a connection within {deadlines.connect_seconds:g} s"
        except OSError as error:
            reason = error.strerror or type(error).__name__
    raise unreachable(remote, reason)


def unreachable(remote: Remote, reason: str) -> Unreached:
    """A peer that is not there, or not now."""
    return Unreached(Trouble.NETWORK, f"{remote} is not reachable: {reason}")


def hold(connection: socket.socket, stall_seconds: float) -> None:
    """Send at once; end the connection when its peer's machine takes nothing, or is gone without a word."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for option in keeping_alive(stall_seconds):
        connection.setsockopt(*option)


def keeping_alive(stall_seconds: float) -> list[tuple[int, int, int]]:
    """The options of a socket that let no dead machine keep us."""
    stall = (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(1000 * stall_seconds))
    probes = [(socket.IPPROTO_TCP, option, value) for option, value in _KEEPALIVE.items()]
    return [stall, (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1), *probes]


def secured(connection: socket.socket, remote: Remote, until: float) -> socket.socket:
    """The connection with TLS where the peer has it. Raises Unreached at the moment `until` (monotonic)."""
    if remote.tls is None:
        return connection
    connection.settimeout(max(until - time.monotonic(), 0.001))
    try:
        return remote.tls.wrap_socket(connection, server_hostname=remote.host)
    except TimeoutError as error:
        raise unreachable(remote, "the TLS handshake did not end in time") from error
    except OSError as error:
        raise unreached(remote, error) from error


def _connect(family: int, address: _Address, seconds: float, deadlines: Deadlines) -> socket.socket:
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        hold(connection, deadlines.stall_seconds)
        connection.settimeout(seconds)
        connection.connect(address)
    except BaseException:
        connection.close()
        raise
    return connection


def _addresses(remote: Remote, seconds: float) -> list[tuple[int, _Address]]:
    """Family and address by name; the resolver knows no deadline, so that a name waits for it in a thread."""
    with suppress(socket.gaierror):
        return _resolved(remote, socket.AI_NUMERICHOST)
    answers: queue.SimpleQueue[list[tuple[int, _Address]] | socket.gaierror] = queue.SimpleQueue()

    def resolve() -> None:
        try:
            answers.put(_resolved(remote, 0))
        except socket.gaierror as error:
            answers.put(error)

    threading.Thread(target=resolve, name="resolving", daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except queue.Empty:
        raise unreachable(remote, f"the name was not resolved within {seconds:g} s") from None
    if isinstance(answer, socket.gaierror):
        raise unreachable(remote, f"the name cannot be resolved ({answer.strerror})") from answer
    return answer


def _resolved(remote: Remote, flags: int) -> list[tuple[int, _Address]]:
    found = socket.getaddrinfo(remote.host, remote.port, type=socket.SOCK_STREAM, flags=flags)
    return [(family, address) for family, _, _, _, address in found]
