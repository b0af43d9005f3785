"""What the measurement groups of a report have to say: worked out from the findings, with no help from the builder."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from models.findings import Box, Change, Measurement, Point, Prediction, Score
from models.regions import largest_planes
from models.terms import Code, Term
from service.core.profiles import Kind
from service.derived import content_tree
from service.derived.content_tree import ABSENT, CUBIC_CENTIMETRE, PRESENT, Group, Number, Surface
from service.derived.material import Made, Material
from service.derived.report_groups import NOTHING_FOUND, in_words
from service.derived.sources import reference
from service.derived.terms import Structure, structures

_VOLUME: content_tree.Term = ("118565006", "SCT")
_PROBABILITY: content_tree.Term = ("122157", "DCM")
_PERCENT: content_tree.Term = ("%", "UCUM")
_MEAN: content_tree.Term = ("373098007", "SCT")
_FACES = 6


def expected(material: Material, made: Made) -> list[tuple[str, Group]]:
    """The groups in their order, each with the name of what it is about and the numbers of the findings."""
    findings = material.findings
    planes = largest_planes(findings)
    due = [_structure(material, each, made, planes) for each in structures(findings, material.origin)]
    due += [_tracked(material, "score", number, each) for number, each in enumerate(map(_score, findings.scores), 1)]
    boxes, points = (_placed(material, each) for each in (findings.boxes, findings.points))
    due += [_tracked(material, "box", number, each) for number, each in enumerate(boxes, 1)]
    due += [_tracked(material, "point", number, each) for number, each in enumerate(points, 1)]
    if findings.measurements:
        measured = Group(numbers=tuple(map(_number, findings.measurements)))
        due.append(_tracked(material, "image", 1, ("", measured)))
    for number, change in enumerate(findings.changes, 1):
        due += [_tracked(material, when, number, group) for when, group in _change(change)]
    for number, prediction in enumerate(findings.predictions, 1):
        due.append(_tracked(material, "prediction", number, _predicted(prediction)))
    if findings.not_compared:
        due.append(_tracked(material, "comparison", 1, ("", Group(comment=findings.not_compared))))
    if not due:
        due.append(_tracked(material, "image", 1, ("", Group(comment=NOTHING_FOUND))))
    algorithm = findings.algorithm.name, findings.algorithm.version
    return [(name, replace(group, algorithm=algorithm)) for name, group in due]


def _tracked(material: Material, kind: str, number: int, about: tuple[str, Group]) -> tuple[str, Group]:
    name, group = about
    which = f", {kind} {number}" if name else f" {kind}"
    speaker = f"{material.findings.algorithm.name} {name}".strip()
    tracking_id = speaker[: 64 - len(which)] + which
    tracking_uid = material.origin.uid("finding", kind, str(number))
    return name or "the image", replace(group, tracking_id=tracking_id, tracking_uid=tracking_uid)


def _structure(
    material: Material, structure: Structure, made: Made, planes: Mapping[tuple[int, int], int]
) -> tuple[str, Group]:
    region = structure.region
    group = replace(
        _about(region.label), tracking_id=structure.tracking_id, tracking_uid=structure.tracking_uid, presence=ABSENT
    )
    if not region.voxels:
        return region.name, group
    volume_ml = region.voxels * material.findings.grid.voxel_volume_ml
    numbers = [Number(_VOLUME, volume_ml, CUBIC_CENTIMETRE), *map(_number, region.measurements)]
    if region.probability is not None:
        numbers.append(Number(_PROBABILITY, region.probability * 100, _PERCENT, _MEAN))
    group = replace(group, numbers=tuple(numbers), presence=None, comment=region.location or None)
    group = replace(group, key_image=reference(material.sources[planes[region.layer, region.number]]))
    if Kind.SEGMENTATION not in material.profile.objects:
        return region.name, group
    series_uid = str(material.sources[0].SeriesInstanceUID)
    return region.name, replace(group, segment=_segment(structure, made), source_series_uid=series_uid)


def _segment(structure: Structure, made: Made) -> tuple[str, int] | None:
    """The segment that is named as the region and tracked as it; None where there is none."""
    names = structure.region.name[:64], structure.tracking_uid
    return next(
        (
            (str(drawn.SOPInstanceUID), int(segment.SegmentNumber))
            for drawn in made.get(Kind.SEGMENTATION, ())
            for segment in drawn.SegmentSequence
            if (segment.SegmentLabel, segment.get("TrackingUID")) == names
        ),
        None,
    )


def _score(score: Score) -> tuple[str, Group]:
    numbers = (Number(_PROBABILITY, score.probability * 100, _PERCENT),)
    said = PRESENT if score.probability >= score.operating_point else ABSENT
    set_to = f"operating point: present from a probability of {100 * score.operating_point:.6g} % on"
    return score.term.name, replace(_about(score.term), numbers=numbers, presence=said, parameter=set_to)


def _placed(material: Material, found: Sequence[Box | Point]) -> Iterator[tuple[str, Group]]:
    frame_of_reference_uid = str(material.sources[0].get("FrameOfReferenceUID"))
    for each in found:
        numbers = [_number(measurement) for measurement in (each.measurements if isinstance(each, Box) else ())]
        if each.probability is not None:
            numbers.append(Number(_PROBABILITY, each.probability * 100, _PERCENT))
        group = replace(_about(each.term), numbers=tuple(numbers))
        if material.profile.report == "enhanced":
            yield each.term.name, replace(group, comment=in_words(each))
            continue
        kind, count = ("POLYGON", _FACES) if isinstance(each, Box) else ("POINT", 1)
        surfaces = (Surface(kind, (), frame_of_reference_uid),) * count  # where they lie is proven apart
        series_uid = str(material.sources[0].SeriesInstanceUID)
        yield each.term.name, replace(group, surfaces=surfaces, source_series_uid=series_uid)


def _change(change: Change) -> Iterator[tuple[str, tuple[str, Group]]]:
    about, name = _about(change.term), change.term.name
    earlier = change.measured_before_on, change.earlier_series_uid
    size = _pair(change.size) if change.size else None
    then, now = (_number(change.before),), tuple(map(_number, (change.after, *change.differences)))
    yield "earlier", (name, replace(about, numbers=then, time_point="earlier", earlier=earlier))
    yield "now", (name, replace(about, numbers=now, time_point="now", comment=change.remark or None, size=size))


def _predicted(prediction: Prediction) -> tuple[str, Group]:
    when = f"{prediction.weeks} weeks after {prediction.after}"
    said = f"from {prediction.basis}, of {prediction.after}."
    group = replace(_about(prediction.term), numbers=(_number(prediction.measurement),), time_point=when)
    return prediction.term.name, replace(group, comment=f"Predicted, not measured; {said}")


def _about(term: Term) -> Group:
    site = (_pair(term.type), _pair(term.modifier)) if term.modifier else None
    return Group(finding=_pair(term.type), category=_pair(term.category), site=site)


def _number(measurement: Measurement) -> Number:
    unit = _pair(measurement.unit)
    around = () if measurement.uncertainty is None else ((measurement.uncertainty, unit),) * 2
    derivation = _pair(measurement.derivation) if measurement.derivation else None
    return Number(_pair(measurement.name), measurement.value, unit, derivation, around)


def _pair(code: Code) -> content_tree.Term:
    return code.value, code.scheme
