"""A Storage and Verification SCU (PS3.4 annexes A and B) with a deadline on every wait."""

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog
from pynetdicom import AE, _config, evt

from service.core.errors import Broken, NothingAccepted, Unreached
from service.core.outbox import UNREADABLE, Trouble
from service.edge.dialing import ANSWER_SECONDS, DEADLINES, Deadlines, Remote, hold
from service.edge.negotiation import MOST_CONTEXTS, PERMANENT, Kind
from service.edge.outgoing import Outgoing, Unreadable, look
from service.edge.sending import VERIFICATION, Association, Parcel, established
from service.edge.upper_layer import ConnectionEnded
from service.edge.watchdog import Watchdog

__all__ = ["ANSWER_SECONDS", "Checkpoint", "Remote", "associated", "echo", "store"]
from service.edge.tls import Call
from service.edge.tls_failures import unreached

_config.LOG_HANDLER_LEVEL = "none"

_NOT_ACCEPTED = 0x0122  # SOP Class not supported

Answers = Iterator[tuple[Path, int | None]]


def echo(remote: Remote, deadlines: Deadlines = DEADLINES) -> None:
    """C-ECHO. Raises TryAgain when the peer is not there or rejects us, Broken when it answers anything but success."""
    try:
        with established(remote, [VERIFICATION], deadlines) as made:
            status = made.echo()
    except ConnectionEnded as ended:
        raise Unreached(Trouble.NO_ANSWER, f"{remote} did not answer C-ECHO: {ended}") from ended
    if status != 0x0000:
        raise Broken(f"{remote} answered C-ECHO with status 0x{status:04X}")


def store(remote: Remote, paths: Sequence[Path], deadlines: Deadlines = DEADLINES) -> Answers:
    """C-STORE each file; yields its status as it comes, None for "no answer came": what follows that is not tried.

    UNREADABLE stands for a file that is gone, damaged or changing, 0x0122 (SOP Class not supported) for one that the
    peer accepts no presentation context for. Raises Unreached when no association could be made.
    """
    waiting: deque[Outgoing] = deque()
    for path in paths:
        try:
            waiting.append(look(path))
        except Unreadable:
            yield path, UNREADABLE
    while waiting:
        kinds, batch = _together(waiting)
        try:
            with established(remote, kinds, deadlines) as made:
                yield from _one_by_one(made, batch)
        except Unreadable:  # it changed while it was sent
            yield batch.popleft().path, UNREADABLE
            waiting.extendleft(reversed(batch))
        except ConnectionEnded as ended:
            log = structlog.get_logger()
            log.warning("association ended without an answer", peer=str(remote), how=ended.how, reason=str(ended))
            yield batch.popleft().path, None
            return


def _together(waiting: deque[Outgoing]) -> tuple[list[Kind], deque[Outgoing]]:
    """As many from the front of what waits as one association has presentation contexts for."""
    kinds, batch = [VERIFICATION], deque[Outgoing]()
    while waiting:
        new = [kind for kind in waiting[0].kinds if kind not in kinds]
        if len(kinds) + len(new) > MOST_CONTEXTS:
            break
        kinds += new
        batch.append(waiting.popleft())
    return kinds, batch


def _one_by_one(made: Association, batch: deque[Outgoing]) -> Answers:
    """Send from the front of the batch, where an object stays until its answer is there."""
    following = _packed(made, batch[0])
    try:
        while batch:
            ready = following
            if isinstance(ready, Parcel):
                made.send(ready)
            if len(batch) > 1:  # read while the peer stores
                following = _packed(made, batch[1])
            status = made.store_status(ready) if isinstance(ready, Parcel) else ready
            yield batch.popleft().path, status
    finally:
        if isinstance(following, Parcel):
            following.content.close()


def _packed(made: Association, outgoing: Outgoing) -> Parcel | int:
    try:
        return made.packed(outgoing) or _NOT_ACCEPTED
    except Unreadable:
        return UNREADABLE


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
    entity.connection_timeout = DEADLINES.connect_seconds
    entity.acse_timeout = DEADLINES.negotiation_seconds
    entity.dimse_timeout = entity.network_timeout = answer_seconds
    tls = Call(remote.tls) if remote.tls else None
    association = entity.associate(
        remote.host,
        remote.port,
        contexts,
        ae_title=remote.called_ae_title,
        ext_neg=list(roles),
        tls_args=(tls, remote.host) if tls else None,
        evt_handlers=[(evt.EVT_CONN_OPEN, _prepare), *handlers],
    )
    if not association.is_established:
        raise unreached(remote, tls.failure) if tls and tls.failure else _unreached(association, remote)
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


@contextmanager
def cut_after(association: Any, seconds: float) -> Iterator[None]:
    """Cut the connection when it lasts too long, whatever a peer sends how slowly."""
    watchdog = Watchdog(seconds, association.dul.socket.socket)
    try:
        yield
    finally:
        watchdog.call_off()


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
    hold(connection, DEADLINES.stall_seconds)
    connection.settimeout(DEADLINES.stall_seconds)


def _unreached(association: Any, remote: Remote) -> Unreached:
    if association.is_rejected:
        answer = association.acceptor.primitive
        trouble = Trouble.CONFIGURATION if answer.result == PERMANENT else Trouble.BUSY
        sentence = f"{remote} rejected the association: {answer.reason_str} (source: {answer.source_str})"
        return Unreached(trouble, sentence)
    if association.rejected_contexts:  # it accepted the association and not one of the contexts
        return NothingAccepted(Trouble.CONFIGURATION, f"{remote} accepts nothing of what was offered")
    return Unreached(Trouble.NETWORK, f"{remote} is not reachable, or closed the connection")
