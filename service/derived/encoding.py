"""Datasets as Part 10 bytes in memory, and back."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO

from pydicom import Dataset, dcmread, dcmwrite
from pydicom.charset import convert_encodings, default_encoding
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import correct_ambiguous_vr, write_dataset
from pydicom.tag import Tag
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, RLELossless

from service.core.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION
from service.core.profiles import Profile

_ITEM = b"\xfe\xff\x00\xe0"  # PS3.5 7.5.1
_SYNTAX_OF = {
    "none": ExplicitVRLittleEndian,
    "rle": RLELossless,
    "deflate": DeflatedExplicitVRLittleEndian,
}


def transfer_syntax_uid(profile: Profile) -> str:
    """How the profile wants a segmentation to be written."""
    return str(_SYNTAX_OF[profile.compression])


def file_meta(dataset: Dataset) -> FileMetaDataset:
    """File Meta Information (PS3.10 7.1) of a dataset that this node writes: Explicit VR Little Endian."""
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION
    return meta


def encode(dataset: Dataset) -> bytes:
    """The dataset as a Part 10 file: the same bytes for the same dataset."""
    encoded = BytesIO()
    with _pixels_as_file(dataset):
        dcmwrite(encoded, dataset, enforce_file_format=True)
    return encoded.getvalue()


@contextmanager
def _pixels_as_file(dataset: Dataset) -> Iterator[None]:
    """Let pixels be copied piece by piece: the writer makes a second copy of a value that it gets as bytes."""
    pixels = dataset.get_item("PixelData")
    if pixels is None or pixels.is_raw or not isinstance(pixels.value, bytes):
        yield
        return
    dataset["PixelData"] = DataElement(pixels.tag, pixels.VR, BytesIO(pixels.value))
    dataset["PixelData"].is_undefined_length = pixels.is_undefined_length
    try:
        yield
    finally:
        dataset["PixelData"] = pixels


def decode(encoded: bytes) -> Dataset:
    """The dataset that a Part 10 file holds."""
    return dcmread(BytesIO(encoded))


def elements(dataset: Dataset, *, implicit: bool = False) -> bytes:
    """The elements of a dataset in Explicit or Implicit VR Little Endian, with nothing around them."""
    encoded = DicomBytesIO()
    encoded.is_implicit_VR, encoded.is_little_endian = implicit, True
    write_dataset(encoded, dataset)
    return bytes(encoded.getvalue())


def add_sequence(dataset: Dataset, keyword: str, items: Sequence[bytes], *, implicit: bool = False) -> None:
    """Give a dataset that is otherwise complete a sequence whose items are encoded already.

    It stays as it would be after reading: bytes, until someone looks inside.
    """
    add_encoded(dataset, keyword, b"".join(map(_item, items)), implicit=implicit)


def add_encoded(dataset: Dataset, keyword: str, value: bytes, *, implicit: bool = False) -> None:
    """Give a dataset that is otherwise complete an element whose value is encoded already."""
    tag = Tag(keyword)
    correct_ambiguous_vr(dataset, is_little_endian=True)
    dataset[tag] = RawDataElement(tag, dictionary_VR(tag), len(value), value, 0, implicit, True, True)
    characters = dataset.get("SpecificCharacterSet")
    dataset.set_original_encoding(implicit, True, convert_encodings(characters) if characters else default_encoding)


def _item(encoded: bytes) -> bytes:
    return _ITEM + len(encoded).to_bytes(4, "little") + encoded
