"""Earlier results in an archive alone: asked for once, in bounded time, and never guessed at."""

import threading
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from pydicom import Dataset

from service import route
from service.commands.archive import free_port
from service.core.errors import Broken, TryAgain
from service.core.priors import IDENTITY_DIFFERS, Prior
from service.core.profiles import Kind
from service.core.recalling import NOBODY, Recaller, crowded, refused, unanswered, unreadable, unsent
from service.derived.earlier_report import result_of
from service.edge.archive_index import PriorSeries, PriorsWanted, SeriesName
from service.edge.archives import Archive, Calls, Recalling
from service.edge.ledger import Ledger
from service.edge.spool import Spool
from service.edge.tables import jobs
from service.recall import MOST_REPORTS, ArchiveRecaller
from service.roles.reaching import archives_for, recaller_for
from tests import factories
from tests.arriving import receive
from tests.node import configure, until
from tests.unit.test_route import GRID, NOW, close, marked, router, rule

TITLE = "Tiny"
PATIENCE = timedelta(seconds=45)
THEN, BEFORE_THEN = date(2025, 1, 1), date(2024, 1, 1)
TINY = replace(factories.ALGORITHM, name=TITLE, package="tiny")
ROUTER = router(rule())


def report(number: int = 1, day: date = THEN, package: str = "tiny", **values: object) -> Dataset:
    """What another node said of an earlier study of the patient of `factories`."""
    images = marked(factories.headers(factories.ct_series(seed=f"study {number}")), StudyDate=f"{day:%Y%m%d}", **values)
    findings = factories.findings(algorithm=replace(TINY, package=package))
    origin = replace(factories.ORIGIN, job_id=f"{number:032x}")
    return factories.objects(factories.material(images, findings, origin))[Kind.REPORT][0]


@dataclass
class Shelf:
    """An archive that has these reports, and sends them to a spool."""

    spool: Spool
    reports: Sequence[Dataset]
    images: Sequence[PriorSeries] = ()
    asked: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    trouble: Exception | None = None
    sends: bool = True
    name: str = f"AI {TITLE} 1.0.0"

    def priors(self, wanted: PriorsWanted) -> list[PriorSeries]:
        self.asked.append(f"{wanted.modality} before {wanted.before}")
        if self.trouble:
            raise self.trouble
        if wanted.modality != "SR":
            return list(self.images)
        return sorted(map(self._listed, self.reports), key=lambda each: each.study_date, reverse=True)

    def _listed(self, each: Dataset) -> PriorSeries:
        uids = str(each.StudyInstanceUID), str(each.SeriesInstanceUID)
        return PriorSeries(*uids, "SR", datetime.strptime(each.StudyDate, "%Y%m%d").date(), self.name, 1)

    def fetch(self, name: SeriesName) -> None:
        self.asked.append(name.series_instance_uid)
        for each in self.reports:
            if self.sends and each.SeriesInstanceUID == name.series_instance_uid:
                assert receive(self.spool, each).status == 0x0000

    def recaller(self, ledger: Ledger) -> ArchiveRecaller:
        calls = Calls(lambda _: 0, recalling=Recalling("PACS", self.priors, self.fetch))
        return ArchiveRecaller({"CT01": Archive(calls)}, self.spool, ledger, PATIENCE)


def planned(spool: Spool, ledger: Ledger, recaller: Recaller, seed: str = "now", **values: object) -> Prior | None:
    """With what the job of a new study is compared, once it is planned."""
    close(spool, ledger, marked(factories.ct_series(GRID, seed=seed), StudyDate="20260301", **values))

    def is_planned() -> bool:
        route.tick(spool, ledger, ROUTER, NOW, recaller)
        return bool(ledger.rows(jobs))

    until(is_planned, "the job is planned", seconds=20, pause=0.02)
    prior: Prior | None = ledger.rows(jobs)[-1]["prior"]
    return prior


def test_a_report_in_the_archive_is_what_the_job_is_compared_with(spool: Spool, ledger: Ledger) -> None:
    shelf = Shelf(spool, [report(1), report(2, BEFORE_THEN)])

    prior = planned(spool, ledger, shelf.recaller(ledger))

    assert prior == Prior(result_of(shelf.reports[0]))
    assert shelf.asked == ["SR before 2026-03-01", shelf.reports[0].SeriesInstanceUID]
    assert prior is not None
    assert ledger.results_of(prior.result.subject.patient, "tiny") == [prior.result]  # type: ignore[union-attr]


