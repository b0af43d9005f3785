"""Data sets as received into files, and back into facts."""

from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import UID

from service.core.errors import Broken
from service.derived.encoding import encode
from service.edge.file_meta import DataSetDigest, data_set_offset, digest_offset, encode_meta, kept_digest
from service.edge.part10 import is_dicom, read_instance
from tests import factories
from tests.arriving import offer
from tests.raw_sender import data_set


@pytest.fixture
def image() -> Dataset:
    return factories.ct_series(factories.grid("oblique", spacing_mm=(2.5, 0.5, 2.0)))[0]


def test_a_received_data_set_becomes_a_valid_file_with_its_bytes_untouched(image: Dataset, tmp_path: Path) -> None:
    sent = data_set(image)
    encoded = encode_meta(offer(image)) + sent
    (tmp_path / "image.dcm").write_bytes(encoded)
    assert encoded[data_set_offset(encoded[:144]) :] == sent
    read = dcmread(tmp_path / "image.dcm")
    assert read.file_meta.SourceApplicationEntityTitle == "CT01"
    assert read.SOPInstanceUID == image.SOPInstanceUID
    assert np.array_equal(read.pixel_array, image.pixel_array)


def test_the_digest_of_a_file_is_the_one_taken_when_it_came_or_else_computed(image: Dataset, tmp_path: Path) -> None:
    sent, meta, path = data_set(image), encode_meta(offer(image)), tmp_path / "image.dcm"
    path.write_bytes(meta + sent)
    assert kept_digest(path) == DataSetDigest(sent).hexdigest()
    path.write_bytes(meta[: digest_offset(meta)] + b"a" * 32 + sent)
    assert kept_digest(path) == "a" * 32
    assert read_instance(path).association == "2.25.1"


def test_the_facts_of_an_instance_are_those_of_its_header(image: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "image.dcm"
    path.write_bytes(encode_meta(offer(image)) + data_set(image))
    instance = read_instance(path)
    (frame,) = instance.frames
    assert frame.plane is not None
    assert frame.plane.spacing.between_rows_mm == 0.5
    assert frame.plane.spacing.between_columns_mm == 2.0
    assert np.allclose(frame.plane.position_mm, image.ImagePositionPatient)
    assert (instance.association, instance.calling_ae_title) == ("2.25.1", "CT01")
    assert (instance.phantom, instance.pixels_missing) == (True, False)
    assert instance.value("Modality") == "CT"
    assert instance.value("ContrastBolusAgent") == ""


def test_what_headers_announce_is_among_the_facts(image: Dataset, tmp_path: Path) -> None:
    image.ImagesInAcquisition = 40
    image.NumberOfTemporalPositions = 2
    (tmp_path / "image.dcm").write_bytes(encode(image))
    instance = read_instance(tmp_path / "image.dcm")
    assert (instance.value("ImagesInAcquisition"), instance.value("NumberOfTemporalPositions")) == ("40", "2")
    assert instance.calling_ae_title == ""


def test_a_file_that_was_replaced_is_read_again(image: Dataset, tmp_path: Path) -> None:
    path, other = tmp_path / "image.dcm", tmp_path / "other.dcm"
    path.write_bytes(encode(image))
    assert read_instance(path).value("SeriesDescription") == image.SeriesDescription
    image.SeriesDescription = image.SeriesDescription[::-1]
    other.write_bytes(encode(image))
    other.replace(path)
    assert read_instance(path).value("SeriesDescription") == image.SeriesDescription


def test_no_patient_is_named_in_the_facts_of_an_instance(image: Dataset, tmp_path: Path) -> None:
    (tmp_path / "image.dcm").write_bytes(encode(image))
    facts = repr(read_instance(tmp_path / "image.dcm"))
    assert str(image.PatientName) not in facts
    assert str(image.PatientID) not in facts


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        pytest.param("ImagePositionPatient", None, id="no position"),
        pytest.param("PixelSpacing", [0.0, 1.0], id="no spacing"),
        pytest.param("ImageOrientationPatient", [1, 0, 0], id="half an orientation"),
    ],
)
def test_an_image_without_a_place_in_the_patient_has_no_plane(
    image: Dataset, tmp_path: Path, keyword: str, value: object
) -> None:
    setattr(image, keyword, value)
    (tmp_path / "image.dcm").write_bytes(encode(image))
    (frame,) = read_instance(tmp_path / "image.dcm").frames
    assert frame.plane is None


def test_a_truncated_file_is_seen_without_reading_its_pixels(image: Dataset, tmp_path: Path) -> None:
    (tmp_path / "image.dcm").write_bytes(encode(image)[:-1])
    assert read_instance(tmp_path / "image.dcm").pixels_missing


def test_a_file_that_is_no_dicom_is_named(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("Dear colleague")
    assert not is_dicom(path)
    with pytest.raises(Broken, match=r"notes\.txt"):
        read_instance(path)


@pytest.mark.parametrize(
    ("syntax", "said", "lossy"),
    [
        pytest.param("1.2.840.10008.1.2.1", "", False, id="nothing said"),
        pytest.param("1.2.840.10008.1.2.1", "00", False, id="never"),
        pytest.param("1.2.840.10008.1.2.1", "01", True, id="before it was unpacked"),
        pytest.param("1.2.840.10008.1.2.4.80", "", False, id="lossless"),
        pytest.param("1.2.840.10008.1.2.4.81", "", True, id="near-lossless"),
    ],
)
def test_what_went_through_lossy_compression_stays_lossy(
    syntax: str, said: str, lossy: bool, image: Dataset, tmp_path: Path
) -> None:
    image.file_meta.TransferSyntaxUID = UID(syntax)
    image.LossyImageCompression = said
    image.PixelData = encapsulate([bytes(8)]) if image.file_meta.TransferSyntaxUID.is_compressed else image.PixelData
    (tmp_path / "image.dcm").write_bytes(encode(image))
    assert read_instance(tmp_path / "image.dcm").lossy is lossy


@pytest.mark.parametrize(
    ("said", "age"),
    [
        pytest.param({"PatientAge": "053Y", "PatientBirthDate": "20200101"}, "053Y", id="stated"),
        pytest.param({"PatientAge": "", "PatientBirthDate": "20211231"}, "004Y", id="counted"),
        pytest.param({"PatientAge": "", "PatientBirthDate": ""}, "", id="not known"),
    ],
)
def test_an_age_that_is_not_stated_is_counted_and_the_day_of_birth_goes_no_further(
    said: dict[str, str], age: str, image: Dataset, tmp_path: Path
) -> None:
    image.StudyDate = "20260101"
    for keyword, value in said.items():
        setattr(image, keyword, value)
    (tmp_path / "image.dcm").write_bytes(encode(image))
    seen = read_instance(tmp_path / "image.dcm")
    assert seen.value("PatientAge") == age
    assert not said["PatientBirthDate"] or said["PatientBirthDate"] not in repr(seen)
