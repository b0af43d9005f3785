"""Our objects before the validators and readers of other makers."""

import json
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import nibabel
import numpy as np
import pytest
from nibabel.affines import apply_affine
from numpy.typing import NDArray
from pydicom import Dataset, dcmread

from models.findings import Findings
from models.volume import Grid
from service.core.entities import Stack
from service.core.profiles import Kind, Profile
from service.core.stacking import split
from service.derived.catalogue import proven
from service.derived.encoding import decode, encode
from service.derived.frames import frames
from service.derived.sources import reference
from service.edge.part10 import read_frame_headers, read_instance
from tests import factories
from tests.validators import faults, template_faults

# Lines that validators print about correct objects, and why each is wrong.
GRIDS = {
    "axial": factories.grid("axial"),
    "axial against the normal": factories.grid("axial reversed"),
    "coronal": factories.grid("coronal"),
    "sagittal": factories.grid("sagittal"),
    "oblique": factories.grid("oblique"),
    "oblique and not square": factories.grid("oblique", spacing_mm=(3.3, 0.7, 1.9)),
    "frames that end within a byte": factories.grid("axial", shape=(9, 31, 27), spacing_mm=(1.5, 2.0, 1.0)),
}
MULTI_FRAME = {
    "enhanced MR, sagittal": ("mr_enhanced", "siemens_xa30_t1"),
    "enhanced CT": ("seg_sr_examples", "dcmqi/data/segmentations/24x38x3/multiframe"),
}
REAL = {
    "MR, cropped": ("hippocampus_dicom", "Study3_PGBM-003/11_HCropVolume"),
    "MR, oblique": ("mr_prostatex_0001", "07-08-2011/10.000000-t2tsetra-17541"),
    "CT of a head": ("ct_philips_S21570_localizer_axial_sc", "S2010"),
    "CT of a chest": ("ct_ibsi1_lung_phantom", "dicom"),
}

