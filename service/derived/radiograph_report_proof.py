"""The proof of a radiograph's report: it states every finding, where and how it is, and nothing else."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from pydicom import Dataset
from pydicom.uid import Comprehensive3DSRStorage, EnhancedSRStorage

from models.findings import Box, Findings, Measurement, Point, Score
from models.terms import Code
from models.terms import Term as FindingTerm
from service.core.errors import Unproven
from service.core.profiles import Kind
from service.derived import content_tree
from service.derived.checks import prove_file, prove_identity, prove_required_attributes, same
from service.derived.content_tree import ABSENT, Term
from service.derived.material import Made, Material
from service.derived.sources import reference
from service.derived.statements import Number, Reference, Shape, Statement, groups, ordered
from service.derived.terms import tracking

_RELATIVE_TOLERANCE = 1e-5  # the report gives six digits
_PIXELS = 1e-3  # of a coordinate, which is a float of 32 bits
_SOP_CLASSES = {"comprehensive 3d": Comprehensive3DSRStorage, "enhanced": EnhancedSRStorage}

_TRACKING_ID, _TRACKING_UID = ("112039", "DCM"), ("112040", "DCM")
_FINDING, _CATEGORY, _SITE = ("121071", "DCM"), ("276214006", "SCT"), ("363698007", "SCT")
_SITE_MODIFIER = ("106233006", "SCT")
_ALGORITHM_NAME, _ALGORITHM_VERSION, _ALGORITHM_MAKER = ("111001", "DCM"), ("111003", "DCM"), ("122405", "DCM")
_ALGORITHM_FAMILY, _ALGORITHM_PARAMETERS = ("111000", "DCM"), ("111002", "DCM")
_ARTIFICIAL_INTELLIGENCE = ("123110", "DCM")
_PROBABILITY, _PERCENT = ("122157", "DCM"), ("%", "UCUM")
_PRESENCE, _PRESENT = ("121052", "DCM"), ("52101004", "SCT")
_DERIVATION, _UP, _DOWN = ("121401", "DCM"), ("371886008", "SCT"), ("371885007", "SCT")
_SOURCE_OF_MEASUREMENT, _SOURCE_OF_REGION = ("121112", "DCM"), ("260753009", "SCT")
_REGION, _PURPOSE = ("111030", "DCM"), ("130400", "DCM")
_BOUNDED_BY, _REPRESENTATIVE_POINT = ("75958009", "SCT"), ("128140", "DCM")
_SEGMENT, _SOURCE_OF_SEGMENT = ("121214", "DCM"), ("121233", "DCM")
_TIME_POINT, _DAY, _SERIES_UID = ("C2348792", "UMLS"), ("111060", "DCM"), ("112002", "DCM")
_SIZE = ("442714003", "SCT")
_COMMENT, _NOTHING_FOUND = ("121106", "DCM"), "Nothing was found."


def prove(objects: Sequence[Dataset], material: Material, made: Made) -> None:
    """Raise Unproven unless the one report states each finding once, at its place in the one image, and no other."""
    (report,) = objects
    sources, findings = material.sources, material.findings
    _prove_inside(findings, (int(sources[0].Rows), int(sources[0].Columns)))
    _prove_probabilities(findings)
    prove_file(report, _SOP_CLASSES[material.profile.report])
    prove_identity(report, sources)
    prove_required_attributes(report)
    same("title", content_tree.term(report), content_tree.TITLE)
    same("flags", (report.CompletionFlag, report.VerificationFlag), ("COMPLETE", "UNVERIFIED"))
    heat_maps = [str(drawn.SOPInstanceUID) for drawn in made.get(Kind.HEAT_MAP, ())]
    same("evidence", content_tree.evidence(report), {str(sources[0].SOPInstanceUID), *heat_maps})
    stated = groups(report)
    due = list(_due(material, heat_maps)) or [_group(material, "image", 1, None, [Statement(_COMMENT, _NOTHING_FOUND)])]
    same("number of measurement groups", len(stated), len(due))
    for (name, expected), found in zip(due, stated, strict=True):
        _prove_statements(name, found, ordered(expected))
    uids = [each.value for group in stated for each in group if each.name == _TRACKING_UID]
    same("number of tracking UIDs", len(set(uids)), len(stated))


def _prove_inside(findings: Findings, size: tuple[int, int]) -> None:
    for box in findings.boxes:
        orderly = all(0 <= low < high <= most for low, high, most in zip(box.low, box.high, size, strict=True))
        same(f"whether the box of {box.term.name}, {box.low} to {box.high}, lies in {size} pixels", orderly, True)
    for point in findings.points:
        inside = all(0 <= at <= most for at, most in zip(point.at, size, strict=True))
        same(f"whether the point of {point.term.name}, {point.at}, lies in {size} pixels", inside, True)


def _prove_probabilities(findings: Findings) -> None:
    stated: list[Score | Box | Point] = [*findings.scores, *findings.boxes, *findings.points]
    for each in stated:
        fits = each.probability is None or 0.0 <= each.probability <= 1.0
        same(f"whether {each.probability} is a probability of {each.term.name}", fits, True)


def _due(material: Material, heat_maps: Sequence[str]) -> Iterator[tuple[str, list[Statement]]]:
    """Every group that has to be there: what a person calls it, and all that it has to state."""
    findings, image = material.findings, _image(material)
    whole = Statement(_SOURCE_OF_MEASUREMENT, image)
    remarks = [Statement(_COMMENT, each) for each in findings.remarks]
    for number, score in enumerate(findings.scores, start=1):
        yield _group(material, "score", number, score.term, [*_of_score(score), *remarks, whole])
    for number, box in enumerate(findings.boxes, start=1):
        (top, left), (bottom, right) = box.low, box.high
        outline = Shape("POLYLINE", (left, top, right, top, right, bottom, left, bottom, left, top))
        measured = [_number(each) for each in box.measurements]
        said = [*_probability(box.probability), *measured, *_region(outline, _BOUNDED_BY, image)]
        yield _group(material, "box", number, box.term, said)
    for number, point in enumerate(findings.points, start=1):
        place = Shape("POINT", (point.at[1], point.at[0]))
        said = [*_probability(point.probability), *_region(place, _REPRESENTATIVE_POINT, image)]
        yield _group(material, "point", number, point.term, said)
    for number, heat_map in enumerate(findings.heat_maps, start=1):
        for uid in heat_maps:
            segment = Statement(_SEGMENT, Reference(uid, None, number))
            yield _group(material, "heat map", number, heat_map.term, [segment, Statement(_SOURCE_OF_SEGMENT, image)])
    if findings.measurements:
        yield _group(material, "image", 1, None, [*map(_number, findings.measurements), whole])
    for number, change in enumerate(findings.changes, start=1):
        day = Statement(_DAY, change.measured_before_on.strftime("%Y%m%d"))
        series = Statement(_SERIES_UID, change.earlier_series_uid)
        then = [Statement(_TIME_POINT, "earlier"), _number(change.before), day, series]
        yield _group(material, "earlier", number, change.term, then)
        now = [Statement(_TIME_POINT, "now"), *map(_number, (change.after, *change.differences)), whole]
        now += [Statement(_COMMENT, change.remark)] if change.remark else []
        now += [Statement(_SIZE, _code(change.size))] if change.size else []
        yield _group(material, "now", number, change.term, now)


def _group(
    material: Material, kind: str, number: int, term: FindingTerm | None, said: Sequence[Statement]
) -> tuple[str, list[Statement]]:
    algorithm = material.findings.algorithm
    names = tracking(algorithm, material.origin, kind, number, term)
    begun = [
        Statement(_TRACKING_ID, names.identifier),
        Statement(_TRACKING_UID, names.uid),
        Statement(_ALGORITHM_NAME, algorithm.name),
        Statement(_ALGORITHM_VERSION, algorithm.version),
        Statement(_ALGORITHM_MAKER, algorithm.manufacturer),
        Statement(_ALGORITHM_FAMILY, _ARTIFICIAL_INTELLIGENCE),
    ]
    return names.identifier, [*begun, *_finding(term), *said]


def _finding(term: FindingTerm | None) -> list[Statement]:
    if term is None:
        return []
    said = [Statement(_FINDING, _code(term.type)), Statement(_CATEGORY, _code(term.category))]
    if term.modifier is not None:
        said.append(Statement(_SITE, _code(term.type), (Statement(_SITE_MODIFIER, _code(term.modifier)),)))
    return said


def _of_score(score: Score) -> list[Statement]:
    """Presence as the numbers have it, not as the score says of itself."""
    presence = _PRESENT if score.probability >= score.operating_point else ABSENT
    threshold = f"operating point: present from a probability of {100 * score.operating_point:.6g} % on"
    return [
        *_probability(score.probability),
        Statement(_PRESENCE, presence),
        Statement(_ALGORITHM_PARAMETERS, threshold),
    ]


def _probability(probability: float | None) -> list[Statement]:
    return [] if probability is None else [Statement(_PROBABILITY, Number(100 * probability, _PERCENT))]


def _number(measurement: Measurement) -> Statement:
    unit, below = _code(measurement.unit), []
    if measurement.derivation is not None:
        below.append(Statement(_DERIVATION, _code(measurement.derivation)))
    if measurement.uncertainty is not None:
        below += [Statement(name, Number(measurement.uncertainty, unit)) for name in (_UP, _DOWN)]
    return Statement(_code(measurement.name), Number(measurement.value, unit), ordered(below))


def _region(shape: Shape, purpose: Term, image: Reference) -> list[Statement]:
    return [Statement(_REGION, shape, (Statement(_SOURCE_OF_REGION, image),)), Statement(_PURPOSE, purpose)]


def _image(material: Material) -> Reference:
    source = reference(material.sources[0])
    return Reference(source.sop_instance_uid, source.number)


def _code(code: Code) -> Term:
    return code.value, code.scheme


def _prove_statements(name: str, found: Sequence[Statement], due: Sequence[Statement]) -> None:
    same(f"what {name} states", [each.name for each in found], [each.name for each in due])
    for ours, theirs in zip(due, found, strict=True):
        if not _agree(ours.value, theirs.value):
            raise Unproven(f"{name}, {ours.name}: the object says {theirs.value}, it should say {ours.value}")
        _prove_statements(name, theirs.below, ours.below)


def _agree(due: object, found: object) -> bool:
    """Equal, but for the rounding of numbers."""
    if isinstance(due, Number) and isinstance(found, Number):
        tolerance = _RELATIVE_TOLERANCE * abs(due.value)
        return abs(found.value - due.value) <= tolerance and found == replace(due, value=found.value)
    if isinstance(due, Shape) and isinstance(found, Shape) and len(due.coordinates) == len(found.coordinates):
        near = np.abs(np.subtract(due.coordinates, found.coordinates)).max() <= _PIXELS
        return bool(near) and found.kind == due.kind
    return due == found
