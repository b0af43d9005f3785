"""The measurement groups of a report: one for each thing that findings say of a volume."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from highdicom import sr
from highdicom.sr.templates import Template
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.sr.codedict import codes

from models.findings import Box, Change, Measurement, Point, Prediction, Score
from models.measurement import CUBIC_CENTIMETRE, MEAN, VOLUME
from models.regions import largest_planes
from service.core.profiles import Kind
from service.derived.material import Made, Material
from service.derived.report_items import (
    CONTAINS,
    beside_numbers,
    comment,
    extended,
    finding_sites,
    identification,
    key_image,
    numeric,
    operating_point,
    parameter,
    percent,
    plain_group,
    source_series,
    tracking_identifier,
)
from service.derived.terms import Structure, concept, structures
from service.derived.wording import predicted_from, time_of

NOTHING_FOUND = "Nothing was found."
_FACES = tuple((axis, side) for axis in range(3) for side in (0, 1))
_AROUND = ((0, 0), (0, 1), (1, 1), (1, 0), (0, 0))  # the corners of a face, closed


def groups(material: Material, made: Made) -> list[Template]:
    """Structures in the model's order, then scores, boxes, points, numbers of the whole image, changes, predictions.

    Findings that say nothing at all have one group that says so.
    """
    findings = material.findings
    segments, planes = _segments(made), largest_planes(findings)
    said = [
        _structure(material, each, segments, planes.get((each.region.layer, each.region.number), 0))
        for each in structures(findings, material.origin)
    ]
    said += [_score(material, number, score) for number, score in enumerate(findings.scores, start=1)]
    said += [_place(material, "box", number, box) for number, box in enumerate(findings.boxes, start=1)]
    said += [_place(material, "point", number, point) for number, point in enumerate(findings.points, start=1)]
    if findings.measurements:
        said.append(plain_group(material, tracking_identifier(material, "image"), None, findings.measurements))
    for number, change in enumerate(findings.changes, start=1):
        said += _change(material, number, change)
    said += [_prediction(material, number, each) for number, each in enumerate(findings.predictions, start=1)]
    if findings.not_compared:
        group = plain_group(material, tracking_identifier(material, "comparison"), None)
        said.append(extended(group, comment(findings.not_compared)))
    if not said:
        nothing = plain_group(material, tracking_identifier(material, "image"), None)
        said.append(extended(nothing, comment(NOTHING_FOUND)))
    return said


def _segments(made: Made) -> dict[str, tuple[Dataset, int]]:
    """Tracking UID -> the Segmentation and the number of the segment in it."""
    return {
        str(segment.TrackingUID): (segmentation, int(segment.SegmentNumber))
        for segmentation in made.get(Kind.SEGMENTATION, ())
        for segment in segmentation.SegmentSequence
        if "TrackingUID" in segment
    }


def _structure(
    material: Material, structure: Structure, segments: Mapping[str, tuple[Dataset, int]], largest_plane: int
) -> Template:
    region = structure.region
    tracking = sr.TrackingIdentifier(uid=structure.tracking_uid, identifier=structure.tracking_id)
    if not region.voxels:
        return plain_group(material, tracking, region.label, presence=codes.cid240.Absent)
    measurements = [Measurement(VOLUME, region.volume_ml, CUBIC_CENTIMETRE), *region.measurements]
    if region.probability is not None:
        measurements.append(percent(region.probability, MEAN))
    if structure.tracking_uid in segments:
        group = _segmented(material, structure, segments[structure.tracking_uid], measurements)
    else:
        group = plain_group(material, tracking, region.label, measurements)
    shown = key_image(material.sources[largest_plane])
    return extended(group, *([comment(region.location)] if region.location else []), shown)


def _segmented(
    material: Material, structure: Structure, segment: tuple[Dataset, int], measurements: Sequence[Measurement]
) -> Template:
    segmentation, number = segment
    region = sr.ReferencedSegment(
        sop_class_uid=segmentation.SOPClassUID,
        sop_instance_uid=segmentation.SOPInstanceUID,
        segment_number=number,
        source_series=source_series(material),
    )
    return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=structure.tracking_uid, identifier=structure.tracking_id),
        referenced_segment=region,
        finding_type=concept(structure.region.label.type),
        finding_category=concept(structure.region.label.category),
        finding_sites=finding_sites(structure.region.label),
        algorithm_id=identification(material.findings.algorithm),
        measurements=[numeric(each) for each in measurements],
    )


def _score(material: Material, number: int, score: Score) -> Template:
    presence = codes.cid240.Present if score.is_positive else codes.cid240.Absent
    tracking = tracking_identifier(material, "score", number, score.term)
    group = plain_group(material, tracking, score.term, [percent(score.probability)], presence)
    return extended(group, parameter(operating_point(score)))


def _place(material: Material, kind: str, number: int, found: Box | Point) -> Template:
    """A box as the six faces of a volume's surface, a point as a surface of one point (TID 1411).

    A report that may hold no coordinates in space (PS3.3 A.35.2) tells them in words.
    """
    measurements = [*(found.measurements if isinstance(found, Box) else ())]
    if found.probability is not None:
        measurements.append(percent(found.probability))
    tracking = tracking_identifier(material, kind, number, found.term)
    if material.profile.report == "enhanced":
        return extended(plain_group(material, tracking, found.term, measurements), comment(in_words(found)))
    surface = sr.VolumeSurface(
        graphic_type=sr.GraphicTypeValues3D.POLYGON if isinstance(found, Box) else sr.GraphicTypeValues3D.POINT,
        graphic_data=_faces(found) if isinstance(found, Box) else [np.array([found.at])],
        frame_of_reference_uid=material.sources[0].FrameOfReferenceUID,
        source_series=source_series(material),
    )
    return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=tracking,
        referenced_volume_surface=surface,
        finding_type=concept(found.term.type),
        finding_category=concept(found.term.category),
        finding_sites=finding_sites(found.term),
        algorithm_id=identification(material.findings.algorithm),
        measurements=[numeric(each) for each in measurements] or None,
    )


def in_words(found: Box | Point) -> str:
    """Where a box or a point lies, for a reader."""
    if isinstance(found, Point):
        return f"At {_millimetres(found.at)} mm in the patient (LPS)."
    return f"Between the corners {_millimetres(found.low)} and {_millimetres(found.high)} mm in the patient (LPS)."


def _millimetres(place: tuple[float, ...]) -> str:
    return f"({', '.join(f'{mm:.1f}' for mm in place)})"


def _faces(box: Box) -> list[NDArray[np.float64]]:
    """Each face as a closed polygon, (5, 3) mm."""
    ends = np.array([box.low, box.high])
    return [_face(ends, axis, side) for axis, side in _FACES]


def _face(ends: NDArray[np.float64], axis: int, side: int) -> NDArray[np.float64]:
    first, second = (other for other in range(3) if other != axis)
    face = np.empty((len(_AROUND), 3))
    face[:, axis] = ends[side, axis]
    for row, (low_or_high, other) in enumerate(_AROUND):
        face[row, first], face[row, second] = ends[low_or_high, first], ends[other, second]
    return face


def _change(material: Material, number: int, change: Change) -> Iterator[Template]:
    """What was measured earlier, with its day and Series, and what is measured now: a group each, in that order."""
    earlier, now = (
        plain_group(
            material,
            tracking_identifier(material, when, number, change.term),
            change.term,
            measurements,
            time_point=sr.TimePointContext(when),
        )
        for when, measurements in (("earlier", [change.before]), ("now", [change.after, *change.differences]))
    )
    day = sr.DateContentItem(codes.DCM.StudyDate, change.measured_before_on, CONTAINS)
    series = sr.UIDRefContentItem(codes.DCM.SeriesInstanceUID, change.earlier_series_uid, CONTAINS)
    yield extended(earlier, day, series)
    yield extended(now, *beside_numbers(change))


def _prediction(material: Material, number: int, prediction: Prediction) -> Template:
    """What a quantity is expected to be: estimated, at a time of its own, with what it rests on."""
    group = plain_group(
        material,
        tracking_identifier(material, "prediction", number, prediction.term),
        prediction.term,
        [prediction.measurement],
        time_point=sr.TimePointContext(time_of(prediction)),
    )
    return extended(group, comment(predicted_from(prediction)))
