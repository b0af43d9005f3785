"""Findings of a radiograph as a report of template TID 1500: what is where, how likely, and what is not there.

Coordinates are (column, row) with 0\\0 at the outer corner of the first pixel (PS3.3 C.18.6.1.2): those of
`models/findings.py` in the other order.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from highdicom import sr
from highdicom.sr.templates import Template
from pydicom import Dataset
from pydicom.sr.codedict import codes

from models.findings import Box, Change, HeatMap, Point, Score
from models.terms import Term
from service.core.profiles import Kind
from service.derived.material import Made, Material
from service.derived.report_groups import NOTHING_FOUND
from service.derived.report_head import report
from service.derived.report_items import (
    CONTAINS,
    beside_numbers,
    comment,
    extended,
    finding_sites,
    identification,
    numeric,
    operating_point,
    parameter,
    percent,
)
from service.derived.sources import reference
from service.derived.terms import concept, tracking

_PRESENCE = codes.DCM.PresenceOfProperty


def build(material: Material, made: Made) -> list[Dataset]:
    """A report with one measurement group for each finding, in the order of the vocabulary, or one that there is none.

    A score is stated with its operating point, as present or absent, and with the remarks on its input. Raises Broken
    when there is not one source.
    """
    heat_maps = made.get(Kind.HEAT_MAP, ())
    return [report(material, list(_groups(material, heat_maps)) or [_nothing(material)], heat_maps)]


def _groups(material: Material, heat_maps: Sequence[Dataset]) -> Iterator[Template]:
    findings = material.findings
    for number, score in enumerate(findings.scores, start=1):
        yield _score(material, number, score)
    for number, box in enumerate(findings.boxes, start=1):
        yield _box(material, number, box)
    for number, point in enumerate(findings.points, start=1):
        yield _point(material, number, point)
    for number, heat_map in enumerate(findings.heat_maps, start=1):
        yield from (_heat_map(material, number, heat_map, drawn) for drawn in heat_maps)
    if findings.measurements:
        yield _whole_image(material)
    for number, change in enumerate(findings.changes, start=1):
        yield _before(material, number, change)
        yield _after(material, number, change)


def _score(material: Material, number: int, score: Score) -> Template:
    stated = codes.cid240.Present if score.is_positive else codes.cid240.Absent
    group = sr.MeasurementsAndQualitativeEvaluations(
        **_what(material, "score", number, score.term, [parameter(operating_point(score))]),
        measurements=_probability(score.probability),
        qualitative_evaluations=[sr.QualitativeEvaluation(_PRESENCE, stated)],
        source_images=[_source_of_group(material)],
    )
    return extended(group, *map(comment, material.findings.remarks))


def _box(material: Material, number: int, box: Box) -> Template:
    (top, left), (bottom, right) = box.low, box.high
    corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        **_what(material, "box", number, box.term),
        referenced_region=_region(material, sr.GraphicTypeValues.POLYLINE, corners),
        geometric_purpose=codes.cid219.BoundedBy,
        measurements=[*_probability(box.probability), *map(numeric, box.measurements)],
    )


def _point(material: Material, number: int, point: Point) -> Template:
    row, column = point.at
    return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        **_what(material, "point", number, point.term),
        referenced_region=_region(material, sr.GraphicTypeValues.POINT, [(column, row)]),
        geometric_purpose=codes.cid219.RepresentativePoint,
        measurements=_probability(point.probability),
    )


def _heat_map(material: Material, number: int, heat_map: HeatMap, drawn: Dataset) -> Template:
    """The segment that is the heat map: whoever reads the report finds it.

    The segment alone, though the library adds its frame: both at once are forbidden (PS3.3 C.18.4).
    """
    segment = sr.ReferencedSegmentationFrame(
        sop_class_uid=drawn.SOPClassUID,
        sop_instance_uid=drawn.SOPInstanceUID,
        frame_number=number,
        segment_number=number,
        source_image=sr.SourceImageForSegmentation(*_reference(material)),
    )
    del segment[0].ReferencedSOPSequence[0].ReferencedFrameNumber
    return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        **_what(material, "heat map", number, heat_map.term), referenced_segment=segment
    )


def _whole_image(material: Material) -> Template:
    return sr.MeasurementsAndQualitativeEvaluations(
        **_what(material, "image", 1, None),
        measurements=[numeric(each) for each in material.findings.measurements],
        source_images=[_source_of_group(material)],
    )


def _nothing(material: Material) -> Template:
    group = sr.MeasurementsAndQualitativeEvaluations(**_what(material, "image", 1, None))
    return extended(group, comment(NOTHING_FOUND))


def _before(material: Material, number: int, change: Change) -> Template:
    """What was measured then, with its day and the Series it was measured in."""
    group = sr.MeasurementsAndQualitativeEvaluations(
        **_what(material, "earlier", number, change.term),
        time_point_context=sr.TimePointContext("earlier"),
        measurements=[numeric(change.before)],
    )
    day = sr.DateContentItem(codes.DCM.StudyDate, change.measured_before_on, CONTAINS)
    series = sr.UIDRefContentItem(codes.DCM.SeriesInstanceUID, change.earlier_series_uid, CONTAINS)
    return extended(group, day, series)


def _after(material: Material, number: int, change: Change) -> Template:
    group = sr.MeasurementsAndQualitativeEvaluations(
        **_what(material, "now", number, change.term),
        time_point_context=sr.TimePointContext("now"),
        measurements=[numeric(each) for each in (change.after, *change.differences)],
        source_images=[_source_of_group(material)],
    )
    return extended(group, *beside_numbers(change))


def _what(
    material: Material, kind: str, number: int, term: Term | None, parameters: Sequence[sr.TextContentItem] = ()
) -> dict[str, object]:
    """What every group begins with: under which names, of what, by which algorithm."""
    algorithm = material.findings.algorithm
    names = tracking(algorithm, material.origin, kind, number, term)
    speaker = identification(algorithm)
    speaker.extend(parameters)
    begun: dict[str, object] = {
        "tracking_identifier": sr.TrackingIdentifier(uid=names.uid, identifier=names.identifier),
        "algorithm_id": speaker,
    }
    if term is None:
        return begun
    return begun | {
        "finding_type": concept(term.type),
        "finding_category": concept(term.category),
        "finding_sites": finding_sites(term),
    }


def _region(material: Material, kind: sr.GraphicTypeValues, columns_and_rows: Sequence[object]) -> sr.ImageRegion:
    return sr.ImageRegion(kind, np.array(columns_and_rows, dtype=float), sr.SourceImageForRegion(*_reference(material)))


def _source_of_group(material: Material) -> sr.SourceImageForMeasurementGroup:
    return sr.SourceImageForMeasurementGroup(*_reference(material))


def _reference(material: Material) -> tuple[str, str, list[int] | None]:
    """SOP Class and Instance UID of the image, and its frame where it is one."""
    source = material.sources[0]
    number = reference(source).number
    return source.SOPClassUID, source.SOPInstanceUID, None if number is None else [number]


def _probability(probability: float | None) -> list[sr.Measurement]:
    return [] if probability is None else [numeric(percent(probability))]
