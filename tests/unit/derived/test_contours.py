"""Findings as an RT Structure Set, and the mutations that its proof catches."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import ImplicitVRLittleEndian
from skimage.draw import polygon2mask

from models.findings import Findings
from service.core.errors import Unproven
from service.core.profiles import Kind, Profile
from service.derived import contours, contours_proof
from service.derived.catalogue import proven
from service.derived.encoding import decode, encode
from service.derived.rings import rings
from tests import factories

PROFILE = Profile(objects=(Kind.CONTOURS,))
GRID = factories.grid("oblique", spacing_mm=(2.5, 0.8, 1.1))
SOURCES = factories.headers(factories.ct_series(GRID))
FINDINGS = factories.layered(GRID)


def _structure_set(findings: Findings = FINDINGS, sources: Sequence[Dataset] = SOURCES) -> Dataset:
    (built,) = contours.build(factories.material(sources, findings, profile=PROFILE), {})
    return decode(encode(built))


def _prove(structure_set: Dataset) -> None:
    contours_proof.prove([structure_set], factories.material(SOURCES, FINDINGS, profile=PROFILE), {})


def _noise(seed: int) -> NDArray[np.bool_]:
    random = np.random.default_rng(seed)
    return random.random(random.integers(1, 30, 2)) < random.random()


MASKS = {
    "one pixel": np.ones((1, 1), dtype=np.bool_),
    "ring around a hole": np.pad(np.pad(np.zeros((3, 3), dtype=np.bool_), 2, constant_values=True), 1),
    "pixels that touch at corners": np.indices((6, 7)).sum(axis=0) % 2 == 0,
    "up to the border": np.ones((5, 8), dtype=np.bool_),
    "nothing": np.zeros((4, 4), dtype=np.bool_),
    **{f"noise {seed}": _noise(seed) for seed in range(40)},
}


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS.keys())
def test_polygons_enclose_exactly_the_pixels_of_the_mask(mask: NDArray[np.bool_]) -> None:
    ours, theirs = np.zeros_like(mask), np.zeros_like(mask)

    for ring in rings(mask):
        ours ^= contours_proof.filled(ring, mask.shape)
        theirs |= polygon2mask(mask.shape, ring)

    assert np.array_equal(ours, mask)
    assert np.array_equal(theirs, mask)


@pytest.mark.parametrize("orientation", factories.ORIENTATIONS)
@pytest.mark.parametrize("series", [factories.ct_series, factories.mr_series], ids=["CT", "MR"])
def test_what_is_built_is_proven_and_the_same_again(orientation: str, series: Callable[..., list[Dataset]]) -> None:
    grid = factories.grid(orientation, spacing_mm=(2.5, 0.8, 1.1))
    sources = factories.headers(series(grid))

    first, second = (proven(factories.material(sources, factories.layered(grid), profile=PROFILE)) for _ in range(2))

    assert first == second
    assert [decode(encoded).Modality for encoded in first.values()] == ["RTSTRUCT"]


def test_nothing_found_makes_no_structure_set() -> None:
    nothing = factories.findings(GRID, np.zeros(GRID.shape, dtype=np.uint8))

    assert proven(factories.material(SOURCES, nothing, profile=PROFILE)) == {}


def test_every_structure_has_a_name_a_colour_a_code_and_a_type() -> None:
    dataset = _structure_set()

    rois, observed = dataset.StructureSetROISequence, dataset.RTROIObservationsSequence
    assert [roi.ROIName for roi in rois] == ["Liver", "Spleen", "Liver lesion 1", "Liver lesion 2"]
    assert [item.RTROIInterpretedType for item in observed] == ["ORGAN", "ORGAN", "", ""]
    assert observed[0].RTROIIdentificationCodeSequence[0].CodeValue == "10200004"
    assert dataset.ROIContourSequence[0].ROIDisplayColor == [221, 130, 101]


def test_a_contour_longer_than_64_kib_is_written_whole() -> None:
    grid = factories.grid(shape=(1, 120, 120))
    array = np.zeros(grid.shape, dtype=np.uint8)
    array[0, ::2, 1:-1] = array[0, :, 5] = 1
    array[0, :, 1::4] = 1
    comb = factories.findings(grid, array)

    (encoded,) = proven(
        factories.material(factories.headers(factories.ct_series(grid)), comb, profile=PROFILE)
    ).values()

    dataset = decode(encoded)
    (contour,) = dataset.ROIContourSequence[0].ContourSequence
    assert dataset.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
    assert len(contour.get_item("ContourData").value) > 65536


def _first_contour(dataset: Dataset) -> Dataset:
    return dataset.ROIContourSequence[0].ContourSequence[0]


def _move_contour(dataset: Dataset) -> None:
    contour = _first_contour(dataset)
    step = np.tile(GRID.affine[:3, 2], int(contour.NumberOfContourPoints))
    contour.ContourData = [f"{at:.3f}" for at in np.array(contour.ContourData, dtype=float) + step]


def _lift_contour(dataset: Dataset) -> None:
    contour = _first_contour(dataset)
    step = np.tile(0.01 * GRID.normal, int(contour.NumberOfContourPoints))
    contour.ContourData = [f"{at:.3f}" for at in np.array(contour.ContourData, dtype=float) + step]


def _refer_to_next_image(dataset: Dataset) -> None:
    first, second = dataset.ROIContourSequence[0].ContourSequence[:2]
    first.ContourImageSequence = second.ContourImageSequence


def _refer_to_unknown_image(dataset: Dataset) -> None:
    _first_contour(dataset).ContourImageSequence[0].ReferencedSOPInstanceUID = "2.25.7"


def _drop_contour(dataset: Dataset) -> None:
    del dataset.ROIContourSequence[0].ContourSequence[0]


def _exchange_structures(dataset: Dataset) -> None:
    first, second = dataset.ROIContourSequence[:2]
    first.ContourSequence, second.ContourSequence = second.ContourSequence, first.ContourSequence


def _open_contour(dataset: Dataset) -> None:
    _first_contour(dataset).ContourGeometricType = "OPEN_PLANAR"


def _change_frame_of_reference(dataset: Dataset) -> None:
    dataset.StructureSetROISequence[1].ReferencedFrameOfReferenceUID = "2.25.9"


CHANGES: dict[str, tuple[Callable[[Dataset], None], str]] = {
    "moved by a column": (_move_contour, "pixels of slice .* that differ from Liver"),
    "lifted by 10 um": (_lift_contour, "plane of its image"),
    "image of the next slice": (_refer_to_next_image, "plane of its image"),
    "unknown image": (_refer_to_unknown_image, r"2\.25\.7"),
    "contour dropped": (_drop_contour, "differ from Liver"),
    "structures exchanged": (_exchange_structures, "differ from Liver"),
    "not closed": (_open_contour, "ContourGeometricType"),
    "other frame of reference": (_change_frame_of_reference, "frames of reference"),
    "other patient": (lambda dataset: setattr(dataset, "PatientID", "SOMEBODY"), "PatientID"),
    "name of another": (lambda dataset: setattr(dataset.StructureSetROISequence[0], "ROIName", "Spleen"), "structures"),
    "no label": (lambda dataset: setattr(dataset, "StructureSetLabel", ""), "StructureSetLabel"),
}


@pytest.mark.parametrize(("change", "sentence"), CHANGES.values(), ids=CHANGES.keys())
def test_a_changed_structure_set_is_caught(change: Callable[[Dataset], None], sentence: str) -> None:
    structure_set = _structure_set()
    change(structure_set)

    with pytest.raises(Unproven, match=sentence):
        _prove(decode(encode(structure_set)))


@pytest.mark.parametrize("axis", [0, 1, 2], ids=["slices", "rows", "columns"])
def test_a_flip_is_caught(axis: int) -> None:
    array = np.ascontiguousarray(np.flip(factories.labels(GRID), axis))
    flipped = factories.findings(GRID, array, factories.LAYERED)

    with pytest.raises(Unproven):
        _prove(_structure_set(flipped))


def test_contours_of_sources_in_reverse_are_caught() -> None:
    with pytest.raises(Unproven, match="differ"):
        _prove(_structure_set(sources=SOURCES[::-1]))
