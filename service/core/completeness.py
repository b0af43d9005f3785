"""When a Series is whole, and by which evidence: silence alone is the last resort."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class Evidence(StrEnum):
    """What a Series was closed on."""

    RELEASED_AND_GAPLESS = "association released, no hole"
    SILENCE = "nothing more arrived"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a Series stays open after its last instance."""

    gapless: timedelta  # when its associations were released and its positions have no hole
    otherwise: timedelta


@dataclass(frozen=True, slots=True)
class Arrival:
    """What is known of a Series that is still open."""

    last_at: datetime
    released: bool  # every association that brought an instance of it ended by A-RELEASE
    gapless: bool  # no part of it is refused for a hole or for too few slices


def evidence(arrival: Arrival, now: datetime, patience: Patience) -> Evidence | None:
    """The evidence that the Series is whole, or None while more may come."""
    quiet = now - arrival.last_at
    if arrival.released and arrival.gapless and quiet >= patience.gapless:
        return Evidence.RELEASED_AND_GAPLESS
    return Evidence.SILENCE if quiet >= patience.otherwise else None
