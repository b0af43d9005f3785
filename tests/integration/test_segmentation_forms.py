"""Every form of the Segmentation, RT Structure Sets and models before the validators and readers of other makers."""

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import highdicom
import nibabel
import numpy as np
import pytest
from nibabel.affines import apply_affine
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, SegmentationStorage

from models.findings import Findings
from models.volume import Grid
from service.core.entities import Stack
from service.core.profiles import Kind, Profile
from service.core.stacking import split
from service.derived.catalogue import proven
from service.derived.encoding import encode
from service.edge.part10 import read_frame_headers, read_instance
from tests import factories
from tests.validators import OF_LABEL_MAP, faults

Tool = Callable[[str], str]

FORMS = factories.SEGMENTATION_FORMS


def _many(grid: Grid, count: int) -> Findings:
    """Blocks side by side, each of a size of its own."""
    array = np.zeros(grid.shape, dtype=np.uint8)
    for number in range(1, count + 1):
        row, column = divmod(number - 1, 11)
        top, left = 1 + row * 3, 2 + column * 3
        array[1 + number % 3 : grid.shape[0] - 1 - number % 4, top : top + 3, left : left + 2 + number % 2] = number
    names = [factories.LABELS[2].model_copy(update={"value": n, "name": f"Organ {n}"}) for n in range(1, count + 1)]
    return factories.findings(grid, array, names)


MAKERS: dict[str, tuple[str, Callable[[Grid], Findings]]] = {
    **{f"two lesions, {name}": (name, factories.layered) for name in factories.ORIENTATIONS},
    "1 segment": ("oblique", partial(_many, count=1)),
    "5 segments": ("coronal", partial(_many, count=5)),
    "20 segments": ("sagittal", partial(_many, count=20)),
    "104 segments": ("axial reversed", partial(_many, count=104)),
}


@dataclass(frozen=True, slots=True, eq=False)
class Written:
    """What was made of findings on a series that arrived in any order."""

    findings: Findings
    images: list[Path]
    sources: list[Dataset]
    objects: list[Path]


def _written(images: list[Path], make: Callable[[Grid], Findings], profile: Profile, folder: Path) -> Written:
    (stack,) = split([read_instance(path) for path in images])
    assert isinstance(stack, Stack)
    path_of = {str(dcmread(path, stop_before_pixels=True).SOPInstanceUID): path for path in images}
    sources = read_frame_headers([(path_of[each.reference.sop_instance_uid], each.reference) for each in stack.slices])
    findings = make(stack.grid)
    return Written(findings, images, sources, _objects(sources, findings, profile, folder))


def _arrived(grid: Grid, folder: Path) -> list[Path]:
    """A synthetic series whose files came in any order."""
    series = factories.ct_series(grid)
    order = np.random.default_rng(5).permutation(len(series))
    return [_file(folder / f"image{number}.dcm", series[index]) for number, index in enumerate(order)]


def _objects(sources: Sequence[Dataset], findings: Findings, profile: Profile, folder: Path) -> list[Path]:
    encoded = proven(factories.material(sources, findings, profile=profile)).values()
    paths = [folder / f"object{number}.dcm" for number in range(len(encoded))]
    for path, each in zip(paths, encoded, strict=True):
        path.write_bytes(each)
    return paths


def _file(path: Path, dataset: Dataset) -> Path:
    path.write_bytes(encode(dataset))
    return path


OFTEN = {"binary", "label map, RLE", "fractional, RLE"}  # of every finding; the other forms of one


def _cases() -> list[object]:
    every = [(name, form) for name in MAKERS for form in FORMS]
    chosen = {(name, form) for name, form in every if form in OFTEN or name == "two lesions, oblique"}
    marks = {True: [], False: [pytest.mark.exhaustive]}
    return [pytest.param(case, marks=marks[case in chosen], id=", as ".join(case)) for case in every]


@pytest.fixture(params=_cases())
def written(request: pytest.FixtureRequest, tmp_path: Path) -> Written:
    name, form = request.param
    orientation, make = MAKERS[name]
    grid = factories.grid(orientation, shape=(9, 41, 37), spacing_mm=(2.5, 0.8, 1.1))
    return _written(_arrived(grid, tmp_path), make, FORMS[form], tmp_path)


def _numbers(segmentation: Path) -> list[int]:
    described = dcmread(segmentation).SegmentSequence
    return [int(item.SegmentNumber) for item in described if int(item.SegmentNumber)]


def test_dcmqi_highdicom_and_pydicom_read_the_same_masks_voxel_for_voxel(written: Written, outside_tool: Tool) -> None:
    expected = {number: written.findings.mask(region) for number, region in enumerate(written.findings.found, start=1)}

    for reader in (_by_dcmqi(outside_tool), _by_highdicom, _by_pydicom):
        read = {number: mask for path in written.objects for number, mask in reader(path, written).items()}
        wrong = [number for number, mask in expected.items() if not np.array_equal(read[number], mask)]
        assert (reader.__name__, sorted(read), wrong) == (reader.__name__, list(expected), [])


