"""Enhanced, concatenated and legacy converted images are the volumes that their frames are as single images."""

from collections.abc import Sequence
from pathlib import Path
from random import Random

import numpy as np
import pytest
from highdicom.legacy import LegacyConvertedEnhancedCTImage, LegacyConvertedEnhancedMRImage
from pydicom import Dataset

from models.volume import Volume
from service.core.entities import Reason, Refusal, Stack
from service.core.stacking import split
from service.derived.encoding import encode
from service.edge.part10 import read_frame_headers, read_instance
from service.edge.pixels import read_volume
from tests import factories
from tests.enhanced import enhanced

GRID = factories.grid("oblique", shape=(9, 20, 14), spacing_mm=(3.3, 0.7, 1.9))


def stacks(images: Sequence[Dataset], folder: Path) -> list[tuple[Stack, Volume]]:
    """Every stack of the images with its values."""
    folder.mkdir(exist_ok=True)
    paths = {}
    for image in images:
        paths[str(image.SOPInstanceUID)] = folder / f"{image.SOPInstanceUID}.dcm"
        paths[str(image.SOPInstanceUID)].write_bytes(encode(image))
    found = []
    for part in split([read_instance(path) for path in paths.values()]):
        assert isinstance(part, Stack), part
        frames = [(paths[each.instance.sop_instance_uid], each.reference) for each in part.slices]
        found.append((part, read_volume(frames, part.grid)))
    return found


def shuffled(images: list[Dataset]) -> list[Dataset]:
    Random(4).shuffle(images)
    return images


@pytest.fixture
def images() -> list[Dataset]:
    series = factories.ct_series(GRID)
    for number, image in enumerate(series):
        image.RescaleSlope, image.RescaleIntercept = 1 + number / 4, -1024 - number
        image.SeriesNumber, image.AcquisitionNumber = 1, 1
    return series


def require_equal(ours: tuple[Stack, Volume], theirs: tuple[Stack, Volume]) -> None:
    assert ours[0].grid.matches(theirs[0].grid, tolerance_mm=1e-6)
    assert np.array_equal(ours[1].values, theirs[1].values)


def test_an_enhanced_image_is_the_volume_that_its_frames_are(images: list[Dataset], tmp_path: Path) -> None:
    (single,) = stacks(images, tmp_path / "single")
    (together,) = stacks([enhanced(shuffled(images))], tmp_path / "together")
    require_equal(together, single)


def test_the_parts_of_a_concatenation_are_one_volume(images: list[Dataset], tmp_path: Path) -> None:
    (single,) = stacks(images, tmp_path / "single")
    parts = [enhanced(images[:4]), enhanced(images[4:])]
    for number, part in enumerate(parts, start=1):
        part.SOPInstanceUID = f"{part.SOPInstanceUID[:60]}.{number}"
        part.file_meta.MediaStorageSOPInstanceUID = part.SOPInstanceUID
        part.ConcatenationUID, part.InConcatenationNumber = "1.2.3", number
    (together,) = stacks(parts, tmp_path / "together")
    require_equal(together, single)
    assert len(together[0].instances) == 2


@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_a_legacy_converted_image_is_the_volume_that_its_frames_are(modality: str, tmp_path: Path) -> None:
    series = (factories.ct_series if modality == "CT" else factories.mr_series)(GRID)
    convert = LegacyConvertedEnhancedCTImage if modality == "CT" else LegacyConvertedEnhancedMRImage
    for image in series:
        image.AcquisitionNumber, image.InstanceCreationDate, image.InstanceCreationTime = 1, "20260101", "120000"
    converted = convert(series, f"{series[0].SeriesInstanceUID}.1", 7, f"{series[0].SeriesInstanceUID}.2", 1)
    (single,) = stacks(series, tmp_path / "single")
    (together,) = stacks([converted], tmp_path / "together")
    require_equal(together, single)


def test_two_echoes_in_one_instance_are_two_stacks_under_two_names(images: list[Dataset], tmp_path: Path) -> None:
    together = enhanced([*images, *images])
    for number, group in enumerate(together.PerFrameFunctionalGroupsSequence):
        echo = Dataset()
        echo.EffectiveEchoTime = 10.0 if number < len(images) else 20.0
        group.MREchoSequence = [echo]
    (first, _), (second, _) = stacks([together], tmp_path)
    assert (first.split_by, second.split_by) == ("EchoTime=10.0", "EchoTime=20.0")
    assert first.stack_id != second.stack_id
    assert {each.frame.number for each in first.slices} == set(range(1, len(images) + 1))


def test_the_header_of_a_frame_is_that_of_a_single_image(images: list[Dataset], tmp_path: Path) -> None:
    together = enhanced(images)
    (tmp_path / "together.dcm").write_bytes(encode(together))
    (part,) = split([read_instance(tmp_path / "together.dcm")])
    headers = read_frame_headers([(tmp_path / "together.dcm", each.reference) for each in part.slices])
    assert [header.ReferencedFrameNumber for header in headers] == list(range(1, len(images) + 1))
    for header, image in zip(headers, images, strict=True):
        for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "PatientID"):
            assert header[keyword].value == image[keyword].value


def test_groups_that_do_not_describe_every_frame_are_refused_by_name(images: list[Dataset], tmp_path: Path) -> None:
    together = enhanced(images)
    del together.PerFrameFunctionalGroupsSequence[-1]
    (tmp_path / "together.dcm").write_bytes(encode(together))
    (part,) = split([read_instance(tmp_path / "together.dcm")])
    assert isinstance(part, Refusal)
    assert part.reason is Reason.NO_GEOMETRY


def test_a_private_header_within_the_functional_groups_says_nothing_of_the_frame(
    images: list[Dataset], tmp_path: Path
) -> None:
    (single,) = stacks(images, tmp_path / "single")
    together = enhanced(images)
    for group in together.PerFrameFunctionalGroupsSequence:
        corner = Dataset()
        corner.ImagePositionPatient = [0, 0, 0]
        group.private_block(0x2005, "Philips MR Imaging DD 005", create=True).add_new(0x0F, "SQ", [corner])
    (found,) = stacks([together], tmp_path / "together")
    require_equal(found, single)
