"""A model that is told what was observed of the patient: when it runs, when it does not, and when that changes."""

from datetime import UTC, date, datetime, timedelta

import pytest
from pydicom import Dataset

from models.registry import find
from service import route
from service.assemble import Assembler
from service.core.completeness import Patience
from service.core.identity import patient_digest
from service.core.observations import Observation, Quantity
from service.core.routing import Rule
from service.edge.ledger import Ledger
from service.edge.spool import Spool
from service.edge.tables import jobs, stacks
from service.route import Router
from tests import clinical, factories
from tests.arriving import receive

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LATER = datetime.now(UTC) + timedelta(hours=1)  # files carry the disk's own time
CHEST = factories.grid(shape=(12, 40, 40), spacing_mm=(15.0, 8.0, 8.0))
ROUTER = Router(
    (Rule.model_validate({"name": "r", "model": "fvc_decline", "destinations": ["pacs"], "when": {}}),), find()
)


def ct() -> list[Dataset]:
    images = factories.ct_series(CHEST)
    for image in images:
        image.PatientSex, image.PatientAge, image.BodyPartExamined = "F", "070Y", "CHEST"
    return images


def arrive(spool: Spool, ledger: Ledger, *images: Dataset) -> None:
    for image in images:
        assert receive(spool, image).status == 0x0000
    Assembler(spool, ledger, Patience(timedelta(0), timedelta(0))).tick(LATER)
    route.tick(spool, ledger, ROUTER, NOW)


def decision(ledger: Ledger, image: Dataset) -> str:
    (found,) = [row["decision"] for row in ledger.rows(stacks) if row["series_instance_uid"] == image.SeriesInstanceUID]
    return str(found)


def queued(ledger: Ledger) -> list[tuple[str, float | str]]:
    return [(row["state"], each.value) for row in ledger.rows(jobs) for each in row["observed"]]


def test_without_a_baseline_the_model_does_not_run_and_says_why(spool: Spool, ledger: Ledger) -> None:
    images = ct()
    arrive(spool, ledger, *images)
    assert "no FVC is known for this patient" in decision(ledger, images[0])
    assert ledger.rows(jobs) == []


@pytest.mark.parametrize("first", ["report", "images"])
def test_a_report_in_the_study_makes_it_run_whichever_comes_first(spool: Spool, ledger: Ledger, first: str) -> None:
    images = ct()
    report = clinical.report(images[0], clinical.number(2315))
    arrivals = [[report], images] if first == "report" else [images, [report]]
    for each in arrivals:
        arrive(spool, ledger, *each)
    assert queued(ledger) == [("QUEUED", 2315.0)]


@pytest.mark.parametrize("said", [{"PatientBirthDate": "19330303"}, {"PatientSex": "M"}], ids=["birth date", "sex"])
def test_a_report_of_another_person_is_not_used_and_the_reason_is_named(
    spool: Spool, ledger: Ledger, said: dict[str, str]
) -> None:
    images = ct()
    for image in images:
        image.PatientBirthDate = "19550101"
    report = clinical.report(images[0], clinical.number(2315))
    for keyword, value in said.items():
        setattr(report, keyword, value)

    arrive(spool, ledger, report, *images)

    assert "states another birth date or sex than the image: it is not used" in decision(ledger, images[0])
    assert ledger.rows(jobs) == []


def test_a_report_that_does_not_say_who_is_used(spool: Spool, ledger: Ledger) -> None:
    images = ct()
    report = clinical.report(images[0], clinical.number(2315))
    report.PatientBirthDate = report.PatientSex = ""
    arrive(spool, ledger, report, *images)
    assert queued(ledger) == [("QUEUED", 2315.0)]


def test_a_value_that_becomes_known_makes_it_run_and_a_corrected_one_again(spool: Spool, ledger: Ledger) -> None:
    images = ct()
    arrive(spool, ledger, *images)
    patient = patient_digest(str(images[0].PatientID))
    for ml in (2315.0, 2400.0):
        ledger.observe([Observation(patient, "", Quantity.FVC, ml, date(2026, 1, 3), "command")], NOW)
        route.tick(spool, ledger, ROUTER, NOW)
    assert sorted(queued(ledger)) == [("DECLINED", 2315.0), ("QUEUED", 2400.0)]


def test_routing_again_makes_no_second_job(spool: Spool, ledger: Ledger) -> None:
    images = ct()
    arrive(spool, ledger, clinical.report(images[0], clinical.number(2315)), *images)
    ledger.forget_decisions()
    route.tick(spool, ledger, ROUTER, NOW)
    assert len(ledger.rows(jobs)) == 1


def test_a_value_of_somebody_else_changes_nothing(spool: Spool, ledger: Ledger) -> None:
    images = ct()
    arrive(spool, ledger, *images)
    of_another_issuer = patient_digest(str(images[0].PatientID), "ANOTHER HOSPITAL")
    for other in (patient_digest("SOMEBODY"), of_another_issuer):
        ledger.observe([Observation(other, "", Quantity.FVC, 2315.0, date(2026, 1, 3), "command")], NOW)
    route.tick(spool, ledger, ROUTER, NOW)
    assert ledger.rows(jobs) == []
