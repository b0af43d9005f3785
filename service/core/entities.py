"""What the stages speak of: instances, stacks, and the reason a stack is none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from models.intake import RadiographFacts
from models.volume import Grid
from service.core.identity import digest, instance_set

Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Orientation:
    """Image Orientation (Patient): unit vectors along a row and down a column, LPS (PS3.3 C.7.6.2.1.1)."""

    row: Triple
    column: Triple


@dataclass(frozen=True, slots=True)
class PixelSpacing:
    """Pixel Spacing: distance between rows, then between columns, in mm (PS3.3 10.7.1.1)."""

    between_rows_mm: float
    between_columns_mm: float


@dataclass(frozen=True, slots=True)
class Plane:
    """Where one frame lies: position of its first pixel's centre in LPS mm, orientation, spacing and size."""

    position_mm: Triple
    orientation: Orientation
    spacing: PixelSpacing
    rows: int
    columns: int


@dataclass(frozen=True, slots=True, order=True)
class FrameReference:
    """The name of a frame; of the instance itself where that is not multi-frame."""

    sop_instance_uid: str
    number: int | None = None

    def __str__(self) -> str:
        return self.sop_instance_uid if self.number is None else f"{self.sop_instance_uid}/{self.number}"


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of an instance; a single-frame instance has one, with nothing of its own but its plane."""

    number: int  # from 1
    plane: Plane | None  # None: it has no place in the patient
    attributes: Mapping[str, str]  # keyword -> value as text, where the functional groups of this frame say one


@dataclass(frozen=True, slots=True)
class Instance:
    """The facts of one received instance that assembling and routing need; never a patient's name."""

    sop_instance_uid: str
    sop_class_uid: str
    series_instance_uid: str
    study_instance_uid: str
    patient: str  # a digest: enough to see that two differ
    frame_of_reference_uid: str
    frames: tuple[Frame, ...]
    multi_frame: bool  # its frames are named by number; also when there is only one
    association: str  # which association brought it; empty when it did not come over the network
    calling_ae_title: str  # who brought it; empty likewise
    phantom: bool  # its header says that it shows nobody
    pixels_missing: bool  # the file is shorter than its Rows, Columns and Bits Allocated say
    lossy: bool  # its pixels went through a compression that loses something, now or before
    attributes: Mapping[str, str]  # keyword -> value as text; absent when absent or empty
    person: str = ""  # digests of birth date and sex, where it states them

    def value(self, keyword: str) -> str:
        """The value of an attribute as text, empty when it is absent."""
        return self.attributes.get(keyword, "")


@dataclass(frozen=True, slots=True)
class Slice:
    """A frame with its instance: what stacks are made of."""

    instance: Instance
    frame: Frame

    @property
    def plane(self) -> Plane | None:
        """Where it lies."""
        return self.frame.plane

    @property
    def reference(self) -> FrameReference:
        """Its name."""
        number = self.frame.number if self.instance.multi_frame else None
        return FrameReference(self.instance.sop_instance_uid, number)

    def value(self, keyword: str) -> str:
        """The value of an attribute as text, of the frame where it has one, else of the instance."""
        return self.frame.attributes.get(keyword) or self.instance.value(keyword)


class Reason(StrEnum):
    """Why frames are not a volume. The value is the name that logs, tables and reports show."""

    MADE_BY_THIS_NODE = "made by this node"
    NOT_AN_IMAGE = "not an image"
    LOCALIZER = "localizer"
    NO_GEOMETRY = "no geometry"
    MOSAIC = "mosaic"
    PIXELS_MISSING = "pixels missing"
    UNREADABLE = "unreadable instances"
    SEVERAL_PATIENTS = "several patients"
    SEVERAL_STUDIES = "several studies"
    BAD_ORIENTATION = "bad orientation"
    MIXED_ORIENTATION = "mixed orientation"
    TOO_FEW_SLICES = "too few slices"
    DUPLICATE_POSITION = "duplicate position"
    UNALIGNED = "unaligned slices"
    HOLE = "hole"
    IRREGULAR_SPACING = "irregular spacing"
    INCOMPLETE = "incomplete"  # no hole, and the archive has more
    ASSEMBLING_FAILED = "assembling failed"  # an error of ours; a person has to look


