"""Routing fixes what a job will be compared with, once."""

from collections.abc import Sequence
from datetime import timedelta

from pydicom import Dataset

from service import route
from service.core.jobs import Event, State
from service.core.priors import IDENTITY_DIFFERS, Prior, Result
from service.derived.subject import subject_of
from service.edge.ledger import Ledger
from service.edge.spool import Spool
from service.edge.tables import jobs
from tests import factories
from tests.unit.test_route import GRID, LATER, NOW, close, marked, router, rule


def a_year_before(**values: object) -> list[Dataset]:
    return marked(factories.ct_series(GRID, seed="earlier"), StudyDate="20250101", **values)


def arrive(spool: Spool, ledger: Ledger, images: Sequence[Dataset], after: timedelta = timedelta(0)) -> None:
    close(spool, ledger, images)
    route.tick(spool, ledger, router(rule()), NOW + after)


def report(ledger: Ledger, image: Dataset) -> Result:
    """The oldest job is done, and its result in the ledger."""
    job = ledger.claim(State.QUEUED, "w", NOW, LATER)
    assert job
    ledger.settle(job, "w", Event.DONE, NOW)
    reporting = ledger.claim(State.INFERRED, "w", NOW, LATER)
    assert reporting
    result = Result(reporting.job_id, reporting.stack_id, subject_of(image), "tiny", "1.0.0", ())
    ledger.report(reporting, "w", {"pacs": []}, NOW, result)
    return result


def test_a_new_job_is_planned_with_the_earlier_result_of_the_patient(spool: Spool, ledger: Ledger) -> None:
    images = a_year_before()
    arrive(spool, ledger, images)
    result = report(ledger, images[0])

    arrive(spool, ledger, factories.ct_series(GRID, seed="later"), timedelta(seconds=1))

    assert [row["prior"] for row in ledger.rows(jobs)] == [None, Prior(result)]


def test_a_job_stays_without_a_prior_that_is_reported_after_it_was_planned(spool: Spool, ledger: Ledger) -> None:
    images = a_year_before()
    arrive(spool, ledger, images)
    arrive(spool, ledger, factories.ct_series(GRID, seed="later"), timedelta(seconds=1))
    report(ledger, images[0])

    ledger.forget_decisions()
    route.tick(spool, ledger, router(rule()), NOW + timedelta(seconds=2))

    assert [row["prior"] for row in ledger.rows(jobs)] == [None, None]


def test_another_sex_at_the_same_patient_id_is_planned_with_the_reason(spool: Spool, ledger: Ledger) -> None:
    images = a_year_before(PatientSex="F")
    arrive(spool, ledger, images)
    report(ledger, images[0])

    arrive(spool, ledger, factories.ct_series(GRID, seed="later"), timedelta(seconds=1))

    assert ledger.rows(jobs)[-1]["prior"] == Prior(None, IDENTITY_DIFFERS)
