"""Phantoms as images: a Volume as the CT or MR series, a projection as the radiograph that would have been sent."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    MRImageStorage,
)
from pydicom.valuerep import format_number_as_ds

from models.volume import Volume
from service.core.identity import derived_uid
from service.core.phantoms import PATIENT_ID_PREFIX, is_phantom
from service.derived.encoding import file_meta

CT_INTERCEPT = -1024.0
MAXIMUM = 4095.0  # of 12 bits


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a synthetic series shows; the same `seed` gives the same UIDs."""

    seed: str = "phantom"
    name: str = "Phantom^Abdomen"
    patient_id: str = f"{PATIENT_ID_PREFIX}ABDOMEN"
    body_part: str = "ABDOMEN"
    taken_at: datetime = datetime(2026, 1, 1, 12, 0)

    def __post_init__(self) -> None:
        if not is_phantom("YES", self.patient_id):
            raise ValueError(f"the identifier of a phantom starts with {PATIENT_ID_PREFIX}, not {self.patient_id}")

    def uid(self, *parts: str) -> str:
        """The UID of a synthetic study, series or instance."""
        return derived_uid("phantom", self.seed, *parts)


def ct_series(volume: Volume, subject: Subject | None = None) -> list[Dataset]:
    """CT Image Storage (PS3.3 A.3), one instance for each slice of the volume in its order; values are HU."""
    stored = np.clip(np.rint(volume.values - CT_INTERCEPT), 0, 4095).astype("<u2")
    series = _series(volume, stored, subject or Subject(), CTImageStorage)
    for image in series:
        image.RescaleIntercept = CT_INTERCEPT
        image.RescaleSlope = 1
        image.RescaleType = "HU"
        image.KVP = "120"
        image.AcquisitionNumber = 1
        image.WindowCenter, image.WindowWidth = 40, 400
    return series


def mr_series(volume: Volume, subject: Subject | None = None) -> list[Dataset]:
    """MR Image Storage (PS3.3 A.4), one instance for each slice; intensities are spread over 12 bits."""
    low, high = float(volume.values.min()), float(volume.values.max())
    stored = np.rint((volume.values - low) * (MAXIMUM / max(high - low, 1e-6))).astype("<u2")
    series = _series(volume, stored, subject or Subject(), MRImageStorage)
    for image in series:
        image.ScanningSequence, image.SequenceVariant, image.ScanOptions = "GR", "NONE", ""
        image.MRAcquisitionType = "3D"
        image.RepetitionTime, image.EchoTime, image.EchoTrainLength = "2000", "3", 1
        image.WindowCenter, image.WindowWidth = MAXIMUM / 2, MAXIMUM
    return series


def dx_image(values: NDArray[np.float32], pixel_mm: float, subject: Subject | None = None) -> Dataset:
    """A frontal chest as DX image for presentation (PS3.3 A.26); values are (row, column), bright is dense."""
    image = _radiograph(values, subject or Subject(), DigitalXRayImageStorageForPresentation)
    image.PresentationIntentType = "FOR PRESENTATION"
    image.ImageType = ["DERIVED", "PRIMARY"]
    image.PixelIntensityRelationship, image.PixelIntensityRelationshipSign = "LOG", -1
    image.RescaleIntercept, image.RescaleSlope, image.RescaleType = 0, 1, "US"
    image.PresentationLUTShape = "IDENTITY"
    image.LossyImageCompression, image.ImageLaterality = "00", "U"
    image.DetectorType, image.PositionerType, image.AcquisitionContextSequence = "DIRECT", "", []
    image.ImagerPixelSpacing = [pixel_mm, pixel_mm]
    image.AnatomicRegionSequence = [_code("51185008", "SCT", "Chest")]
    image.ViewCodeSequence = [_code("399348003", "SCT", "antero-posterior")]
    image.ViewCodeSequence[0].ViewModifierCodeSequence = []
    image.PatientOrientation = ["L", "F"]
    image.file_meta = file_meta(image)
    return image


def cr_image(values: NDArray[np.float32], pixel_mm: float, subject: Subject | None = None) -> Dataset:
    """A frontal chest as CR image (PS3.3 A.2); values are (row, column), bright is dense."""
    image = _radiograph(values, subject or Subject(), ComputedRadiographyImageStorage)
    image.ImageType = ["DERIVED", "PRIMARY"]
    image.ViewPosition, image.PatientOrientation = "AP", ["L", "F"]
    image.PixelSpacing = image.ImagerPixelSpacing = [pixel_mm, pixel_mm]
    image.file_meta = file_meta(image)
    return image


