"""The content tree of a report, read with no help from the library that wrote it."""

from collections.abc import Iterator
from dataclasses import dataclass

from pydicom import Dataset

Term = tuple[str, str]

TITLE: Term = ("126000", "DCM")
CUBIC_CENTIMETRE: Term = ("cm3", "UCUM")
ABSENT: Term = ("272519000", "SCT")
_IMAGING_MEASUREMENTS: Term = ("126010", "DCM")
_GROUP: Term = ("125007", "DCM")
_FINDING: Term = ("121071", "DCM")
_TRACKING_UID: Term = ("112040", "DCM")
_SEGMENT: Term = ("121191", "DCM")
_SOURCE_SERIES: Term = ("121232", "DCM")
_VOLUME: Term = ("118565006", "SCT")
_PRESENCE: Term = ("121052", "DCM")


@dataclass(frozen=True, slots=True)
class Group:
    """What one measurement group says; None where it says nothing."""

    finding: Term | None
    tracking_uid: str | None = None
    volume: float | None = None
    unit: Term | None = None
    segment: tuple[str, int] | None = None  # SOP Instance UID and segment number
    source_series_uid: str | None = None
    presence: Term | None = None


def term(item: Dataset, keyword: str = "ConceptNameCodeSequence") -> Term | None:
    """Value and scheme of a code, None where the item has none."""
    code = item.get(keyword)
    return (code[0].CodeValue, code[0].CodingSchemeDesignator) if code else None


def groups(report: Dataset) -> list[Group]:
    """The measurement groups of a report in their order."""
    return [_group(item) for part in _children(report, _IMAGING_MEASUREMENTS) for item in _children(part, _GROUP)]


def evidence(report: Dataset) -> set[str]:
    """SOP Instance UIDs of the instances that the report rests on."""
    return {
        instance.ReferencedSOPInstanceUID
        for study in report.get("CurrentRequestedProcedureEvidenceSequence", [])
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    }


def contained(report: Dataset, value_type: str, keyword: str) -> list[str]:
    """The values of the items of one type that the report contains at its top, in their order."""
    return [
        str(item.get(keyword))
        for item in report.get("ContentSequence", [])
        if (item.RelationshipType, item.ValueType) == ("CONTAINS", value_type)
    ]


def _group(item: Dataset) -> Group:
    finding = next(_children(item, _FINDING), Dataset())
    tracking = next(_children(item, _TRACKING_UID), Dataset())
    series = next(_children(item, _SOURCE_SERIES), Dataset())
    presence = next(_children(item, _PRESENCE), Dataset())
    measured = next((number.MeasuredValueSequence[0] for number in _children(item, _VOLUME)), Dataset())
    return Group(
        finding=term(finding, "ConceptCodeSequence"),
        tracking_uid=tracking.get("UID"),
        volume=float(measured.NumericValue) if measured else None,
        unit=term(measured, "MeasurementUnitsCodeSequence"),
        segment=next((_segment(image) for image in _children(item, _SEGMENT)), None),
        source_series_uid=series.get("UID"),
        presence=term(presence, "ConceptCodeSequence"),
    )


def _segment(image: Dataset) -> tuple[str, int]:
    reference = image.ReferencedSOPSequence[0]
    return reference.ReferencedSOPInstanceUID, int(reference.ReferencedSegmentNumber)


def _children(item: Dataset, name: Term) -> Iterator[Dataset]:
    return (child for child in item.get("ContentSequence", []) if term(child) == name)
