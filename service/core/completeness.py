"""When a Series is whole, and by which evidence: silence alone is the last resort."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, StrEnum, auto

from service.core.entities import Instance, Reason, Refusal, Stack
from service.core.expectation import parts_are_equal, tallies
from service.core.geometry import FEWEST_SLICES
from service.core.stacking import Part

_HOLES = {Reason.HOLE, Reason.IRREGULAR_SPACING}
_MORE_WOULD_HELP = {*_HOLES, Reason.TOO_FEW_SLICES, Reason.UNREADABLE}


class Evidence(StrEnum):
    """What a Series was closed on."""

    COUNTED = "as many as the archive has"
    ANNOUNCED = "association released, no hole, as many as its headers say"
    RELEASED_AND_GAPLESS = "association released, no hole"
    SILENCE = "nothing more arrived"


class Looks(Enum):
    """What a Series looks like by its own frames."""

    ANNOUNCED = auto()  # no hole, and as many as its headers say
    GAPLESS = auto()  # no hole
    UNSURE = auto()  # too few slices to tell, fewer than its headers say, or parts of unequal size
    HOLED = auto()  # positions say that slices are missing


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a Series stays open after its last instance."""

    gapless: timedelta  # when its associations were released and its positions have no hole
    otherwise: timedelta  # also for what an archive was asked to send again


@dataclass(frozen=True, slots=True)
class Retrieval:
    """A request to the archive to send all of the Series again, made for exactly what is here."""

    asked_by: str  # C-MOVE or C-GET
    ended_at: datetime | None  # None: it goes on
    failure: str = ""  # why the archive sent nothing


@dataclass(frozen=True, slots=True)
class ArchiveSays:
    """What the archive behind the sender answered about exactly what is here."""

    count: int | None = None
    failure: str = ""  # why it gave no count
    asking: bool = False  # its count may still come
    can_send: bool = False  # it can be asked to send the Series again
    retrieval: Retrieval | None = None


NO_ARCHIVE = ArchiveSays()


@dataclass(frozen=True, slots=True)
class Arrival:
    """What is known of a Series that is still open."""

    last_at: datetime
    released: bool  # every association that brought an instance of it ended by A-RELEASE
    looks: Looks
    came: int  # instances
    archive: ArchiveSays = NO_ARCHIVE

    @property
    def is_short(self) -> bool:
        """True when the archive has more; one that has less is behind, and says nothing."""
        return self.archive.count is not None and self.archive.count > self.came


def may_be_whole(arrival: Arrival, now: datetime, patience: Patience) -> bool:
    """True when it is worth while to look closer, and to ask the archive: until then, more comes for sure."""
    return arrival.released or now - arrival.last_at >= patience.gapless


def evidence(arrival: Arrival, now: datetime, patience: Patience) -> Evidence | None:
    """The evidence that the Series is whole, or None while more may come."""
    if arrival.released and _is_counted(arrival) and arrival.looks is not Looks.HOLED:
        return Evidence.COUNTED
    if arrival.archive.asking:
        return None
    quiet = now - arrival.last_at
    if quiet >= patience.gapless and arrival.released and not arrival.is_short:
        if arrival.looks is Looks.ANNOUNCED:
            return Evidence.ANNOUNCED
        if arrival.looks is Looks.GAPLESS:
            return Evidence.RELEASED_AND_GAPLESS
    return None if quiet < patience.otherwise or _may_be_sent_more(arrival, now, patience) else Evidence.SILENCE


def wants_retrieval(arrival: Arrival, now: datetime, patience: Patience) -> bool:
    """True when the archive is to be asked, once for what is here, to send the Series again."""
    archive = arrival.archive
    unasked = archive.can_send and archive.retrieval is None and not archive.asking
    lacking = arrival.is_short or (arrival.looks is Looks.HOLED and not _is_counted(arrival))
    return unasked and lacking and now - arrival.last_at >= patience.otherwise


def _is_counted(arrival: Arrival) -> bool:
    return arrival.archive.count == arrival.came


def _may_be_sent_more(arrival: Arrival, now: datetime, patience: Patience) -> bool:
    retrieval = arrival.archive.retrieval
    if retrieval is None:
        return wants_retrieval(arrival, now, patience)
    if retrieval.ended_at is None:
        return True
    return not retrieval.failure and now - retrieval.ended_at < patience.otherwise


def looks(parts: Sequence[Part], instances: Sequence[Instance]) -> Looks:
    """What positions, headers and the sizes of the parts say of a Series."""
    if any(map(_is_holed, parts)):
        return Looks.HOLED
    announced = tallies(instances)
    if any(map(_is_too_small, parts)) or any(each.came < each.expected for each in announced):
        return Looks.UNSURE
    if not parts_are_equal(parts):
        return Looks.UNSURE
    return Looks.ANNOUNCED if announced else Looks.GAPLESS


def _is_holed(part: Part) -> bool:
    if isinstance(part, Refusal):
        return part.reason in _HOLES
    return isinstance(part, Stack) and bool(part.places)  # slices that are still to come leave uneven gaps


def _is_too_small(part: Part) -> bool:
    if isinstance(part, Refusal):
        return part.reason is Reason.TOO_FEW_SLICES
    return isinstance(part, Stack) and len(part.slices) < FEWEST_SLICES


def judged(parts: Sequence[Part], arrival: Arrival) -> tuple[Part, ...]:
    """The parts as a Series is closed with them: each reason with what the archive said of it.

    No stack is a volume while the archive has more: which one lacks a slice, positions do not show at its ends.
    """
    said = account(arrival)
    return tuple(_judged(part, arrival.is_short, said) for part in parts)


def _judged(part: Part, is_short: bool, said: str) -> Part:
    if isinstance(part, Refusal):
        helps = said and part.reason in _MORE_WOULD_HELP
        return replace(part, sentence=f"{part.sentence}; {said}") if helps else part
    is_lacking = is_short and isinstance(part, Stack)
    return Refusal(part.slices, Reason.INCOMPLETE, said) if is_lacking else part


def account(arrival: Arrival) -> str:
    """What the archive answered, in words; empty where there was none to ask."""
    archive = arrival.archive
    counted = archive.failure if archive.count is None else f"the archive has {archive.count}, {arrival.came} came"
    if archive.retrieval is None:
        return counted
    answer = archive.retrieval.failure or "nothing more came"
    return ", ".join(filter(None, (counted, f"asked again by {archive.retrieval.asked_by}: {answer}")))
