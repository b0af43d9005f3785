"""Presentation states: what they outline, and mutations that their proof has to catch."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray
from pydicom import Dataset

from service.core.errors import Unproven
from service.derived import presentation, presentation_proof
from service.derived.encoding import encode
from service.derived.material import Material
from service.derived.outlines import outlines
from tests import factories, pictures

GRID = factories.grid("oblique", spacing_mm=(2.5, 0.8, 1.1))
MATERIAL = pictures.volume(GRID)


@given(arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.booleans()))
def test_any_mask_comes_back_from_its_outlines(mask: NDArray[np.bool_]) -> None:
    lines = outlines(mask)

    assert np.array_equal(presentation_proof.filled(lines, mask.shape), mask)
    assert all((line[0] == line[-1]).all() for line in lines)


def test_an_outline_runs_along_the_outer_edges_of_its_pixels() -> None:
    mask = np.zeros((6, 8), dtype=np.bool_)
    mask[2:4, 3:7] = True

    (line,) = outlines(mask)

    assert {tuple(corner) for corner in line.tolist()} == {(3.0, 2.0), (7.0, 2.0), (7.0, 4.0), (3.0, 4.0)}


def test_pixels_that_touch_at_a_corner_are_outlined_apart() -> None:
    assert len(outlines(np.eye(3, dtype=np.bool_))) == 3


@pytest.mark.parametrize("orientation", factories.ORIENTATIONS)
def test_what_is_built_is_proven(orientation: str) -> None:
    material = pictures.volume(factories.grid(orientation))

    presentation_proof.prove(pictures.read_back(presentation.build(material, {})), material, {})


def test_a_radiograph_gets_boxes_points_and_names_in_its_own_pixels() -> None:
    material = pictures.chest()

    (state,) = pictures.read_back(presentation.build(material, {}))

    presentation_proof.prove([state], material, {})
    box, point = state.GraphicAnnotationSequence
    assert list(box.GraphicObjectSequence[0].GraphicData) == [6.5, 30, 20, 30, 20, 50, 6.5, 50, 6.5, 30]
    assert list(point.GraphicObjectSequence[0].GraphicData) == [40, 55]
    assert box.TextObjectSequence[0].UnformattedTextValue == "Pneumonia 87 %"


def test_a_state_is_of_the_images_that_carry_something_alone() -> None:
    (state,) = presentation.build(MATERIAL, {})

    marked = MATERIAL.findings.layers[0].labels.any(axis=(1, 2))
    uids = [item.ReferencedSOPInstanceUID for item in state.ReferencedSeriesSequence[0].ReferencedImageSequence]
    assert uids == [MATERIAL.sources[index].SOPInstanceUID for index in np.flatnonzero(marked).tolist()]


def test_images_of_two_modality_luts_get_two_states() -> None:
    material = pictures.volume(GRID)
    for source in material.sources[6:]:
        source.RescaleSlope = 2

    states = pictures.read_back(presentation.build(material, {}))

    presentation_proof.prove(states, material, {})
    assert [float(state.RescaleSlope) for state in states] == [1, 2]
    assert len({state.SOPInstanceUID for state in states}) == 2


def test_windows_that_differ_are_told_image_by_image() -> None:
    material = pictures.volume(GRID)
    for source in material.sources[6:]:
        source.WindowWidth = 1500

    (state,) = presentation.build(material, {})

    windows = {
        item.ReferencedSOPInstanceUID: float(window.WindowWidth)
        for window in state.SoftcopyVOILUTSequence
        for item in window.ReferencedImageSequence
    }
    expected = {source.SOPInstanceUID: float(source.WindowWidth) for source in material.sources}
    assert windows.items() <= expected.items()
    assert set(windows.values()) == {400, 1500}


def test_an_inverted_image_stays_inverted() -> None:
    material = pictures.chest()
    material.sources[0].PhotometricInterpretation = "MONOCHROME1"

    (state,) = presentation.build(material, {})

    assert state.PresentationLUTShape == "INVERSE"


def test_the_same_material_makes_the_same_bytes() -> None:
    once, again = ([encode(each) for each in presentation.build(MATERIAL, {})] for _ in range(2))

    assert once == again


def _with_labels(array: NDArray[np.uint8]) -> Material:
    return replace(MATERIAL, findings=factories.findings(GRID, np.ascontiguousarray(array)))


LABELS = MATERIAL.findings.layers[0].labels
FROM_OTHER_LABELS = {
    "flip of rows": LABELS[:, ::-1],
    "flip of columns": LABELS[:, :, ::-1],
    "flip of slices": LABELS[::-1],
    "shift by one image": np.roll(LABELS, 1, 0),
    "shift by one pixel": np.roll(LABELS, 1, 2),
    "structures exchanged": np.array([0, 2, 1], dtype=np.uint8)[LABELS],
}


@pytest.mark.parametrize("array", FROM_OTHER_LABELS.values(), ids=FROM_OTHER_LABELS.keys())
def test_outlines_of_other_labels_are_caught(array: NDArray[np.uint8]) -> None:
    states = pictures.read_back(presentation.build(_with_labels(array), {}))

    with pytest.raises(Unproven, match="that differ"):
        presentation_proof.prove(states, MATERIAL, {})


def test_reversed_sources_are_caught() -> None:
    turned = replace(MATERIAL, sources=MATERIAL.sources[::-1])
    states = pictures.read_back(presentation.build(turned, {}))

    with pytest.raises(Unproven, match="pixels of Liver on image"):
        presentation_proof.prove(states, MATERIAL, {})


def _move(dataset: Dataset) -> None:
    graphic = dataset.GraphicAnnotationSequence[0].GraphicObjectSequence[0]
    graphic.GraphicData = [value + 1.0 for value in graphic.GraphicData]


def _open(dataset: Dataset) -> None:
    graphic = dataset.GraphicAnnotationSequence[0].GraphicObjectSequence[0]
    graphic.GraphicData, graphic.NumberOfGraphicPoints = graphic.GraphicData[:-2], graphic.NumberOfGraphicPoints - 1


def _refer_elsewhere(dataset: Dataset) -> None:
    dataset.GraphicAnnotationSequence[0].ReferencedImageSequence[0].ReferencedSOPInstanceUID = "2.25.7"


def _refer_nowhere(dataset: Dataset) -> None:
    del dataset.ReferencedSeriesSequence[0].ReferencedImageSequence[0]


def _exchange_names(dataset: Dataset) -> None:
    first, second = dataset.GraphicLayerSequence
    first.GraphicLayerDescription, second.GraphicLayerDescription = second.GraphicLayerDescription, "Liver"


def _in_display_units(dataset: Dataset) -> None:
    dataset.GraphicAnnotationSequence[0].GraphicObjectSequence[0].GraphicAnnotationUnits = "DISPLAY"


def _unnamed(dataset: Dataset) -> None:
    for annotation in dataset.GraphicAnnotationSequence:
        annotation.pop("TextObjectSequence", None)


MUTATIONS: dict[str, tuple[Callable[[Dataset], object], str]] = {
    "outline moved": (_move, "pixels of Liver on image 2 that differ"),
    "outline open": (_open, "closed"),
    "unknown image": (_refer_elsewhere, "referenced images"),
    "image not referenced": (_refer_nowhere, "referenced images"),
    "names exchanged": (_exchange_names, "name of layer 1"),
    "units of the display": (_in_display_units, "units of a graphic"),
    "no name": (_unnamed, "named once"),
    "other Modality LUT": (lambda dataset: setattr(dataset, "RescaleIntercept", 0), "Modality LUT"),
    "other series": (
        lambda dataset: setattr(dataset.ReferencedSeriesSequence[0], "SeriesInstanceUID", "2.25.5"),
        "referenced series",
    ),
    "other patient": (lambda dataset: setattr(dataset, "PatientID", "SOMEBODY"), "PatientID"),
    "attribute missing": (lambda dataset: dataset.__delattr__("ContentLabel"), "ContentLabel"),
}


@pytest.mark.parametrize(("change", "sentence"), MUTATIONS.values(), ids=MUTATIONS.keys())
def test_a_changed_state_is_caught(change: Callable[[Dataset], object], sentence: str) -> None:
    (state,) = pictures.read_back(presentation.build(MATERIAL, {}))
    change(state)

    with pytest.raises(Unproven, match=sentence):
        presentation_proof.prove([state], MATERIAL, {})


def _shift_box(dataset: Dataset) -> None:
    graphic = dataset.GraphicAnnotationSequence[0].GraphicObjectSequence[0]
    graphic.GraphicData = [value + 0.75 for value in graphic.GraphicData]


def _transpose_box(dataset: Dataset) -> None:
    graphic = dataset.GraphicAnnotationSequence[0].GraphicObjectSequence[0]
    graphic.GraphicData = np.array(graphic.GraphicData).reshape(-1, 2)[:, ::-1].ravel().tolist()


@pytest.mark.parametrize("change", [_shift_box, _transpose_box], ids=["shifted", "rows and columns exchanged"])
def test_a_changed_box_is_caught(change: Callable[[Dataset], None]) -> None:
    material = pictures.chest()
    (state,) = pictures.read_back(presentation.build(material, {}))
    change(state)

    with pytest.raises(Unproven, match="corners of Pneumonia"):
        presentation_proof.prove([state], material, {})


def test_a_missing_state_is_caught() -> None:
    with pytest.raises(Unproven, match="pixels of Liver on image 2 that differ"):
        presentation_proof.prove([], MATERIAL, {})
