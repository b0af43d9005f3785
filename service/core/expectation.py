"""How much a Series' own headers announce: hints that more may come, for they are often absent and sometimes wrong."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from service.core.entities import Instance, Slice, Stack, whole
from service.core.stacking import Part

HINTS = (
    "ImagesInAcquisition",
    "NumberOfTemporalPositions",
    "NumberOfSlices",
    "ConcatenationUID",
    "InConcatenationTotalNumber",
)

# Attributes of which every value is taken at every position: its stacks have as many slices each
_REPEATING = (
    "EchoNumbers",
    "EchoTime",
    "DiffusionBValue",
    "DiffusionGradientOrientation",
    "TemporalPositionIdentifier",
    "TemporalPositionIndex",
    "TriggerTime",
    "NominalPercentageOfCardiacPhase",
    "InversionTime",
    "AcquisitionDateTime",
    "AcquisitionTime",
    "ContentTime",
)
_FAMILY = re.compile(rf"(.*?\b(?:{'|'.join(_REPEATING)}))=")


@dataclass(frozen=True, slots=True)
class Tally:
    """How many a header announces, and how many of them came."""

    expected: int
    came: int


def tallies(instances: Sequence[Instance]) -> list[Tally]:
    """One for every number that the headers announce."""
    slices = list(chain.from_iterable(map(whole, instances)))
    first_slices = [each for instance in instances for each in whole(instance)[:1]]
    found = (
        *_by_group(slices, "AcquisitionNumber", "ImagesInAcquisition"),
        *_by_group(first_slices, "ConcatenationUID", "InConcatenationTotalNumber"),
        *_by_position(slices),
    )
    return [tally for tally in found if tally.expected]


def _by_group(slices: Iterable[Slice], group: str, number: str) -> Iterator[Tally]:
    groups: dict[str, list[Slice]] = defaultdict(list)
    for each in slices:
        groups[each.value(group)].append(each)
    for members in groups.values():
        yield Tally(_announced(members, number), len(members))


def _by_position(slices: Iterable[Slice]) -> Iterator[Tally]:
    located = [(each, each.plane.position_mm) for each in slices if each.plane]
    members = [each for each, _ in located]
    positions = len({tuple(round(mm, 1) for mm in position) for _, position in located})
    if positions:
        yield Tally(_announced(members, "NumberOfSlices"), positions)
        yield Tally(_announced(members, "NumberOfTemporalPositions") * positions, len(members))


def _announced(slices: Iterable[Slice], keyword: str) -> int:
    texts = {each.value(keyword) for each in slices}
    return max((int(text) for text in texts if text.isascii() and text.isdecimal()), default=0)


def parts_are_equal(parts: Iterable[Part]) -> bool:
    """True when stacks told apart by a time, an echo or a b-value have as many slices each."""
    sizes: dict[str, set[int]] = defaultdict(set)
    for part in parts:
        family = _FAMILY.match(part.split_by) if isinstance(part, Stack) else None
        if isinstance(part, Stack) and family:
            sizes[family[1]].add(len(part.slices))
    return all(len(each) == 1 for each in sizes.values())
