"""A Storage and Verification SCU (PS3.4 annexes A and B) with a deadline on every wait."""

import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, _config, build_context, evt
from pynetdicom.sop_class import Verification

from service.core.errors import Broken, Unreached
from service.core.outbox import UNREADABLE, Trouble

_config.LOG_HANDLER_LEVEL = "none"

_NATIVE = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 30.0  # a PACS may take its time to store one object
_PERMANENT = 1  # result of an A-ASSOCIATE-RJ (PS3.8 9.3.4)
STALL_MILLISECONDS = 10_000  # unacknowledged bytes end the connection (TCP_USER_TIMEOUT)


@dataclass(frozen=True, slots=True)
class Remote:
    """A peer we call."""

    calling_ae_title: str
    called_ae_title: str
    host: str
    port: int
    tls: ssl.SSLContext | None = None
    answer_seconds: float = ANSWER_SECONDS

    def __str__(self) -> str:
        return f"{self.called_ae_title} at {self.host}:{self.port}"


def echo(remote: Remote) -> None:
    """C-ECHO. Raises TryAgain when the peer is not there or rejects us, Broken when it answers anything but success."""
    with associated(remote, [build_context(Verification)]) as association:
        status = _status(association.send_c_echo())
    if status != 0x0000:
        raise Broken(f"{remote} answered C-ECHO with {_words(status)}")


def store(remote: Remote, paths: Sequence[Path]) -> Iterator[tuple[Path, int | None]]:
    """C-STORE each file in one association; yields its status as it comes, None for "no answer came".

    UNREADABLE stands for a file that is gone or damaged, 0x0122 (SOP Class not supported) for one that the peer accepts
    no presentation context for. Raises TryAgain when no association could be made.
    """
    readable: list[Path] = []
    kinds: set[tuple[str, str]] = set()
    for path in paths:
        try:
            kinds.add(_kind(dcmread(path, stop_before_pixels=True)))
            readable.append(path)
        except (OSError, InvalidDicomError, AttributeError):
            yield path, UNREADABLE
    if readable:
        yield from _store(remote, readable, kinds)


def _store(remote: Remote, paths: Sequence[Path], kinds: set[tuple[str, str]]) -> Iterator[tuple[Path, int | None]]:
    contexts = [build_context(sop_class, _offered(syntax)) for sop_class, syntax in sorted(kinds)]
    with associated(remote, [*contexts, build_context(Verification)]) as association:
        accepted = {(cx.abstract_syntax, cx.transfer_syntax[0]) for cx in association.accepted_contexts}
        for path in paths:
            dataset = dcmread(path)
            sop_class, syntax = _kind(dataset)
            if not any((sop_class, offered) in accepted for offered in _offered(syntax)):
                yield path, 0x0122
            elif association.is_established:
                yield path, _status(association.send_c_store(dataset))
            else:
                yield path, None


def _kind(dataset: Dataset) -> tuple[str, str]:
    return str(dataset.SOPClassUID), str(dataset.file_meta.TransferSyntaxUID)


def _offered(syntax: str) -> list[str]:
    """The syntax of a file, and for a native one both that a peer may choose from (PS3.5 10.1)."""
    return list(_NATIVE) if syntax in _NATIVE else [syntax]


@contextmanager
def associated(
    remote: Remote,
    contexts: list[Any],
    *,
    answer_seconds: float = ANSWER_SECONDS,
    roles: Sequence[Any] = (),
    handlers: Sequence[Any] = (),
) -> Iterator[Any]:
    """An association, released at the end; no answer may take longer. Raises TryAgain when none could be made."""
    entity = AE(remote.calling_ae_title)
    entity.connection_timeout = CONNECT_SECONDS
    entity.acse_timeout = CONNECT_SECONDS
    entity.dimse_timeout = entity.network_timeout = answer_seconds
    association = entity.associate(
        remote.host,
        remote.port,
        contexts,
        ae_title=remote.called_ae_title,
        ext_neg=list(roles),
        evt_handlers=[(evt.EVT_CONN_OPEN, _prepare), *handlers],
    )
    if not association.is_established:
        raise _unreached(association, remote)
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


class Checkpoint(threading.Event):
    """Where the thread of an association waits while we talk to its peer.

    In pynetdicom 3.0 that thread counts as paused for a moment after it has gone on, and can then take an answer that
    we wait for: "no answer" on a busy machine. Here it has stopped being paused when it goes on.
    """

    def __init__(self, association: Any) -> None:
        super().__init__()
        self._association = association
        self._passing = threading.Lock()
        self.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Return once the thread may go on."""
        while super().wait(timeout):
            with self._passing:
                if self.is_set():
                    self._association._is_paused = False
                    return True
        return False

    def clear(self) -> None:
        """Let nobody pass any more."""
        with self._passing:
            super().clear()


def _prepare(event: Any) -> None:
    event.assoc._reactor_checkpoint = Checkpoint(event.assoc)
    connection = event.assoc.dul.socket.socket
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STALL_MILLISECONDS)
    connection.settimeout(STALL_MILLISECONDS / 1000)


def _unreached(association: Any, remote: Remote) -> Unreached:
    if association.is_rejected:
        answer = association.acceptor.primitive
        trouble = Trouble.CONFIGURATION if answer.result == _PERMANENT else Trouble.BUSY
        sentence = f"{remote} rejected the association: {answer.reason_str} (source: {answer.source_str})"
        return Unreached(trouble, sentence)
    if association.rejected_contexts:  # it accepted the association and not one of the contexts
        return Unreached(Trouble.CONFIGURATION, f"{remote} accepts nothing of what was offered")
    return Unreached(Trouble.NETWORK, f"{remote} is not reachable, or closed the connection")


def _status(answer: Any) -> int | None:
    return int(answer.Status) if "Status" in answer else None


def _words(status: int | None) -> str:
    return "no status" if status is None else f"status 0x{status:04X}"
