"""What a builder needs to know of its source images, and nothing that could upset it.

Images of the wild lack Type 2 attributes, repeat an orientation with rounding noise or carry a sex that no edition
of the Standard lists. Builders get lean copies that hold geometry and references; identity is copied by `finish`.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from pydicom import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from models.findings import Findings
from service.core.entities import FrameReference
from service.core.errors import Broken
from service.core.geometry import ORIENTATION_TOLERANCE
from service.core.identity import derived_uid

_IDENTITY = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_IMAGE = (*_IDENTITY, "Modality", "Rows", "Columns")
_REFERENCE = (*_IMAGE, "FrameOfReferenceUID", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
_FRAME_NUMBER = "ReferencedFrameNumber"  # of a source that is a frame of a multi-frame instance
REQUIRED_BUT_MAY_BE_EMPTY = (  # of Patient and General Study: Type 2
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
)
_COMPRESSION = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")


def lean(sources: Sequence[Dataset], findings: Findings) -> list[Dataset]:
    """Copies of the sources: of a radiograph, or one for each plane that the findings are drawn on and in that order.

    Raises Broken when sources and findings cannot belong together.
    """
    copies = _lean_planes(sources, findings) if findings.layers else [_lean_radiograph(sources)]
    for copy, source in zip(copies, sources, strict=True):
        _stand_in(copy, source)
    tell_of_lossy_compression(copies[0], sources)
    return copies


def lean_first(sources: Sequence[Dataset], findings: Findings) -> Dataset:
    """A copy of the first source, for a builder to which one image can speak for all that are parallel to it.

    Raises Broken when sources and findings cannot belong together.
    """
    _require_fit(sources, findings)
    copy = _lean(sources[0], sources[0], findings.grid.plane_distance_mm)
    _stand_in(copy, sources[0])
    tell_of_lossy_compression(copy, sources)
    return copy


def instances(sources: Sequence[Dataset]) -> list[Dataset]:
    """What a document needs of the instances that it refers to: one copy for each, without geometry."""
    by_uid = {str(source.SOPInstanceUID): source for source in sources}
    return [_bare(source, _IDENTITY) for source in by_uid.values()]


def reference(item: Dataset, keyword: str = "SOPInstanceUID") -> FrameReference:
    """The frame that a source is, or that an item refers to."""
    number = item.get(_FRAME_NUMBER)
    return FrameReference(str(item[keyword].value), None if number is None else int(number))


def add_empty_identity(dataset: Dataset) -> None:
    """Give an object what it must have of patient and study, without values: images of the wild lack some of it."""
    for keyword in REQUIRED_BUT_MAY_BE_EMPTY:
        setattr(dataset, keyword, "")


def image_reference(source: Dataset) -> Dataset:
    """A Source Image Sequence item for a source, be it an image or a frame (PS3.3 table 10-3)."""
    item = instance_reference(source)
    if _FRAME_NUMBER in source:
        item.ReferencedFrameNumber = source[_FRAME_NUMBER].value
    return item


def instance_reference(source: Dataset) -> Dataset:
    """An item that refers to the whole instance that a source is, or is a frame of (PS3.3 table 10-11)."""
    item = Dataset()
    item.ReferencedSOPClassUID = source.SOPClassUID
    item.ReferencedSOPInstanceUID = source.SOPInstanceUID
    return item


def instance_references(sources: Sequence[Dataset]) -> list[Dataset]:
    """One item for each instance of the sources, in their order."""
    return [instance_reference(source) for source in {str(each.SOPInstanceUID): each for each in sources}.values()]


def _stand_in(copy: Dataset, source: Dataset) -> None:
    """Let a frame pass for an image of its own, to a builder that knows no frame numbers."""
    if _FRAME_NUMBER in source:
        copy.SOPInstanceUID = _stand_in_uid(source)
        copy.SOPClassUID = SecondaryCaptureImageStorage


def _stand_in_uid(frame: Dataset) -> str:
    return derived_uid("frame", str(reference(frame)))


def name_frames(derived: Dataset, sources: Sequence[Dataset]) -> None:
    """Refer to frames by instance and number wherever the object refers to a stand-in."""
    frames = {_stand_in_uid(source): source for source in sources if _FRAME_NUMBER in source}
    if frames:
        _name_frames(derived, frames)


def _name_frames(item: Dataset, frames: Mapping[str, Dataset]) -> None:
    for element in item:
        if element.VR != "SQ":
            continue
        for inner in element.value:
            frame = frames.get(str(inner.get("ReferencedSOPInstanceUID")))
            if frame:
                inner.ReferencedSOPClassUID = frame.SOPClassUID
                inner.ReferencedSOPInstanceUID = frame.SOPInstanceUID
                if element.keyword == "SourceImageSequence":
                    inner.ReferencedFrameNumber = frame.ReferencedFrameNumber
            _name_frames(inner, frames)
        if element.keyword == "ReferencedInstanceSequence":
            element.value = list({each.ReferencedSOPInstanceUID: each for each in element.value}.values())


def _size(source: Dataset) -> tuple[int, int]:
    return int(source.get("Rows") or 0), int(source.get("Columns") or 0)


def _lean_planes(sources: Sequence[Dataset], findings: Findings) -> list[Dataset]:
    _require_fit(sources, findings)
    return [_lean(source, sources[0], findings.grid.plane_distance_mm) for source in sources]


def _lean_radiograph(sources: Sequence[Dataset]) -> Dataset:
    """Without a place: a projection has a direction of its rows and columns at most (PS3.3 C.7.6.1.1.1)."""
    if len(sources) != 1:
        raise Broken(
            f"{len(sources)} source images are not one radiograph, and findings without a label map are of one"
        )
    _require(sources[0], _IMAGE)
    copy = _bare(sources[0], _IMAGE)
    copy.PatientOrientation = sources[0].get("PatientOrientation") or ""
    return copy


def _require(source: Dataset, keywords: Sequence[str]) -> None:
    missing = [keyword for keyword in keywords if not source.get(keyword)]
    if missing:
        raise Broken(f"image {source.get('SOPInstanceUID')} has no {', '.join(missing)}")


def _require_fit(sources: Sequence[Dataset], findings: Findings) -> None:
    planes = (len(findings.places) or findings.grid.shape[0], *findings.grid.shape[1:])
    if not sources or (len(sources), *_size(sources[0])) != planes:
        raise Broken(f"{len(sources)} source images do not fit a label map of shape {planes}")
    for source in sources:
        _require_alike(source, sources[0])


def _require_alike(source: Dataset, first: Dataset) -> None:
    _require(source, _REFERENCE)
    tilt = np.abs(np.subtract(source.ImageOrientationPatient, first.ImageOrientationPatient, dtype=np.float64)).max()
    if tilt > ORIENTATION_TOLERANCE:
        raise Broken(f"image {source.SOPInstanceUID} is not parallel to {first.SOPInstanceUID}")


def _lean(source: Dataset, first: Dataset, spacing_mm: float) -> Dataset:
    copy = _bare(source, _REFERENCE)
    copy.ImageOrientationPatient = first.ImageOrientationPatient
    copy.PositionReferenceIndicator = ""
    copy.SliceThickness = source.get("SliceThickness") or round(spacing_mm, 6)
    copy.SpacingBetweenSlices = round(spacing_mm, 6)
    return copy


def _bare(source: Dataset, keywords: Sequence[str]) -> Dataset:
    """What these keywords say, and nothing of the patient."""
    copy = Dataset()
    for keyword in keywords:
        setattr(copy, keyword, source[keyword].value)  # an element that is shared would change the source too
    add_empty_identity(copy)
    return copy


def tell_of_lossy_compression(copy: Dataset, sources: Sequence[Dataset]) -> None:
    """Say of a derived image what was lost in one of its sources: it is lost for good (PS3.3 C.7.6.1.1.5)."""
    lossy = next((source for source in sources if source.get("LossyImageCompression") == "01"), None)
    if lossy is not None:
        for keyword in _COMPRESSION:
            if keyword in lossy:
                copy.add(lossy[keyword])
