"""How old a patient was: Age String (PS3.5 6.2), stated or counted from the day of birth."""

from datetime import date

_PER_YEAR = {"D": 365.25, "W": 365.25 / 7, "M": 12.0, "Y": 1.0}
_MONTHS_ARE_TOLD_BELOW = 24


def age_years(age: str) -> float | None:
    """The years of an Age String: completed ones, and before the first birthday the part of a year.

    None for a text that is no Age String; a number without its unit is none.
    """
    number, unit = age[:-1], age[-1:].upper()
    if not number.isdecimal() or unit not in _PER_YEAR:
        return None
    years = int(number) / _PER_YEAR[unit]
    return float(int(years)) if years >= 1 else years


def age_on(birth: str, day: str) -> str:
    """The Age String on a day of somebody who was born on another; empty where one of both is no date (YYYYMMDD)."""
    born, then = _date(birth), _date(day)
    if born is None or then is None or then < born:
        return ""
    months = 12 * (then.year - born.year) + then.month - born.month - (then.day < born.day)
    return f"{months:03d}M" if months < _MONTHS_ARE_TOLD_BELOW else f"{months // 12:03d}Y"


def _date(text: str) -> date | None:
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:])) if len(text) == 8 else None
    except ValueError:
        return None
