"""A report of ours read back: what it measured, and that nothing else is taken for one."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import Dataset

from models.findings import Findings
from service.core.comparison import volumes
from service.core.errors import Broken, Unsuitable
from service.core.profiles import PRESETS, USUAL, Kind, Profile
from service.derived.earlier_report import may_hold_result, result_of
from service.derived.encoding import decode, encode
from service.derived.subject import subject_of
from service.edge.part10 import read_instance
from tests import clinical, factories

JOB = "0123456789abcdef" * 2
IMAGES = factories.headers(factories.ct_series())


def written(findings: Findings, profile: Profile = USUAL) -> Dataset:
    """The report of findings as it comes out of its bytes."""
    origin = replace(factories.ORIGIN, job_id=JOB)
    made = factories.objects(factories.material(IMAGES, findings, origin, profile))
    return decode(encode(made[Kind.REPORT][0]))


FORMS = {
    "organs, one of them absent": (factories.findings(), USUAL),
    "lesions": (factories.layered(), USUAL),
    "scores, boxes, points, changes and numbers beside": (factories.rich_findings(), USUAL),
    "the same as Enhanced SR": (factories.rich_findings(), PRESETS["pacs"]),
}


@pytest.mark.parametrize(("findings", "profile"), FORMS.values(), ids=FORMS.keys())
def test_the_volumes_are_those_that_the_job_measured(findings: Findings, profile: Profile) -> None:
    result = result_of(written(findings, profile))

    expected = volumes(findings)
    assert [(each.structure, each.lesion, each.unit) for each in result.volumes] == [
        (each.structure, each.lesion, each.unit) for each in expected
    ]
    assert [each.volume for each in result.volumes] == pytest.approx([each.volume for each in expected], rel=1e-5)


def test_job_model_patient_day_and_series_are_those_of_the_images() -> None:
    report = written(factories.findings())
    result = result_of(report)

    assert (result.job_id, result.model, result.version) == (JOB, "abdomen", "1.0.0")
    assert result.report == report.SOPInstanceUID
    assert result.subject == replace(subject_of(IMAGES[0]), description="")


def of_another_maker(report: Dataset) -> None:
    report.ManufacturerModelName = "Another"


def with_another_title(report: Dataset) -> None:
    report.ConceptNameCodeSequence[0].CodeValue = "126001"


def of_another_class(report: Dataset) -> None:
    report.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.11"


@pytest.mark.parametrize("change", [of_another_maker, with_another_title, of_another_class])
def test_a_report_that_is_none_of_ours_is_not_read(change: Callable[[Dataset], None]) -> None:
    report = written(factories.findings())
    change(report)
    with pytest.raises(Unsuitable):
        result_of(report)


def test_a_report_of_somebody_else_and_one_without_volumes_are_not_read() -> None:
    with pytest.raises(Unsuitable):
        result_of(clinical.report(IMAGES[0], clinical.number(2315)))
    scores = replace(factories.rich_findings(), layers=(), regions=())
    with pytest.raises(Unsuitable, match="no volume"):
        result_of(written(scores))


def algorithm_of(report: Dataset) -> Dataset:
    return next(each for each in report.ContributingEquipmentSequence if "DeviceUID" in each)


def partial(report: Dataset) -> None:
    report.CompletionFlag = "PARTIAL"


def without_equipment(report: Dataset) -> None:
    del report.ContributingEquipmentSequence


def with_another_job(report: Dataset) -> None:
    algorithm_of(report).ContributionDescription += "/../.."


def with_another_version(report: Dataset) -> None:
    algorithm_of(report).SoftwareVersions = "2.0.0"


def with_other_weights(report: Dataset) -> None:
    device = algorithm_of(report)
    device.ContributionDescription = str(device.ContributionDescription).replace("abab", "acac")


def in_another_study(report: Dataset) -> None:
    report.StudyInstanceUID = "1.2.3"


def with_a_second_volume(report: Dataset) -> None:
    group = next(each for each in report.iterall() if each.tag == 0x0040A730 and _numbers(each.value))
    group.value.append(_numbers(group.value)[0])


def without_a_value(report: Dataset) -> None:
    number = next(each for each in report.iterall() if each.keyword == "MeasuredValueSequence")
    number.value = []


def _numbers(items: list[Dataset]) -> list[Dataset]:
    return [each for each in items if each.get("ValueType") == "NUM"]


DAMAGE = [
    partial,
    without_equipment,
    with_another_job,
    with_another_version,
    with_other_weights,
    in_another_study,
    with_a_second_volume,
    without_a_value,
]


@pytest.mark.parametrize("change", DAMAGE)
def test_a_report_that_is_damaged_or_contradicts_itself_is_not_guessed_at(change: Callable[[Dataset], None]) -> None:
    report = written(factories.findings())
    change(report)
    with pytest.raises(Broken):
        result_of(report)


def test_our_reports_are_looked_into_and_those_of_others_are_not(tmp_path: Path) -> None:
    def may(dataset: Dataset) -> bool:
        (tmp_path / "any.dcm").write_bytes(encode(dataset))
        return may_hold_result(read_instance(tmp_path / "any.dcm"))

    report = written(factories.findings())
    assert (may(report), may(clinical.report(IMAGES[0]))) == (True, False)
