"""What a model may say about a volume."""

from dataclasses import dataclass

from models.manifest import Label
from models.volume import LabelMap


@dataclass(frozen=True, slots=True)
class Algorithm:
    """Which model speaks: name, version, manufacturer and the SHA-256 of its weights."""

    name: str
    version: str
    manufacturer: str
    weights_sha256: str


@dataclass(frozen=True, slots=True)
class SegmentVolume:
    """A structure and its volume; zero ml states that the structure was looked for and not found."""

    label: Label
    voxels: int
    volume_ml: float


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """A label map on the source's grid and the volume of each of the model's structures."""

    algorithm: Algorithm
    label_map: LabelMap
    volumes: tuple[SegmentVolume, ...]
    places: tuple[float, ...] = ()  # of unevenly spaced source planes among its slices: models/uneven.py
