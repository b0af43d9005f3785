"""Earlier results of the same patient: what is kept of a result, and with which of them a later study is compared."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

CUBIC_CENTIMETRES = "cm3"  # UCUM; one ml


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a Series shows and when; who it is as digests alone, enough to see that two differ."""

    patient: str  # of Patient ID and its issuer; empty where there is no Patient ID
    identity: str  # of those, birth date and sex
    study_date: date | None
    study_instance_uid: str
    series_instance_uid: str
    description: str  # of the Series


@dataclass(frozen=True, slots=True)
class MeasuredVolume:
    """The volume of a structure, or of one of its lesions; 0 where it was looked for and not found."""

    structure: str  # its codes, as `key_of_codes` writes them
    lesion: int
    volume: float
    unit: str


def key_of_codes(codes: Iterable[tuple[str, str]]) -> str:
    """The name of a structure by its codes, each value and scheme: what it is called may change between versions."""
    return " ".join(f"{scheme}:{value}" for value, scheme in codes)


@dataclass(frozen=True, slots=True)
class Result:
    """What a job measured, as later studies look back on it."""

    job_id: str
    stack_id: str
    subject: Subject
    model: str
    version: str
    volumes: tuple[MeasuredVolume, ...]
    report: str = ""  # SOP Instance UID of the report that it was read from; empty: it was measured here


@dataclass(frozen=True, slots=True)
class Prior:
    """What a job is compared with, fixed when the job is planned: a result, or the reason why there is none."""

    result: Result | None
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class Followed:
    """Lesions of a structure that lie where others lay, by number: none before is a new one, none now a gone one."""

    structure: str
    now: tuple[int, ...]
    before: tuple[int, ...]
    in_both_images: bool  # whether the place of all of them is inside of both images


@dataclass(frozen=True, slots=True)
class Following:
    """The lesions of a job and of what it is compared with, each once; or why they are not matched."""

    groups: tuple[Followed, ...]
    why_not: str = ""


IDENTITY_DIFFERS = (
    "not compared with earlier studies of this Patient ID: they state another birth date or sex, or state it alone"
)
UNDATED = "not compared with earlier studies: this study states no date"


def choose(subject: Subject, results: Sequence[Result]) -> Prior | None:
    """With which of the results of one model a study is compared; None where no earlier one is known.

    An earlier result is one of an earlier study date. Of the newest day it is the one whose Series has the same
    description. Where it is in doubt whose or which it is there is a reason instead.
    """
    others = [each for each in results if _is_of_another_study(each.subject, subject)]
    if not others:
        return None
    if any(each.subject.identity != subject.identity for each in others):
        return Prior(None, IDENTITY_DIFFERS)
    if subject.study_date is None:
        return Prior(None, UNDATED)
    days = {each.subject.study_date for each in others if each.subject.study_date}
    before = [day for day in days if day < subject.study_date]
    if not before:
        return None
    return _of_day(max(before), subject, others)


def _is_of_another_study(earlier: Subject, subject: Subject) -> bool:
    same_patient = bool(subject.patient) and earlier.patient == subject.patient
    return same_patient and earlier.study_instance_uid != subject.study_instance_uid


def _of_day(day: date, subject: Subject, results: Sequence[Result]) -> Prior:
    theirs = [each for each in results if each.subject.study_date == day]
    if len(theirs) > 1:
        theirs = [each for each in theirs if each.subject.description == subject.description]
    if len(theirs) != 1:
        return Prior(None, f"not compared with the study of {day}: which of its series matches this one is not clear")
    return Prior(theirs[0])
