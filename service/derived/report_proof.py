"""The proof of a report: it states each finding once, with what was measured of it, or that it is absent."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import Comprehensive3DSRStorage, EnhancedSRStorage

from models.findings import Box, Findings
from service.core.profiles import Kind
from service.derived import content_tree
from service.derived.checks import (
    close,
    prove_file,
    prove_identity,
    prove_required_attributes,
    prove_volumes,
    same,
)
from service.derived.content_tree import Group, Number, Surface
from service.derived.expected_groups import expected
from service.derived.material import Made, Material

_RELATIVE_TOLERANCE = 1e-5  # the report gives six digits
_PLACE_TOLERANCE_MM = 1e-3  # coordinates are single precision numbers
_CLASSES = {"comprehensive 3d": Comprehensive3DSRStorage, "enhanced": EnhancedSRStorage}


def prove(objects: Sequence[Dataset], material: Material, made: Made) -> None:
    """Raise Unproven unless the one report states each finding once and in full, and what was not found as absent."""
    (report,) = objects
    sources, findings, profile = material.sources, material.findings, material.profile
    prove_volumes(findings)
    prove_file(report, _CLASSES[profile.report])
    prove_identity(report, sources)
    prove_required_attributes(report)
    same("title", content_tree.term(report), content_tree.TITLE)
    same("flags", (report.CompletionFlag, report.VerificationFlag), ("COMPLETE", "UNVERIFIED"))
    drawn = made.get(Kind.SEGMENTATION, ())
    same("whether there is a segmentation", bool(drawn), _is_drawn(material))
    evidence = {dataset.SOPInstanceUID for dataset in (*sources, *drawn)}
    same("evidence", content_tree.evidence(report), evidence)
    groups = content_tree.groups(report)
    _prove_groups(groups, expected(material, made))
    if profile.report != "enhanced":
        _prove_places(groups, findings)


def _is_drawn(material: Material) -> bool:
    return Kind.SEGMENTATION in material.profile.objects and bool(material.findings.found)


def _prove_groups(groups: Sequence[Group], due: Sequence[tuple[str, Group]]) -> None:
    same("number of measurement groups", len(groups), len(due))
    same("number of tracking UIDs", len({group.tracking_uid for group in groups}), len(groups))
    for group, (name, wanted) in zip(groups, due, strict=True):
        apart = replace(group, numbers=(), surfaces=tuple(replace(each, at_mm=()) for each in group.surfaces))
        same(f"measurement group of {name}", apart, replace(wanted, numbers=()))
        same(f"number of measurements of {name}", len(group.numbers), len(wanted.numbers))
        for number, measured in zip(group.numbers, wanted.numbers, strict=True):
            _prove_number(name, number, measured)


def _prove_number(name: str, number: Number, due: Number) -> None:
    words = f"measurement {due.name} of {name} in the report"
    alike = [replace(each, value=0.0, uncertainties=()) for each in (number, due)]
    same(words, *alike)
    units = [[unit for _, unit in each.uncertainties] for each in (number, due)]
    same(f"units of the uncertainty of {words}", *units)
    found, wanted = (np.array([each.value, *(value for value, _ in each.uncertainties)]) for each in (number, due))
    close(words, found, wanted, _RELATIVE_TOLERANCE * float(np.abs(wanted).max()))


def _prove_places(groups: Sequence[Group], findings: Findings) -> None:
    """Surfaces come in the order of boxes and points; a box's faces together are its corners and nothing else."""
    placed = [group.surfaces for group in groups if group.surfaces]
    of_boxes, of_points = placed[: len(findings.boxes)], placed[len(findings.boxes) :]
    for surfaces, box in zip(of_boxes, findings.boxes, strict=True):
        _prove_box(surfaces, box)
    for surfaces, point in zip(of_points, findings.points, strict=True):
        close(f"place of {point.term.name} in mm", _places(surfaces), np.array([point.at]), _PLACE_TOLERANCE_MM)


def _prove_box(surfaces: Sequence[Surface], box: Box) -> None:
    """Each face lies in one of the six planes, another one for each, is closed and spans the box in the others."""
    name, ends = f"box of {box.term.name} in mm", np.array([box.low, box.high])
    planes = set()
    for surface in surfaces:
        corners = _places((surface,))
        same(f"number of corners of a face of the {name}", len(corners), 5)
        close(f"end of a face of the {name}", corners[-1], corners[0], _PLACE_TOLERANCE_MM)
        axis = int(np.argmin(np.ptp(corners, axis=0)))
        side = int(np.abs(ends[:, axis] - corners[0, axis]).argmin())
        planes.add((axis, side))
        flat = ends.copy()
        flat[:, axis] = ends[side, axis]
        close(name, np.array([corners.min(axis=0), corners.max(axis=0)]), flat, _PLACE_TOLERANCE_MM)
        same(f"corners of a face of the {name}", len(np.unique(corners, axis=0)), 4)
    same(f"faces of the {name}", len(planes), len(surfaces))


def _places(surfaces: Sequence[Surface]) -> NDArray[np.float64]:
    return np.array([each.at_mm for each in surfaces]).reshape(-1, 3)
