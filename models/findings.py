"""What a model may say about an image: the vocabulary that everything sent to a PACS is written in.

Every finding carries its coded concept from the manifest. Masks, and boxes and points of a volume, are in the source
image's patient coordinates (LPS, mm); those of a radiograph are in its pixels, (row, column), where (0, 0) is the outer
corner of the first one.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from models.sections import Label
from models.terms import Code, Term
from models.volume import Grid, LabelMap


@dataclass(frozen=True, slots=True)
class Algorithm:
    """Which model speaks: title, version, manufacturer, the SHA-256 of its weights and manifest, its package's name."""

    name: str
    version: str
    manufacturer: str
    weights_sha256: str
    package: str
    manifest_sha256: str
    steps: tuple["Algorithm", ...] = ()  # of a chain: which models it asked, in their order


@dataclass(frozen=True, slots=True)
class Measurement:
    """A number with its unit (UCUM); `derivation` says how many became one, `uncertainty` is one deviation of it."""

    name: Code
    value: float
    unit: Code
    derivation: Code | None = None
    uncertainty: float | None = None


@dataclass(frozen=True, slots=True)
class Region:
    """A structure, or one of its lesions; without voxels it was looked for and not found."""

    label: Label
    number: int  # the value of its voxels in its layer; label.value for all but the second, third, ... lesion
    layer: int  # which label map of the findings it is in: what overlaps lies in different ones
    voxels: int
    volume_ml: float
    lesion: int = 0  # 1, 2, 3, ... from the largest, where each piece is a lesion of its own
    probability: float | None = None  # mean over its voxels
    location: str = ""  # in words
    measurements: tuple[Measurement, ...] = ()  # beside the volume

    @property
    def name(self) -> str:
        """The structure's name, with the lesion's number."""
        return f"{self.label.name} {self.lesion}" if self.lesion else self.label.name


@dataclass(frozen=True, slots=True)
class Score:
    """How likely the image shows something, 0 to 1, and from which probability on the site is told that it does."""

    term: Term
    probability: float
    operating_point: float

    @property
    def is_positive(self) -> bool:
        """True at the operating point and above."""
        return self.probability >= self.operating_point


@dataclass(frozen=True, slots=True)
class Box:
    """An upright box between two corners, two coordinates in a radiograph and three in a volume."""

    term: Term
    low: tuple[float, ...]
    high: tuple[float, ...]
    probability: float | None = None
    measurements: tuple[Measurement, ...] = ()


@dataclass(frozen=True, slots=True)
class Point:
    """A place, two coordinates in a radiograph and three in a volume."""

    term: Term
    at: tuple[float, ...]
    probability: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class HeatMap:
    """Where the evidence for something lies: float32, 0 to 1, one value for each pixel of the image."""

    term: Term
    values: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Change:
    """The same measurement of the same structure on an earlier day and now."""

    term: Term
    before: Measurement
    after: Measurement
    measured_before_on: date
    earlier_series_uid: str
    differences: tuple[Measurement, ...] = ()  # how much more or less it is now
    size: Code | None = None  # what has become of a lesion
    remark: str = ""  # what a reader has to know of the comparison, in words


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a quantity is expected to be that many weeks after a day; its uncertainty is that of the measurement."""

    term: Term
    measurement: Measurement
    weeks: int
    after: date
    basis: str  # what it rests on, in words


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """Everything that one model says of one image."""

    algorithm: Algorithm
    layers: tuple[LabelMap, ...] = ()  # on the source's grid, all on the same
    regions: tuple[Region, ...] = ()  # in the manifest's order, lesions from the largest
    scores: tuple[Score, ...] = ()
    boxes: tuple[Box, ...] = ()
    points: tuple[Point, ...] = ()
    heat_maps: tuple[HeatMap, ...] = ()
    measurements: tuple[Measurement, ...] = ()  # of the whole image
    changes: tuple[Change, ...] = ()
    remarks: tuple[str, ...] = ()  # what whoever reads it must know of the input, in sentences
    not_compared: str = ""  # why there are no changes to tell although there are earlier studies, in words
    predictions: tuple[Prediction, ...] = ()
    places: tuple[float, ...] = ()  # of unevenly spaced source planes among the grid's slices: models/uneven.py

    @property
    def grid(self) -> Grid:
        """The source's grid. Raises IndexError for findings without a label map."""
        return self.layers[0].grid

    @property
    def found(self) -> tuple[Region, ...]:
        """The structures that are there: the segments, in their order."""
        return tuple(region for region in self.regions if region.voxels)

    def mask(self, region: Region) -> NDArray[np.bool_]:
        """The voxels of a region, (slice, row, column)."""
        return np.asarray(self.layers[region.layer].labels == region.number)

    def structure(self, label: Label) -> NDArray[np.bool_]:
        """The voxels of all regions of a label: of all its lesions, where it has some; (slice, row, column)."""
        regions = [region for region in self.regions if region.label == label]
        numbers = [region.number for region in regions]
        return np.isin(self.layers[regions[0].layer].labels, numbers)
