"""Pictures, outlines, PDF and key images before the validators and readers of other makers."""

import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from models.phantom import abdomen
from models.volume import Grid, Radiograph, Volume
from service.core.entities import FrameReference, Stack
from service.core.profiles import Kind, Profile
from service.core.stacking import split
from service.derived.catalogue import proven
from service.derived.encoding import decode
from service.derived.material import Material
from service.derived.synthetic import ct_series
from service.edge.part10 import read_frame_headers, read_instance
from service.edge.pixels import read_radiograph, read_volume
from tests import factories, pictures
from tests.validators import faults

Tool = Callable[[str], str]
OBJECTS = (Kind.CAPTURE, Kind.PRESENTATION, Kind.DOCUMENT, Kind.KEY_IMAGES)
MULTI_FRAME = ("mr_enhanced", "siemens_xa30_t1")
HIPPOCAMPUS = ("hippocampus_dicom", "Study3_PGBM-003/11_HCropVolume")
OBLIQUE = ("mr_prostatex_0001", "07-08-2011/10.000000-t2tsetra-17541")


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """The proven objects of one image on disk, by modality, and the images that they are of."""

    material: Material
    files: Mapping[str, list[Path]]
    images: list[Path]


def _phantom(folder: Path) -> tuple[list[Path], Material]:
    truth = abdomen(7, (40, 64, 64), (5.0, 5.0, 5.0))
    images = [_write(folder / f"image{number}.dcm", image) for number, image in enumerate(ct_series(truth.volume))]
    findings = factories.findings(truth.volume.grid, truth.label_map.labels)
    sources = [dcmread(path, stop_before_pixels=True) for path in images]
    return images, _material(sources, truth.volume.grid, truth.volume, findings=findings)


def _series(folder: Path) -> tuple[list[Path], Material]:
    paths = {path: read_instance(path) for path in sorted(folder.rglob("*")) if path.is_file()}
    (stack,) = (part for part in split(list(paths.values())) if isinstance(part, Stack))
    by_uid = {instance.sop_instance_uid: path for path, instance in paths.items()}
    frames = [(by_uid[each.reference.sop_instance_uid], each.reference) for each in stack.slices]
    material = _material(read_frame_headers(frames), stack.grid, read_volume(frames, stack.grid, stack.places))
    return list(dict.fromkeys(path for path, _ in frames)), material


def _chest(original: Path, folder: Path) -> tuple[list[Path], Material]:
    """A real image with the patient that was taken out of it put in again, and an age as the Standard writes it."""
    whole = dcmread(original)
    whole.PatientName, whole.PatientAge = "Nobody^Here", "081Y"
    path = _write(folder / "chest.dcm", whole)
    source = dcmread(path, stop_before_pixels=True)
    shown = read_radiograph(path, None, FrameReference(source.SOPInstanceUID))
    return [path], _material([source], None, shown)


def _material(sources: list[Dataset], grid: Grid | None, image: Volume | Radiograph, **given: object) -> Material:
    findings = given.get("findings") or (factories.findings(grid) if grid else pictures.chest_findings())
    return factories.material(sources, findings, profile=Profile(objects=OBJECTS), image=image)  # type: ignore[arg-type]


def _write(path: Path, dataset: Dataset) -> Path:
    dataset.save_as(path, enforce_file_format=True)
    return path


@pytest.fixture(
    params=["phantom CT", "MR of a hippocampus", "oblique MR", "multi-frame MR", "chest X-ray"], scope="module"
)
def case(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, real_images: Callable[[str], Path]
) -> Case:
    """Every object of a phantom, of real series, of frames and of a radiograph, as proven bytes."""
    folder = tmp_path_factory.mktemp("objects")
    if request.param == "phantom CT":
        images, material = _phantom(folder)
    elif request.param == "chest X-ray":
        images, material = _chest(real_images("cxr_nih_dicom") / "test1.dcm", folder)
    else:
        name, inner = {"multi-frame MR": MULTI_FRAME, "oblique MR": OBLIQUE}.get(request.param, HIPPOCAMPUS)
        images, material = _series(real_images(name) / inner)
    files: dict[str, list[Path]] = {}
    for uid, encoded in proven(material).items():
        path = folder / f"{uid}.dcm"
        path.write_bytes(encoded)
        files.setdefault(decode(encoded).Modality, []).append(path)
    return Case(material, files, images)


def test_every_kind_is_there_and_dciodvfy_finds_no_fault(case: Case, outside_tool: Tool) -> None:
    dciodvfy = outside_tool("dciodvfy")

    seen = {path: faults(dciodvfy, path) for paths in case.files.values() for path in paths}

    assert set(case.files) == {"OT", "PR", "DOC", "KO"}
    assert seen == {path: [] for path in seen}


def test_dcentvfy_finds_patient_and_study_equal_to_those_of_the_images(case: Case, outside_tool: Tool) -> None:
    dcentvfy = outside_tool("dcentvfy")
    about_the_images_alone = set(faults(dcentvfy, *case.images))

    with_objects = set(faults(dcentvfy, *case.images, *(path for paths in case.files.values() for path in paths)))

    assert with_objects <= about_the_images_alone


def test_dcmpschk_passes_every_presentation_state(case: Case, outside_tool: Tool) -> None:
    dcmpschk = outside_tool("dcmpschk")

    for path in case.files["PR"]:
        run = subprocess.run([dcmpschk, "-v", path], capture_output=True, text=True, check=True)
        assert "Test passed." in run.stderr + run.stdout


def test_pdftotext_reads_every_finding_and_number_of_the_document(
    case: Case, outside_tool: Tool, tmp_path: Path
) -> None:
    pdf = tmp_path / "page.pdf"
    subprocess.run([outside_tool("dcm2pdf"), *case.files["DOC"], pdf], check=True)
    run = subprocess.run([outside_tool("pdftotext"), "-layout", pdf, "-"], capture_output=True, text=True, check=True)
    lines = [" ".join(line.split()) for line in run.stdout.splitlines()]

    expected = [f"{region.name} {region.volume_ml:.1f}" for region in case.material.findings.found]
    expected += [f"{score.term.name} {100 * score.probability:.0f} %" for score in case.material.findings.scores]
    told = [any(line.startswith(beginning[:-2]) for line in lines) for beginning in expected]
    assert told == [True] * len(expected)
    assert "AI RESULT - NOT VERIFIED - NOT FOR DIAGNOSIS" in lines
    assert str(case.material.sources[0].get("PatientName") or "nobody") not in run.stdout


def test_dsrdump_reads_the_key_images(case: Case, outside_tool: Tool) -> None:
    (path,) = case.files["KO"]

    seen = subprocess.run([outside_tool("dsrdump"), str(path)], capture_output=True, text=True, check=True).stdout

    assert seen.count("<contains IMAGE:") == len(
        [item for item in decode(path.read_bytes()).ContentSequence if item.ValueType == "IMAGE"]
    )
    assert '"Of Interest"' in seen
