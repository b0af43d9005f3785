"""The proof of Encapsulated STL: each model is the closed surface of its region, and of nothing else.

A surface goes between two neighbouring voxels exactly where one is of the region and the other is not. That is compared
for every pair of voxels; it is more than equal bounding boxes, and no flip and no shift passes.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import EncapsulatedSTLStorage
from scipy.ndimage import find_objects

from models.findings import Findings, Region
from models.volume import Grid, Matrix
from service.core.errors import Unproven
from service.derived import content_tree
from service.derived.checks import (
    prove_file,
    prove_grid,
    prove_identity,
    prove_required_attributes,
    prove_volumes,
    same,
)
from service.derived.material import Made, Material
from service.derived.surface import TRIANGLE, enclosed_mm3, normals

VOLUME_TOLERANCE = 0.05  # of the region's volume, or where that is more,
VOXELS_FOR_EACH_FACE = 1 / 6  # for each outer face of a voxel: small and thin things lose their edges
_AT_MIDDLE = 0.05  # of a voxel: single precision is a hundred times better
_HEADER_BYTES = 84


def prove(objects: Sequence[Dataset], material: Material, made: Made) -> None:
    """Raise Unproven unless there is one model for each region, and each is the surface of its region in LPS mm."""
    del made
    sources, findings = material.sources, material.findings
    prove_volumes(findings)
    prove_grid(sources, findings.grid, findings.places)
    same("number of models", len(objects), len(findings.found))
    for number, (model, region) in enumerate(zip(objects, findings.found, strict=True), start=1):
        prove_file(model, EncapsulatedSTLStorage)
        prove_identity(model, sources)
        prove_required_attributes(model)
        same("FrameOfReferenceUID", model.FrameOfReferenceUID, sources[0].FrameOfReferenceUID)
        named = (int(model.InstanceNumber), model.DocumentTitle, content_tree.term(model))
        same("model", named, (number, region.name, (region.label.type.value, region.label.type.scheme)))
        same("unit of the model", content_tree.term(model, "MeasurementUnitsCodeSequence"), ("mm", "UCUM"))
        _prove_surface(triangles(model), region, findings)


def triangles(model: Dataset) -> NDArray[np.void]:
    """The triangles of the STL file within a model; raises Unproven when the file is not as long as it says."""
    stl = model.EncapsulatedDocument
    count = int.from_bytes(stl[_HEADER_BYTES - 4 : _HEADER_BYTES], "little")
    same("bytes of the STL file", int(model.EncapsulatedDocumentLength), _HEADER_BYTES + count * TRIANGLE.itemsize)
    return np.frombuffer(stl, TRIANGLE, count, _HEADER_BYTES)


def _prove_surface(found: NDArray[np.void], region: Region, findings: Findings) -> None:
    corners_mm = found["corners"].astype(np.float64)
    _prove_closed(found["corners"], region.name)
    outwards = (found["normal"] * normals(corners_mm)).sum(axis=1)
    same(f"normals of {region.name} that point elsewhere", int((outwards < 0.99).sum()), 0)
    expected = _steps(findings.mask(region))
    places = findings.grid.to_index(corners_mm.reshape(-1, 3))
    same(f"whether {region.name} is where it was found", np.array_equal(_middles(places), expected), True)
    _prove_volume(corners_mm, len(expected), region, findings.grid)


def _prove_closed(corners: NDArray[np.float32], name: str) -> None:
    """Every edge is there as often in one direction as in the other."""
    _, numbers = np.unique(corners.reshape(-1, 3), axis=0, return_inverse=True)
    of_triangle = numbers.reshape(-1, 3).astype(np.int64)
    start, end = of_triangle.ravel(), np.roll(of_triangle, -1, axis=1).ravel()
    there, back = (np.sort(first * numbers.size + second) for first, second in ((start, end), (end, start)))
    same(f"whether the surface of {name} is closed", np.array_equal(there, back), True)


def _steps(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Twice the (slice, row, column) half way between neighbours of which one is in the mask, (n, 3), in order."""
    (box,) = find_objects(mask.astype(np.uint8))
    within = np.pad(mask[box], 1)
    low = np.array([extent.start - 1 for extent in box])
    steps = [2 * (np.argwhere(np.diff(within, axis=axis)) + low) + np.eye(3, dtype=np.int64)[axis] for axis in range(3)]
    return np.unique(np.concatenate(steps), axis=0)


def _middles(places: Matrix) -> NDArray[np.int64]:
    """As `_steps`, of those corners of a surface that lie between two neighbours; the others are inside a cube."""
    doubled = np.rint(2 * places).astype(np.int64)
    at_middle = np.abs(places - doubled / 2).max(axis=1) < _AT_MIDDLE
    between_two = (doubled % 2).sum(axis=1) == 1
    return np.unique(doubled[at_middle & between_two], axis=0)


def _prove_volume(corners_mm: Matrix, faces: int, region: Region, grid: Grid) -> None:
    enclosed_ml = enclosed_mm3(corners_mm) / 1000
    tolerance_ml = max(VOLUME_TOLERANCE * region.volume_ml, VOXELS_FOR_EACH_FACE * faces * grid.voxel_volume_ml)
    if not abs(enclosed_ml - region.volume_ml) <= tolerance_ml:
        sentence = f"the object says {enclosed_ml:.4f}, it should say {region.volume_ml:.4f} within {tolerance_ml:.4f}"
        raise Unproven(f"volume enclosed by {region.name} in ml: {sentence}")
