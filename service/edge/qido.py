"""An archive that is asked by QIDO-RS (PS3.18 10.6)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from http import HTTPStatus

from service.core.errors import Broken, TryAgain
from service.core.outbox import Reference
from service.edge.archive_index import (
    QUESTIONS_SECONDS,
    PriorSeries,
    PriorsWanted,
    SeriesName,
    StudyAnswer,
    by_series,
    earlier,
    refusals_as_unsuitable,
)
from service.edge.dicom_json import Item, number, read_items, text
from service.edge.web import CURES, Line, WebServer, connected, require_service

_PAGE = 100
_MOST_PAGES = 200
_NOT_FOR_US = {  # answers that will not change by asking again
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED,
    HTTPStatus.NOT_ACCEPTABLE,
    HTTPStatus.NOT_IMPLEMENTED,
}
_SOP_INSTANCE_UID = "00080018"
_STUDY_DATE = "00080020"
_MODALITY = "00080060"
_SERIES_DESCRIPTION = "0008103E"
_PATIENT_ID = "00100020"
_ISSUER_OF_PATIENT_ID = "00100021"
_STUDY_INSTANCE_UID = "0020000D"
_SERIES_INSTANCE_UID = "0020000E"
_RELATED_INSTANCES = "00201209"


@dataclass(frozen=True, slots=True)
class QidoIndex:
    """A DICOMweb server; it is an `ArchiveIndex`."""

    server: WebServer
    in_all_seconds: float = QUESTIONS_SECONDS

    def __str__(self) -> str:
        return str(self.server)

    def require_answer(self) -> None:
        """Ask for any one study. Raises Unreached, TryAgain or Broken when that is not answered."""
        with connected(self.server, self.in_all_seconds) as line:
            _ask(line, "/studies", {"limit": "1"})

    def count_instances(self, series: SeriesName) -> int:
        """As `ArchiveIndex`."""
        query = {"SeriesInstanceUID": series.series_instance_uid, "includefield": _RELATED_INSTANCES}
        with connected(self.server, self.in_all_seconds) as line:
            answers = _ask(line, f"/studies/{series.study_instance_uid}/series", query)
        mine = [item for item in answers if text(item, _SERIES_INSTANCE_UID) == series.series_instance_uid]
        counts = [number(item, _RELATED_INSTANCES) for item in mine]
        if None in counts:
            raise Broken(f"{self} answered without Number of Series Related Instances")
        return max((count for count in counts if count), default=0)

    def held(self, references: Sequence[Reference]) -> set[str]:
        """As `ArchiveIndex`: the instances of each Series in pages, over one connection."""
        if not references:
            return set()
        with refusals_as_unsuitable(), connected(self.server, self.in_all_seconds) as line:
            return set().union(*(_held(line, name, wanted) for name, wanted in by_series(references).items()))

    def priors(self, wanted: PriorsWanted) -> list[PriorSeries]:
        """As `ArchiveIndex`: a query for the studies, and one for each of them."""
        with connected(self.server, self.in_all_seconds) as line:
            studies = [_study(item) for item in _ask(line, "/studies", _priors_query(wanted))]
            found = [
                _prior(item, uid, day)
                for uid, day in earlier(studies, wanted).items()
                for item in _ask(line, f"/studies/{uid}/series", _series_query(wanted))
            ]
        return [series for series in found if series.is_one_of(wanted)]


def _held(line: Line, name: SeriesName, wanted: set[str]) -> set[str]:
    """A page shorter than asked for need not be the last one: a server may have a limit of its own."""
    path = f"/studies/{name.study_instance_uid}/series/{name.series_instance_uid}/instances"
    seen: set[str] = set()
    for _ in range(_MOST_PAGES):
        page = _ask(line, path, {"limit": str(_PAGE), "offset": str(len(seen))})
        new = {text(item, _SOP_INSTANCE_UID) for item in page} - seen
        seen |= new
        if not new or wanted <= seen:
            break
    return wanted & seen


def _ask(line: Line, path: str, query: Mapping[str, str]) -> list[Item]:
    """What matches. Raises Unreached, TryAgain when there is no answer now, Broken when it does not answer this."""
    answer = line.get(path, query)
    answered = f"{line.server}{path} answered {answer.status}"
    if answer.status == HTTPStatus.NO_CONTENT:
        return []
    if answer.status in _NOT_FOR_US:
        raise Broken(f"{answered}: {CURES.get(HTTPStatus(answer.status), 'it cannot be asked this')}")
    require_service(line.server, path, answer.status)
    if answer.status != HTTPStatus.OK:
        raise TryAgain(answered)
    try:
        return read_items(answer.content)
    except ValueError as error:
        raise Broken(f"{answered} and no DICOM JSON, or too much of it") from error


def _priors_query(wanted: PriorsWanted) -> dict[str, str]:
    query = {
        "PatientID": wanted.patient_id,
        "StudyDate": wanted.study_dates,
        "ModalitiesInStudy": wanted.modality,
        "includefield": f"{_STUDY_DATE},{_PATIENT_ID},{_ISSUER_OF_PATIENT_ID}",
    }
    return query | ({"IssuerOfPatientID": wanted.issuer} if wanted.issuer else {})


def _series_query(wanted: PriorsWanted) -> dict[str, str]:
    return {"Modality": wanted.modality, "includefield": f"{_SERIES_DESCRIPTION},{_RELATED_INSTANCES}"}


def _study(item: Item) -> StudyAnswer:
    return StudyAnswer(
        text(item, _STUDY_INSTANCE_UID),
        text(item, _STUDY_DATE),
        text(item, _PATIENT_ID),
        text(item, _ISSUER_OF_PATIENT_ID),
    )


def _prior(item: Item, study_instance_uid: str, day: date) -> PriorSeries:
    return PriorSeries(
        study_instance_uid,
        text(item, _SERIES_INSTANCE_UID),
        text(item, _MODALITY),
        day,
        text(item, _SERIES_DESCRIPTION),
        number(item, _RELATED_INSTANCES) or 0,
    )