@dataclass(frozen=True, slots=True)
class Refusal:
    """Frames that no model may run on, and why."""

    slices: tuple[Slice, ...]
    reason: Reason
    sentence: str

    @property
    def instances(self) -> tuple[Instance, ...]:
        """Whose frames they are."""
        return _instances(self.slices)

    @property
    def stack_id(self) -> str:
        """The name of these frames of this Series."""
        return _stack_id(self.slices)


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """Parallel planes in order along their normal, on one grid, which is sheared where the gantry was tilted.

    Each plane is a slice of the grid, unless they are unevenly spaced: then `places` say where each one lies.
    """

    slices: tuple[Slice, ...]
    grid: Grid
    split_by: str  # the attributes and values that tell this stack from its siblings, or empty
    remarks: tuple[str, ...] = ()  # what else its header says of its geometry, where that disagrees
    places: tuple[float, ...] = ()  # of its planes among the slices of the grid, where they are not evenly spaced

    @property
    def instances(self) -> tuple[Instance, ...]:
        """Whose frames they are, each once, in the order of their first."""
        return _instances(self.slices)

    @property
    def lossy(self) -> bool:
        """True when one of its instances went through lossy compression."""
        return any(instance.lossy for instance in self.instances)

    @property
    def stack_id(self) -> str:
        """The name of these frames of this Series."""
        return _stack_id(self.slices)


@dataclass(frozen=True, slots=True)
class ImageScale:
    """Millimetres between the pixels of a projection, which of the spacings said so, and whether it was calibrated."""

    spacing: PixelSpacing
    source: str
    calibrated: bool  # in the patient; else it is that of the detector or film, where everything is larger


@dataclass(frozen=True, slots=True)
class Projection:
    """A radiograph: an input of its own, without a place in the patient."""

    slices: tuple[Slice]
    facts: RadiographFacts
    scale: ImageScale | None
    laterality: str
    split_by: str = ""

    @property
    def lossy(self) -> bool:
        """True when it went through lossy compression."""
        return self.slices[0].instance.lossy

    @property
    def instances(self) -> tuple[Instance, ...]:
        """The image."""
        return _instances(self.slices)

    @property
    def stack_id(self) -> str:
        """The name of this image of this Series."""
        return _stack_id(self.slices)


@dataclass(frozen=True, slots=True, eq=False)
class StackRecord:
    """A stack as it lies in the spool between the stages: which frames in which order, where, and since when."""

    stack_id: str
    series_instance_uid: str
    study_instance_uid: str
    frames: tuple[FrameReference, ...]
    grid: Grid | None  # None: a radiograph
    radiograph: RadiographFacts | None  # None: a volume
    places: tuple[float, ...]  # as those of a Stack
    split_by: str
    modality: str
    phantom: bool
    lossy: bool  # one of its instances at least
    received_at: datetime  # when the last of its instances arrived
    body_parts: tuple[str, ...] = ()  # Body Part Examined, each that its instances state

    @property
    def sop_instance_uids(self) -> tuple[str, ...]:
        """The instances it has frames of, each once, in the order of their first."""
        return tuple(dict.fromkeys(frame.sop_instance_uid for frame in self.frames))


def whole(instance: Instance) -> tuple[Slice, ...]:
    """All frames of an instance."""
    return tuple(Slice(instance, frame) for frame in instance.frames)


def _instances(slices: Sequence[Slice]) -> tuple[Instance, ...]:
    return tuple({each.instance.sop_instance_uid: each.instance for each in slices}.values())


def _stack_id(slices: Sequence[Slice]) -> str:
    frames = instance_set(str(each.reference) for each in slices)
    return digest((slices[0].instance.series_instance_uid, frames))


def consensus(slices: Sequence[Slice], keyword: str) -> tuple[str, ...]:
    """The distinct values of an attribute over all frames: one when they agree, sorted when they do not."""
    return tuple(sorted({each.value(keyword) for each in slices}))
