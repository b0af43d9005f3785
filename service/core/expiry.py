"""When a certificate that runs out is spoken of, and how loudly."""

from datetime import date, datetime, timedelta
from enum import IntEnum


class Remaining(IntEnum):
    """How long a certificate is still good; the smaller, the more urgent."""

    EXPIRED = 0
    A_DAY = 1
    A_WEEK = 7
    A_MONTH = 30
    LONG = 36500

    @property
    def is_urgent(self) -> bool:
        """True when somebody has to act now: it is logged as an error."""
        return self <= Remaining.A_WEEK


def remaining(not_after: datetime, now: datetime) -> Remaining:
    """Which threshold a certificate has reached."""
    if not_after <= now:
        return Remaining.EXPIRED
    reached = (each for each in (Remaining.A_DAY, Remaining.A_WEEK, Remaining.A_MONTH))
    return next((each for each in reached if not_after - now <= timedelta(days=each)), Remaining.LONG)


def is_due(left: Remaining, told: date | None, today: date) -> bool:
    """True when a warning is to be given: each day again, from 30 days before the end."""
    return left is not Remaining.LONG and told != today


def words(not_after: datetime, now: datetime) -> str:
    """How long it is good, for people."""
    day = f"{not_after:%Y-%m-%d %H:%M} UTC"
    if not_after <= now:
        return f"expired on {day}"
    days = (not_after - now).days
    return f"{days} {'day' if days == 1 else 'days'} left, until {day}"
