"""That a model did not run, and why, as a report and as a picture: no finding, and nobody may read one into it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import BasicTextSRStorage, SecondaryCaptureImageStorage

from service.core.jobs import Job
from service.core.refusals import Notice
from service.derived.content_items import PRIVATE_SCHEME, Code, coded, device_observer, item, private_scheme
from service.derived.finish import MANUFACTURER, SERIES_NUMBERS, finish
from service.derived.origin import Origin
from service.derived.page import page
from service.derived.sources import add_empty_identity

TITLE = "NOT ANALYSED"
_TITLE = ("NOT_ANALYSED", PRIVATE_SCHEME, TITLE)
_SERIES_UID = ("112002", "DCM", "Series Instance UID")
_SOURCE = ("121324", "DCM", "Source image")


@dataclass(frozen=True, slots=True)
class Line:
    """One heading of a notice and what stands under it."""

    heading: str
    text: str


def lines(sources: Sequence[Dataset], job: Job, notice: Notice, origin: Origin) -> tuple[Line, ...]:
    """What a notice says, in plain words; `sources` are the images of the stack without pixels."""
    return (
        Line("Model", f"{notice.model_title} ({job.model} {job.version}) has not run."),
        Line("Series", _series_in_words(sources)),
        Line("Why", notice.why),
        Line("What to do", notice.cure),
        Line("Meaning", "No finding is implied: neither that something was found, nor that all is normal."),
        Line(
            "Said by", f"{MANUFACTURER} {origin.software_version}, of images received {origin.made_at:%Y-%m-%d %H:%M}"
        ),
    )


def _series_in_words(sources: Sequence[Dataset]) -> str:
    first = sources[0]
    description = str(first.get("SeriesDescription") or "").strip() or "without a description"
    number = first.get("SeriesNumber")
    count = f"{len(sources)} image" + ("s" if len(sources) > 1 else "")
    return f"{description}, {'no number' if number is None else f'number {number}'}, {count}"


def build_report(sources: Sequence[Dataset], said: Sequence[Line], notice: Notice, origin: Origin) -> Dataset:
    """A Basic Text SR (PS3.3 A.35.1) with one text for each line."""
    report = _begin(BasicTextSRStorage, "SR", notice, origin)
    report.CompletionFlag, report.VerificationFlag = "COMPLETE", "UNVERIFIED"
    report.ReferencedPerformedProcedureStepSequence = []
    report.PerformedProcedureCodeSequence = []
    report.CurrentRequestedProcedureEvidenceSequence = [_evidence(sources[0])]
    report.ValueType, report.ContinuityOfContent = "CONTAINER", "SEPARATE"
    report.ConceptNameCodeSequence, report.CodingSchemeIdentificationSequence = [coded(_TITLE)], [private_scheme()]
    report.ContentSequence = [
        *device_observer(origin),
        *(item("CONTAINS", "TEXT", _heading(line), TextValue=line.text) for line in said),
        item("CONTAINS", "UIDREF", _SERIES_UID, UID=sources[0].SeriesInstanceUID),
        item("CONTAINS", "IMAGE", _SOURCE, ReferencedSOPSequence=[_reference(sources[0])]),
    ]
    return finish(report, sources[0], None, origin)


def build_picture(sources: Sequence[Dataset], said: Sequence[Line], notice: Notice, origin: Origin) -> Dataset:
    """One page as a Secondary Capture Image (PS3.3 A.8.1), 8-bit grey."""
    picture = _begin(SecondaryCaptureImageStorage, "OT", notice, origin)
    picture.ConversionType, picture.ImageType = "SYN", ["DERIVED", "SECONDARY"]
    picture.BurnedInAnnotation = "NO"  # what the page says names a series, never a patient
    picture.ReferencedImageSequence = [_reference(sources[0])]
    pixels = drawn(said)
    picture.Rows, picture.Columns = pixels.shape
    picture.SamplesPerPixel, picture.PhotometricInterpretation, picture.PixelRepresentation = 1, "MONOCHROME2", 0
    picture.BitsAllocated, picture.BitsStored, picture.HighBit = 8, 8, 7
    picture.WindowCenter, picture.WindowWidth = 128, 256
    picture.PixelData = pixels.tobytes() + b"\0" * (pixels.size % 2)
    finished = finish(picture, sources[0], None, origin)
    finished.PatientOrientation = finished.Laterality = ""  # a page lies nowhere in the patient
    finished.pop("BodyPartExamined", None)
    return finished


def drawn(said: Sequence[Line]) -> NDArray[np.uint8]:
    """The lines as a page, (row, column)."""
    return np.asarray(page(TITLE, [(line.heading, line.text) for line in said]))


def _begin(sop_class_uid: str, modality: str, notice: Notice, origin: Origin) -> Dataset:
    kind = f"{modality} not analysed"
    begun = Dataset()
    add_empty_identity(begun)
    begun.SOPClassUID, begun.Modality = sop_class_uid, modality
    begun.SOPInstanceUID, begun.SeriesInstanceUID = origin.uid("instance", kind), origin.uid("series", kind)
    begun.SeriesNumber, begun.InstanceNumber = SERIES_NUMBERS[kind], 1
    begun.SeriesDescription = f"AI not analysed: {notice.model_title}"[:64]
    return begun


def _evidence(source: Dataset) -> Dataset:
    series, study = Dataset(), Dataset()
    series.SeriesInstanceUID, series.ReferencedSOPSequence = source.SeriesInstanceUID, [_reference(source)]
    study.StudyInstanceUID, study.ReferencedSeriesSequence = source.StudyInstanceUID, [series]
    return study


def _reference(source: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = source.SOPClassUID, source.SOPInstanceUID
    return item


def _heading(line: Line) -> Code:
    return (line.heading.upper().replace(" ", "_"), PRIVATE_SCHEME, line.heading)
