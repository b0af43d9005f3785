"""Clinical values in the reports of others: what is read, and what is left alone."""

from datetime import date
from pathlib import Path

import pytest
from pydicom import Dataset

from service.core.errors import Broken
from service.core.identity import person_digests
from service.core.observations import Observation, Quantity, Smoking
from service.derived.encoding import encode
from service.edge.clinical_report import may_hold_observations, read_observations
from service.edge.part10 import read_instance
from tests import clinical, factories

DAY = date(2026, 1, 1)


@pytest.fixture
def image() -> Dataset:
    return factories.ct_series()[0]


def read(folder: Path, report: Dataset, patient: str = "ab") -> list[Observation]:
    path = folder / "report.dcm"
    path.write_bytes(encode(report))
    return read_observations(path, patient)


def test_capacity_and_smoking_are_read_at_any_depth(image: Dataset, tmp_path: Path) -> None:
    image.PatientBirthDate, image.PatientSex = "19700101", "F"
    report = clinical.report(image, clinical.number(2315), clinical.coded(clinical.EX_SMOKER))
    whose = "ab", str(image.StudyInstanceUID)
    source, person = str(report.SOPInstanceUID), person_digests(str(image.PatientID), "", "19700101", "F")
    assert read(tmp_path, report) == [
        Observation(*whose, Quantity.FVC, 2315.0, DAY, source, person),
        Observation(*whose, Quantity.SMOKING, Smoking.FORMER, DAY, source, person),
    ]


def test_litres_become_millilitres_and_an_unknown_unit_is_nothing(image: Dataset, tmp_path: Path) -> None:
    litres = clinical.number(2.5, ("L", "UCUM", "liter"))
    assert [each.value for each in read(tmp_path, clinical.report(image, litres))] == [2500.0]
    percent = clinical.number(80, ("%", "UCUM", "percent"))
    assert read(tmp_path, clinical.report(image, percent)) == []


def test_the_day_is_that_of_the_measurement_where_it_is_said(image: Dataset, tmp_path: Path) -> None:
    measured = clinical.number(2315)
    measured.ObservationDateTime = "20251203101500"
    (found,) = read(tmp_path, clinical.report(image, measured))
    assert found.measured_on == date(2025, 12, 3)


def test_what_is_estimated_or_impossible_is_no_observation(image: Dataset, tmp_path: Path) -> None:
    report = clinical.report(image, clinical.estimated(clinical.number(2315)), clinical.number(2_315_000))
    assert read(tmp_path, report) == []


def test_a_report_that_is_not_complete_says_nothing(image: Dataset, tmp_path: Path) -> None:
    report = clinical.report(image, clinical.number(2315))
    report.CompletionFlag = "PARTIAL"
    assert read(tmp_path, report) == []


def test_damaged_content_is_named(image: Dataset, tmp_path: Path) -> None:
    report = clinical.report(image, clinical.number(2315))
    del report.ContentSequence[0].ContentSequence[0].MeasuredValueSequence[0].NumericValue
    with pytest.raises(Broken, match="content"):
        read(tmp_path, report)


def test_reports_of_others_are_read_and_images_and_our_own_reports_are_not(image: Dataset, tmp_path: Path) -> None:
    def may(dataset: Dataset) -> bool:
        (tmp_path / "any.dcm").write_bytes(encode(dataset))
        return may_hold_observations(read_instance(tmp_path / "any.dcm"))

    report = clinical.report(image, clinical.number(2315))
    assert (may(report), may(image)) == (True, False)
    report.ManufacturerModelName = "Isocenter"
    assert not may(report)
