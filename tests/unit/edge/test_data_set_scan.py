"""The names in a data set, found without parsing it."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset, Sequence, dcmread
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from service.core.errors import Broken
from service.edge.data_set_scan import Naming, read_naming
from service.edge.file_meta import data_set_offset
from service.edge.part10 import is_dicom
from tests import factories
from tests.raw_sender import data_set


@pytest.fixture
def image() -> Dataset:
    return factories.ct_series(factories.grid(shape=(5, 8, 8)))[0]


def encoded(image: Dataset, *, implicit: bool) -> bytes:
    stream = DicomBytesIO()
    stream.is_implicit_VR, stream.is_little_endian = implicit, True
    write_dataset(stream, image)
    return bytes(stream.getvalue())


def naming(image: Dataset) -> Naming:
    return Naming(image.SOPClassUID, image.SOPInstanceUID, image.StudyInstanceUID, image.SeriesInstanceUID)


@pytest.mark.parametrize("implicit", [False, True], ids=["explicit", "implicit"])
def test_the_four_uids_are_read_from_the_bytes(image: Dataset, implicit: bool) -> None:
    assert read_naming(encoded(image, implicit=implicit), implicit=implicit) == naming(image)


@pytest.mark.parametrize("implicit", [False, True], ids=["explicit", "implicit"])
def test_sequences_of_undefined_length_are_stepped_over_whatever_they_hold(image: Dataset, implicit: bool) -> None:
    inner = Dataset()
    inner.ReferencedSOPInstanceUID = "1.2.3"
    inner.SeriesInstanceUID = "9.9.9"
    outer = Dataset()
    outer.PurposeOfReferenceCodeSequence = Sequence([inner, Dataset()])
    image.ReferencedImageSequence = Sequence([outer, outer])
    for sequence in (image["ReferencedImageSequence"], outer["PurposeOfReferenceCodeSequence"]):
        sequence.is_undefined_length = True
    for item in (inner, outer):
        item.is_undefined_length_sequence_item = True
    assert read_naming(encoded(image, implicit=implicit), implicit=implicit) == naming(image)


def test_a_private_sequence_sent_as_unknown_is_stepped_over(image: Dataset) -> None:
    whole = data_set(image)
    at = whole.index(b"\x10\x00\x10\x00PN")
    item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + b"\x09\x00\x01\x10\x02\x00\x00\x00ab" + b"\xfe\xff\x0d\xe0" + bytes(4)
    unknown = b"\x09\x00\x01\x10UN\x00\x00\xff\xff\xff\xff" + item + b"\xfe\xff\xdd\xe0" + bytes(4)
    assert read_naming(whole[:at] + unknown + whole[at:], implicit=False) == naming(image)


@pytest.mark.parametrize(
    "content", [b"", b"Dear colleague, this is no image.", b"\xff" * 200], ids=["empty", "text", "noise"]
)
@pytest.mark.parametrize("implicit", [False, True], ids=["explicit", "implicit"])
def test_bytes_that_are_no_data_set_are_refused(content: bytes, implicit: bool) -> None:
    with pytest.raises(Broken):
        read_naming(content, implicit=implicit)


@pytest.mark.parametrize("implicit", [False, True], ids=["explicit", "implicit"])
def test_a_data_set_in_another_syntax_than_negotiated_is_refused(image: Dataset, implicit: bool) -> None:
    with pytest.raises(Broken):
        read_naming(encoded(image, implicit=not implicit), implicit=implicit)


@pytest.mark.parametrize("missing", [1, 2, 100])
def test_a_data_set_that_ends_too_early_is_refused_to_the_byte(image: Dataset, missing: int) -> None:
    with pytest.raises(Broken, match=f"truncated: {missing} bytes of its Pixel Data"):
        read_naming(data_set(image)[:-missing], implicit=False)


def test_compressed_pixels_that_end_too_early_are_refused(image: Dataset) -> None:
    native = data_set(image)
    at = native.index(b"\xe0\x7f\x10\x00")
    fragments = b"\xfe\xff\x00\xe0" + bytes(4) + b"\xfe\xff\x00\xe0\x04\x00\x00\x00abcd"
    compressed = native[:at] + b"\xe0\x7f\x10\x00OB\x00\x00\xff\xff\xff\xff" + fragments
    assert read_naming(compressed + b"\xfe\xff\xdd\xe0" + bytes(4), implicit=False) == naming(image)
    with pytest.raises(Broken, match="truncated"):
        read_naming(compressed, implicit=False)


def test_a_name_that_comes_twice_is_refused(image: Dataset) -> None:
    with pytest.raises(Broken, match="twice"):
        read_naming(data_set(image) * 2, implicit=False)


def test_elements_without_end_cost_no_more_than_the_limit() -> None:
    began = time.process_time()
    with pytest.raises(Broken, match="more than 200000 elements"):
        read_naming(b"\x09\x00\x01\x10LO\x00\x00" * 5_000_000, implicit=False)
    assert time.process_time() - began < 10


def test_nesting_without_end_is_refused() -> None:
    opened = b"\x08\x00\x40\x11SQ\x00\x00\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    with pytest.raises(Broken, match="deeper than"):
        read_naming(opened * 1000, implicit=False)


@settings(max_examples=300, deadline=None)
@given(flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=8), cut=st.integers(0, 200))
def test_damaged_bytes_are_named_or_refused_and_nothing_else(flips: list[tuple[int, int]], cut: int) -> None:
    content = bytearray(_WHOLE[: len(_WHOLE) - cut])
    for position, value in flips:
        content[position % len(content)] = value
    for implicit in (False, True):
        try:
            assert isinstance(read_naming(bytes(content), implicit=implicit), Naming)
        except Broken:
            continue


_WHOLE = data_set(factories.ct_series(factories.grid(shape=(5, 8, 8)))[0])


@pytest.mark.parametrize(
    "folder",
    ["ct_philips_S21570_localizer_axial_sc", "mr_enhanced", "mr_transfer_syntaxes_dcm_qa_ts", "dicom2nifti_failing"],
)
def test_real_images_are_named_as_pydicom_names_them(real_images: Callable[[str], Path], folder: str) -> None:
    seen = 0
    for path in real_images(folder).rglob("*"):
        if not path.is_file() or not is_dicom(path):
            continue
        header = dcmread(path, stop_before_pixels=True)
        syntax = header.file_meta.TransferSyntaxUID
        if syntax.is_deflated or not syntax.is_little_endian or "SOPClassUID" not in header:
            continue
        content = path.read_bytes()
        start = data_set_offset(content[:144])
        assert read_naming(content, implicit=bool(syntax.is_implicit_VR), start=start) == naming(header), path.name
        seen += 1
    assert seen
