"""What is measured of regions beside their volumes: diameters, attenuation, probability, and where lesions lie.

Nothing is guessed: what a rule here does not allow to be measured or said is left out.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, find_objects, map_coordinates
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

from models.findings import Findings, Measurement, Region
from models.sections import Measure
from models.terms import Code
from models.volume import Grid, Vector, Volume

AXIAL_DEGREES = 30.0  # planes whose normal lies within this of the body axis are axial: no gantry tilts further
ENCLOSED = 0.5  # of what surrounds a lesion is the organ it lies in
VOLUME = Code(value="118565006", scheme="SCT", meaning="Volume")
CUBIC_CENTIMETRE = Code(value="cm3", scheme="UCUM", meaning="cubic centimeter")  # one ml, and CID 7462 lists it
LONG_AXIS = Code(value="103339001", scheme="SCT", meaning="Long Axis")
DIAMETER = Code(value="81827009", scheme="SCT", meaning="Diameter")
ATTENUATION = Code(value="112031", scheme="DCM", meaning="Attenuation Coefficient")
MEAN = Code(value="373098007", scheme="SCT", meaning="Mean")
DEVIATION = Code(value="386136009", scheme="SCT", meaning="Standard Deviation")
MAXIMUM = Code(value="56851009", scheme="SCT", meaning="Maximum")
MILLIMETRE = Code(value="mm", scheme="UCUM", meaning="millimeter")
MILLILITRE_PER_SQUARE_METRE = Code(value="ml/m2", scheme="UCUM", meaning="milliliter per square meter")
HOUNSFIELD = Code(value="[hnsf'U]", scheme="UCUM", meaning="Hounsfield unit")

_SIDES = {"7771000": "left", "24028007": "right"}  # SNOMED CT
_AT_ONCE = 1 << 19  # voxels whose probabilities are looked up together, for memory's sake

Box = tuple[slice, slice, slice]
Indices = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Likelihoods:
    """What the network answered, where it answered: probabilities (classes, z, y, x) on its own grid."""

    grid: Grid
    values: NDArray[np.float32]


def measured(findings: Findings, volume: Volume, likelihoods: Likelihoods | None = None) -> Findings:
    """The findings with what the label of each region asks for, and the place of each lesion.

    Attenuation is that of `volume`, on the grid of the findings. A probability needs `likelihoods`; without them it is
    left as it is.
    """
    boxes = [find_objects(layer.labels) for layer in findings.layers]

    def complete(region: Region) -> Region:
        if not region.voxels:
            return region
        box = boxes[region.layer][region.number - 1]
        voxels = np.argwhere(findings.layers[region.layer].labels[box] == region.number) + _start(box)
        wanted = region.label.measure
        if likelihoods is not None and Measure.PROBABILITY in wanted:
            region = replace(region, probability=_probability(region, voxels, findings.grid, likelihoods))
        measurements = [
            *(_diameters(voxels, findings.grid) if Measure.DIAMETERS in wanted else ()),
            *(_attenuation(voxels, volume) if Measure.ATTENUATION in wanted else ()),
        ]
        return replace(region, measurements=tuple(measurements), location=_location(findings, region, box))

    return replace(findings, regions=tuple(map(complete, findings.regions)))


def indexed(findings: Findings, body_surface_m2: float | None) -> Findings:
    """The findings with the volume over the body's surface of each structure whose label wants it, where that is known.

    An index that the findings have already is made anew.
    """

    def complete(region: Region) -> Region:
        name = region.label.volume_index
        others = tuple(each for each in region.measurements if each.name != name)
        if name is None or body_surface_m2 is None or not region.voxels:
            return replace(region, measurements=others)
        index = Measurement(name, region.volume_ml / body_surface_m2, MILLILITRE_PER_SQUARE_METRE)
        return replace(region, measurements=(*others, index))

    return replace(findings, regions=tuple(map(complete, findings.regions)))


def is_axial(grid: Grid) -> bool:
    """True when the grid's planes are axial ones of the patient, within what a gantry or a careful user tilts."""
    return bool(abs(grid.normal[2]) >= np.cos(np.deg2rad(AXIAL_DEGREES)))


def longest_diameters_mm(voxels: Indices, grid: Grid) -> tuple[float, float]:
    """The largest distance between two voxel centres of one slice, and of all, in mm.

    `voxels` are indices (n, 3) ordered by slice, at least one. Distances run from centre to centre: a single voxel has
    none. Of each slice only the corners of its convex hull are looked at, and of those only the corners of their common
    hull: no other voxel can be an end of a longest diameter, and a large organ costs no more than its outline.
    """
    corners = [_hull(_row_ends(plane)) for plane in _planes(voxels)]
    within = max(_longest_mm(each, grid) for each in corners)
    return within, max(within, _longest_mm(_hull(np.concatenate(corners)), grid))


