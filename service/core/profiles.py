"""What a destination takes: which objects, and how they are written. One typed profile each, with presets by viewer."""

from enum import StrEnum
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from service.core.identity import digest


class Kind(StrEnum):
    """A kind of object that findings may become; some need a volume, a radiograph or a certain finding."""

    SEGMENTATION = "segmentation"
    REPORT = "report"
    HEAT_MAP = "heat map"  # FRACTIONAL segmentation
    CAPTURE = "capture"  # secondary capture: outlines in pictures, for viewers that show no segmentation
    PRESENTATION = "presentation"  # grayscale softcopy presentation state: outlines and boxes over the images
    DOCUMENT = "document"  # one page of PDF
    CONTOURS = "contours"  # RT structure set
    SURFACE = "surface"  # encapsulated STL
    KEY_IMAGES = "key images"  # key object selection


class Profile(BaseModel):
    """What one destination gets, and in which form."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    objects: tuple[Kind, ...] = Field(default=(Kind.SEGMENTATION, Kind.HEAT_MAP, Kind.REPORT), min_length=1)
    segmentation: Literal["binary", "labelmap", "fractional"] = "binary"  # fractional: a byte a pixel, all or nothing
    compression: Literal["none", "rle", "deflate"] = "none"
    empty_frames: bool = False  # whether a segmentation has frames for slices without the segment
    report: Literal["comprehensive 3d", "enhanced"] = "comprehensive 3d"
    character_set: Literal["ISO_IR 192", "ISO_IR 100"] = "ISO_IR 192"

    @model_validator(mode="after")
    def _compression_fits(self) -> Self:
        if (self.segmentation, self.compression) == ("binary", "rle"):
            raise ValueError("RLE cannot compress a binary segmentation (one bit a pixel): use deflate or labelmap")
        return self

    @property
    def variant(self) -> str:
        """Tells objects of different form apart, by their UIDs; empty for the usual form."""
        return "" if self._form == USUAL._form else digest(self._form)

    @property
    def _form(self) -> tuple[str, str]:
        """Everything but which objects there are; but a report without a segmentation to refer to is another one."""
        refers = Kind.SEGMENTATION in self.objects
        return self.model_dump_json(exclude={"objects"}), str(refers)


USUAL = Profile()
_COMPANIONS = (Kind.CAPTURE, Kind.DOCUMENT)

# OHIF up to 3.13 misreads one-bit pixels where rows x columns is no multiple of 8, shows no fraction but 0 and 1, and
# stops at a report that measures segments (docs/viewer.md).
_OHIF = Profile(objects=(Kind.SEGMENTATION, *_COMPANIONS), segmentation="fractional", compression="rle")

PRESETS = {
    "usual": USUAL,
    "orthanc": USUAL,
    "ohif": _OHIF,
    "slicer": USUAL.model_copy(update={"objects": (*USUAL.objects, Kind.CONTOURS)}),
    "weasis": USUAL.model_copy(update={"objects": (*USUAL.objects, Kind.PRESENTATION, Kind.KEY_IMAGES)}),
    "pacs": USUAL.model_copy(update={"objects": (*USUAL.objects, *_COMPANIONS)}),
}


def profile_of(written: object) -> object:
    """A profile as destinations.yaml may say it: a preset's name, or `preset` with what differs from it."""
    if isinstance(written, str):
        written = {"preset": written}
    if not isinstance(written, dict):
        return written
    name = written.get("preset", "usual")
    if name not in PRESETS:
        raise ValueError(f"there is no preset {name!r}: choose one of {', '.join(PRESETS)}")
    return PRESETS[name].model_dump() | {key: value for key, value in written.items() if key != "preset"}
