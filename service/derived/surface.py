"""Findings as Encapsulated STL (PS3.3 A.85.2): the surface of each region as a model that a viewer turns in space."""

from collections.abc import Sequence

import numpy as np
from highdicom.color import CIELabColor
from highdicom.sr import CodedConcept
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import EncapsulatedSTLStorage
from scipy.ndimage import find_objects
from skimage.measure import marching_cubes

from models.volume import Grid, Matrix
from service.derived.finish import SERIES_NUMBERS, finish
from service.derived.material import Made, Material
from service.derived.sources import add_empty_identity, instance_references
from service.derived.terms import ARTIFICIAL_INTELLIGENCE, Structure, concept, structures

TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
_HEADER = b"Isocenter: patient coordinates, LPS, mm".ljust(80)
_MILLIMETRE = Code("mm", "UCUM", "mm")


def build(material: Material, made: Made) -> list[Dataset]:
    """One object for each region that was found: a closed surface, its normals outwards, in LPS mm."""
    del made
    found = [each for each in structures(material.findings, material.origin) if each.segment_number is not None]
    return [_object(structure, material) for structure in found]


def _object(structure: Structure, material: Material) -> Dataset:
    model = Dataset()
    add_empty_identity(model)
    model.SOPClassUID = EncapsulatedSTLStorage
    model.SOPInstanceUID = material.object_uid("M3D", str(structure.segment_number))
    model.Modality = "M3D"
    model.SeriesInstanceUID = material.series_uid("M3D")
    model.SeriesNumber = SERIES_NUMBERS["M3D"]
    model.InstanceNumber = structure.segment_number
    model.FrameOfReferenceUID = material.sources[0].FrameOfReferenceUID
    model.PositionReferenceIndicator = ""
    _describe(model, structure, material)
    stl = _stl(_corners_mm(material.findings.mask(structure.region), material.findings.grid))
    model.EncapsulatedDocument = stl + b"\0" * (len(stl) % 2)
    model.EncapsulatedDocumentLength = len(stl)
    return finish(model, material.sources[0], material.findings.algorithm, material.origin)


def _describe(model: Dataset, structure: Structure, material: Material) -> None:
    label, algorithm = structure.region.label, material.findings.algorithm
    model.AcquisitionDateTime = ""
    model.BurnedInAnnotation = "NO"
    model.SourceInstanceSequence = instance_references(material.sources)
    model.ReferencedSeriesSequence = [_series(material.sources)]
    model.DocumentTitle = structure.region.name
    model.ContentDescription = structure.region.name[:64]
    model.ConceptNameCodeSequence = [concept(label.type)]
    model.MIMETypeOfEncapsulatedDocument = "model/stl"
    model.MeasurementUnitsCodeSequence = [CodedConcept.from_code(_MILLIMETRE)]
    model.RecommendedDisplayCIELabValue = list(CIELabColor.from_rgb(*label.color_rgb).value)
    model.ModelModification = "NO"
    model.ModelMirroring = "NO"
    derivation = Dataset()
    derivation.AlgorithmFamilyCodeSequence = [CodedConcept.from_code(ARTIFICIAL_INTELLIGENCE)]
    derivation.AlgorithmName = algorithm.name
    derivation.AlgorithmVersion = algorithm.version
    model.DerivationAlgorithmSequence = [derivation]


def _series(sources: Sequence[Dataset]) -> Dataset:
    item = Dataset()
    item.SeriesInstanceUID = sources[0].SeriesInstanceUID
    item.ReferencedInstanceSequence = instance_references(sources)
    return item


def _corners_mm(mask: NDArray[np.bool_], grid: Grid) -> Matrix:
    """The triangles between the voxels of a mask and all others, anticlockwise from outside, (n, 3, 3) LPS mm."""
    (box,) = find_objects(mask.astype(np.uint8))
    within = np.pad(mask[box], 1).astype(np.float32)
    vertices, faces, _, _ = marching_cubes(within, 0.5)
    low = np.array([extent.start - 1 for extent in box])
    corners_mm = grid.to_world(vertices + low)[faces]
    return np.asarray(corners_mm if enclosed_mm3(corners_mm) > 0 else corners_mm[:, ::-1])


def enclosed_mm3(corners_mm: Matrix) -> float:
    """The volume within a closed surface, (n, 3, 3) mm; negative where the triangles are clockwise from outside."""
    at = corners_mm - corners_mm.mean(axis=(0, 1))
    return float(np.einsum("ij,ij->", at[:, 0], np.cross(at[:, 1], at[:, 2]))) / 6


def normals(corners_mm: Matrix) -> Matrix:
    """Unit normals of triangles, (n, 3, 3) -> (n, 3)."""
    across = np.cross(corners_mm[:, 1] - corners_mm[:, 0], corners_mm[:, 2] - corners_mm[:, 0])
    return np.asarray(across / np.linalg.norm(across, axis=1, keepdims=True))


def _stl(corners_mm: Matrix) -> bytes:
    """A binary STL file."""
    triangles = np.zeros(len(corners_mm), dtype=TRIANGLE)
    triangles["corners"] = corners_mm
    triangles["normal"] = normals(corners_mm)
    return _HEADER + len(triangles).to_bytes(4, "little") + triangles.tobytes()
