"""Synthetic CT and MR instances whose UIDs can be replaced without parsing them again."""

from dataclasses import dataclass
from enum import Enum
from functools import cache
from io import BytesIO

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from benchmarks import elements

SEED = 20240229
VARIANTS = 16  # different pixels, so that nothing is gained by having seen them


@dataclass(frozen=True, slots=True)
class Modality:
    """What one kind of instance is made of."""

    name: str
    sop_class_uid: str
    side: int  # rows and columns
    elements: tuple[tuple[str, object], ...]


class Kind(Enum):
    """The instances that are sent."""

    CT = Modality("CT", "1.2.840.10008.5.1.4.1.1.2", 512, tuple(elements.CT.items()))
    MR = Modality("MR", "1.2.840.10008.5.1.4.1.1.4", 256, tuple(elements.MR.items()))


@dataclass(frozen=True, slots=True)
class Images:
    """Part 10 files that differ in their pixels only, and where in their data sets the UIDs to be replaced stand."""

    sop_class_uid: str
    files: tuple[bytes, ...]
    data_set_at: int
    series_at: int  # from the beginning of the data set
    sop_at: int

    @property
    def length(self) -> int:
        """Bytes of one data set."""
        return len(self.files[0]) - self.data_set_at

    def pack(self) -> bytes:
        """All data sets, one after the other, for the sender written in C."""
        return b"".join(file[self.data_set_at :] for file in self.files)

    def file(self, run: int, sender: int, number: int) -> bytes:
        """A Part 10 file of its own SOP Instance UID."""
        template = self.files[number % len(self.files)]
        named = template.replace(series_uid(0, 0).encode(), series_uid(run, sender).encode(), 1)
        return named.replace(instance_uid(0, 0, 0).encode(), instance_uid(run, sender, number).encode(), 2)


def series_uid(run: int, sender: int) -> str:
    """A Series Instance UID, always 20 characters long; sender.c makes the same."""
    return f"2.25.2{run:010}{sender:04}"


def instance_uid(run: int, sender: int, number: int) -> str:
    """A SOP Instance UID, always 28 characters long; sender.c makes the same."""
    return f"2.25.1{run:010}{sender:04}{number:08}"


@cache
def synthesise(kind: Kind) -> Images:
    """The images of a kind; the same bytes every time."""
    noise = np.random.default_rng(SEED)
    files = tuple(_write(_describe(kind.value, noise)) for _ in range(VARIANTS))
    data_set_at = 144 + int.from_bytes(files[0][140:144], "little")  # PS3.10 section 7.1: the group length is first
    data_set = files[0][data_set_at:]
    return Images(
        sop_class_uid=kind.value.sop_class_uid,
        files=files,
        data_set_at=data_set_at,
        series_at=data_set.index(series_uid(0, 0).encode()),
        sop_at=data_set.index(instance_uid(0, 0, 0).encode()),
    )


def _describe(modality: Modality, noise: np.random.Generator) -> Dataset:
    data_set = Dataset()
    for keyword, value in (*elements.EVERY.items(), *modality.elements):
        setattr(data_set, keyword, value)
    data_set.SOPClassUID = modality.sop_class_uid
    data_set.SOPInstanceUID = instance_uid(0, 0, 0)
    data_set.SeriesInstanceUID = series_uid(0, 0)
    data_set.InstanceNumber = 1
    data_set.ImagePositionPatient = [-180, -180, 0]
    data_set.SliceLocation = 0
    data_set.PixelSpacing = [0.7, 0.7]
    data_set.Rows = data_set.Columns = modality.side
    block = data_set.private_block(0x0029, "SYNTHETIC HEADER", create=True)
    block.add_new(0x10, "OB", noise.bytes(256))
    block.add_new(0x11, "LO", "Synthetic")
    pixels = noise.normal(100, 15, (modality.side, modality.side)).astype("<i2")
    data_set.PixelData = pixels.tobytes()
    data_set["PixelData"].VR = "OW"
    return data_set


def _write(data_set: Dataset) -> bytes:
    data_set.file_meta = FileMetaDataset()
    data_set.file_meta.MediaStorageSOPClassUID = data_set.SOPClassUID
    data_set.file_meta.MediaStorageSOPInstanceUID = data_set.SOPInstanceUID
    data_set.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    stream = BytesIO()
    data_set.save_as(stream, enforce_file_format=True)
    return stream.getvalue()
