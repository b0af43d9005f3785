"""Every form of the Segmentation: what is written, what is read back, and the mutations that the proof catches."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, RLELossless

from models.findings import Findings
from service.core.errors import Unproven
from service.core.profiles import Profile
from service.derived import segmentation, segmentation_proof
from service.derived.catalogue import proven
from service.derived.encoding import decode, encode
from service.derived.frames import frames
from tests import factories

FORMS = factories.SEGMENTATION_FORMS
GRID = factories.grid("oblique", shape=(12, 41, 31), spacing_mm=(2.5, 0.8, 1.1))
SOURCES = factories.headers(factories.ct_series(GRID))
LAYERED = factories.layered(GRID)
LABEL_MAP = FORMS["label map"]


def _objects(findings: Findings, profile: Profile = LABEL_MAP, sources: Sequence[Dataset] = SOURCES) -> list[Dataset]:
    """As read back from bytes, not proven."""
    built = segmentation.build(factories.material(sources, findings, profile=profile), {})
    return [decode(encode(dataset)) for dataset in built]


def _drawn(objects: Sequence[Dataset]) -> dict[int, NDArray[np.bool_]]:
    """The masks of all segments, on the planes that have a frame and elsewhere nothing."""
    places = {source.SOPInstanceUID: index for index, source in enumerate(SOURCES)}
    drawn: dict[int, NDArray[np.bool_]] = {}
    for frame in (frame for each in objects for frame in frames(each)):
        if frame.segment_number:
            mask = drawn.setdefault(frame.segment_number, np.zeros(GRID.shape, dtype=np.bool_))
            mask[places[frame.source.sop_instance_uid]] = frame.pixels
    return drawn


@pytest.mark.parametrize("profile", FORMS.values(), ids=FORMS.keys())
@pytest.mark.parametrize("findings", [factories.findings(GRID), LAYERED], ids=["one layer", "two layers"])
def test_every_form_is_proven_and_holds_every_region_voxel_for_voxel(findings: Findings, profile: Profile) -> None:
    objects = [decode(encoded) for encoded in proven(factories.material(SOURCES, findings, profile=profile)).values()]

    drawn = _drawn(objects)

    assert list(drawn) == list(range(1, len(findings.found) + 1))
    for number, region in enumerate(findings.found, start=1):
        assert np.array_equal(drawn[number], findings.mask(region))


@pytest.mark.parametrize("profile", FORMS.values(), ids=FORMS.keys())
def test_made_again_it_is_the_same_to_the_byte(profile: Profile) -> None:
    first, second = (proven(factories.material(SOURCES, LAYERED, profile=profile)) for _ in range(2))

    assert first == second


def test_each_form_has_names_of_its_own() -> None:
    uids = [_objects(LAYERED, profile)[0].SOPInstanceUID for profile in FORMS.values()]

    assert len(set(uids)) == len(FORMS)


@pytest.mark.parametrize(
    ("name", "syntax", "frame_count"),
    [
        ("binary", ExplicitVRLittleEndian, 14),
        ("binary, deflated", DeflatedExplicitVRLittleEndian, 14),
        ("binary, with empty frames", ExplicitVRLittleEndian, 24),
        ("label map", ExplicitVRLittleEndian, 7),
        ("label map, RLE", RLELossless, 7),
        ("label map, deflated", DeflatedExplicitVRLittleEndian, 7),
        ("label map, with empty frames", ExplicitVRLittleEndian, 12),
    ],
)
def test_syntax_and_number_of_frames_are_what_the_profile_says(name: str, syntax: str, frame_count: int) -> None:
    (dataset,) = _objects(factories.findings(GRID), FORMS[name])

    assert (dataset.file_meta.TransferSyntaxUID, dataset.NumberOfFrames) == (syntax, frame_count)


def test_what_overlaps_is_one_binary_segmentation_that_says_so() -> None:
    (dataset,) = _objects(LAYERED, FORMS["binary"])

    assert [int(item.SegmentNumber) for item in dataset.SegmentSequence] == [1, 2, 3, 4]
    assert dataset.SegmentsOverlap == "YES"


def test_what_overlaps_is_one_label_map_for_each_layer_in_a_series_of_its_own_with_numbers_unique_in_all() -> None:
    objects = _objects(LAYERED)

    assert [[int(item.SegmentNumber) for item in each.SegmentSequence] for each in objects] == [[0, 1, 2], [0, 3, 4]]
    assert [each.SegmentsOverlap for each in objects] == ["NO", "NO"]
    assert len({each.SeriesInstanceUID for each in objects}) == len({each.SOPInstanceUID for each in objects}) == 2
    assert objects[1].SeriesDescription == "AI abdomen 1.0.0 layer 1"


@pytest.mark.parametrize("profile", [FORMS["binary"], FORMS["label map, RLE"]], ids=["binary", "label map, RLE"])
def test_as_many_segments_as_a_layer_has_numbers_are_each_where_they_were_found(profile: Profile) -> None:
    count = 255
    array = np.random.default_rng(3).integers(0, count + 1, GRID.shape).astype(np.uint8)
    names = [factories.LABELS[2].model_copy(update={"value": n, "name": f"Organ {n}"}) for n in range(1, count + 1)]
    findings = factories.findings(GRID, array, names)

    drawn = _drawn([decode(each) for each in proven(factories.material(SOURCES, findings, profile=profile)).values()])

    assert all(np.array_equal(drawn[number], array == number) for number in range(1, count + 1))


def _swap_groups(objects: list[Dataset]) -> None:
    groups = objects[0].PerFrameFunctionalGroupsSequence
    groups[0], groups[-1] = groups[-1], groups[0]


def _swap_spacing(objects: list[Dataset]) -> None:
    objects[0].SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing = [1.1, 0.8]


def _change_last_pixel(objects: list[Dataset]) -> None:
    pixels = bytearray(objects[-1].PixelData)
    pixels[100] ^= 1
    objects[-1].PixelData = bytes(pixels)


def _drop_a_layer(objects: list[Dataset]) -> None:
    del objects[1]


def _put_both_in_one_series(objects: list[Dataset]) -> None:
    objects[1].SeriesInstanceUID = objects[0].SeriesInstanceUID


def _forget_a_frame(objects: list[Dataset]) -> None:
    last = objects[-1]
    del last.PerFrameFunctionalGroupsSequence[-1]
    last.NumberOfFrames -= 1
    if last.SegmentationType == "LABELMAP":
        size = int(last.Rows) * int(last.Columns)
        pixels = last.PixelData[: size * int(last.NumberOfFrames)]
        last.PixelData = pixels + b"\0" * (len(pixels) % 2)
    else:
        bits = int(last.Rows) * int(last.Columns) * int(last.NumberOfFrames)
        last.PixelData = last.PixelData[: (bits + 15) // 16 * 2]


def _set(keyword: str, value: str) -> Callable[[list[Dataset]], None]:
    return lambda objects: setattr(objects[-1], keyword, value)


CHANGES: dict[str, tuple[Callable[[list[Dataset]], None], str]] = {
    "two frames exchanged": (_swap_groups, "differ"),
    "spacing of rows and columns exchanged": (_swap_spacing, "pixel spacing"),
    "one pixel": (_change_last_pixel, "differ|described"),
    "a frame forgotten": (_forget_a_frame, "left out|slices with a frame"),
    "other frame of reference": (_set("FrameOfReferenceUID", "2.25.9"), "FrameOfReferenceUID"),
    "other patient": (_set("PatientID", "SOMEBODY"), "PatientID"),
    "other kind": (_set("SegmentationType", "FRACTIONAL"), "SegmentationType"),
}
OF_LAYERS = {
    "a layer dropped": (_drop_a_layer, "number of segmentations"),
    "both layers in one series": (_put_both_in_one_series, "series of segmentations"),
    "layers exchanged": (list[Dataset].reverse, "segments"),
}


def _prove(objects: Sequence[Dataset], profile: Profile) -> None:
    segmentation_proof.prove(objects, factories.material(SOURCES, LAYERED, profile=profile), {})


@pytest.mark.parametrize("form", ["binary", "label map"])
@pytest.mark.parametrize(("change", "sentence"), CHANGES.values(), ids=CHANGES.keys())
def test_a_change_of_either_form_is_caught(form: str, change: Callable[[list[Dataset]], None], sentence: str) -> None:
    objects = _objects(LAYERED, FORMS[form])
    change(objects)

    with pytest.raises(Unproven, match=sentence):
        _prove([decode(encode(each)) for each in objects], FORMS[form])


@pytest.mark.parametrize(("change", "sentence"), OF_LAYERS.values(), ids=OF_LAYERS.keys())
def test_a_change_of_layers_is_caught(change: Callable[[list[Dataset]], None], sentence: str) -> None:
    objects = _objects(LAYERED)
    change(objects)

    with pytest.raises(Unproven, match=sentence):
        _prove(objects, LABEL_MAP)


def _moved(move: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]) -> Findings:
    """The layered findings, drawn elsewhere."""
    array = LAYERED.layers[0].labels.copy()
    lesions = LAYERED.layers[1].labels
    array[lesions > 0] = 4
    return factories.findings(GRID, np.ascontiguousarray(move(array)), factories.LAYERED)


MOVES: dict[str, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    "flip of slices": lambda array: array[::-1],
    "flip of rows": lambda array: array[:, ::-1],
    "flip of columns": lambda array: array[:, :, ::-1],
    "shift by one slice": lambda array: np.roll(array, 1, axis=0),
    "shift by one row": lambda array: np.roll(array, 1, axis=1),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES.keys())
def test_a_flip_and_a_shift_are_caught_in_every_form(
    form: str, move: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
) -> None:
    objects = _objects(_moved(move), FORMS[form])

    with pytest.raises(Unproven, match="differ"):
        _prove(objects, FORMS[form])


@pytest.mark.parametrize("form", FORMS)
def test_sources_in_reverse_are_caught_in_every_form(form: str) -> None:
    objects = _objects(LAYERED, FORMS[form], SOURCES[::-1])

    with pytest.raises(Unproven, match="differ"):
        _prove(objects, FORMS[form])


def test_empty_frames_that_nobody_asked_for_are_caught() -> None:
    objects = _objects(LAYERED, FORMS["binary, with empty frames"])

    with pytest.raises(Unproven, match="without a voxel"):
        _prove(objects, FORMS["binary"])


def test_empty_frames_that_are_missing_are_caught() -> None:
    objects = _objects(LAYERED, FORMS["label map"])

    with pytest.raises(Unproven, match="slices with a frame"):
        _prove(objects, FORMS["label map, with empty frames"])
