"""Findings as a DICOM Segmentation."""

from collections.abc import Sequence

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from models.findings import Findings
from service.core.errors import Broken
from service.derived import segmentation
from service.derived.catalogue import proven
from service.derived.encoding import decode, encode
from service.derived.frames import frames
from tests import factories


def _built(sources: Sequence[Dataset], findings: Findings | None = None) -> Dataset:
    (dataset,) = segmentation.build(factories.material(sources, findings), {})
    return dataset


@pytest.fixture
def sources() -> list[Dataset]:
    return factories.headers(factories.ct_series())


def test_nothing_found_makes_no_segmentation(sources: list[Dataset]) -> None:
    nothing = factories.findings(array=np.zeros(factories.grid().shape, dtype=np.uint8))

    objects = [decode(encoded).Modality for encoded in proven(factories.material(sources, nothing)).values()]

    assert objects == ["SR"]


def test_only_structures_that_were_found_become_segments_and_are_numbered_without_a_gap(sources: list[Dataset]) -> None:
    without_liver = np.where(factories.labels() == 1, 0, factories.labels()).astype(np.uint8)
    without_liver[5, 3:6, 3:6] = 3

    dataset = _built(sources, factories.findings(array=without_liver))

    segments = [(item.SegmentNumber, item.SegmentLabel) for item in dataset.SegmentSequence]
    assert segments == [(1, "Spleen"), (2, "Right kidney")]


def test_every_segment_says_what_drew_it_and_under_which_name_it_is_tracked(sources: list[Dataset]) -> None:
    dataset = _built(sources)

    liver = dataset.SegmentSequence[0]
    algorithm = liver.SegmentationAlgorithmIdentificationSequence[0]
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("abdomen", "1.0.0")
    assert algorithm.AlgorithmFamilyCodeSequence[0].CodeValue == "123110"
    assert liver.SegmentAlgorithmType == "AUTOMATIC"
    assert liver.TrackingID == "abdomen Liver"
    assert liver.TrackingUID == factories.ORIGIN.uid("structure", "1")
    assert liver.SegmentedPropertyTypeCodeSequence[0].CodeValue == "10200004"
    assert len(liver.RecommendedDisplayCIELabValue) == 3


def test_the_segmentation_is_explicit_little_endian_and_leaves_out_empty_frames(sources: list[Dataset]) -> None:
    dataset = decode(encode(_built(sources)))

    drawn = sum(bool((plane == label).any()) for plane in factories.labels() for label in (1, 2))
    assert dataset.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert dataset.SegmentationType == "BINARY"
    assert dataset.NumberOfFrames == drawn


def test_spacing_between_slices_comes_from_positions_and_not_from_the_source_attribute(sources: list[Dataset]) -> None:
    for source in sources:
        source.SpacingBetweenSlices = 99
        source.SliceThickness = 5

    dataset = _built(sources)

    measures = dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert (measures.SpacingBetweenSlices, measures.SliceThickness) == (2.5, 5)


def test_rounding_noise_in_the_orientation_of_sources_is_tolerated(sources: list[Dataset]) -> None:
    sources[3].ImageOrientationPatient = [1, 1e-6, 0, 0, 1, 0]

    assert len(_built(sources).SegmentSequence) == 2


def test_a_source_at_an_angle_is_refused_by_name(sources: list[Dataset]) -> None:
    sources[3].ImageOrientationPatient = [1, 0, 0, 0, 0.9962, 0.0872]

    with pytest.raises(Broken, match=sources[3].SOPInstanceUID):
        _built(sources)


def test_a_missing_source_is_refused(sources: list[Dataset]) -> None:
    with pytest.raises(Broken, match="11 source images"):
        _built(sources[:-1])


def test_a_source_without_a_frame_of_reference_is_refused(sources: list[Dataset]) -> None:
    del sources[0].FrameOfReferenceUID

    with pytest.raises(Broken, match="FrameOfReferenceUID"):
        _built(sources)


@pytest.mark.parametrize("orientation", factories.ORIENTATIONS)
def test_a_single_slice_is_drawn_where_it_lies(orientation: str) -> None:
    single = factories.grid(orientation, shape=(1, 8, 9))
    array = np.zeros(single.shape, dtype=np.uint8)
    array[0, 2:4, 5] = 1

    dataset = _built(factories.headers(factories.ct_series(single)), factories.findings(single, array))

    (frame,) = frames(dataset)
    assert frame.position_mm == pytest.approx(single.origin_mm)
    assert np.array_equal(frame.pixels, array[0] == 1)


def test_frames_that_do_not_end_on_a_byte_are_read_back_bit_by_bit() -> None:
    odd = factories.grid(shape=(5, 7, 9))
    array = np.random.default_rng(1).integers(0, 3, odd.shape, dtype=np.uint8)

    dataset = decode(encode(_built(factories.headers(factories.ct_series(odd)), factories.findings(odd, array))))

    by_position = {(frame.segment_number, round(float(frame.position_mm[2]), 3)): frame for frame in frames(dataset)}
    for index in range(5):
        for label in (1, 2):
            z = round(float(odd.affine[2, 3] + 2.5 * index), 3)
            assert np.array_equal(by_position[label, z].pixels, array[index] == label)


def test_lossy_compression_of_any_source_is_told(sources: list[Dataset]) -> None:
    sources[4].LossyImageCompression = "01"
    sources[4].LossyImageCompressionRatio = "12"

    dataset = _built(sources)

    assert (dataset.LossyImageCompression, dataset.LossyImageCompressionRatio) == ("01", 12)
