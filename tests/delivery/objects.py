"""DICOM files of a wanted size, by the bytes of their names always the same."""

import random
from pathlib import Path

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


def write_object(
    path: Path, size: int, sop_class_uid: str = SECONDARY_CAPTURE, transfer_syntax_uid: str = ExplicitVRLittleEndian
) -> Path:
    """A file whose Pixel Data has so many bytes."""
    dice = random.Random(path.name)
    dataset = Dataset()
    dataset.SOPClassUID = sop_class_uid
    dataset.SOPInstanceUID = f"2.25.{dice.getrandbits(100)}"
    dataset.StudyInstanceUID = dataset.SeriesInstanceUID = "2.25.1"
    dataset.PatientName = "Synthetic^Object"
    dataset.BitsAllocated = 8
    pixels = dice.randbytes(size)
    is_encapsulated = UID(transfer_syntax_uid).is_encapsulated
    dataset.add_new(0x7FE00010, "OB", encapsulate([pixels]) if is_encapsulated else pixels)
    dataset["PixelData"].is_undefined_length = is_encapsulated
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = transfer_syntax_uid
    dataset.save_as(path, enforce_file_format=True)
    return path