def _diameters(voxels: Indices, grid: Grid) -> Iterator[Measurement]:
    """The longest in a plane, of axial planes only, and the longest in space.

    Other planes would be measured across slices that no reader sees as one image: their regions have the second alone.
    """
    in_plane_mm, in_space_mm = longest_diameters_mm(voxels, grid)
    if is_axial(grid):
        yield Measurement(LONG_AXIS, in_plane_mm, MILLIMETRE)
    yield Measurement(DIAMETER, in_space_mm, MILLIMETRE, MAXIMUM)


def _attenuation(voxels: Indices, volume: Volume) -> Iterator[Measurement]:
    """Mean and deviation over the voxels, in the HU that the images hold."""
    values = volume.values[tuple(voxels.T)].astype(np.float64)
    yield Measurement(ATTENUATION, float(values.mean()), HOUNSFIELD, MEAN)
    yield Measurement(ATTENUATION, float(values.std()), HOUNSFIELD, DEVIATION)


def _probability(region: Region, voxels: Indices, grid: Grid, likelihoods: Likelihoods) -> float:
    """The mean over the voxels of the probability of the structure there, interpolated as the labels themselves were.

    The probability of a structure is the sum of those of all that belongs to it.
    """
    total = 0.0
    for part in np.array_split(voxels, len(voxels) // _AT_ONCE + 1):
        places = likelihoods.grid.to_index(grid.to_world(part.astype(np.float64))).T
        for value in (region.label.value, *region.label.includes):
            total += float(
                map_coordinates(likelihoods.values[value], places, order=1, mode="nearest").sum(dtype=np.float64)
            )
    return min(1.0, total / len(voxels))


def _location(findings: Findings, region: Region, box: Box) -> str:
    """In which organ a lesion lies: the one that includes it, where that makes up at least half of what surrounds it.

    That an organ includes a lesion is so by definition of the labels; only its tissue around the lesion proves it.
    """
    if not region.label.lesions:
        return ""
    for organ in findings.regions:
        if region.label.value in organ.label.includes and organ.voxels:
            around = _surrounding(findings, region, box, findings.layers[organ.layer].labels)
            if around.size and np.mean(around == organ.number) >= ENCLOSED:
                return f"in the {_sided(organ)}"
    return ""


def _surrounding(findings: Findings, region: Region, box: Box, organs: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What `organs` has at the voxels that share a face with the lesion and belong to no lesion of its kind, (n,)."""
    wider = tuple(slice(max(0, side.start - 1), side.stop + 1) for side in box)
    lesions = findings.layers[region.layer].labels[wider]
    alike = [each.number for each in findings.regions if each.label == region.label]
    around = binary_dilation(lesions == region.number) & ~np.isin(lesions, alike)
    return np.asarray(organs[wider][around])


def _sided(organ: Region) -> str:
    """The organ's name, with its side where the manifest says it and the name does not."""
    side = _SIDES.get(organ.label.modifier.value) if organ.label.modifier else None
    name = organ.label.name
    return name if side is None or side in name.lower() else f"{side} {name}"


def _start(box: Box) -> Indices:
    return np.array([side.start for side in box], dtype=np.intp)


def _planes(voxels: Indices) -> Iterable[Indices]:
    return np.split(voxels, np.flatnonzero(np.diff(voxels[:, 0])) + 1)


def _row_ends(plane: Indices) -> Indices:
    """The first and the last voxel of each row: in between lies no corner of a hull."""
    changes = np.flatnonzero(np.diff(plane[:, 1]))
    ends = np.unique(np.concatenate(([0], changes, changes + 1, [len(plane) - 1])))
    return np.asarray(plane[ends])


def _hull(points: Indices) -> Indices:
    """The corners of the convex hull of points in one plane or in space; all of them where they span neither."""
    varying = np.flatnonzero(np.ptp(points, axis=0))
    spanned = points[:, varying]
    if len(varying) < 2 or np.linalg.matrix_rank(spanned - spanned[0]) < len(varying):
        return points
    return np.asarray(points[ConvexHull(spanned).vertices])


def _longest_mm(points: Indices, grid: Grid) -> float:
    places: Vector = grid.to_world(points.astype(np.float64))
    return float(pdist(places).max(initial=0.0))
