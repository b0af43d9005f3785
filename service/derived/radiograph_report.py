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
from models.manifest import Term
from service.core.profiles import Kind
from service.derived.finish import MANUFACTURER, SERIES_NUMBERS, finish
from service.derived.material import Made, Material
from service.derived.report_groups import NOTHING_FOUND
from service.derived.report_head import observer, procedure
from service.derived.report_items import CONTAINS, comment, extended, finding_sites, identification, numeric, percent
from service.derived.sources import instances, reference
from service.derived.terms import concept, tracking

_DOCUMENTS = {"comprehensive 3d": sr.Comprehensive3DSR, "enhanced": sr.EnhancedSR}
_PRESENCE = codes.DCM.PresenceOfProperty
_HAS_CONCEPT_MOD = sr.RelationshipTypeValues.HAS_CONCEPT_MOD


def build(material: Material, made: Made) -> list[Dataset]:
    """A report with one measurement group for each finding, in the order of the vocabulary, or one that there is none.

    A score is stated with its operating point, and as present or absent. Raises Broken when there is not one source.
    """
    sources, findings, origin = material.sources, material.findings, material.origin
    heat_maps = made.get(Kind.HEAT_MAP, ())
    report = _DOCUMENTS[material.profile.report](
        evidence=[*instances(sources), *heat_maps],
        content=sr.MeasurementReport(
            observation_context=observer(findings.algorithm),
            procedure_reported=procedure(sources[0]),
            imaging_measurements=list(_groups(material, heat_maps)) or [_nothing(material)],
            title=codes.DCM.ImagingMeasurementReport,
        ),
        series_instance_uid=material.series_uid("SR"),
        series_number=SERIES_NUMBERS["SR"],
        sop_instance_uid=material.object_uid("SR"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        is_complete=True,
        is_final=False,
        is_verified=False,
    )
    return [finish(report, sources[0], findings.algorithm, origin)]


def _operating_point(score: Score) -> str:
    """From which probability on something is called present, as a parameter of the algorithm (TID 4019).

    The CAD Operating Point of PS3.16 counts points of a curve and says no probability.
    """
    return f"operating point: present from a probability of {100 * score.operating_point:.6g} % on"


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
    return sr.MeasurementsAndQualitativeEvaluations(
        **_what(material, "score", number, score.term, [_operating_point(score)]),
        measurements=_probability(score.probability),
        qualitative_evaluations=[sr.QualitativeEvaluation(_PRESENCE, stated)],
        source_images=[_source_of_group(material)],
    )


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
    return sr.MeasurementsAndQualitativeEvaluations(
        **_what(material, "now", number, change.term),
        time_point_context=sr.TimePointContext("now"),
        measurements=[numeric(change.after)],
        source_images=[_source_of_group(material)],
    )


def _what(
    material: Material, kind: str, number: int, term: Term | None, parameters: Sequence[str] = ()
) -> dict[str, object]:
    """What every group begins with: under which names, of what, by which algorithm."""
    algorithm = material.findings.algorithm
    names = tracking(algorithm, material.origin, kind, number, term)
    set_to = [sr.TextContentItem(codes.DCM.AlgorithmParameters, text, _HAS_CONCEPT_MOD) for text in parameters]
    speaker = identification(algorithm)
    speaker.extend(set_to)
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
