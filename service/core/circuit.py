"""When a destination is left in peace, and how much it is trusted with at once (PS3.8 9.3.4)."""

from dataclasses import dataclass, replace
from datetime import datetime

from service.core.jobs import wait
from service.core.outbox import Trouble

_SILENT = {Trouble.NETWORK, Trouble.NO_ANSWER, Trouble.BUSY}


@dataclass(frozen=True, slots=True)
class Circuit:
    """How a destination fares. Closed (no failures), objects flow; else one is tried when its rest is over."""

    failures: int = 0
    next_at: datetime | None = None
    parked: str = ""  # why a person has to look: it refuses us
    narrowed: int = 0  # how often its associations were halved because it was busy

    def room(self, now: datetime, most: int) -> int:
        """How many objects may be on their way to it now, in one association."""
        if self.parked:
            return 0
        if self.failures and self.next_at and now < self.next_at:
            return 0
        return 1 if self.failures else most

    def associations(self, most: int) -> int:
        """How many associations may be open with it."""
        return 1 if self.failures else max(1, most >> self.narrowed)

    def after(self, trouble: Trouble, seen: str, now: datetime, jitter: float = 0.0) -> "Circuit":
        """The circuit after an association with that outcome."""
        if trouble is Trouble.CONFIGURATION:
            return replace(self, parked=seen)
        if trouble in _SILENT:
            narrowed = self.narrowed + (trouble is Trouble.BUSY)
            return Circuit(self.failures + 1, now + wait(self.failures, jitter), narrowed=min(narrowed, _NARROWEST))
        return Circuit(narrowed=max(0, self.narrowed - 1))


_NARROWEST = 4  # of sixteen associations, one is left
CLOSED = Circuit()
