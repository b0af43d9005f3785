"""Storage commitment: peers ask whether we hold what they sent, and are told the truth; what they tell us is kept."""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from service.core.commitment import (
    PROCESSING_FAILURE,
    RESOURCE_LIMITATION,
    Account,
    Asked,
    Found,
    Pending,
    Standing,
    Told,
    account,
    nothing_held,
)
from service.core.errors import IsocenterError, TryAgain, Unreached
from service.edge import commitment
from service.edge.commitment_files import (
    forget_request,
    keep_report,
    keep_request,
    requests,
    waiting_request,
)
from service.edge.held_files import Index, index, read_all
from service.edge.intake import SUCCESS, Answer
from service.edge.spool import Spool
from service.edge.storage_scu import Remote

_INVALID_ARGUMENT = 0x0115  # PS3.7 C.5.10
_READ_SECONDS = 30.0  # for an answer on the peer's own association: it waits in it


@dataclass(frozen=True, slots=True)
class Commitments:
    """At the door: requests and reports become files, and only then answers."""

    spool: Spool
    require_room: Callable[[], None]  # raises TryAgain
    reached_at_home: Collection[str]  # AE titles of peers that are told on an association of ours
    clock: Callable[[], datetime]
    read_seconds: float = _READ_SECONDS

    def take_request(self, asked: Asked) -> Answer:
        """0x0000 once the request survives a power cut, or needs not to: its peer is told in the same association."""
        structlog.get_logger().info("commitment asked for", **_named(asked), references=len(asked.references))
        if self.tells_here(asked):
            return Answer(SUCCESS)
        waiting = waiting_request(self.spool, asked)
        if waiting and waiting.asked.references != asked.references:
            return Answer(_INVALID_ARGUMENT, "this Transaction UID is in use for other references")
        now = self.clock()
        return self._kept(lambda: keep_request(self.spool, Pending(asked, asked_at=now, next_at=now)))

    def take_report(self, told: Told) -> Answer:
        """0x0000 once what the peer told survives a power cut."""
        answer = self._kept(lambda: keep_report(self.spool, told))
        held, failed = len(told.report.held), len(told.report.failed)
        fields = {"transaction": told.report.transaction_uid, "peer": told.calling_ae_title}
        structlog.get_logger().info("commitment told", **fields, held=held, failed=failed)
        return answer

    def _kept(self, keep: Callable[[], None]) -> Answer:
        try:
            self.require_room()
            keep()
        except TryAgain as error:
            return Answer(RESOURCE_LIMITATION, str(error))
        return Answer(SUCCESS)

    def tells_here(self, asked: Asked) -> bool:
        """True for a peer that is told in the association in which it asked."""
        return asked.calling_ae_title not in self.reached_at_home

    def account_now(self, asked: Asked) -> Account:
        """What is true now, and could be read in the time that a peer waits."""
        try:
            return look(self.spool, index(self.spool), asked, self.read_seconds)
        except TryAgain:
            return nothing_held(asked.references, PROCESSING_FAILURE)


def look(spool: Spool, names: Index, asked: Asked, seconds: float = float("inf")) -> Account:
    """What is true of a request now; what cannot be read within so many seconds is not promised.

    Raises TryAgain when the disk does not say that the names will be there after a power cut.
    """
    deadline = time.monotonic() + seconds
    here: dict[str, Sequence[Found]] = {}
    for uid in dict.fromkeys(reference.sop_instance_uid for reference in asked.references):
        if uid in names:
            late = time.monotonic() > deadline
            here[uid] = [Found(Standing.UNREAD)] if late else read_all(spool, names[uid])
    spool.flush_names()
    return account(asked.references, here)


@dataclass(frozen=True, slots=True)
class Committer:
    """Brings one peer the answers to its requests."""

    ae_title: str
    host: str
    port: int
    spool: Spool
    clock: Callable[[], datetime]
    jitter: Callable[[], float]

    def tick(self) -> None:
        """Answer each request that is due; a peer that is not there is left in peace for a while."""
        now = self.clock()
        waiting = [each for each in requests(self.spool) if each.asked.calling_ae_title == self.ae_title]
        due = [pending for pending in waiting if pending.next_at <= now and not pending.is_over(now)]
        if not due:
            return
        names = index(self.spool)
        for number, pending in enumerate(due):
            try:
                self._report(pending.asked, names)
            except Unreached as error:
                self._put_off(due[number:], str(error))
                return
            except TryAgain as error:
                self._put_off([pending], str(error))
            except IsocenterError as error:
                _give_up(self.spool, pending, str(error))

    def _report(self, asked: Asked, names: Index) -> None:
        found = look(self.spool, names, asked)
        remote = Remote(asked.called_ae_title, self.ae_title, self.host, self.port)
        commitment.report(remote, asked, found)
        forget_request(self.spool, asked)
        held, failed = len(found.held), len(found.failed)
        structlog.get_logger().info("commitment reported", **_named(asked), held=held, failed=failed)

    def _put_off(self, unreported: Sequence[Pending], reason: str) -> None:
        for pending in unreported:
            later = pending.put_off(self.clock(), self.jitter())
            keep_request(self.spool, later)
            fields = {"attempts": later.attempts, "until": str(later.next_at), "reason": reason}
            structlog.get_logger().warning("commitment report put off", **_named(pending.asked), **fields)


def give_up(spool: Spool, now: datetime) -> None:
    """Forget requests whose peer could not be told for a day, or is no longer configured to be."""
    for pending in requests(spool):
        if pending.is_over(now):
            _give_up(spool, pending, "the peer could not be told within 24 hours")


def _give_up(spool: Spool, pending: Pending, reason: str) -> None:
    forget_request(spool, pending.asked)
    fields = {"attempts": pending.attempts, "reason": reason}
    structlog.get_logger().error("commitment report given up", **_named(pending.asked), **fields)


def _named(asked: Asked) -> dict[str, str]:
    return {"transaction": asked.transaction_uid, "peer": asked.calling_ae_title}
