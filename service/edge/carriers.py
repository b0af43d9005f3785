"""How objects reach a destination, and how it is asked whether it has them: one small port for every kind of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from service.core.outbox import CommitmentReport, Reference
from service.edge import commitment, query, storage_scu
from service.edge.dialing import DEADLINES, Deadlines
from service.edge.storage_scu import Remote


class Carrier(Protocol):
    """One destination. `str` of it names it to people, and changes when what is configured of it does."""

    def store(self, paths: Sequence[Path]) -> Iterator[tuple[Path, int | None]]:
        """Send each file; its C-STORE status (PS3.4 B.2.3) as it comes, None for "no answer came".

        UNREADABLE stands for a file that is gone or damaged. Raises Unreached when nothing could be sent, also in the
        middle: what was not yielded was not tried.
        """

    def held(self, references: Sequence[Reference]) -> set[str]:
        """SOP Instance UIDs of those that it says it has.

        Raises Unsuitable when it cannot be asked this way, TryAgain when it does not answer.
        """

    def ask_commitment(self, transaction_uid: str, references: Sequence[Reference]) -> CommitmentReport | None:
        """Ask it to take responsibility for objects; its report where that comes at once, None: it comes later.

        Raises Unsuitable when it does not do that, TryAgain when it does not answer.
        """


@dataclass(frozen=True, slots=True)
class DicomPeer:
    """A destination that speaks DIMSE."""

    remote: Remote
    deadlines: Deadlines = DEADLINES

    def __str__(self) -> str:
        return str(self.remote)

    def store(self, paths: Sequence[Path]) -> Iterator[tuple[Path, int | None]]:
        """As `Carrier`, by C-STORE in one association."""
        return storage_scu.store(self.remote, paths, self.deadlines)

    def held(self, references: Sequence[Reference]) -> set[str]:
        """As `Carrier`, by C-FIND at IMAGE level."""
        return query.held(self.remote, references)

    def ask_commitment(self, transaction_uid: str, references: Sequence[Reference]) -> CommitmentReport | None:
        """As `Carrier`, by N-ACTION of Storage Commitment Push Model."""
        return commitment.ask(self.remote, transaction_uid, references)
