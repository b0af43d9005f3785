"""Results for radiographs: from a spool to the archive, before the validators and readers of other makers."""

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from service.assemble import record_of
from service.commands.archive import AE_TITLE, Orthanc, orthanc
from service.core.entities import Projection
from service.core.jobs import Job, State
from service.core.outbox import Reference
from service.core.profiles import Profile
from service.core.stacking import split
from service.derived.encoding import encode
from service.derived.statements import groups
from service.edge.part10 import read_instance
from service.edge.records import keep_findings, keep_part, read_plan
from service.edge.spool import InstanceName, Spool
from service.edge.storage_scu import Remote, store
from service.edge.workplaces import Desk
from service.report import report
from tests import factories
from tests.arriving import receive
from tests.validators import faults, template_faults

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
FORMS = {
    "usual": Profile(),
    "compressed": Profile.model_validate({"segmentation": "labelmap", "compression": "rle", "report": "enhanced"}),
}
SYNTHETIC = {"DX": factories.dx_image, "CR": factories.cr_image}
REAL = {"captured chest, first": "test1.dcm", "captured chest, second": "test2.dcm"}

Tool = Callable[[str], str]


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A radiograph in a spool, and what lies in the outbox for each destination, by modality."""

    image: Path
    objects: dict[str, dict[str, Path]]


def _image(name: str, real_images: Callable[[str], Path]) -> Dataset:
    if name in SYNTHETIC:
        return SYNTHETIC[name]()
    return dcmread(real_images("cxr_nih_dicom") / REAL[name])


@pytest.fixture(params=[*SYNTHETIC, *REAL])
def case(request: pytest.FixtureRequest, tmp_path: Path, real_images: Callable[[str], Path]) -> Case:
    """As the stages before leave it: received, assembled, and findings kept."""
    image = _image(request.param, real_images)
    spool = Spool(tmp_path / "spool")
    assert receive(spool, image).status == 0x0000
    path = spool.incoming(InstanceName(str(image.SeriesInstanceUID), str(image.SOPInstanceUID)))
    (part,) = split([read_instance(path)])
    assert isinstance(part, Projection)
    keep_part(spool, record_of(part, NOW))
    job = _job(part)
    keep_findings(spool, job.job_id, factories.radiograph_findings(image))
    report(Desk(spool.root, FORMS, "0.1.0"), job)
    outbox = spool.outbox(job.job_id)
    return Case(path, {name: _by_modality(outbox, objects) for name, objects in read_plan(spool, job.job_id).items()})


def _job(part: Projection) -> Job:
    (instance,) = part.instances
    uids = (instance.series_instance_uid, instance.study_instance_uid)
    return Job(part.stack_id, part.stack_id, *uids, "chest", "1.0.0", "rule", tuple(FORMS), State.REPORTING, 0, NOW)


def _by_modality(outbox: Path, objects: list[Reference]) -> dict[str, Path]:
    paths = [outbox / f"{each.sop_instance_uid}.dcm" for each in objects]
    return {str(dcmread(path, specific_tags=["Modality"]).Modality): path for path in paths}


def test_every_destination_gets_its_heat_maps_and_its_report(case: Case) -> None:
    assert {name: sorted(objects) for name, objects in case.objects.items()} == {name: ["SEG", "SR"] for name in FORMS}
    assert len({path for objects in case.objects.values() for path in objects.values()}) == 4


def test_dciodvfy_finds_no_fault_in_any_object(case: Case, outside_tool: Tool) -> None:
    dciodvfy = outside_tool("dciodvfy")
    seen = [faults(dciodvfy, path) for objects in case.objects.values() for path in objects.values()]
    assert seen == [[], [], [], []]


def test_dcentvfy_finds_patient_and_study_equal_to_those_of_the_image(case: Case, outside_tool: Tool) -> None:
    dcentvfy = outside_tool("dcentvfy")
    about_the_image_alone = set(faults(dcentvfy, case.image))
    for objects in case.objects.values():
        assert set(faults(dcentvfy, case.image, *objects.values())) <= about_the_image_alone


def test_dsrdump_reads_what_is_there_and_what_is_not(case: Case, outside_tool: Tool) -> None:
    dsrdump = outside_tool("dsrdump")
    for objects in case.objects.values():
        seen = subprocess.run([dsrdump, "+Pl", str(objects["SR"])], capture_output=True, text=True, check=True).stdout
        assert faults(dsrdump, objects["SR"]) == []
        assert (seen.count('"Present")'), seen.count('"Absent")')) == (1, 1)
        assert (seen.count("POLYLINE"), seen.count("POINT,")) == (1, 1)


@pytest.mark.exhaustive  # PixelMed takes half a minute
@pytest.mark.parametrize("case", ["DX"], indirect=True)
def test_pixelmed_finds_no_fault_in_the_template(case: Case, pixelmed: list[str]) -> None:
    assert {name: template_faults(pixelmed, objects["SR"]) for name, objects in case.objects.items()} == {
        name: [] for name in FORMS
    }


def test_dcmqi_reads_every_group_with_its_tracking_name(case: Case, outside_tool: Tool, tmp_path: Path) -> None:
    told, path = tmp_path / "report.json", case.objects["usual"]["SR"]
    command = [outside_tool("tid1500reader"), "--inputDICOM", str(path), "--outputMetadata", str(told)]
    subprocess.run(command, capture_output=True, text=True, check=True)
    measured = json.loads(told.read_text())["Measurements"]
    assert len({group["TrackingUniqueIdentifier"] for group in measured}) == len(groups(dcmread(path))) == 11
    assert [group["measurementItems"][0]["value"] for group in measured[:3]] == ["91.25", "10.0", "70.0"]


@pytest.mark.parametrize("image", SYNTHETIC.values(), ids=SYNTHETIC.keys())
def test_dciodvfy_finds_no_fault_in_a_synthetic_radiograph(
    image: Callable[[], Dataset], outside_tool: Tool, tmp_path: Path
) -> None:
    (tmp_path / "image.dcm").write_bytes(encode(image()))
    assert faults(outside_tool("dciodvfy"), tmp_path / "image.dcm") == []


@pytest.mark.parametrize("image", SYNTHETIC.values(), ids=SYNTHETIC.keys())
def test_a_synthetic_radiograph_is_a_radiograph(image: Callable[[], Dataset], tmp_path: Path) -> None:
    (tmp_path / "image.dcm").write_bytes(encode(image()))
    (part,) = split([read_instance(tmp_path / "image.dcm")])
    assert isinstance(part, Projection)
    assert part.scale is not None
    assert (part.facts.rows, part.facts.columns, part.scale.spacing.between_rows_mm) == (48, 40, 0.2)


@pytest.fixture(scope="module")
def pacs(outside_tool: Tool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with orthanc(outside_tool("Orthanc"), tmp_path_factory.mktemp("orthanc")) as archive:
        yield archive


def test_the_archive_keeps_what_it_is_sent(case: Case, pacs: Orthanc) -> None:
    paths = [path for objects in case.objects.values() for path in objects.values()]
    answers = list(store(Remote("ISOCENTER", AE_TITLE, "127.0.0.1", pacs.port), paths))
    assert [status for _, status in answers] == [0x0000] * 4
    kept = {str(dataset.SOPInstanceUID): dataset for dataset in pacs.datasets()}
    for path in paths:
        sent = dcmread(path)
        assert kept[str(sent.SOPInstanceUID)] == sent
