"""What the stages speak of: instances, stacks, and the reason a stack is none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

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


@dataclass(frozen=True, slots=True)
class Instance:
    """The facts of one received instance that assembling and routing need; never a patient's name."""

    sop_instance_uid: str
    sop_class_uid: str
    series_instance_uid: str
    study_instance_uid: str
    patient: str  # a digest: enough to see that two differ
    frame_of_reference_uid: str
    plane: Plane | None  # None: the image has no place in the patient
    frames: int
    image_type: tuple[str, ...]
    association: str  # which association brought it; empty when it did not come over the network
    phantom: bool  # its header says that it shows nobody
    pixels_missing: bool  # the file is shorter than its Rows, Columns and Bits Allocated say
    attributes: Mapping[str, str]  # keyword -> value as text; absent when absent or empty

    def value(self, keyword: str) -> str:
        """The value of an attribute as text, empty when it is absent."""
        return self.attributes.get(keyword, "")


class Reason(StrEnum):
    """Why frames are not a volume. The value is the name that logs, tables and reports show."""

    MADE_BY_THIS_NODE = "made by this node"
    NOT_AN_IMAGE = "not an image"
    LOCALIZER = "localizer"
    NO_GEOMETRY = "no geometry"
    MULTI_FRAME = "multi-frame"
    PIXELS_MISSING = "pixels missing"
    UNREADABLE = "unreadable instances"
    SEVERAL_PATIENTS = "several patients"
    SEVERAL_STUDIES = "several studies"
    BAD_ORIENTATION = "bad orientation"
    MIXED_ORIENTATION = "mixed orientation"
    TOO_FEW_SLICES = "too few slices"
    DUPLICATE_POSITION = "duplicate position"
    TILT = "tilt"
    UNALIGNED = "unaligned slices"
    HOLE = "hole"
    IRREGULAR_SPACING = "irregular spacing"
    ASSEMBLING_FAILED = "assembling failed"  # an error of ours; a person has to look


@dataclass(frozen=True, slots=True)
class Refusal:
    """Instances that no model may run on, and why."""

    instances: tuple[Instance, ...]
    reason: Reason
    sentence: str

    @property
    def stack_id(self) -> str:
        """The name of these instances of this Series."""
        return _stack_id(self.instances)


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """Parallel planes in order along their normal, on one grid."""

    instances: tuple[Instance, ...]
    grid: Grid
    split_by: str  # the attribute and value that tell this stack from its siblings, or empty

    @property
    def stack_id(self) -> str:
        """The name of these instances of this Series."""
        return _stack_id(self.instances)


@dataclass(frozen=True, slots=True, eq=False)
class StackRecord:
    """A stack as it lies in the spool between the stages: which instances in which order, where, and since when."""

    stack_id: str
    series_instance_uid: str
    study_instance_uid: str
    sop_instance_uids: tuple[str, ...]
    grid: Grid
    split_by: str
    modality: str
    phantom: bool
    received_at: datetime  # when the last of its instances arrived


def _stack_id(instances: Sequence[Instance]) -> str:
    return digest((instances[0].series_instance_uid, instance_set(instance.sop_instance_uid for instance in instances)))


def consensus(instances: Sequence[Instance], keyword: str) -> tuple[str, ...]:
    """The distinct values of an attribute over all instances: one when they agree, sorted when they do not."""
    return tuple(sorted({instance.value(keyword) for instance in instances}))
