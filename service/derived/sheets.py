"""A sheet for people: one picture, where its panels are, and what it shows in words."""

from dataclasses import dataclass

from PIL import Image

from models.volume import Vector
from service.derived.finish import MANUFACTURER
from service.derived.material import Material
from service.derived.planes import Plane


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """A section on a sheet: the (left, top) pixel of it and its (rows, columns); `pixel_mm` is the size of a pixel."""

    plane: Plane
    through_mm: Vector
    pixel_mm: float
    corner: tuple[int, int]
    shape: tuple[int, int]
    words: str


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """One picture for people; `panels` are sections of a volume, and those of a radiograph are none."""

    image: Image.Image
    panels: tuple[Panel, ...]
    words: str


def beside(material: Material) -> str:
    """Who made a sheet, for its header; who is on it is not said."""
    algorithm = material.findings.algorithm
    made_by = f"{algorithm.manufacturer}, by " if algorithm.manufacturer != MANUFACTURER else ""
    return f"{made_by}{MANUFACTURER} {material.origin.software_version}"
