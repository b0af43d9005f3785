"""Heat maps as fractional segmentations, and mutations of every kind that the proof has to catch."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, RLELossless

from models.findings import Findings, HeatMap
from models.regions import on_planes
from models.volume import Grid
from service.core.errors import Broken, Unproven
from service.core.profiles import Profile
from service.derived import heat_map, heat_map_proof
from service.derived.encoding import decode, encode
from service.derived.material import Material
from tests import factories

SIDE = 44  # square, so that what is transposed fits
SOURCES = factories.headers([factories.dx_image(SIDE, SIDE)])
FINDINGS = factories.radiograph_findings(SOURCES[0])
GRID = factories.grid("oblique")


def written(made_of: Material) -> Dataset:
    (drawn,) = heat_map.build(made_of, {})
    return decode(encode(drawn))


def material(findings: Findings = FINDINGS, sources: Sequence[Dataset] = SOURCES, **form: object) -> Material:
    return factories.material(sources, findings, profile=Profile.model_validate(form))


def prove(drawn: Dataset, made_of: Material) -> None:
    heat_map_proof.prove([drawn], made_of, {})


def with_first(values: NDArray[np.float32]) -> Findings:
    """The findings with another first heat map."""
    first, *others = FINDINGS.heat_maps
    return replace(FINDINGS, heat_maps=(replace(first, values=np.ascontiguousarray(values)), *others))


def of_a_volume(values: NDArray[np.float32] | None = None, on: Grid = GRID) -> Findings:
    values = factories.heat(on.shape) if values is None else values
    return replace(factories.findings(on), heat_maps=(HeatMap(factories.PNEUMONIA, values),))


@pytest.mark.parametrize("image", [factories.dx_image, factories.cr_image], ids=["DX", "CR"])
def test_a_radiograph_has_one_frame_for_each_heat_map_and_no_frame_of_reference(image: Callable[[], Dataset]) -> None:
    sources = factories.headers([image()])
    made_of = material(factories.radiograph_findings(sources[0]), sources)
    drawn = written(made_of)
    prove(drawn, made_of)
    assert (drawn.NumberOfFrames, drawn.SegmentationType) == (2, "FRACTIONAL")
    assert "FrameOfReferenceUID" not in drawn
    assert list(drawn.PatientOrientation) == ["L", "F"]


@pytest.mark.parametrize(
    ("form", "syntax"),
    [
        pytest.param({}, ExplicitVRLittleEndian, id="none"),
        pytest.param({"compression": "rle", "segmentation": "labelmap"}, RLELossless, id="rle"),
        pytest.param({"compression": "deflate"}, DeflatedExplicitVRLittleEndian, id="deflate"),
    ],
)
def test_compression_changes_the_syntax_and_no_value(form: dict[str, str], syntax: UID) -> None:
    made_of = factories.material(SOURCES, FINDINGS, profile=Profile.model_validate(form))
    usual, drawn = written(material()), written(made_of)
    prove(drawn, made_of)
    assert drawn.file_meta.TransferSyntaxUID == syntax
    assert np.array_equal(drawn.pixel_array, usual.pixel_array)


@pytest.mark.parametrize("compression", ["none", "rle"])
def test_what_is_made_again_has_the_same_bytes(compression: str) -> None:
    made_of = material(compression=compression, segmentation="labelmap")
    once, again = (encode(heat_map.build(made_of, {})[0]) for _ in range(2))
    assert once == again


def test_a_heat_map_of_nothing_is_sent_as_such() -> None:
    nothing = with_first(np.zeros((SIDE, SIDE), dtype=np.float32))
    drawn = written(material(nothing))
    prove(drawn, material(nothing))
    assert not drawn.pixel_array[0].any()


def test_a_heat_map_of_a_volume_lies_on_its_planes() -> None:
    sources, findings = factories.headers(factories.ct_series(GRID)), of_a_volume()
    drawn = written(material(findings, sources))
    prove(drawn, material(findings, sources))
    assert drawn.FrameOfReferenceUID == sources[0].FrameOfReferenceUID
    assert drawn.NumberOfFrames == GRID.shape[0]


@pytest.mark.parametrize(("empty_frames", "frames"), [(False, 9), (True, 12)])
def test_planes_without_evidence_have_a_frame_where_the_destination_wants_it(empty_frames: bool, frames: int) -> None:
    values = factories.heat(GRID.shape)
    values[4:7] = 0.0
    sources, findings = factories.headers(factories.ct_series(GRID)), of_a_volume(values)
    drawn = written(material(findings, sources, empty_frames=empty_frames))
    prove(drawn, material(findings, sources, empty_frames=empty_frames))
    assert drawn.NumberOfFrames == frames


def test_unevenly_spaced_planes_show_the_heat_map_where_they_lie() -> None:
    places = (0.0, 1.0, 2.0, 4.0, 7.0, 11.0)
    sources = [factories.headers(factories.ct_series(GRID))[int(place)] for place in places]
    findings = on_planes(of_a_volume(), places)
    drawn = written(material(findings, sources))
    prove(drawn, material(findings, sources))
    assert drawn.NumberOfFrames == len(places)


def test_a_frame_of_a_multi_frame_image_is_named_by_its_number() -> None:
    source = factories.headers(SOURCES)[0]
    source.ReferencedFrameNumber = 2
    drawn = written(material(sources=[source]))
    prove(drawn, material(sources=[source]))
    image = drawn.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence[0].SourceImageSequence[0]
    assert (image.ReferencedSOPInstanceUID, image.ReferencedFrameNumber) == (source.SOPInstanceUID, 2)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        pytest.param(np.zeros((SIDE, SIDE - 1)), "has shape", id="another size"),
        pytest.param(np.full((SIDE, SIDE), 1.1), "not from 0 to 1", id="above 1"),
        pytest.param(np.full((SIDE, SIDE), -0.1), "not from 0 to 1", id="below 0"),
        pytest.param(np.full((SIDE, SIDE), np.nan), "not from 0 to 1", id="no number"),
    ],
)
def test_what_is_no_heat_map_of_its_image_is_refused(values: NDArray[np.float64], sentence: str) -> None:
    with pytest.raises(Broken, match=sentence):
        heat_map.build(material(with_first(values.astype(np.float32))), {})


FIRST = FINDINGS.heat_maps[0].values


def _two_steps_off(drawn: Dataset) -> None:
    pixels = bytearray(drawn.PixelData)
    pixels[1000] ^= 2
    drawn.PixelData = bytes(pixels)


def _on_another_image(drawn: Dataset) -> None:
    source = drawn.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence[0].SourceImageSequence[0]
    source.ReferencedSOPInstanceUID = "2.25.7"


def _exchange_frames(drawn: Dataset) -> None:
    groups = drawn.PerFrameFunctionalGroupsSequence
    groups[0], groups[1] = groups[1], groups[0]


def _first_frame_twice(drawn: Dataset) -> None:
    groups = drawn.PerFrameFunctionalGroupsSequence
    groups[1] = groups[0]


def _drop_last_frame(drawn: Dataset) -> None:
    drawn.NumberOfFrames = 1
    del drawn.PerFrameFunctionalGroupsSequence[1]
    drawn.PixelData = drawn.PixelData[: SIDE * SIDE]


CHANGED_VALUES = {
    "flipped left to right": FIRST[:, ::-1],
    "flipped up and down": FIRST[::-1],
    "transposed": FIRST.T,
    "shifted by one column": np.roll(FIRST, 1, axis=1),
    "half a percent more": np.minimum(FIRST + 0.005, 1.0),
}
CHANGED_OBJECTS: dict[str, tuple[Callable[[Dataset], object], str]] = {
    "one value": (_two_steps_off, "how many differ: the object says 1"),
    "on another image": (_on_another_image, r"source of frame 1: 2\.25\.7"),
    "two frames exchanged": (_exchange_frames, "values of frame 1"),
    "one frame twice": (_first_frame_twice, "whether frame 2"),
    "a frame missing": (_drop_last_frame, "values without a frame"),
    "a segment's name": (lambda drawn: setattr(drawn.SegmentSequence[1], "SegmentLabel", "Heart"), "segments"),
    "another tracking UID": (lambda drawn: setattr(drawn.SegmentSequence[0], "TrackingUID", "2.25.3"), "segments"),
    "other patient": (lambda drawn: setattr(drawn, "PatientID", "SOMEBODY"), "PatientID"),
    "other study": (lambda drawn: setattr(drawn, "StudyInstanceUID", "2.25.8"), "StudyInstanceUID"),
    "a frame of reference": (lambda drawn: setattr(drawn, "FrameOfReferenceUID", "2.25.9"), "FrameOfReferenceUID"),
    "turned image": (lambda drawn: setattr(drawn, "PatientOrientation", ["R", "F"]), "PatientOrientation"),
    "occupancy": (lambda drawn: setattr(drawn, "SegmentationFractionalType", "OCCUPANCY"), "form of the fractions"),
    "another scale": (lambda drawn: setattr(drawn, "MaximumFractionalValue", 100), "form of the fractions"),
    "referenced series": (
        lambda drawn: setattr(drawn.ReferencedSeriesSequence[0], "SeriesInstanceUID", "2.25.5"),
        "referenced series",
    ),
}


@pytest.mark.parametrize("values", CHANGED_VALUES.values(), ids=CHANGED_VALUES.keys())
def test_other_values_are_caught(values: NDArray[np.float32]) -> None:
    with pytest.raises(Unproven, match="how many differ"):
        prove(written(material(with_first(values))), material())


@pytest.mark.parametrize(("change", "sentence"), CHANGED_OBJECTS.values(), ids=CHANGED_OBJECTS.keys())
def test_a_changed_object_is_caught(change: Callable[[Dataset], object], sentence: str) -> None:
    drawn = written(material())
    change(drawn)
    with pytest.raises(Unproven, match=sentence):
        prove(drawn, material())


def _turn_plane(drawn: Dataset) -> None:
    orientation = drawn.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]


def _move_frame(drawn: Dataset) -> None:
    drawn.PerFrameFunctionalGroupsSequence[2].PlanePositionSequence[0].ImagePositionPatient[0] += 0.002


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        pytest.param(_move_frame, "ImagePositionPatient of frame 3", id="moved by 2 um"),
        pytest.param(_turn_plane, "ImageOrientationPatient of frame 1", id="turned"),
    ],
)
def test_a_frame_of_a_volume_that_lies_elsewhere_is_caught(change: Callable[[Dataset], None], sentence: str) -> None:
    made_of = material(of_a_volume(), factories.headers(factories.ct_series(GRID)))
    drawn = written(made_of)
    change(drawn)
    with pytest.raises(Unproven, match=sentence):
        prove(drawn, made_of)


def test_slices_in_reverse_are_caught() -> None:
    sources = factories.headers(factories.ct_series(GRID))
    turned = of_a_volume(factories.heat(GRID.shape)[::-1])
    with pytest.raises(Unproven, match="how many differ"):
        prove(written(material(turned, sources)), material(of_a_volume(), sources))
