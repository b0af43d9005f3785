"""Chest CTs by storescu in, with a spirometry beside them, told by a command, or unknown: what Orthanc has of each."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.uid import BasicTextSRStorage, Comprehensive3DSRStorage

from models.inference import load_for_values
from models.inputs import Known
from models.registry import find
from service.commands.archive import Orthanc
from service.derived import content_tree
from service.derived.encoding import encode
from service.derived.synthetic import Subject, ct_series
from tests import clinical
from tests.chest import chest
from tests.node import Node, configure, rule, run_command, running, until
from tests.validators import faults

FVC = ("19868-9", "LN")
WHY = "no FVC is known for this patient"
TAKEN_ON = date(2026, 1, 1)
TOLD_ON = date(2025, 12, 1)
PATIENTS = ("REPORTED", "TOLD", "UNKNOWN")


@dataclass(frozen=True, slots=True, eq=False)
class Played:
    """A node that has had all three studies, the archive behind it, and the CT of each patient."""

    node: Node
    pacs: Orthanc
    images: dict[str, list[Dataset]]

    def reports(self, patient: str, sop_class_uid: str = Comprehensive3DSRStorage) -> list[Dataset]:
        """The reports of a patient's study that the archive has."""
        study = self.images[patient][0].StudyInstanceUID
        made = [each for each in self.pacs.datasets() if each.StudyInstanceUID == study]
        return [each for each in made if each.SOPClassUID == sop_class_uid]

    def observe(self, patient: str, *words: str) -> None:
        """What a person types."""
        folder = str(self.node.settings.folder)
        run = run_command("observe", "--patient-id", f"PHANTOM-{patient}", *words, "--config", folder)
        assert run.returncode == 0, run.stderr


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory, pacs: Orthanc, storescu: str) -> Iterator[Played]:
    folder = tmp_path_factory.mktemp("node")
    images = {patient: series(patient) for patient in PATIENTS}
    laboratory = clinical.report(
        images["REPORTED"][0], clinical.number(2.8, ("L", "UCUM", "liter")), clinical.coded(clinical.EX_SMOKER)
    )
    (folder / "images").mkdir()
    for number, image in enumerate([laboratory, *(each for study in images.values() for each in study)]):
        (folder / "images" / f"{number:03d}.dcm").write_bytes(encode(image))
    wanted = rule("fvc_decline", modality="CT") | {"say_why_not": "report"}
    with running(configure(folder, pacs.port, [wanted])) as node:
        played = Played(node, pacs, images)
        played.observe("TOLD", "--fvc-ml", "2600", "--date", str(TOLD_ON))
        assert node.storescu(storescu, "+sd", str(folder / "images")).returncode == 0
        until(lambda: all(map(played.reports, ("REPORTED", "TOLD"))), "two predictions in the archive", seconds=240)
        until(lambda: played.reports("UNKNOWN", BasicTextSRStorage), "one notice in the archive")
        yield played


def series(patient: str) -> list[Dataset]:
    images = ct_series(chest()[0], Subject(patient, f"Chest^{patient}", f"PHANTOM-{patient}", "CHEST"))
    for image in images:
        image.PatientSex, image.PatientAge = "M", "068Y"
    return images


@pytest.mark.parametrize(
    ("patient", "fvc_ml", "smoking", "day"),
    [
        pytest.param("REPORTED", 2800.0, {"smoking": "ex-smoker"}, TAKEN_ON, id="by a report in the study"),
        pytest.param("TOLD", 2600.0, {}, TOLD_ON, id="by isocenter observe"),
    ],
)
def test_each_week_is_predicted_with_its_sigma_from_the_measured_value(
    played: Played, patient: str, fvc_ml: float, smoking: dict[str, str], day: date
) -> None:
    (report,) = played.reports(patient)
    known = Known({"fvc": fvc_ml, "age": 68.0, "sex": "male", **smoking}, day)
    due = load_for_values(find()["fvc_decline"], "cpu")(known).predictions
    groups = [group for group in content_tree.groups(report) if group.finding == FVC]
    assert [group.time_point for group in groups] == [f"{each.weeks} weeks after {day}" for each in due]
    for group, prediction in zip(groups, due, strict=True):
        (number,) = group.numbers
        assert (number.name, number.unit) == (FVC, ("ml", "UCUM"))
        assert number.derivation == ("414135002", "SCT")
        assert number.value == pytest.approx(prediction.measurement.value, rel=1e-4)
        assert [value for value, _ in number.uncertainties] == pytest.approx(
            [prediction.measurement.uncertainty] * 2, rel=1e-4
        )
        assert group.comment is not None
        assert group.comment.startswith(f"Predicted, not measured; from FVC {fvc_ml:g} ml, age 68 a, sex male")


def test_the_lungs_are_measured_beside_the_prediction(played: Played) -> None:
    volume, truth = chest()
    (report,) = played.reports("REPORTED")
    (lungs,) = [group for group in content_tree.groups(report) if group.finding == ("39607008", "SCT")]
    assert lungs.numbers[0].value == pytest.approx(truth.sum() * volume.grid.voxel_volume_ml, rel=0.02)


def test_a_patient_without_a_baseline_is_declined_by_name_and_answered_once_it_is_known(played: Played) -> None:
    (notice,) = played.reports("UNKNOWN", BasicTextSRStorage)
    assert WHY in notice.to_json()
    assert played.reports("UNKNOWN") == []
    told = [row["not_analysed"] for row in played.node.jobs() if row["not_analysed"]]
    assert any(why.startswith(WHY) for why in told)
    played.observe("UNKNOWN", "--fvc-ml", "3100", "--date", "2026-01-02", "--smoking", "never smoked")
    until(lambda: played.reports("UNKNOWN"), "a prediction after the value became known")


def test_what_the_node_predicted_is_never_taken_as_measured(played: Played, storescu: str, tmp_path: Path) -> None:
    (report,) = played.reports("TOLD")
    report.save_as(tmp_path / "back.dcm")
    before = len(played.node.jobs())
    assert played.node.storescu(storescu, "-R", str(tmp_path / "back.dcm")).returncode == 0
    closed = lambda: any(row["series"] == report.SeriesInstanceUID for row in played.node.series())  # noqa: E731
    until(closed, "the node has its own report back")
    assert len(played.node.jobs()) == before


def test_other_makers_validators_find_no_fault(
    played: Played, outside_tool: Callable[[str], str], tmp_path: Path
) -> None:
    (report,) = played.reports("REPORTED")
    report.save_as(tmp_path / "sr")
    assert faults(outside_tool("dciodvfy"), tmp_path / "sr") == []
    assert faults(outside_tool("dsrdump"), tmp_path / "sr") == []