def _by_pydicom(path: Path, written: Written) -> dict[int, NDArray[np.bool_]]:
    dataset = dcmread(path)
    index_of = {source.SOPInstanceUID: index for index, source in enumerate(written.sources)}
    read = {number: np.zeros(written.findings.grid.shape, dtype=np.bool_) for number in _numbers(path)}
    frames = dataset.pixel_array.reshape(-1, int(dataset.Rows), int(dataset.Columns))
    shared = dataset.SharedFunctionalGroupsSequence[0]
    for group, pixels in zip(dataset.PerFrameFunctionalGroupsSequence, frames, strict=True):
        image = group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        if dataset.SegmentationType == "LABELMAP":
            for number, mask in read.items():
                mask[index_of[image]] = pixels == number
        else:
            identified = group if "SegmentIdentificationSequence" in group else shared
            number = identified.SegmentIdentificationSequence[0].ReferencedSegmentNumber
            read[number][index_of[image]] = pixels > 0
    return read


def _by_highdicom(path: Path, written: Written) -> dict[int, NDArray[np.bool_]]:
    dataset = dcmread(path)
    if dataset.file_meta.TransferSyntaxUID == DeflatedExplicitVRLittleEndian:
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian  # highdicom knows no deflated files
    segmentation = highdicom.seg.Segmentation.from_dataset(dataset, copy=False)
    pixels = segmentation.get_pixels_by_source_instance(
        [source.SOPInstanceUID for source in written.sources],
        assert_missing_frames_are_empty=True,
        segment_numbers=_numbers(path),
    )
    return {number: pixels[..., place] == 1 for place, number in enumerate(_numbers(path))}


def _by_dcmqi(outside_tool: Tool) -> Callable[[Path, Written], dict[int, NDArray[np.bool_]]]:
    program = outside_tool("segimage2itkimage")

    def dcmqi(path: Path, written: Written) -> dict[int, NDArray[np.bool_]]:
        target = path.with_suffix("")
        target.mkdir()
        command = [program, "--inputDICOM", str(path), "--outputDirectory", str(target), "-t", "nii"]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "ERROR" not in run.stdout + run.stderr
        if dcmread(path).SegmentationType == "LABELMAP":  # one file of segment numbers
            return {number: _placed(target / "1.nii.gz", number, written.findings.grid) for number in _numbers(path)}
        return {number: _placed(target / f"{number}.nii.gz", None, written.findings.grid) for number in _numbers(path)}

    return dcmqi


def _placed(path: Path, number: int | None, grid: Grid) -> NDArray[np.bool_]:
    """Voxels of a NIfTI (RAS mm), all or of one number, at indices of the grid where they lie in the patient."""
    image = nibabel.load(path)
    values = np.asarray(image.dataobj)
    indices = np.argwhere(values > 0 if number is None else values == number)
    places = grid.to_index(apply_affine(np.diag((-1.0, -1.0, 1.0, 1.0)) @ image.affine, indices))
    assert np.abs(places - np.rint(places)).max() < 0.01
    drawn = np.zeros(grid.shape, dtype=np.bool_)
    drawn[tuple(np.rint(places).astype(np.intp).T)] = True
    return drawn


def _for_dciodvfy(path: Path) -> Path:
    """A copy that dciodvfy can read: it cannot inflate, and takes a LABELMAP for no object at all."""
    dataset = dcmread(path)
    if dataset.file_meta.TransferSyntaxUID == DeflatedExplicitVRLittleEndian:
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    if dataset.SegmentationType == "LABELMAP":
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = SegmentationStorage
    return _file(path.with_suffix(".seen.dcm"), dataset)


def test_the_validators_find_no_fault_in_any_form(written: Written, outside_tool: Tool) -> None:
    seen = [_for_dciodvfy(path) for path in written.objects]
    about_the_images_alone = set(faults(outside_tool("dcentvfy"), *written.images))

    found = [line for path in seen for line in faults(outside_tool("dciodvfy"), path)]

    if dcmread(seen[0]).SegmentationType == "LABELMAP":
        found = [line for line in found if not any(known in line for known in OF_LABEL_MAP)]
    assert found == []
    assert set(faults(outside_tool("dcentvfy"), *written.images, *seen)) <= about_the_images_alone


@pytest.fixture(params=["phantom", "cropped MR"])
def series(request: pytest.FixtureRequest, tmp_path: Path, real_images: Callable[[str], Path]) -> Written:
    """A synthetic CT, and a real MR that was cropped."""
    profile = Profile(objects=(Kind.CONTOURS, Kind.SURFACE))
    if request.param == "phantom":
        images = _arrived(factories.grid("oblique", spacing_mm=(2.5, 0.8, 1.1)), tmp_path)
    else:
        folder = real_images("hippocampus_dicom") / "Study3_PGBM-003" / "11_HCropVolume"
        images = sorted(path for path in folder.rglob("*") if path.is_file())
    return _written(images, factories.layered, profile, tmp_path)


def test_the_validators_find_no_fault_in_contours_and_models(series: Written, outside_tool: Tool) -> None:
    about_the_images_alone = set(faults(outside_tool("dcentvfy"), *series.images))

    found = {path.name: faults(outside_tool("dciodvfy"), path) for path in series.objects}

    assert found == {path.name: [] for path in series.objects}
    assert [dcmread(path).Modality for path in series.objects] == ["RTSTRUCT", "M3D", "M3D", "M3D", "M3D"]
    assert set(faults(outside_tool("dcentvfy"), *series.images, *series.objects)) <= about_the_images_alone


def test_dcmtk_reads_the_structure_set(series: Written, outside_tool: Tool) -> None:
    run = subprocess.run([outside_tool("drtdump"), str(series.objects[0])], capture_output=True, text=True, check=True)

    assert "RT Structure Set object" in run.stdout
    assert run.stderr == ""
