"""The proof of a report: it states each structure once, with what was measured of it, or that it is absent."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from pydicom import Dataset
from pydicom.uid import Comprehensive3DSRStorage

from models.findings import Findings
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
from service.derived.content_tree import Group
from service.derived.material import Made, Material

_RELATIVE_TOLERANCE = 1e-5  # the report gives six digits


def prove(objects: Sequence[Dataset], material: Material, made: Made) -> None:
    """Raise Unproven unless the one report states each structure once: its volume and segment, or that it is absent."""
    (report,) = objects
    sources, findings = material.sources, material.findings
    prove_volumes(findings)
    prove_file(report, Comprehensive3DSRStorage)
    prove_identity(report, sources)
    prove_required_attributes(report)
    same("title", content_tree.term(report), content_tree.TITLE)
    same("flags", (report.CompletionFlag, report.VerificationFlag), ("COMPLETE", "UNVERIFIED"))
    drawn = next(iter(made.get(Kind.SEGMENTATION, ())), None)
    same("whether there is a segmentation", drawn is not None, bool(findings.found))
    instances = {dataset.SOPInstanceUID for dataset in (*sources, *([] if drawn is None else [drawn]))}
    same("evidence", content_tree.evidence(report), instances)
    _prove_groups(content_tree.groups(report), _expected_groups(drawn, sources, findings), findings)


def _expected_groups(drawn: Dataset | None, sources: Sequence[Dataset], findings: Findings) -> list[Group]:
    segments = iter(() if drawn is None else drawn.SegmentSequence)
    series_uid = sources[0].SeriesInstanceUID
    groups = []
    for region in findings.regions:
        finding = (region.label.type.value, region.label.type.scheme)
        if drawn is None or region.voxels == 0:
            groups.append(Group(finding=finding, presence=content_tree.ABSENT))
            continue
        segment = next(segments)
        groups.append(
            Group(
                finding=finding,
                tracking_uid=segment.TrackingUID,
                volume=region.voxels * findings.grid.voxel_volume_ml,
                unit=content_tree.CUBIC_CENTIMETRE,
                segment=(drawn.SOPInstanceUID, int(segment.SegmentNumber)),
                source_series_uid=series_uid,
            )
        )
    return groups


def _prove_groups(groups: Sequence[Group], expected: Sequence[Group], findings: Findings) -> None:
    same("number of measurement groups", len(groups), len(expected))
    for group, due, region in zip(groups, expected, findings.regions, strict=True):
        name = region.name
        if due.volume is None or group.volume is None:
            same(f"measurement group of {name}", replace(group, tracking_uid=None), due)
            continue
        same(f"measurement group of {name}", replace(group, volume=due.volume), due)
        found_ml, due_ml = np.array([group.volume]), np.array([due.volume])
        close(f"volume of {name} in the report in ml", found_ml, due_ml, _RELATIVE_TOLERANCE * due.volume)