def _radiograph(values: NDArray[np.float32], subject: Subject, sop_class_uid: str) -> Dataset:
    low, high = float(values.min()), float(values.max())
    image = Dataset()
    image.SOPClassUID = sop_class_uid
    image.Modality = "DX" if sop_class_uid == DigitalXRayImageStorageForPresentation else "CR"
    image.SOPInstanceUID = subject.uid(image.Modality, "instance", "0")
    image.InstanceNumber = 1
    _add_subject(image, subject)
    for keyword in ("FrameOfReferenceUID", "PositionReferenceIndicator", "PatientPosition"):
        delattr(image, keyword)
    image.BodyPartExamined = "CHEST"
    _add_pixels(image, np.rint((values - low) * (MAXIMUM / max(high - low, 1e-6))).astype("<u2"))
    image.WindowCenter, image.WindowWidth = MAXIMUM / 2, MAXIMUM
    return image


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _series(volume: Volume, stored: NDArray[np.uint16], subject: Subject, sop_class_uid: str) -> list[Dataset]:
    """One dataset for each slice of `stored`, (slice, row, column)."""
    modality = "CT" if sop_class_uid == CTImageStorage else "MR"
    images = []
    for index, plane in enumerate(stored):
        image = Dataset()
        image.SOPClassUID = sop_class_uid
        image.SOPInstanceUID = subject.uid(modality, "instance", str(index))
        image.Modality = modality
        image.InstanceNumber = index + 1
        _add_subject(image, subject)
        _add_plane(image, volume, index)
        _add_pixels(image, plane)
        image.file_meta = file_meta(image)
        images.append(image)
    return images


def _add_subject(image: Dataset, subject: Subject) -> None:
    date, time = subject.taken_at.strftime("%Y%m%d"), subject.taken_at.strftime("%H%M%S")
    image.SpecificCharacterSet = "ISO_IR 192"
    image.PatientName, image.PatientID = subject.name, subject.patient_id
    image.PatientBirthDate, image.PatientSex = "", "O"
    image.PatientComments = "Computed phantom: not a patient"
    image.QualityControlImage = "YES"
    image.StudyInstanceUID = subject.uid("study")
    image.SeriesInstanceUID = subject.uid(image.Modality, "series")
    image.FrameOfReferenceUID = subject.uid("frame of reference")
    image.StudyID, image.AccessionNumber, image.ReferringPhysicianName = "1", "", ""
    image.StudyDescription = "Isocenter phantom"
    image.SeriesNumber, image.SeriesDescription = 1, "Computed phantom"
    image.StudyDate, image.SeriesDate, image.ContentDate, image.AcquisitionDate = date, date, date, date
    image.StudyTime, image.SeriesTime, image.ContentTime, image.AcquisitionTime = time, time, time, time
    image.Manufacturer, image.ManufacturerModelName = "Isocenter", "Phantom"
    image.BodyPartExamined, image.PatientPosition = subject.body_part, "HFS"
    image.PositionReferenceIndicator = ""


def _add_plane(image: Dataset, volume: Volume, index: int) -> None:
    """Image Plane (PS3.3 C.7.6.2): cosines of growing column index first, then of growing row index."""
    grid = volume.grid
    cosines = [*grid.direction[:, 2], *grid.direction[:, 1]]
    image.ImageOrientationPatient = [format_number_as_ds(float(cosine)) for cosine in cosines]
    image.ImagePositionPatient = [format_number_as_ds(float(x)) for x in grid.affine[:3, :] @ (index, 0, 0, 1)]
    image.PixelSpacing = [format_number_as_ds(float(mm)) for mm in grid.spacing_mm[1:]]
    image.SliceThickness = format_number_as_ds(float(grid.spacing_mm[0]))


def _add_pixels(image: Dataset, plane: NDArray[np.uint16]) -> None:
    image.ImageType = ["DERIVED", "SECONDARY", "AXIAL"] if image.Modality == "CT" else ["DERIVED", "SECONDARY", "OTHER"]
    image.Rows, image.Columns = plane.shape
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, 0
    image.BurnedInAnnotation = "NO"
    image.PixelData = plane.tobytes() + b"\0" * (plane.nbytes % 2)
