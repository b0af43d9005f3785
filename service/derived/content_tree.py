"""The content tree of a report, read with no help from the library that wrote it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime

from pydicom import Dataset

from service.core.entities import FrameReference
from service.derived.sources import reference

Term = tuple[str, str]

TITLE: Term = ("126000", "DCM")
VOLUME: Term = ("118565006", "SCT")
CUBIC_CENTIMETRE: Term = ("cm3", "UCUM")
ABSENT: Term = ("272519000", "SCT")
PRESENT: Term = ("52101004", "SCT")
_IMAGING_MEASUREMENTS: Term = ("126010", "DCM")
_GROUP: Term = ("125007", "DCM")
_FINDING: Term = ("121071", "DCM")
_CATEGORY: Term = ("276214006", "SCT")
_SITE: Term = ("363698007", "SCT")
_SITE_MODIFIER: Term = ("106233006", "SCT")
_TRACKING_ID: Term = ("112039", "DCM")
_TRACKING_UID: Term = ("112040", "DCM")
_ALGORITHM_NAME: Term = ("111001", "DCM")
_ALGORITHM_VERSION: Term = ("111003", "DCM")
_SEGMENT: Term = ("121191", "DCM")
_SURFACE: Term = ("121231", "DCM")
_SOURCE_SERIES: Term = ("121232", "DCM")
_KEY_IMAGE: Term = ("121080", "DCM")
_PRESENCE: Term = ("121052", "DCM")
_PARAMETERS: Term = ("111002", "DCM")
_COMMENT: Term = ("121106", "DCM")
_DERIVATION: Term = ("121401", "DCM")
_UNCERTAINTIES: tuple[Term, Term] = (("371886008", "SCT"), ("371885007", "SCT"))
_TIME_POINT: Term = ("C2348792", "UMLS")
_SIZE: Term = ("442714003", "SCT")
_EARLIER_DAY: Term = ("111060", "DCM")
_EARLIER_SERIES: Term = ("112002", "DCM")


@dataclass(frozen=True, slots=True)
class Number:
    """One measured value; `uncertainties` are up and down, with their units, where it has some."""

    name: Term | None
    value: float
    unit: Term | None
    derivation: Term | None = None
    uncertainties: tuple[tuple[float, Term | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Surface:
    """A place in space: graphic type, coordinates in mm one after the other, and the frame of reference."""

    kind: str
    at_mm: tuple[float, ...]
    frame_of_reference_uid: str


@dataclass(frozen=True, slots=True)
class Group:
    """What one measurement group says; None or nothing where it says nothing."""

    finding: Term | None = None
    category: Term | None = None
    site: tuple[Term | None, Term | None] | None = None  # and which part of it
    tracking_id: str | None = None
    tracking_uid: str | None = None
    algorithm: tuple[str, str] | None = None  # name and version
    numbers: tuple[Number, ...] = ()
    segment: tuple[str, int] | None = None  # SOP Instance UID and segment number
    source_series_uid: str | None = None
    key_image: FrameReference | None = None
    surfaces: tuple[Surface, ...] = ()
    presence: Term | None = None
    comment: str | None = None
    parameter: str | None = None  # what the algorithm was set to
    time_point: str | None = None
    size: Term | None = None  # how it differs from what was measured earlier
    earlier: tuple[date, str] | None = None  # day and Series of what was measured then


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
    segment = next(_children(item, _SEGMENT), None)
    image = next(_children(item, _KEY_IMAGE), None)
    name, version = _value(item, _ALGORITHM_NAME, "TextValue"), _value(item, _ALGORITHM_VERSION, "TextValue")
    return Group(
        finding=_coded(item, _FINDING),
        category=_coded(item, _CATEGORY),
        site=next((_site(each) for each in _children(item, _SITE)), None),
        tracking_id=_value(item, _TRACKING_ID, "TextValue"),
        tracking_uid=_value(item, _TRACKING_UID, "UID"),
        algorithm=(name, version) if name and version else None,
        numbers=tuple(map(_number, _measurements(item))),
        segment=segment and _segment(segment),
        source_series_uid=_value(item, _SOURCE_SERIES, "UID"),
        key_image=image and reference(image.ReferencedSOPSequence[0], "ReferencedSOPInstanceUID"),
        surfaces=tuple(_surface(each) for each in _children(item, _SURFACE)),
        presence=_coded(item, _PRESENCE),
        comment=_value(item, _COMMENT, "TextValue"),
        parameter=_value(item, _PARAMETERS, "TextValue"),
        size=_coded(item, _SIZE),
        time_point=_value(item, _TIME_POINT, "TextValue"),
        earlier=_earlier(item),
    )


def _measurements(item: Dataset) -> Iterator[Dataset]:
    contained = (each for each in item.get("ContentSequence", []) if each.RelationshipType == "CONTAINS")
    return (each for each in contained if each.ValueType == "NUM")


def _number(item: Dataset) -> Number:
    (measured,) = item.MeasuredValueSequence
    around = [each.MeasuredValueSequence[0] for name in _UNCERTAINTIES for each in _children(item, name)]
    return Number(
        term(item),
        float(measured.NumericValue),
        term(measured, "MeasurementUnitsCodeSequence"),
        _coded(item, _DERIVATION),
        tuple((float(each.NumericValue), term(each, "MeasurementUnitsCodeSequence")) for each in around),
    )


def _surface(item: Dataset) -> Surface:
    return Surface(
        str(item.GraphicType), tuple(float(mm) for mm in item.GraphicData), str(item.ReferencedFrameOfReferenceUID)
    )


def _segment(image: Dataset) -> tuple[str, int]:
    segmentation = image.ReferencedSOPSequence[0]
    return segmentation.ReferencedSOPInstanceUID, int(segmentation.ReferencedSegmentNumber)


def _site(item: Dataset) -> tuple[Term | None, Term | None]:
    return term(item, "ConceptCodeSequence"), _coded(item, _SITE_MODIFIER)


def _earlier(item: Dataset) -> tuple[date, str] | None:
    day, series = _value(item, _EARLIER_DAY, "Date"), _value(item, _EARLIER_SERIES, "UID")
    return (datetime.strptime(day, "%Y%m%d").date(), series) if day and series else None


def _coded(item: Dataset, name: Term) -> Term | None:
    return next((term(each, "ConceptCodeSequence") for each in _children(item, name)), None)


def _value(item: Dataset, name: Term, keyword: str) -> str | None:
    return next((str(each.get(keyword)) for each in _children(item, name)), None)


def _children(item: Dataset, name: Term) -> Iterator[Dataset]:
    return (child for child in item.get("ContentSequence", []) if term(child) == name)
