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
from service.core.observations import Observation, Quantity, nearest

CURE = "send a structured report of it in the same study, or tell it by `isocenter observe`"
_SEXES = {"M": "male", "F": "female"}


@dataclass(frozen=True, slots=True)
class PatientFacts:
    """The patient as the header of an image has them; what it does not say is None or empty."""

    day: date | None  # of the study
    age_years: float | None
    sex: str


def facts_of(instance: Instance) -> PatientFacts:
    """The facts in the header of an image."""
    sex = instance.value("PatientSex").upper()
    return PatientFacts(
        day=_day(instance.value("StudyDate")),
        age_years=age_years(instance.value("PatientAge")),
        sex=_SEXES.get(sex, sex.lower()),
    )


def told(manifest: Regression, known: Sequence[Observation], facts: PatientFacts) -> tuple[Observation, ...]:
    """Of what is known, that which the model is told: of each quantity the observation nearest to the study."""
    if facts.day is None:
        return ()
    wanted = [Quantity(each.name) for each in manifest.inputs if each.source is Source.OBSERVATION]
    found = (nearest(known, quantity, facts.day) for quantity in wanted)
    return tuple(each for each in found if each is not None)


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
