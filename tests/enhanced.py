"""Single-frame images put together as one enhanced multi-frame instance (PS3.3 A.38, C.7.6.16)."""

from collections.abc import Sequence

from pydicom import Dataset
from pydicom.uid import EnhancedCTImageStorage, EnhancedMRImageStorage

from service.derived.encoding import file_meta

_OF_PLANES = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "InstanceNumber")
_OF_VALUES = ("RescaleSlope", "RescaleIntercept", "RescaleType")


def enhanced(images: Sequence[Dataset]) -> Dataset:
    """One instance with a frame for each image, in their order; rescaling is said for each frame, planes as well."""
    first = images[0]
    together = Dataset()
    for element in first:
        if element.keyword not in (*_OF_PLANES, *_OF_VALUES, "PixelData"):
            together.add(element)
    together = Dataset.from_json(together.to_json())
    together.SOPClassUID = EnhancedCTImageStorage if first.Modality == "CT" else EnhancedMRImageStorage
    together.SOPInstanceUID = f"{first.SeriesInstanceUID}.1"[:64]
    together.NumberOfFrames = len(images)
    together.SharedFunctionalGroupsSequence = [_shared(first)]
    together.PerFrameFunctionalGroupsSequence = [_of_frame(image, number) for number, image in enumerate(images, 1)]
    together.PixelData = b"".join(image.PixelData for image in images)
    together.file_meta = file_meta(together)
    return together


def _shared(image: Dataset) -> Dataset:
    group = Dataset()
    group.PixelMeasuresSequence = [_with(image, "PixelSpacing", "SliceThickness")]
    group.PlaneOrientationSequence = [_with(image, "ImageOrientationPatient")]
    return group


def _of_frame(image: Dataset, number: int) -> Dataset:
    group = Dataset()
    group.PlanePositionSequence = [_with(image, "ImagePositionPatient")]
    group.PixelValueTransformationSequence = [_with(image, *_OF_VALUES)]
    content = Dataset()
    content.StackID, content.InStackPositionNumber = "1", number
    group.FrameContentSequence = [content]
    return group


def _with(image: Dataset, *keywords: str) -> Dataset:
    item = Dataset()
    for keyword in keywords:
        if keyword in image:
            setattr(item, keyword, image[keyword].value)
    return item
