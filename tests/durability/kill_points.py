"""Kill a receiver before each system call of an instance, and look what came of the instance."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pydicom import Dataset

from tests.durability.audit import Findings, audit
from tests.durability.receiving import RunningReceiver
from tests.durability.sending import SUCCESS, History, image, sender_to
from tests.durability.tracing import KillPoint, tracing

_KIBIBYTES = 300  # written in several pieces


@dataclass(frozen=True, slots=True)
class Strike:
    """One kill, and all that followed."""

    at: KillPoint
    reached: bool
    acknowledged: bool
    after_kill: Findings
    again: int  # the status of the same instance, sent again to the receiver's successor
    after_again: Findings

    @property
    def kept_the_promise(self) -> bool:
        """Nothing acknowledged was lost, nothing partial was ever to be seen, and sending again made it good."""
        return not self.after_kill and not self.after_again and self.again == SUCCESS


class Executioner:
    """Strikes one receiver after the other, all on the same spool, with one history."""

    def __init__(self, receiver: RunningReceiver, strace: str) -> None:
        self.history = History()
        self._receiver = receiver
        self._strace = strace
        self._number = 0

    def kill_points(self) -> list[KillPoint]:
        """The calls that one instance takes between its first data and its answer, from a run without a kill."""
        with (
            sender_to(self._receiver.port, self.history) as sender,
            tracing(self._strace, self._receiver.pids(), self._receiver.settings.folder / "dry.log") as trace,
        ):
            assert sender.store(self._next()) == SUCCESS
        return trace.kill_points()

    def strike_each(self, points: Iterable[KillPoint]) -> Iterator[Strike]:
        """Kill at each point in turn."""
        for point in points:
            yield self._strike(point)

    def _strike(self, point: KillPoint) -> Strike:
        instance, receiver = self._next(), self._receiver
        log = receiver.settings.folder / f"{point.call}-{point.nth}.log"
        with (
            sender_to(receiver.port, self.history) as sender,
            tracing(self._strace, receiver.pids(), log, point) as trace,
        ):
            status = sender.store(instance)
            reached = trace.killed(within_seconds=0.5)
        receiver.kill()
        after_kill = audit(receiver.spool, self.history)
        receiver.start()
        with sender_to(receiver.port, self.history) as sender:
            again = sender.store(instance)
        after_again = audit(receiver.spool, self.history)
        return Strike(point, reached, status == SUCCESS, after_kill, again, after_again)

    def _next(self) -> Dataset:
        self._number += 1
        return image(self._number, _KIBIBYTES)
