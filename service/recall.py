"""Beside stage 3: earlier results that lie in an archive alone, as our reports, are read into the ledger."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from itertools import groupby
from pathlib import Path

import structlog

from service.core.errors import Broken, TryAgain, Unsuitable
from service.core.priors import Result
from service.core.recalling import Answer, Question, crowded, refused, unanswered, unreadable, unsent
from service.derived.earlier_report import SOP_CLASS_UIDS, result_of
from service.edge.archive_index import PriorSeries, PriorsWanted, SeriesName
from service.edge.archives import Archive, Recalling
from service.edge.ledger import Ledger
from service.edge.part10 import read_header
from service.edge.spool import Spool

MOST_REPORTS = 10  # that one question has an archive send
_MODALITY = "SR"


@dataclass(frozen=True, slots=True)
class Found:
    """What the reports say that an archive sent, of one day; or why nothing is to be compared."""

    results: tuple[Result, ...] = ()
    why_not: str = ""


@dataclass(slots=True)
class _Asked:
    """A question that is on its way, and about which Series it is put."""

    archive: str
    future: "Future[Found]"
    until: datetime
    series: set[str] = field(default_factory=set)

    def is_awaited(self, now: datetime) -> bool:
        return not self.future.done() and now < self.until


class ArchiveRecaller:
    """Asks the archives behind the peers, once for each patient, study and model; it is a `Recaller`."""

    def __init__(self, archives: Mapping[str, Archive], spool: Spool, ledger: Ledger, patience: timedelta) -> None:
        """`archives` by the calling AE title of the peer they are behind; a job waits at most `patience`."""
        self._archives = archives
        self._spool = spool
        self._ledger = ledger
        self._patience = patience
        self._asked: dict[str, _Asked] = {}

    def waits(self, series_instance_uid: str, now: datetime) -> bool:
        """As `Recaller`."""
        mine = (asked for asked in self._asked.values() if series_instance_uid in asked.series)
        return any(asked.is_awaited(now) for asked in mine)

    def ask(self, question: Question, now: datetime) -> Answer:
        """As `Recaller`."""
        told = self._ledger.recall(question.recall_id)
        if told and told.ended:
            return Answer(why_not=told.why_not)
        asked = self._asked.get(question.recall_id) or self._begin(question, told.asked_at if told else None, now)
        if asked is None:
            return Answer()
        asked.series.add(question.subject.series_instance_uid)
        if asked.is_awaited(now):
            return Answer(is_awaited=True)
        return self._end(question, asked, now)

    def _begin(self, question: Question, asked_at: datetime | None, now: datetime) -> _Asked | None:
        """A question that was put before this process began is put again, and its time goes on."""
        archive = next((self._archives[title] for title in sorted(question.senders & self._archives.keys())), None)
        recalling = archive.calls.recalling if archive else None
        if archive is None or recalling is None or question.subject.study_date is None:
            return None
        if asked_at is None:
            self._ledger.begin_recall(question.recall_id, now)
        future = archive.recall(lambda: look(recalling, self._spool, question))
        asked = _Asked(recalling.name, future, (asked_at or now) + self._patience)
        self._asked[question.recall_id] = asked
        return asked

    def _end(self, question: Question, asked: _Asked, now: datetime) -> Answer:
        found = _taken(asked)
        self._ledger.end_recall(question.recall_id, found.results, found.why_not, now)
        del self._asked[question.recall_id]
        structlog.get_logger().info(
            "archive asked for earlier results",
            series=question.subject.series_instance_uid,
            model=question.model,
            found=[result.job_id for result in found.results],
            **({"reason": found.why_not} if found.why_not else {}),
        )
        return Answer(why_not=found.why_not)


def _taken(asked: _Asked) -> Found:
    if not asked.future.done():
        asked.future.cancel()
        return Found(why_not=unanswered(asked.archive))
    error = asked.future.exception()
    if error is None:
        return asked.future.result()
    return Found(why_not=unanswered(asked.archive) if isinstance(error, TryAgain) else refused(asked.archive))


def look(recalling: Recalling, spool: Spool, question: Question) -> Found:
    """The results of the newest earlier day that the archive has a report of the model of.

    What cannot be had or read of that day, or of a newer one, is a reason against all. Raises TryAgain when the archive
    does not answer, Broken when it answers no.
    """
    if question.subject.study_date is None:
        return Found()
    wanted = PriorsWanted(question.patient_id, _MODALITY, question.subject.study_date, question.issuer)
    named = [series for series in recalling.priors(wanted) if _is_named_after(series, question.title)]
    reports = Reports(recalling, spool, question)
    looked_into = 0
    for day, theirs in groupby(named, key=lambda series: series.study_date):
        of_day = list(theirs)
        looked_into += len(of_day)
        found = reports.of_day(day, of_day) if looked_into <= MOST_REPORTS else Found(why_not=crowded(day))
        if found.results or found.why_not:
            return found
    return Found()


def _is_named_after(series: PriorSeries, title: str) -> bool:
    """True for what our report of a model is called, and for a Series of which the archive does not say the name."""
    return not series.description or series.description.startswith(f"AI {title} "[:64].rstrip())


@dataclass(frozen=True, slots=True)
class Reports:
    """The reports of one patient in an archive."""

    recalling: Recalling
    spool: Spool
    question: Question

    def of_day(self, day: date, series: Sequence[PriorSeries]) -> Found:
        """What those of one day say; those that are not of the model, or not ours, say nothing."""
        results: list[Result] = []
        for each in series:
            paths = self._here(each) or self._fetched(each)
            if not paths:
                return Found(why_not=unsent(self.recalling.name, day))
            try:
                results += [result for path in paths for result in self._of_model(path)]
            except Broken as error:
                structlog.get_logger().warning("report not read", series=each.series_instance_uid, reason=str(error))
                return Found(why_not=unreadable(day))
        return Found(tuple(self._described(results)))

    def _here(self, series: PriorSeries) -> list[Path]:
        names = [name for name in self.spool.arrivals() if name.series_instance_uid == series.series_instance_uid]
        return [self.spool.incoming(name) for name in names]

    def _fetched(self, series: PriorSeries) -> list[Path]:
        """What of a Series came when the archive was asked to send it."""
        try:
            self.recalling.fetch(SeriesName(series.study_instance_uid, series.series_instance_uid, SOP_CLASS_UIDS))
        except Broken as error:
            structlog.get_logger().warning("report not sent", series=series.series_instance_uid, reason=str(error))
        return self._here(series)

    def _of_model(self, path: Path) -> Iterator[Result]:
        try:
            result = result_of(read_header(path))
        except Unsuitable:
            return
        if result.model == self.question.model:
            yield result

    def _described(self, results: Sequence[Result]) -> list[Result]:
        """The results; where it has to be told which of several is meant, with how the archive calls their Series."""
        day = self.question.subject.study_date
        if len(results) < 2 or day is None:
            return list(results)
        wanted = PriorsWanted(self.question.patient_id, self.question.modality, day, self.question.issuer)
        names = {each.series_instance_uid: each.description for each in self.recalling.priors(wanted)}
        return [_called(each, names.get(each.subject.series_instance_uid, "")) for each in results]


def _called(result: Result, description: str) -> Result:
    return replace(result, subject=replace(result.subject, description=description))
