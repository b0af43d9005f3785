"""What is known of a patient beside images: measured values, since which day, and from whom. Never guessed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

from service.core.errors import Broken
from service.core.identity import digest

MOST_ML = 20_000.0  # no lung holds more; a value above it is a wrong unit


class Quantity(StrEnum):
    """What was observed; models ask for it by this name."""

    FVC = "fvc"  # forced vital capacity, ml
    SMOKING = "smoking"


class Smoking(StrEnum):
    """Tobacco smoking status."""

    NEVER = "never smoked"
    FORMER = "ex-smoker"
    CURRENT = "smokes"


@dataclass(frozen=True, slots=True)
class Observation:
    """One value of one patient on one day.

    It belongs to everybody with this digest of a Patient ID; where that is empty, to the one study alone.
    """

    patient: str  # a digest (core/identity); empty where the header names nobody
    study_instance_uid: str  # empty where it came without one
    quantity: Quantity
    value: float | Smoking
    measured_on: date
    source: str  # the SOP Instance UID of a report, or the command
    person: str = ""  # digests of birth date and sex (core/identity), where the report states them

    def __post_init__(self) -> None:
        if not (self.patient or self.study_instance_uid):
            raise Broken("an observation is of a patient or of a study: it names neither")
        if isinstance(self.value, Smoking) is not (self.quantity is Quantity.SMOKING):
            raise Broken(f"{self.value!r} is no value of {self.quantity}")
        if self.quantity is Quantity.FVC and not 0 < float(self.value) <= MOST_ML:
            raise Broken(f"a forced vital capacity of {float(self.value):g} ml is not possible: is it in ml?")

    @property
    def observation_id(self) -> str:
        """Its name: a later value of the same day and source takes its place."""
        place = (self.patient, self.study_instance_uid, self.quantity, self.measured_on.isoformat(), self.source)
        return digest(place)

    def __str__(self) -> str:
        return f"{self.quantity} {self.value} {self.measured_on} {self.observation_id}"


def observation_of(plain: Mapping[str, Any]) -> Observation:
    """An observation from its fields as they are kept: the day and the value may be texts."""
    quantity, value = Quantity(plain["quantity"]), plain["value"]
    return Observation(
        patient=plain["patient"],
        study_instance_uid=plain["study_instance_uid"],
        quantity=quantity,
        value=Smoking(value) if quantity is Quantity.SMOKING else float(value),
        measured_on=date.fromisoformat(plain["measured_on"]),
        source=plain["source"],
        person=plain.get("person", ""),
    )


def nearest(known: Sequence[Observation], quantity: Quantity, day: date) -> Observation | None:
    """The observation that was made nearest to a day, of equally near ones the earlier; None where there is none.

    Of those of one day it is the last in `known`.
    """
    mine = [each for each in known if each.quantity is quantity]
    by_day = {each.measured_on: each for each in mine}
    closest = min(by_day, key=lambda measured_on: (abs(measured_on - day), measured_on), default=None)
    return None if closest is None else by_day[closest]


def smoking_named(text: str) -> Smoking:
    """The status of that name. Raises Broken for any other."""
    try:
        return Smoking(text.strip().lower())
    except ValueError as error:
        names = ", ".join(repr(each.value) for each in Smoking)
        raise Broken(f"{text!r} is no smoking status: say one of {names}") from error


def day_named(text: str) -> date:
    """The day of a text like 2026-03-01. Raises Broken for any other."""
    try:
        return date.fromisoformat(text.strip())
    except ValueError as error:
        raise Broken(f"{text!r} is no day: write it like 2026-03-01") from error


def millilitres_named(text: str) -> float:
    """The number in a text. Raises Broken where there is none."""
    try:
        return float(text)
    except ValueError as error:
        raise Broken(f"{text!r} is no number of millilitres") from error
