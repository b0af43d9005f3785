"""What a model that predicts is told of a patient: the observations nearest to the image, and what the header says."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from models import inputs
from models.inputs import Known, Values
from models.manifest import Regression
from models.quantities import Source
from service.core.ages import age_years
from service.core.entities import Instance
from service.core.identity import is_another_person
from service.core.observations import Observation, Quantity, nearest

CURE = "send a structured report of it in the same study, or tell it by `isocenter observe`"
_SEXES = {"M": "male", "F": "female"}


@dataclass(frozen=True, slots=True)
class PatientFacts:
    """The patient as the header of an image has them; what it does not say is None or empty."""

    day: date | None  # of the study
    age_years: float | None
    sex: str
    person: str = ""  # digests of birth date and sex (core/identity)


def facts_of(instance: Instance) -> PatientFacts:
    """The facts in the header of an image."""
    sex = instance.value("PatientSex").upper()
    return PatientFacts(
        day=_day(instance.value("StudyDate")),
        age_years=age_years(instance.value("PatientAge")),
        sex=_SEXES.get(sex, sex.lower()),
        person=instance.person,
    )


def told(manifest: Regression, known: Sequence[Observation], facts: PatientFacts) -> tuple[Observation, ...]:
    """Of what is known, that which the model is told: of each quantity the observation nearest to the study.

    What a report says that states another birth date or sex than the image is not told.
    """
    day = facts.day
    if day is None:
        return ()
    mine = [each for each in known if not is_another_person(each.person, facts.person)]
    found = (nearest(mine, quantity, day) for quantity in _wanted(manifest))
    return tuple(each for each in found if each is not None)


def strangers(
    manifest: Regression, known: Sequence[Observation], observed: Sequence[Observation], facts: PatientFacts
) -> Iterator[str]:
    """Of each quantity that the model is not told although a report says it: why that report is not used."""
    told_of = {each.quantity for each in observed}
    for quantity, title in _wanted(manifest).items():
        others = [each for each in known if each.quantity is quantity and is_another_person(each.person, facts.person)]
        if others and quantity not in told_of:
            days = ", ".join(sorted({str(each.measured_on) for each in others}))
            yield f"the report of {title} of {days} states another birth date or sex than the image: it is not used"


def _wanted(manifest: Regression) -> dict[Quantity, str]:
    """What the model is told of observations, with how it calls each."""
    return {Quantity(each.name): each.title for each in manifest.inputs if each.source is Source.OBSERVATION}


def objections(manifest: Regression, observed: Sequence[Observation], facts: PatientFacts) -> Iterator[str]:
    """Every reason in what is known of the patient against running the model."""
    if facts.day is None:
        yield "the study has no date, and no value can be said to be of its time"
        return
    sources = {f"no {each.title} is known for this patient": each.source for each in manifest.inputs}
    for sentence in inputs.objections(manifest.inputs, _values(observed, facts)):
        yield f"{sentence}: {CURE}" if sources.get(sentence) is Source.OBSERVATION else sentence
    baseline = _baseline(manifest, observed)
    away = abs((baseline.measured_on - facts.day).days) if baseline else 0
    if away > manifest.baseline.within_days:
        title, most = manifest.baseline_input.title, manifest.baseline.within_days
        yield f"the {title} nearest to the image is {away} days from it; the model answers within {most}"


def known_of(manifest: Regression, observed: Sequence[Observation], facts: PatientFacts) -> Known:
    """What the model is told. Raises ValueError when there is no baseline."""
    baseline = _baseline(manifest, observed)
    if baseline is None:
        raise ValueError(f"no {manifest.baseline_input.title} is known for this patient")
    return Known(_values(observed, facts), baseline.measured_on)


def _baseline(manifest: Regression, observed: Sequence[Observation]) -> Observation | None:
    return next((each for each in observed if each.quantity == manifest.baseline.input), None)


def _values(observed: Sequence[Observation], facts: PatientFacts) -> Values:
    values: dict[str, float | str] = {str(each.quantity): each.value for each in observed}
    if facts.age_years is not None:
        values["age"] = facts.age_years
    if facts.sex:
        values["sex"] = facts.sex
    return values


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if len(text) == 8 else None
    except ValueError:
        return None