def test_an_archive_that_has_nothing_of_the_patient_leaves_nothing_to_say(spool: Spool, ledger: Ledger) -> None:
    assert planned(spool, ledger, Shelf(spool, []).recaller(ledger)) is None


def test_nobody_is_asked_where_the_sender_has_no_archive(spool: Spool, ledger: Ledger) -> None:
    assert planned(spool, ledger, ArchiveRecaller({}, spool, ledger, PATIENCE)) is None
    assert planned(spool, ledger, NOBODY) is None


def test_nobody_is_asked_where_the_ledger_knows_an_earlier_result(spool: Spool, ledger: Ledger) -> None:
    shelf = Shelf(spool, [])
    ledger.keep_recalled([result_of(report())], NOW)

    assert planned(spool, ledger, shelf.recaller(ledger)) == Prior(result_of(report()))
    assert shelf.asked == []


def broken(made: Dataset) -> Dataset:
    del made.ContributingEquipmentSequence
    return made


def many() -> list[Dataset]:
    """More reports than one question has sent; none of them is."""
    first = report()
    copies = [copy(first) for _ in range(MOST_REPORTS + 1)]
    for number, each in enumerate(copies):
        each.SeriesInstanceUID = f"1.2.3.{number}"
    return copies


REASONS: dict[str, tuple[Callable[[], list[Dataset]], str | None]] = {
    "of another model": (lambda: [report(package="other")], None),
    "of another maker": (lambda: marked([report()], Manufacturer="Another"), None),
    "damaged": (lambda: [broken(report())], unreadable(THEN)),
    "of another birth date": (lambda: [report(PatientBirthDate="19330303")], IDENTITY_DIFFERS),
    "two series of one day": (
        lambda: [report(1), report(2)],
        f"not compared with the study of {THEN}: which of its series matches this one is not clear",
    ),
    "more than are looked into": (many, crowded(THEN)),
}


@pytest.mark.parametrize(("reports", "why_not"), REASONS.values(), ids=REASONS.keys())
def test_what_is_in_doubt_is_not_compared(
    spool: Spool, ledger: Ledger, reports: Callable[[], list[Dataset]], why_not: str | None
) -> None:
    expected = Prior(None, why_not) if why_not else None
    assert planned(spool, ledger, Shelf(spool, reports()).recaller(ledger)) == expected


def test_of_two_series_of_one_day_it_is_the_one_that_the_archive_calls_like_this(spool: Spool, ledger: Ledger) -> None:
    reports = [report(1), report(2)]
    uids = [result_of(each).subject.series_instance_uid for each in reports]
    images = [PriorSeries("1.2", uid, "CT", THEN, name, 12) for uid, name in zip(uids, ("late", "early"), strict=True)]

    prior = planned(spool, ledger, Shelf(spool, reports, images=images).recaller(ledger), SeriesDescription="early")

    assert prior is not None
    assert prior.result is not None
    assert prior.result.job_id == result_of(reports[1]).job_id


TROUBLE: dict[str, tuple[Callable[[Shelf], None], str]] = {
    "it does not answer": (lambda shelf: setattr(shelf, "trouble", TryAgain("it is not there")), unanswered("PACS")),
    "it answers no": (lambda shelf: setattr(shelf, "trouble", Broken("status 0xA900")), refused("PACS")),
    "it does not send": (lambda shelf: setattr(shelf, "sends", False), unsent("PACS", THEN)),
}


@pytest.mark.parametrize(("make", "why_not"), TROUBLE.values(), ids=TROUBLE.keys())
def test_trouble_with_the_archive_is_told(
    spool: Spool, ledger: Ledger, make: Callable[[Shelf], None], why_not: str
) -> None:
    shelf = Shelf(spool, [report()])
    make(shelf)
    assert planned(spool, ledger, shelf.recaller(ledger)) == Prior(None, why_not)


def test_reports_of_other_models_are_left_where_they_are(spool: Spool, ledger: Ledger) -> None:
    shelf = Shelf(spool, [report()], name="AI Another 1.0.0")
    assert planned(spool, ledger, shelf.recaller(ledger)) is None
    assert shelf.asked == ["SR before 2026-03-01"]


