"""Comparisons that every proof makes: each raises Unproven with the name of the check and both values."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from models.findings import Findings, Region
from models.volume import Grid
from service.core.errors import Unproven
from service.core.geometry import ALIGNMENT_MM
from service.derived.finish import UTF_8, fits_latin_1
from service.derived.standard import absent_attributes

POSITION_TOLERANCE_MM = 1e-3
VOXEL_TOLERANCE = 0.25  # of a voxel: a scanner's rounding and jitter stay below, any wrong slice is far above

_PATIENT = ("PatientID", "PatientName", "PatientBirthDate", "PatientSex")
_STUDY = ("StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "AccessionNumber")


def same(check: str, found: object, expected: object) -> None:
    """Raise Unproven unless both are equal."""
    if found != expected:
        raise Unproven(f"{check}: the object says {found!r}, it should say {expected!r}")


def close(check: str, found: NDArray[np.float64], expected: NDArray[np.float64], tolerance: float) -> None:
    """Raise Unproven unless all numbers agree within the tolerance."""
    if found.shape != expected.shape or not np.abs(found - expected).max(initial=0.0) <= tolerance:
        raise Unproven(f"{check}: the object says {found.tolist()}, it should say {expected.tolist()}")


def prove_file(dataset: Dataset, sop_class_uid: str, transfer_syntax_uid: str = ExplicitVRLittleEndian) -> None:
    """Raise Unproven unless the object is of that class, written in that syntax, and its file says so."""
    same("SOPClassUID", dataset.SOPClassUID, sop_class_uid)
    same("MediaStorageSOPClassUID", dataset.file_meta.MediaStorageSOPClassUID, sop_class_uid)
    same("MediaStorageSOPInstanceUID", dataset.file_meta.MediaStorageSOPInstanceUID, dataset.SOPInstanceUID)
    same("TransferSyntaxUID", dataset.file_meta.TransferSyntaxUID, transfer_syntax_uid)


def prove_identity(derived: Dataset, sources: Sequence[Dataset]) -> None:
    """Raise Unproven unless the object and every source are of one patient and one study."""
    for keyword in (*_PATIENT, *_STUDY):
        expected = str(sources[0].get(keyword) or "")
        for dataset in (derived, *sources):
            if str(dataset.get(keyword) or "") != expected:
                raise Unproven(_identity_sentence(keyword, dataset, sources[0]))


def _identity_sentence(keyword: str, dataset: Dataset, source: Dataset) -> str:
    """What differs; reasons are logged, so the values of a patient's attributes are not told."""
    sentence = f"{keyword}: {dataset.SOPInstanceUID} and {source.SOPInstanceUID} differ"
    if keyword in _PATIENT:
        return sentence
    return f"{sentence}, {dataset.get(keyword)!r} and {source.get(keyword)!r}"


def prove_required_attributes(derived: Dataset) -> None:
    """Raise Unproven unless every mandatory attribute of the object's IOD is there."""
    same("absent mandatory attributes", absent_attributes(derived), [])


def prove_character_set(derived: Dataset, wanted: str) -> None:
    """Raise Unproven unless the object is written in that character set, or in UTF-8 since it would lose letters."""
    due = wanted if wanted == UTF_8 or fits_latin_1(derived) else UTF_8
    same("SpecificCharacterSet", derived.SpecificCharacterSet, due)


def prove_grid(sources: Sequence[Dataset], grid: Grid, places: Sequence[float] = ()) -> None:
    """Raise Unproven unless source k lies where slice k of the grid lies, or its place on it."""
    same("number of slices", len(places) or grid.shape[0], len(sources))
    for index, (place, source) in enumerate(zip(places or range(len(sources)), sources, strict=True)):
        rows, columns = int(source.Rows), int(source.Columns)
        same(f"size of slice {index}", grid.shape[1:], (rows, columns))
        corners = np.array([(0, 0), (rows - 1, 0), (0, columns - 1)], dtype=np.float64)
        on_grid = grid.to_world(np.column_stack((np.full(3, float(place)), corners)))
        tolerance_mm = max(VOXEL_TOLERANCE * float(grid.spacing_mm.min()), ALIGNMENT_MM)
        close(f"place of slice {index} in mm", on_grid, corners_mm(source, corners), tolerance_mm)


def corners_mm(source: Dataset, corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """World positions of (row, column) indices of a plane, (n, 2) -> (n, 3) mm (PS3.3 C.7.6.2.1.1)."""
    cosines = np.array(source.ImageOrientationPatient, dtype=np.float64).reshape(2, 3)
    row_mm, column_mm = (float(mm) for mm in source.PixelSpacing)
    steps = np.stack((cosines[1] * row_mm, cosines[0] * column_mm))
    return np.asarray(np.array(source.ImagePositionPatient, dtype=np.float64) + corners @ steps)


def prove_volumes(findings: Findings) -> None:
    """Raise Unproven unless the findings agree with their own layers and every volume found is plausible."""
    voxel_ml = findings.grid.voxel_volume_ml if findings.layers else 0.0
    for index, layer in enumerate(findings.layers):
        counts = layer.counts()
        regions = [region for region in findings.regions if region.layer == index]
        unnamed = set(np.flatnonzero(counts).tolist()) - {region.number for region in regions} - {0}
        same(f"numbers without a name in layer {index}", sorted(unnamed), [])
        for region in regions:
            _prove_volume(region, int(counts[region.number]), voxel_ml)


def _prove_volume(region: Region, voxels: int, voxel_ml: float) -> None:
    same(f"voxels of {region.name}", region.voxels, voxels)
    close(f"volume of {region.name} in ml", np.array([region.volume_ml]), np.array([voxels * voxel_ml]), 1e-6)
    if voxels and not region.label.plausible_ml.holds(region.volume_ml):
        found = f"{region.name} has {region.volume_ml:.3f} ml"
        raise Unproven(f"implausible volume: {found}, it should have {region.label.plausible_ml} ml")
