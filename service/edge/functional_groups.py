"""Multi-frame instances frame by frame: what their functional groups say, under the names of single-frame images.

Enhanced and legacy converted CT, MR and PET (PS3.3 C.7.6.16) say of each frame, or of all, in nested sequences what
a single-frame image says at its top.
"""

from copy import copy

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

_SHARED, _PER_FRAME = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"
_NOT_COPIED = {Tag(keyword) for keyword in (_SHARED, _PER_FRAME, "PixelData", "NumberOfFrames")}
_NESTED = {"DiffusionGradientDirectionSequence"}  # the one inner sequence that tells frames apart
_UNASSIGNED = ("UnassignedSharedConvertedAttributesSequence", "UnassignedPerFrameConvertedAttributesSequence")

# Attributes of functional groups that single-frame images call otherwise
_RENAMED = {
    "FrameType": "ImageType",
    "EffectiveEchoTime": "EchoTime",
    "FrameAcquisitionDateTime": "AcquisitionDateTime",
    "FrameAcquisitionNumber": "AcquisitionNumber",
    "NominalCardiacTriggerDelayTime": "TriggerTime",
    "InversionTimes": "InversionTime",
}


class FunctionalGroups:
    """The functional groups of one instance."""

    def __init__(self, header: Dataset) -> None:
        self._header = header
        shared = header.get(_SHARED) or [Dataset()]
        self._shared = _leaves(shared[0])
        self._items = header.get(_PER_FRAME) or []

    @property
    def count(self) -> int:
        """How many frames they describe."""
        return len(self._items)

    def of(self, number: int) -> dict[str, DataElement]:
        """What is said of the frame of that number, from 1, by the keywords of single-frame images."""
        return self._shared | _leaves(self._items[number - 1])

    def header_of(self, number: int) -> Dataset:
        """The frame's header as that of a single-frame image; Referenced Frame Number is its number."""
        flat = Dataset()
        for tag in self._header.keys() - _NOT_COPIED:
            flat[tag] = self._header.get_item(tag)
        for keyword, element in self.of(number).items():
            renamed = copy(element)
            renamed.tag = Tag(keyword)
            flat[renamed.tag] = renamed
        flat.ReferencedFrameNumber = number
        return flat


def _leaves(group: Dataset) -> dict[str, DataElement]:
    """The attributes in the macros of a functional group; those that a conversion could not place are overruled.

    Private macros are left out: Philips puts a whole other header there, with positions of corners, not of centres.
    """
    macros = [element for element in group if element.VR == "SQ" and element.value and not element.tag.is_private]
    leaves: dict[str, DataElement] = {}
    for macro in sorted(macros, key=lambda element: element.keyword not in _UNASSIGNED):
        _collect(macro.value[0], leaves)
    return leaves


def _collect(item: Dataset, leaves: dict[str, DataElement]) -> None:
    for element in item:
        if element.keyword in _NESTED and element.value:
            _collect(element.value[0], leaves)
        elif element.VR != "SQ" and not element.tag.is_private:
            leaves[_RENAMED.get(element.keyword, element.keyword)] = element