@dataclass
class Slow(Shelf):
    """An archive that answers when it is let."""

    def priors(self, wanted: PriorsWanted) -> list[PriorSeries]:
        answer = super().priors(wanted)
        self.over.wait(60)
        return answer


def test_a_job_waits_so_long_and_no_longer(spool: Spool, ledger: Ledger) -> None:
    shelf = Slow(spool, [report()])
    recaller = shelf.recaller(ledger)
    images = factories.ct_series(GRID, seed="now")
    close(spool, ledger, images)

    route.tick(spool, ledger, ROUTER, NOW, recaller)
    assert recaller.waits(str(images[0].SeriesInstanceUID), NOW)
    route.tick(spool, ledger, ROUTER, NOW + PATIENCE - timedelta(milliseconds=1), recaller)
    assert ledger.rows(jobs) == []
    route.tick(spool, ledger, ROUTER, NOW + PATIENCE, recaller)

    assert [row["prior"] for row in ledger.rows(jobs)] == [Prior(None, unanswered("PACS"))]
    shelf.over.set()


def test_what_an_archive_was_asked_once_is_not_asked_again_after_a_restart(spool: Spool, ledger: Ledger) -> None:
    down = Shelf(spool, [report()], trouble=TryAgain("it is not there"))
    planned(spool, ledger, down.recaller(ledger))
    up = Shelf(spool, [report()])
    study = factories.ct_series(GRID, seed="now")[0].StudyInstanceUID
    again = marked(factories.ct_series(GRID, seed="again"), StudyInstanceUID=study, StudyDate="20260301")
    close(spool, ledger, again)

    route.tick(spool, ledger, ROUTER, NOW + timedelta(days=1), up.recaller(ledger))

    assert up.asked == []
    assert [row["prior"] for row in ledger.rows(jobs)] == [Prior(None, unanswered("PACS"))] * 2


def test_a_question_that_a_restart_cut_short_is_put_again_and_its_time_goes_on(spool: Spool, ledger: Ledger) -> None:
    shelf = Slow(spool, [report()])
    close(spool, ledger, factories.ct_series(GRID, seed="now"))
    route.tick(spool, ledger, ROUTER, NOW, shelf.recaller(ledger))

    route.tick(spool, ledger, ROUTER, NOW + timedelta(seconds=5), shelf.recaller(ledger))
    assert ledger.rows(jobs) == []
    route.tick(spool, ledger, ROUTER, NOW + PATIENCE, shelf.recaller(ledger))

    assert [row["prior"] for row in ledger.rows(jobs)] == [Prior(None, unanswered("PACS"))]
    shelf.over.set()


def test_a_report_of_ours_that_arrives_by_itself_is_kept(spool: Spool, ledger: Ledger) -> None:
    close(spool, ledger, [report()])
    assert planned(spool, ledger, NOBODY) == Prior(result_of(report()))


@pytest.mark.parametrize(("asks", "kind"), [(True, ArchiveRecaller), (False, type(NOBODY))])
def test_a_site_may_have_no_archive_asked(
    tmp_path: Path, spool: Spool, ledger: Ledger, asks: bool, kind: type[Recaller]
) -> None:
    settings = configure(tmp_path / "node", free_port(), [], comparing={"ask_archives": asks})
    assert type(recaller_for(settings, {}, spool, ledger)) is kind


DIMSE = {"ae_title": "PACS", "host": "127.0.0.1", "port": 104}
BEHIND: dict[str, tuple[dict[str, object], bool]] = {
    "C-MOVE": (DIMSE | {"retrieve": "move"}, True),
    "C-GET": (DIMSE | {"retrieve": "get"}, True),
    "may not be asked to send": (DIMSE | {"retrieve": "none"}, False),
    "DICOMweb": ({"kind": "dicomweb", "url": "http://127.0.0.1/dicom-web"}, False),
}


@pytest.mark.parametrize(("archive", "is_asked"), BEHIND.values(), ids=BEHIND.keys())
def test_only_an_archive_that_may_send_is_asked(
    tmp_path: Path, spool: Spool, archive: dict[str, object], is_asked: bool
) -> None:
    peer = {"ae_title": "CT01", "host": "127.0.0.1", "archive": archive}
    settings = configure(tmp_path / "node", free_port(), [], receiving={"peers": [peer]})
    assert bool(archives_for(settings, spool)["CT01"].calls.recalling) is is_asked
