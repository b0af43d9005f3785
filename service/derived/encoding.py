"""Datasets as Part 10 bytes in memory, and back."""

from io import BytesIO

from pydicom import Dataset, dcmread, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from service.core.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION


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
    dcmwrite(encoded, dataset, enforce_file_format=True)
    return encoded.getvalue()


def decode(encoded: bytes) -> Dataset:
    """The dataset that a Part 10 file holds."""
    return dcmread(BytesIO(encoded))
