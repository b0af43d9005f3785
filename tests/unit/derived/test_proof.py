"""Mutations of every kind, each of which a proof has to catch."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset

from models.findings import Findings
from models.terms import Span
from models.volume import Grid, LabelMap
from service.core.errors import Unproven
from service.core.profiles import Kind
from service.derived import measurement_report, report_proof, segmentation, segmentation_proof
from service.derived.catalogue import proven
from service.derived.encoding import decode, encode
from tests import factories

GRID = factories.grid("oblique", spacing_mm=(2.5, 0.8, 1.1))
FINDINGS = factories.findings(GRID)
SOURCES = factories.headers(factories.ct_series(GRID))


def _drawn(sources: Sequence[Dataset] = SOURCES, findings: Findings = FINDINGS) -> bytes:
    (drawn,) = segmentation.build(factories.material(sources, findings), {})
    return encode(drawn)


def _measured(drawn: bytes, findings: Findings = FINDINGS) -> bytes:
    (report,) = measurement_report.build(factories.material(SOURCES, findings), {Kind.SEGMENTATION: [decode(drawn)]})
    return encode(report)


def prove_segmentation(encoded: bytes, sources: Sequence[Dataset], findings: Findings) -> None:
    segmentation_proof.prove([decode(encoded)], factories.material(sources, findings), {})


def prove_report(encoded: bytes, drawn: bytes | None, sources: Sequence[Dataset], findings: Findings) -> None:
    made = {} if drawn is None else {Kind.SEGMENTATION: [decode(drawn)]}
    report_proof.prove([decode(encoded)], factories.material(sources, findings), made)


def _changed(encoded: bytes, change: Callable[[Dataset], object]) -> bytes:
    dataset = decode(encoded)
    change(dataset)
    return encode(dataset)


def _with_labels(array: NDArray[np.uint8]) -> Findings:
    return factories.findings(GRID, np.ascontiguousarray(array))


def _swap_frames(dataset: Dataset) -> None:
    groups = dataset.PerFrameFunctionalGroupsSequence
    groups[0], groups[1] = groups[1], groups[0]


def _move_frame(dataset: Dataset) -> None:
    plane = dataset.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0]
    plane.ImagePositionPatient[2] += 0.002


def _set_shared(sequence: str, keyword: str, value: list[float]) -> Callable[[Dataset], object]:
    return lambda dataset: setattr(dataset.SharedFunctionalGroupsSequence[0][sequence][0], keyword, value)


def _point_frame_elsewhere(dataset: Dataset) -> None:
    group = dataset.PerFrameFunctionalGroupsSequence[0]
    group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID = "2.25.7"


def _flip_a_bit(dataset: Dataset) -> None:
    pixels = bytearray(dataset.PixelData)
    pixels[100] ^= 4
    dataset.PixelData = bytes(pixels)


def _drop_last_frame(dataset: Dataset) -> None:
    dataset.NumberOfFrames = int(dataset.NumberOfFrames) - 1


def _repeat_a_frame(dataset: Dataset) -> None:
    size = int(dataset.Rows) * int(dataset.Columns) // 8
    dataset.PerFrameFunctionalGroupsSequence[1] = dataset.PerFrameFunctionalGroupsSequence[0]
    dataset.PixelData = dataset.PixelData[:size] * 2 + dataset.PixelData[2 * size :]


SEGMENTATIONS = {
    "flip of rows": (lambda: _drawn(findings=_with_labels(FINDINGS.layers[0].labels[:, ::-1])), "differ"),
    "flip of columns": (lambda: _drawn(findings=_with_labels(FINDINGS.layers[0].labels[:, :, ::-1])), "differ"),
    "flip of slices": (lambda: _drawn(findings=_with_labels(FINDINGS.layers[0].labels[::-1])), "differ"),
    "shift by one slice": (lambda: _drawn(findings=_with_labels(np.roll(FINDINGS.layers[0].labels, 1, 0))), "differ"),
    "shift by one column": (lambda: _drawn(findings=_with_labels(np.roll(FINDINGS.layers[0].labels, 1, 2))), "differ"),
    "sources in reverse": (lambda: _drawn(sources=SOURCES[::-1]), "differ"),
    "two structures exchanged": (lambda: _changed(_drawn(), _exchange_segments), "segments"),
    "two frames exchanged": (lambda: _changed(_drawn(), _swap_frames), "differ"),
    "one voxel": (lambda: _changed(_drawn(), _flip_a_bit), "differ"),
    "last frame dropped": (lambda: _changed(_drawn(), _drop_last_frame), "number of frames"),
    "one frame twice": (lambda: _changed(_drawn(), _repeat_a_frame), "repeats"),
    "frame moved by 2 um": (lambda: _changed(_drawn(), _move_frame), "position of frame"),
    "frame of an unknown image": (lambda: _changed(_drawn(), _point_frame_elsewhere), "source of frame 1: 2.25.7"),
    "other orientation": (
        lambda: _changed(
            _drawn(), _set_shared("PlaneOrientationSequence", "ImageOrientationPatient", [1, 0, 0, 0, 1, 0])
        ),
        "orientation of frame",
    ),
    "spacing of rows and columns exchanged": (
        lambda: _changed(_drawn(), _set_shared("PixelMeasuresSequence", "PixelSpacing", [1.1, 0.8])),
        "pixel spacing",
    ),
    "other frame of reference": (
        lambda: _changed(_drawn(), lambda dataset: setattr(dataset, "FrameOfReferenceUID", "2.25.9")),
        r"FrameOfReferenceUID: the object says '2\.25\.9'",
    ),
    "other study": (
        lambda: _changed(_drawn(), lambda dataset: setattr(dataset, "StudyInstanceUID", "2.25.8")),
        "StudyInstanceUID",
    ),
    "other patient": (
        lambda: _changed(_drawn(), lambda dataset: setattr(dataset, "PatientID", "SOMEBODY")),
        "PatientID",
    ),
    "mandatory attribute missing": (
        lambda: _changed(_drawn(), lambda dataset: dataset.__delattr__("ContentLabel")),
        "ContentLabel",
    ),
}


def _exchange_segments(dataset: Dataset) -> None:
    first, second = dataset.SegmentSequence
    first.SegmentLabel, second.SegmentLabel = second.SegmentLabel, first.SegmentLabel


@pytest.mark.parametrize("orientation", factories.ORIENTATIONS)
@pytest.mark.parametrize("series", [factories.ct_series, factories.mr_series], ids=["CT", "MR"])
def test_what_is_built_is_proven(orientation: str, series: Callable[..., list[Dataset]]) -> None:
    grid = factories.grid(orientation, spacing_mm=(2.5, 0.8, 1.1))
    sources, findings = factories.headers(series(grid)), factories.findings(grid)

    objects = proven(factories.material(sources, findings)).values()

    assert [decode(encoded).Modality for encoded in objects] == ["SEG", "SR"]


@pytest.mark.parametrize(("mutant", "sentence"), SEGMENTATIONS.values(), ids=SEGMENTATIONS.keys())
def test_a_changed_segmentation_is_caught(mutant: Callable[[], bytes], sentence: str) -> None:
    with pytest.raises(Unproven, match=sentence):
        prove_segmentation(mutant(), SOURCES, FINDINGS)


def test_the_sentence_about_another_patient_names_neither() -> None:
    other = _changed(_drawn(), lambda dataset: setattr(dataset, "PatientName", "Somebody^Else"))

    with pytest.raises(Unproven) as caught:
        prove_segmentation(other, SOURCES, FINDINGS)

    assert "Somebody" not in str(caught.value)
    assert "Phantom" not in str(caught.value)


def _moved(slices: float) -> Grid:
    affine = GRID.affine.copy()
    affine[:3, 3] += affine[:3, 0] * slices
    return Grid(GRID.shape, affine)


def test_a_label_map_that_lies_half_a_slice_from_the_sources_is_caught() -> None:
    shifted = replace(FINDINGS, layers=(LabelMap(_moved(0.5), FINDINGS.layers[0].labels),))

    with pytest.raises(Unproven, match="place of slice 0"):
        prove_segmentation(_drawn(), SOURCES, shifted)


def test_a_label_map_whose_slices_run_against_the_sources_is_caught() -> None:
    affine = GRID.affine.copy()
    affine[:3, 3] += affine[:3, 0] * (GRID.shape[0] - 1)
    affine[:3, 0] *= -1
    turned = replace(FINDINGS, layers=(LabelMap(Grid(GRID.shape, affine), FINDINGS.layers[0].labels),))

    with pytest.raises(Unproven, match="place of slice 0"):
        prove_segmentation(_drawn(findings=turned), SOURCES, turned)


def test_a_source_of_another_patient_is_caught() -> None:
    stranger = factories.headers(factories.ct_series(GRID))
    stranger[5].PatientID = "PHANTOM-OTHER"

    with pytest.raises(Unproven, match="PatientID"):
        prove_segmentation(_drawn(), stranger, FINDINGS)


def test_a_label_without_a_name_is_caught() -> None:
    unnamed = replace(FINDINGS, regions=FINDINGS.regions[:1])

    with pytest.raises(Unproven, match=r"numbers without a name in layer 0: the object says \[2\]"):
        prove_segmentation(_drawn(findings=unnamed), SOURCES, unnamed)


def test_an_implausible_volume_is_caught() -> None:
    huge = FINDINGS.regions[0].label.model_copy(update={"plausible_ml": Span(minimum=800)})
    findings = replace(FINDINGS, regions=(replace(FINDINGS.regions[0], label=huge), *FINDINGS.regions[1:]))

    with pytest.raises(Unproven, match=r"implausible volume: Liver has .* at least 800 ml"):
        prove_segmentation(_drawn(), SOURCES, findings)


def _double_volume(dataset: Dataset) -> None:
    measured = _items(_groups(dataset)[0], "118565006")[0].MeasuredValueSequence[0]
    measured.NumericValue = float(measured.NumericValue) * 2


def _in_cubic_millimetres(dataset: Dataset) -> None:
    measured = _items(_groups(dataset)[0], "118565006")[0].MeasuredValueSequence[0]
    measured.MeasurementUnitsCodeSequence[0].CodeValue = "mm3"


def _refer_to_another_segmentation(dataset: Dataset) -> None:
    _items(_groups(dataset)[0], "121191")[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "2.25.6"


def _refer_to_another_segment(dataset: Dataset) -> None:
    _items(_groups(dataset)[0], "121191")[0].ReferencedSOPSequence[0].ReferencedSegmentNumber = 2


def _call_the_absent_present(dataset: Dataset) -> None:
    _items(_groups(dataset)[2], "121052")[0].ConceptCodeSequence[0].CodeValue = "52101004"


def _drop_a_group(dataset: Dataset) -> None:
    del _groups(dataset)[1]


def _exchange_findings(dataset: Dataset) -> None:
    groups = _groups(dataset)
    groups[0], groups[1] = groups[1], groups[0]


def _forget_evidence(dataset: Dataset) -> None:
    del dataset.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]


def _items(parent: Dataset, code: str) -> list[Dataset]:
    return [item for item in parent.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == code]


def _groups(dataset: Dataset) -> list[Dataset]:
    return _items(dataset, "126010")[0].ContentSequence  # type: ignore[no-any-return]


REPORTS = {
    "doubled volume": (_double_volume, r"118565006.* of Liver in the report"),
    "other unit": (_in_cubic_millimetres, "mm3"),
    "other segmentation": (_refer_to_another_segmentation, r"2\.25\.6"),
    "other segment": (_refer_to_another_segment, "measurement group of Liver"),
    "absent called present": (_call_the_absent_present, "measurement group of Right kidney"),
    "group dropped": (_drop_a_group, "number of measurement groups"),
    "groups exchanged": (_exchange_findings, "measurement group of Liver"),
    "evidence forgotten": (_forget_evidence, "evidence"),
    "other patient": (lambda dataset: setattr(dataset, "PatientID", "SOMEBODY"), "PatientID"),
    "verified by nobody": (lambda dataset: setattr(dataset, "VerificationFlag", "VERIFIED"), "flags"),
}


@pytest.mark.parametrize(("change", "sentence"), REPORTS.values(), ids=REPORTS.keys())
def test_a_changed_report_is_caught(change: Callable[[Dataset], None], sentence: str) -> None:
    drawn = _drawn()

    with pytest.raises(Unproven, match=sentence):
        prove_report(_changed(_measured(drawn), change), drawn, SOURCES, FINDINGS)


def test_a_report_of_doubled_findings_is_caught() -> None:
    first = FINDINGS.regions[0]
    doubled = replace(FINDINGS, regions=(replace(first, volume_ml=first.volume_ml * 2), *FINDINGS.regions[1:]))
    drawn = _drawn()

    with pytest.raises(Unproven, match="volume of Liver in ml"):
        prove_report(_measured(drawn, doubled), drawn, SOURCES, doubled)


def test_a_report_of_findings_without_their_segmentation_is_caught() -> None:
    drawn = _drawn()

    with pytest.raises(Unproven, match="whether there is a segmentation"):
        prove_report(_measured(drawn), None, SOURCES, FINDINGS)


def test_a_report_that_says_nothing_was_found_is_proven_without_a_segmentation() -> None:
    nothing = factories.findings(GRID, np.zeros(GRID.shape, dtype=np.uint8))
    (report,) = measurement_report.build(factories.material(SOURCES, nothing), {})

    prove_report(encode(report), None, SOURCES, nothing)


def test_a_segmentation_in_the_place_of_a_report_is_caught() -> None:
    drawn = _drawn()

    with pytest.raises(Unproven, match="SOPClassUID"):
        prove_report(drawn, drawn, SOURCES, FINDINGS)
