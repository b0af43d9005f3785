"""From the frames of a Series to stacks: groups that are alike, split where positions repeat."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import chain, combinations, pairwise
from typing import TypeVar

import numpy as np

from service.core.entities import Instance, Plane, Projection, Reason, Refusal, Slice, Stack, whole
from service.core.errors import NotAVolume
from service.core.geometry import ORIENTATION_TOLERANCE, SAME_POSITION_MM, arrange, heights, remarks
from service.core.radiographs import is_radiograph, radiograph

# Roots of SOP Classes that hold no image of a patient: raw data, segmentations and registrations; structured reports;
# encapsulated documents; presentation states; radiotherapy objects.
RESULT_CLASSES = tuple(f"1.2.840.10008.5.1.4.1.1.{root}" for root in ("66", "88", "104", "11", "481"))

# Attributes that tell frames of one position apart, the most specific first.
SPLITTING = (
    "StackID",
    "EchoNumbers",
    "EchoTime",
    "ImageType",
    "ComplexImageComponent",
    "DiffusionBValue",
    "DiffusionGradientOrientation",
    "TemporalPositionIdentifier",
    "TemporalPositionIndex",
    "TriggerTime",
    "NominalPercentageOfCardiacPhase",
    "InversionTime",
    "FlipAngle",
    "KVP",
    "ConvolutionKernel",
    "ReconstructionDiameter",
    "ContrastBolusAgent",
    "AcquisitionNumber",
    "AcquisitionDateTime",
    "AcquisitionTime",
    "SequenceName",
    "ContentTime",
)
GEOMETRY = ("SpacingBetweenSlices", "SliceThickness")

DOUBTFUL_TURN = 0.02  # of a direction cosine, about one degree: no scanner takes two stacks so near to each other

Located = tuple[Slice, Plane]
Placed = tuple[Slice, Plane, float]  # with its height above the origin along the normal, in mm
Part = Stack | Projection | Refusal
Member = TypeVar("Member")
Key = TypeVar("Key", bound=Hashable)


def split(instances: Iterable[Instance]) -> tuple[Part, ...]:
    """Every frame of one Series in exactly one part, the same whatever order they come in."""
    members = sorted(instances, key=lambda instance: instance.sop_instance_uid)
    mixed = _mixed(members)
    if mixed:
        return (mixed,)
    parts: list[Part] = []
    located: list[Located] = []
    for reason, group in _grouped(chain.from_iterable(map(whole, members)), _set_aside).items():
        if reason is None:
            located = [(each, each.plane) for each in group if each.plane and not is_radiograph(each)]
            parts.extend(radiograph(each) for each in group if is_radiograph(each))
            continue
        parts.append(Refusal(tuple(group), reason, _SENTENCES[reason]))
    return (*parts, *_parts(located))


def _parts(located: Sequence[Located]) -> list[Part]:
    """The parts of everything that has a place, each named by what tells it from the others."""
    kinds = _grouped(located, _kind)
    parts: list[Part] = []
    for candidates in kinds.values():
        clusters = _parallel_clusters(candidates)
        if _is_doubtful(clusters):
            sentence = "orientations differ by too little to be several stacks, and by too much to be one"
            parts.append(Refusal(tuple(each for each, _ in candidates), Reason.MIXED_ORIENTATION, sentence))
            continue
        name = _name_of_kind(candidates[0], kinds) if len(kinds) > 1 else ""
        for number, cluster in enumerate(clusters, start=1):
            which = f"orientation {number} of {len(clusters)}" if len(clusters) > 1 else ""
            parts.extend(_placed(cluster, f"{name} {which}".strip()))
    return parts


def _mixed(members: Sequence[Instance]) -> Refusal | None:
    slices = tuple(chain.from_iterable(map(whole, members)))
    if len({instance.patient for instance in members}) > 1:
        return Refusal(slices, Reason.SEVERAL_PATIENTS, "one Series Instance UID, several Patient IDs")
    if len({instance.study_instance_uid for instance in members}) > 1:
        return Refusal(slices, Reason.SEVERAL_STUDIES, "one Series Instance UID, several Study Instance UIDs")
    return None


_SENTENCES = {
    Reason.MADE_BY_THIS_NODE: "results of this node are never analysed again",
    Reason.NOT_AN_IMAGE: "its SOP Class holds no image of a patient",
    Reason.LOCALIZER: "Image Type says LOCALIZER or SCOUT",
    Reason.MOSAIC: "Image Type says MOSAIC: many slices in one picture; have the scanner send enhanced MR instead",
    Reason.PIXELS_MISSING: "a file ends before its Pixel Data does: send it again",
    Reason.NO_GEOMETRY: "Image Position, Image Orientation or Pixel Spacing is absent: it has no place in the patient",
}


def _set_aside(each: Slice) -> Reason | None:
    instance = each.instance
    kinds = set(each.value("ImageType").upper().split("\\"))
    checks = (
        (instance.value("ManufacturerModelName") == "Isocenter", Reason.MADE_BY_THIS_NODE),
        (_is_result(instance.sop_class_uid), Reason.NOT_AN_IMAGE),
        (not {"LOCALIZER", "SCOUT"}.isdisjoint(kinds), Reason.LOCALIZER),
        ("MOSAIC" in kinds, Reason.MOSAIC),
        (instance.pixels_missing, Reason.PIXELS_MISSING),
        (each.plane is None and not is_radiograph(each), Reason.NO_GEOMETRY),
    )
    return next((reason for applies, reason in checks if applies), None)


def _is_result(sop_class_uid: str) -> bool:
    return any(sop_class_uid == root or sop_class_uid.startswith(f"{root}.") for root in RESULT_CLASSES)


def _parallel_clusters(candidates: Iterable[Located]) -> list[list[Located]]:
    clusters: list[list[Located]] = []
    for member in candidates:
        home = next((c for c in clusters if _turn(c[0][1], member[1]) <= ORIENTATION_TOLERANCE), None)
        if home is None:
            clusters.append(home := [])
        home.append(member)
    return clusters


def _is_doubtful(clusters: Sequence[Sequence[Located]]) -> bool:
    """True when two clusters are almost parallel: each alone could pass for a volume with every other slice gone."""
    return any(_turn(one[0][1], other[0][1]) <= DOUBTFUL_TURN for one, other in combinations(clusters, 2))


_KIND = ("SOP class", "frame of reference", "size", "pixel spacing", "photometric interpretation", "modality")


def _kind(member: Located) -> tuple[str, ...]:
    """What frames of one stack share; the words of `_KIND`."""
    each, plane = member
    instance, spacing = each.instance, plane.spacing
    return (
        instance.sop_class_uid,
        instance.frame_of_reference_uid,
        f"{plane.rows} x {plane.columns}",
        f"{spacing.between_rows_mm:.4f} x {spacing.between_columns_mm:.4f} mm",
        instance.value("PhotometricInterpretation"),
        instance.value("Modality"),
    )


def _name_of_kind(member: Located, kinds: Iterable[tuple[str, ...]]) -> str:
    """What tells this kind from the others."""
    values = zip(_KIND, _kind(member), zip(*kinds, strict=True), strict=True)
    return ", ".join(f"{word} {value}" for word, value, all_values in values if len(set(all_values)) > 1)


def _turn(first: Plane, second: Plane) -> float:
    """The largest difference between their direction cosines."""
    if first.orientation == second.orientation:
        return 0.0
    ours = (*first.orientation.row, *first.orientation.column)
    theirs = (*second.orientation.row, *second.orientation.column)
    return max(abs(our - their) for our, their in zip(ours, theirs, strict=True))


def _placed(cluster: Sequence[Located], split_by: str) -> list[Part]:
    try:
        height = heights([plane for _, plane in cluster]).tolist()
    except NotAVolume as refusal:
        return [Refusal(tuple(each for each, _ in cluster), Reason(refusal.reason), str(refusal))]
    return _stacks([(each, plane, mm) for (each, plane), mm in zip(cluster, height, strict=True)], split_by)


def _stacks(members: Sequence[Placed], split_by: str) -> list[Part]:
    groups = _told_apart(members) if _repeats(members) else []
    if groups:
        return [part for name, group in groups for part in _stacks(group, f"{split_by} {name}".strip())]
    distance_mm, thickness_mm = (_millimetres(members[0][0], keyword) for keyword in GEOMETRY)
    try:
        order, grid, places = arrange([plane for _, plane, _ in members], distance_mm or thickness_mm)
    except NotAVolume as refusal:
        return [Refusal(tuple(each for each, _, _ in members), Reason(refusal.reason), str(refusal))]
    said = remarks(grid, places, distance_mm, thickness_mm) if len(members) > 1 else ()
    return [Stack(tuple(members[index][0] for index in order), grid, split_by, said, places)]


def _millimetres(each: Slice, keyword: str) -> float:
    try:
        value = abs(float(each.value(keyword) or 0))
    except ValueError:
        return 0.0
    return value if np.isfinite(value) else 0.0


def _repeats(members: Sequence[Placed]) -> int:
    """How many slices lie where another one lies already."""
    height = sorted(mm for _, _, mm in members)
    return sum(after - before < SAME_POSITION_MM for before, after in pairwise(height))


def _told_apart(members: Sequence[Placed]) -> list[tuple[str, list[Placed]]]:
    """The members grouped by the first attribute that resolves every repeated position, else by the one that
    lessens them most; empty when none does."""
    best: tuple[str, dict[str, list[Placed]]] = ("", {})
    fewest = _repeats(members)
    for keyword in SPLITTING:
        groups = _grouped(members, lambda member, keyword=keyword: member[0].value(keyword))  # type: ignore[misc]
        if not 2 <= len(groups) <= max(2, len(members) // 2):
            continue
        repeats = sum(_repeats(group) for group in groups.values())
        if repeats < fewest:
            best, fewest = (keyword, groups), repeats
        if fewest == 0:
            break
    keyword, groups = best
    return [(f"{keyword}={value or 'absent'}", group) for value, group in sorted(groups.items())]


def _grouped(members: Iterable[Member], key: Callable[[Member], Key]) -> dict[Key, list[Member]]:
    groups: dict[Key, list[Member]] = defaultdict(list)
    for member in members:
        groups[key(member)].append(member)
    return dict(groups)
