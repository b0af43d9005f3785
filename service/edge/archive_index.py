"""What an archive can be asked: one small port, whatever it speaks (C-FIND in query, QIDO-RS in qido).

Every question is bounded in time. It raises TryAgain when there is no answer, Broken when the archive answers no.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby
from typing import Protocol

from service.core.errors import Broken, Unsuitable
from service.core.identity import is_uid
from service.core.outbox import Reference

QUESTIONS_SECONDS = 60.0  # for all answers to several questions
MOST_STUDIES = 100  # of one patient that are looked into, from the newest


@dataclass(frozen=True, slots=True)
class SeriesName:
    """A Series as an archive is asked for it, and which SOP Classes came of it so far."""

    study_instance_uid: str
    series_instance_uid: str
    sop_class_uids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PriorsWanted:
    """Which Series of a patient are looked for: those of a modality, of studies before a day."""

    patient_id: str
    modality: str
    before: date
    issuer: str = ""  # of the Patient ID; empty: not known

    def __post_init__(self) -> None:
        if not self.patient_id:
            raise Unsuitable("a patient without Patient ID cannot be looked for")

    @property
    def study_dates(self) -> str:
        """The days before, as a range of PS3.4 C.2.2.2.5."""
        return f"-{self.before - timedelta(days=1):%Y%m%d}"


@dataclass(frozen=True, slots=True)
class PriorSeries:
    """An earlier Series of a patient."""

    study_instance_uid: str
    series_instance_uid: str
    modality: str
    study_date: date
    description: str
    instances: int

    def is_one_of(self, wanted: PriorsWanted) -> bool:
        """True when this is what was asked for, whatever else the archive answered with."""
        return is_uid(self.series_instance_uid) and self.modality == wanted.modality


class ArchiveIndex(Protocol):
    """One archive; `str` of it names it to people."""

    def count_instances(self, series: SeriesName) -> int:
        """Number of Series Related Instances (PS3.4 C.3.4) of a Series; 0 when the archive does not know it."""

    def held(self, references: Sequence[Reference]) -> set[str]:
        """SOP Instance UIDs of those that it has, in the very Series named.

        Raises Unsuitable when it cannot be asked this way, TryAgain when it does not answer.
        """

    def priors(self, wanted: PriorsWanted) -> list[PriorSeries]:
        """Earlier Series of a patient, the newest first, from the newest 100 studies.

        Whatever the archive answers, only Series of that very Patient ID, modality and time are among them; a study
        whose answer names another issuer of the Patient ID is none of the patient's, one that names none may be.
        """


@dataclass(frozen=True, slots=True)
class StudyAnswer:
    """What an archive says of a study, in its own words."""

    study_instance_uid: str
    study_date: str
    patient_id: str
    issuer: str


def earlier(answers: Iterable[StudyAnswer], wanted: PriorsWanted) -> dict[str, date]:
    """The study dates of the answers that are what was asked for, by Study Instance UID, the newest first."""
    mine = [each for each in answers if _is_of(each, wanted) and is_uid(each.study_instance_uid)]
    dates = {each.study_instance_uid: _day(each.study_date) for each in mine}
    known = {uid: day for uid, day in dates.items() if day and day < wanted.before}
    return dict(sorted(known.items(), key=lambda pair: (pair[1], pair[0]), reverse=True)[:MOST_STUDIES])


def _is_of(answer: StudyAnswer, wanted: PriorsWanted) -> bool:
    return answer.patient_id == wanted.patient_id and (not wanted.issuer or answer.issuer in {"", wanted.issuer})


def _day(text: str) -> date | None:
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:])) if len(text) == 8 else None
    except ValueError:
        return None


def by_series(references: Sequence[Reference]) -> Mapping[SeriesName, set[str]]:
    """The SOP Instance UIDs of each Series: one question for each of these."""

    def series_of(reference: Reference) -> tuple[str, str]:
        return reference.study_instance_uid, reference.series_instance_uid

    ordered = sorted(references, key=series_of)
    return {SeriesName(*uids): {each.sop_instance_uid for each in group} for uids, group in groupby(ordered, series_of)}


@contextmanager
def refusals_as_unsuitable() -> Iterator[None]:
    """What answers no to a question cannot be asked it."""
    try:
        yield
    except Broken as error:
        raise Unsuitable(str(error)) from error
