"""Findings as an RT Structure Set (PS3.3 A.19): the outline of each region on every source plane.

It is written in Implicit VR, the only native syntax in which a contour may be longer than 64 KiB.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

import numpy as np
from pydicom import Dataset
from pydicom.uid import ImplicitVRLittleEndian, RTStructureSetStorage

from models.regions import plane_labels
from models.volume import Matrix
from service.derived.checks import corners_mm
from service.derived.encoding import add_encoded, add_sequence, elements
from service.derived.finish import SERIES_NUMBERS, finish
from service.derived.material import Made, Material
from service.derived.rings import rings
from service.derived.sources import add_empty_identity, image_reference, instance_references
from service.derived.terms import Structure, concept, structures

_STUDY_MANAGEMENT = "1.2.840.10008.3.1.2.3.1"  # Detached Study Management, retired: what a study is referred to as
_ORGANS = {
    "123037004",
    "91723000",
    "85756007",
    "91720002",
}  # anatomical structure (new and old), tissue, body substance


def build(material: Material, made: Made) -> list[Dataset]:
    """A structure set with one ROI for each region that was found, closed contours on the planes of the sources."""
    del made
    found = [each for each in structures(material.findings, material.origin) if each.segment_number is not None]
    structure_set = Dataset()
    add_empty_identity(structure_set)
    structure_set.SOPClassUID = RTStructureSetStorage
    structure_set.SOPInstanceUID = material.object_uid("RTSTRUCT")
    structure_set.Modality = "RTSTRUCT"
    structure_set.SeriesInstanceUID = material.series_uid("RTSTRUCT")
    structure_set.SeriesNumber = SERIES_NUMBERS["RTSTRUCT"]
    structure_set.InstanceNumber = 1
    structure_set.OperatorsName = ""
    structure_set.PositionReferenceIndicator = ""
    structure_set.FrameOfReferenceUID = material.sources[0].FrameOfReferenceUID
    _name(structure_set, material.findings.algorithm.name, material.origin.made_at)
    structure_set.ReferencedFrameOfReferenceSequence = [_frame_of_reference(material.sources)]
    structure_set.StructureSetROISequence = [_roi(each, material) for each in found]
    structure_set.RTROIObservationsSequence = [_observation(each) for each in found]
    finish(structure_set, material.sources[0], material.findings.algorithm, material.origin)
    del structure_set.ContentDate, structure_set.ContentTime  # of images and documents
    structure_set.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    add_sequence(structure_set, "ROIContourSequence", [_outlined(each, material) for each in found], implicit=True)
    return [structure_set]


def _name(structure_set: Dataset, name: str, made_at: datetime) -> None:
    structure_set.StructureSetLabel = f"AI {name}"[:16]
    structure_set.StructureSetName = f"AI {name}"[:64]
    structure_set.StructureSetDate = made_at.strftime("%Y%m%d")
    structure_set.StructureSetTime = made_at.strftime("%H%M%S.%f")


def _frame_of_reference(sources: Sequence[Dataset]) -> Dataset:
    first = sources[0]
    series = Dataset()
    series.SeriesInstanceUID = first.SeriesInstanceUID
    series.ContourImageSequence = instance_references(sources)
    study = Dataset()
    study.ReferencedSOPClassUID = _STUDY_MANAGEMENT
    study.ReferencedSOPInstanceUID = first.StudyInstanceUID
    study.RTReferencedSeriesSequence = [series]
    frame = Dataset()
    frame.FrameOfReferenceUID = first.FrameOfReferenceUID
    frame.RTReferencedStudySequence = [study]
    return frame


def _roi(structure: Structure, material: Material) -> Dataset:
    algorithm = material.findings.algorithm
    item = Dataset()
    item.ROINumber = structure.segment_number
    item.ReferencedFrameOfReferenceUID = material.sources[0].FrameOfReferenceUID
    item.ROIName = structure.region.name[:64]
    item.ROIVolume = f"{structure.region.volume_ml:.6g}"
    item.ROIGenerationAlgorithm = "AUTOMATIC"
    item.ROIGenerationDescription = f"{algorithm.name} {algorithm.version}"[:64]
    return item


def _observation(structure: Structure) -> Dataset:
    label = structure.region.label
    item = Dataset()
    item.ObservationNumber = structure.segment_number
    item.ReferencedROINumber = structure.segment_number
    item.RTROIIdentificationCodeSequence = [concept(label.type)]
    item.RTROIInterpretedType = "ORGAN" if label.category.value in _ORGANS else ""
    item.ROIInterpreter = ""
    return item


def _outlined(structure: Structure, material: Material) -> bytes:
    """An item of the ROI Contour Sequence, encoded."""
    item = Dataset()
    item.ROIDisplayColor = list(structure.region.label.color_rgb)
    item.ReferencedROINumber = structure.segment_number
    add_sequence(item, "ContourSequence", list(_contours(structure, material)), implicit=True)
    return elements(item, implicit=True)


def _contours(structure: Structure, material: Material) -> Iterator[bytes]:
    region = structure.region
    planes = plane_labels(material.findings, region.layer)
    for source, plane in zip(material.sources, planes, strict=True):
        for ring in rings(np.asarray(plane == region.number)):
            yield _contour(corners_mm(source, ring), source)


def _contour(points_mm: Matrix, source: Dataset) -> bytes:
    """A closed contour, encoded; micrometres are enough, and no corner is nearer to a pixel's centre than a third."""
    item = Dataset()
    item.ContourImageSequence = [image_reference(source)]
    item.ContourGeometricType = "CLOSED_PLANAR"
    item.NumberOfContourPoints = len(points_mm)
    written = "\\".join(f"{each:.3f}" for each in points_mm.ravel().tolist())
    add_encoded(item, "ContourData", (written + " " * (len(written) % 2)).encode("ascii"), implicit=True)
    return elements(item, implicit=True)