Tool = Callable[[str], str]


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A series on disk and what was made of it."""

    sources: list[Dataset]
    findings: Findings
    images: list[Path]
    segmentation: Path
    report: Path
    empty_report: Path


@pytest.fixture(params=[*GRIDS, *REAL, *MULTI_FRAME])
def case(request: pytest.FixtureRequest, tmp_path: Path, real_images: Callable[[str], Path]) -> Case:
    """Every grid as CT and as MR by turns, and every real series."""
    if request.param in MULTI_FRAME:
        name, folder = MULTI_FRAME[request.param]
        return _multi_frame_case(next((real_images(name) / folder).iterdir()), tmp_path)
    if request.param in GRIDS:
        grid = GRIDS[request.param]
        series = factories.ct_series if list(GRIDS).index(request.param) % 2 == 0 else factories.mr_series
        images = [_write(tmp_path / f"image{index}.dcm", image) for index, image in enumerate(series(grid))]
    else:
        name, folder = REAL[request.param]
        images = _in_order([path for path in sorted((real_images(name) / folder).rglob("*")) if _is_image(path)])
    return _case(images, tmp_path)


def _case(images: list[Path], folder: Path) -> Case:
    sources = [dcmread(path, stop_before_pixels=True) for path in images]
    return _made(sources, _grid_of(sources), images, folder)


def _multi_frame_case(image: Path, folder: Path) -> Case:
    (stack,) = split([read_instance(image)])
    assert isinstance(stack, Stack)
    sources = read_frame_headers([(image, each.reference) for each in stack.slices])
    return _made(sources, stack.grid, [image], folder)


def _made(sources: list[Dataset], grid: Grid, images: list[Path], folder: Path) -> Case:
    findings = factories.findings(grid)
    nothing = factories.findings(grid, np.zeros(grid.shape, dtype=np.uint8))
    made = factories.objects(factories.material(sources, findings))
    return Case(
        sources,
        findings,
        images,
        _write(folder / "segmentation.dcm", made[Kind.SEGMENTATION][0]),
        _write(folder / "report.dcm", made[Kind.REPORT][0]),
        _write(folder / "empty.dcm", factories.objects(factories.material(sources, nothing))[Kind.REPORT][0]),
    )


def _write(path: Path, dataset: Dataset) -> Path:
    path.write_bytes(encode(dataset))
    return path


def _is_image(path: Path) -> bool:
    return path.is_file() and "ImagePositionPatient" in dcmread(path, stop_before_pixels=True, force=True)


def _in_order(images: list[Path]) -> list[Path]:
    def height(path: Path) -> float:
        header = dcmread(path, stop_before_pixels=True)
        cosines = np.array(header.ImageOrientationPatient, dtype=np.float64).reshape(2, 3)
        return float(np.cross(*cosines) @ np.array(header.ImagePositionPatient, dtype=np.float64))

    return sorted(images, key=height)


def _grid_of(sources: Sequence[Dataset]) -> Grid:
    first, last = sources[0], sources[-1]
    cosines = np.array(first.ImageOrientationPatient, dtype=np.float64).reshape(2, 3)
    start, end = (np.array(image.ImagePositionPatient, dtype=np.float64) for image in (first, last))
    affine = np.eye(4)
    affine[:3, 0] = (end - start) / (len(sources) - 1)
    affine[:3, 1] = cosines[1] * float(first.PixelSpacing[0])
    affine[:3, 2] = cosines[0] * float(first.PixelSpacing[1])
    affine[:3, 3] = start
    return Grid((len(sources), int(first.Rows), int(first.Columns)), affine)


def test_dciodvfy_finds_no_fault_in_any_object(case: Case, outside_tool: Tool) -> None:
    dciodvfy = outside_tool("dciodvfy")

    seen = {path.name: faults(dciodvfy, path) for path in (case.segmentation, case.report, case.empty_report)}

    assert seen == {path: [] for path in seen}


@pytest.mark.parametrize("series", [factories.ct_series, factories.mr_series], ids=["CT", "MR"])
@pytest.mark.parametrize("orientation", factories.ORIENTATIONS)
def test_dciodvfy_finds_no_fault_in_a_synthetic_image(
    orientation: str, series: Callable[[Grid], list[Dataset]], outside_tool: Tool, tmp_path: Path
) -> None:
    image = _write(tmp_path / "image.dcm", series(factories.grid(orientation))[0])

    assert faults(outside_tool("dciodvfy"), image) == []


def test_dcentvfy_finds_patient_and_study_equal_to_those_of_the_images(case: Case, outside_tool: Tool) -> None:
    dcentvfy = outside_tool("dcentvfy")
    about_the_images_alone = set(faults(dcentvfy, *case.images))

    with_segmentation = set(faults(dcentvfy, *case.images, case.segmentation, case.report))
    with_empty_report = set(faults(dcentvfy, *case.images, case.empty_report))

    assert with_segmentation | with_empty_report <= about_the_images_alone


def test_dsrdump_reads_both_reports(case: Case, outside_tool: Tool) -> None:
    dsrdump = outside_tool("dsrdump")

    found = subprocess.run([dsrdump, str(case.report)], capture_output=True, text=True, check=True).stdout
    empty = subprocess.run([dsrdump, str(case.empty_report)], capture_output=True, text=True, check=True).stdout

    assert faults(dsrdump, case.report) + faults(dsrdump, case.empty_report) == []
    assert found.count('"Referenced Segment")') == 2
    assert (found.count('"Absent")'), empty.count('"Absent")')) == (1, 3)


def test_dcmqi_reads_the_same_volumes_under_the_same_tracking_names(
    case: Case, outside_tool: Tool, tmp_path: Path
) -> None:
    told = tmp_path / "report.json"
    command = [outside_tool("tid1500reader"), "--inputDICOM", str(case.report), "--outputMetadata", str(told)]
    subprocess.run(command, capture_output=True, text=True, check=True)

    groups = json.loads(told.read_text())["Measurements"]

    segments = decode(case.segmentation.read_bytes()).SegmentSequence
    assert [group["TrackingUniqueIdentifier"] for group in groups[:2]] == [item.TrackingUID for item in segments]
    for group, volume in zip(groups[:2], case.findings.regions[:2], strict=True):
        (measured,) = group["measurementItems"]
        assert measured["units"]["CodeValue"] == "cm3"
        assert float(measured["value"]) == pytest.approx(volume.volume_ml, rel=1e-5)


def test_dcmqi_sees_every_voxel_where_the_label_map_has_it(case: Case, outside_tool: Tool, tmp_path: Path) -> None:
    command = [outside_tool("segimage2itkimage"), "--inputDICOM", str(case.segmentation)]
    run = subprocess.run(
        [*command, "--outputDirectory", str(tmp_path), "-t", "nii"], capture_output=True, text=True, check=False
    )

    assert "ERROR" not in run.stdout + run.stderr
    for number, label in ((1, 1), (2, 2)):
        assert np.array_equal(
            _drawn_by_dcmqi(tmp_path / f"{number}.nii.gz", case.findings), case.findings.layers[0].labels == label
        )


def _drawn_by_dcmqi(path: Path, findings: Findings) -> NDArray[np.bool_]:
    """Voxels of a NIfTI (RAS mm) at the indices of the label map where they lie in the patient."""
    image = nibabel.load(path)
    indices = np.argwhere(np.asarray(image.dataobj) > 0)
    world_lps = apply_affine(np.diag((-1.0, -1.0, 1.0, 1.0)) @ image.affine, indices)
    places = findings.grid.to_index(world_lps)
    assert np.abs(places - np.rint(places)).max() < 0.01
    drawn = np.zeros(findings.grid.shape, dtype=np.bool_)
    drawn[tuple(np.rint(places).astype(np.intp).T)] = True
    assert int(drawn.sum()) == len(indices)
    return drawn


@pytest.mark.parametrize(
    "of",
    [
        "phantom CT with every sort of finding",
        pytest.param("hippocampus MR", marks=pytest.mark.exhaustive),
        pytest.param("phantom CT without a finding", marks=pytest.mark.exhaustive),
    ],
)
def test_pixelmed_finds_no_fault_in_the_template_of_a_report(
    of: str, pixelmed: Sequence[str], real_images: Callable[[str], Path], tmp_path: Path
) -> None:
    if of == "hippocampus MR":
        name, folder = REAL["MR, cropped"]
        images = _in_order([path for path in sorted((real_images(name) / folder).rglob("*")) if _is_image(path)])
        sources = [dcmread(path, stop_before_pixels=True) for path in images]
        findings = factories.findings(_grid_of(sources))
    else:
        sources = factories.headers(factories.ct_series())
        empty = np.zeros(factories.grid().shape, dtype=np.uint8)
        findings = factories.findings(array=empty) if "without" in of else factories.rich_findings()
    report = tmp_path / "report.dcm"
    report.write_bytes(list(proven(factories.material(sources, findings)).values())[-1])

    assert template_faults(pixelmed, report) == []


@pytest.mark.parametrize("report_class", ["comprehensive 3d", "enhanced"])
def test_readers_of_others_take_a_report_of_every_sort_of_finding(
    report_class: Literal["comprehensive 3d", "enhanced"], outside_tool: Tool, tmp_path: Path
) -> None:
    material = factories.material(
        factories.headers(factories.ct_series()), factories.rich_findings(), profile=Profile(report=report_class)
    )
    report = tmp_path / "report.dcm"
    report.write_bytes(list(proven(material).values())[-1])
    told = tmp_path / "report.json"
    command = [outside_tool("tid1500reader"), "--inputDICOM", str(report), "--outputMetadata", str(told)]

    assert faults(outside_tool("dciodvfy"), report) + faults(outside_tool("dsrdump"), report) == []
    if report_class == "comprehensive 3d":  # dcmqi reads no other
        subprocess.run(command, capture_output=True, text=True, check=True)
        liver = json.loads(told.read_text())["Measurements"][0]["measurementItems"]
        assert [item["quantity"]["CodeMeaning"] for item in liver] == [
            "Volume",
            "Long Axis",
            "Diameter",
            "Attenuation Coefficient",
            "Attenuation Coefficient",
            "Probability",
        ]
        due = factories.rich_findings().regions[0]
        assert [float(item["value"]) for item in liver[1:5]] == pytest.approx(
            [measured.value for measured in due.measurements], rel=1e-5
        )


def test_frames_lie_on_the_images_within_a_micrometre(case: Case) -> None:
    positions = {reference(image): np.array(image.ImagePositionPatient, dtype=float) for image in case.sources}

    drawn = list(frames(decode(case.segmentation.read_bytes())))

    assert max(np.abs(frame.position_mm - positions[frame.source]).max() for frame in drawn) < 0.001


def test_every_object_is_proven(case: Case) -> None:
    objects = proven(factories.material(case.sources, case.findings))

    assert list(objects.values()) == [case.segmentation.read_bytes(), case.report.read_bytes()]
