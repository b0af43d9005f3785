"""What is delivered: reports and segmentations as files, the same ones each time."""

import random
from pathlib import Path

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

REPORTS, SEGMENTATIONS = 300, 100
_COMPREHENSIVE_3D_SR = "1.2.840.10008.5.1.4.1.1.88.34"
_SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
_SEED = 11


def write_objects(folder: Path, quick: bool) -> list[Path]:
    """Reports of some 20 KB and Segmentations of 200 to 800 KB, mixed; a tenth of them to see that it runs."""
    folder.mkdir()
    dice = random.Random(_SEED)
    share = 10 if quick else 1
    kinds = ["SR"] * (REPORTS // share) + ["SEG"] * (SEGMENTATIONS // share)
    dice.shuffle(kinds)
    return [_write(folder / f"{number:04}.dcm", kind, dice) for number, kind in enumerate(kinds)]


def _write(path: Path, kind: str, dice: random.Random) -> Path:
    dataset = _report(dice) if kind == "SR" else _segmentation(dice)
    dataset.SOPInstanceUID = f"2.25.{dice.getrandbits(120)}"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "2.25.1", f"2.25.{2 if kind == 'SR' else 3}"
    dataset.Modality, dataset.PatientName, dataset.PatientID = kind, "Synthetic^Result", "RESULT"
    dataset.StudyDate, dataset.StudyTime, dataset.StudyID, dataset.AccessionNumber = "20260101", "120000", "1", "1"
    dataset.Manufacturer, dataset.SeriesNumber, dataset.InstanceNumber = "benchmark", 1, 1
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.save_as(path, enforce_file_format=True)
    return path


def _report(dice: random.Random) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.ValueType = _COMPREHENSIVE_3D_SR, "CONTAINER"
    dataset.ConceptNameCodeSequence = [_code("126000", "DCM", "Imaging Measurement Report")]
    dataset.ContentSequence = [_measurement(number, dice) for number in range(dice.randrange(80, 130))]
    return dataset


def _measurement(number: int, dice: random.Random) -> Dataset:
    measured = Dataset()
    measured.NumericValue, measured.MeasurementUnitsCodeSequence = f"{dice.uniform(1, 999):.3f}", [_code("ml", "UCUM")]
    item = Dataset()
    item.RelationshipType, item.ValueType = "CONTAINS", "NUM"
    item.ConceptNameCodeSequence = [_code("118565006", "SCT", f"Volume of structure {number}")]
    item.MeasuredValueSequence = [measured]
    return item


def _code(value: str, scheme: str, meaning: str = "unit") -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code


def _segmentation(dice: random.Random) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SegmentationType = _SEGMENTATION, "BINARY"
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = 512, 512, 1
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 1, 1, 0, 0
    frames = dice.randrange(6, 25)
    dataset.NumberOfFrames = frames
    dataset.PerFrameFunctionalGroupsSequence = [_measurement(number, dice) for number in range(frames)]
    dataset.add_new(0x7FE00010, "OB", dice.randbytes(frames * 512 * 512 // 8))
    return dataset
