"""Every result proves itself: an object is read back from its bytes and compared with what it should say."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import (
    BasicTextSRStorage,
    Comprehensive3DSRStorage,
    ExplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from models.findings import Findings, SegmentVolume
from models.measurement import plane_labels
from models.uneven import spread
from service.core.errors import Unproven
from service.core.geometry import ORIENTATION_TOLERANCE
from service.derived import content_tree
from service.derived.checks import (
    POSITION_TOLERANCE_MM,
    close,
    prove_grid,
    prove_identity,
    prove_required_attributes,
    prove_volumes,
    same,
)
from service.derived.content_tree import Group
from service.derived.encoding import decode
from service.derived.frames import Frame, frames
from service.derived.sources import reference

_RELATIVE_TOLERANCE = 1e-5  # the report gives six digits


def prove_segmentation(encoded: bytes, sources: Sequence[Dataset], findings: Findings) -> None:
    """Raise Unproven unless the Segmentation holds exactly the label map, on the planes of the sources."""
    prove_volumes(findings)
    prove_grid(sources, findings.label_map.grid, findings.places)
    segmentation = _read(encoded, SegmentationStorage)
    prove_identity(segmentation, sources)
    prove_required_attributes(segmentation)
    same("SegmentationType", segmentation.SegmentationType, "BINARY")
    same("FrameOfReferenceUID", segmentation.FrameOfReferenceUID, sources[0].FrameOfReferenceUID)
    _prove_references(segmentation, sources)
    _prove_segments(segmentation, findings)
    _prove_frames(segmentation, sources, findings)


def prove_report(encoded: bytes, segmentation: bytes | None, sources: Sequence[Dataset], findings: Findings) -> None:
    """Raise Unproven unless the report states each structure once: its volume and segment, or that it is absent."""
    prove_volumes(findings)
    report = _read(encoded, Comprehensive3DSRStorage)
    prove_identity(report, sources)
    prove_required_attributes(report)
    same("title", content_tree.term(report), content_tree.TITLE)
    same("flags", (report.CompletionFlag, report.VerificationFlag), ("COMPLETE", "UNVERIFIED"))
    same("whether there is a segmentation", segmentation is not None, bool(_found(findings)))
    drawn = None if segmentation is None else _read(segmentation, SegmentationStorage)
    instances = {dataset.SOPInstanceUID for dataset in (*sources, *([] if drawn is None else [drawn]))}
    same("evidence", content_tree.evidence(report), instances)
    _prove_groups(content_tree.groups(report), _expected_groups(drawn, sources, findings), findings)


def prove_notice_report(encoded: bytes, sources: Sequence[Dataset], texts: Sequence[str]) -> None:
    """Raise Unproven unless the report says these texts, in this order, of the first source's Series."""
    report = _read(encoded, BasicTextSRStorage)
    prove_identity(report, sources)
    prove_required_attributes(report)
    same("evidence", content_tree.evidence(report), {sources[0].SOPInstanceUID})
    same("texts", content_tree.contained(report, "TEXT", "TextValue"), list(texts))
    same("series", content_tree.contained(report, "UIDREF", "UID"), [sources[0].SeriesInstanceUID])


def prove_notice_picture(encoded: bytes, sources: Sequence[Dataset], drawn: NDArray[np.uint8]) -> None:
    """Raise Unproven unless the picture shows the page that was drawn, (row, column)."""
    picture = _read(encoded, SecondaryCaptureImageStorage)
    prove_identity(picture, sources)
    prove_required_attributes(picture)
    same("source image", picture.ReferencedImageSequence[0].ReferencedSOPInstanceUID, sources[0].SOPInstanceUID)
    same("shape", (picture.BitsAllocated, picture.Rows, picture.Columns), (8, *drawn.shape))
    wrong = int(np.count_nonzero(np.frombuffer(picture.PixelData, np.uint8)[: drawn.size] != drawn.ravel()))
    same("pixels that differ from the page", wrong, 0)


def _read(encoded: bytes, sop_class_uid: str) -> Dataset:
    dataset = decode(encoded)
    same("SOPClassUID", dataset.SOPClassUID, sop_class_uid)
    same("MediaStorageSOPClassUID", dataset.file_meta.MediaStorageSOPClassUID, sop_class_uid)
    same("MediaStorageSOPInstanceUID", dataset.file_meta.MediaStorageSOPInstanceUID, dataset.SOPInstanceUID)
    same("TransferSyntaxUID", dataset.file_meta.TransferSyntaxUID, ExplicitVRLittleEndian)
    return dataset


def _found(findings: Findings) -> list[SegmentVolume]:
    return [volume for volume in findings.volumes if volume.voxels > 0]


def _prove_references(segmentation: Dataset, sources: Sequence[Dataset]) -> None:
    series = segmentation.ReferencedSeriesSequence
    same("referenced series", [item.SeriesInstanceUID for item in series], [sources[0].SeriesInstanceUID])
    referenced = {item.ReferencedSOPInstanceUID for item in series[0].ReferencedInstanceSequence}
    same("referenced instances", referenced, {source.SOPInstanceUID for source in sources})


def _prove_segments(segmentation: Dataset, findings: Findings) -> None:
    described = [
        (int(item.SegmentNumber), item.SegmentLabel, content_tree.term(item, "SegmentedPropertyTypeCodeSequence"))
        for item in segmentation.SegmentSequence
    ]
    expected = [
        (number, volume.label.name[:64], (volume.label.type.value, volume.label.type.scheme))
        for number, volume in enumerate(_found(findings), start=1)
    ]
    same("segments", described, expected)


def _prove_frames(segmentation: Dataset, sources: Sequence[Dataset], findings: Findings) -> None:
    """Every frame equals its slice of the label map, and together they leave nothing out."""
    slices = {reference(source): index for index, source in enumerate(sources)}
    found = _found(findings)
    labels = plane_labels(findings)
    voxels = [0] * len(found)
    seen: set[tuple[int, int]] = set()
    for frame in frames(segmentation):
        index = slices.get(frame.source)
        if index is None:
            raise Unproven(f"source of frame {frame.number}: {frame.source} is not one of the {len(sources)} sources")
        _prove_plane(frame, sources[index])
        place = (frame.segment_number, index)
        same(f"whether frame {frame.number} repeats segment and slice {place}", place in seen, False)
        seen.add(place)
        expected = labels[index] == found[frame.segment_number - 1].label.value
        wrong = int(np.count_nonzero(frame.pixels != expected))
        same(f"voxels of frame {frame.number} that differ from segment and slice {place}", wrong, 0)
        voxels[frame.segment_number - 1] += int(np.count_nonzero(frame.pixels))
    same("voxels of the segments", voxels, [int(np.count_nonzero(labels == each.label.value)) for each in found])
    between = spread(labels, findings.places, findings.label_map.grid.shape[0])
    same("voxels between the planes", int(np.count_nonzero(between != findings.label_map.labels)), 0)


def _prove_plane(frame: Frame, source: Dataset) -> None:
    position_mm = np.array(source.ImagePositionPatient, dtype=np.float64)
    orientation = np.array(source.ImageOrientationPatient, dtype=np.float64)
    spacing_mm = np.array(source.PixelSpacing, dtype=np.float64)
    close(f"position of frame {frame.number} in mm", frame.position_mm, position_mm, POSITION_TOLERANCE_MM)
    close(f"orientation of frame {frame.number}", frame.orientation, orientation, ORIENTATION_TOLERANCE)
    close(f"pixel spacing of frame {frame.number} in mm", frame.spacing_mm, spacing_mm, POSITION_TOLERANCE_MM)


def _expected_groups(drawn: Dataset | None, sources: Sequence[Dataset], findings: Findings) -> list[Group]:
    segments = iter(() if drawn is None else drawn.SegmentSequence)
    series_uid = sources[0].SeriesInstanceUID
    groups = []
    for volume in findings.volumes:
        finding = (volume.label.type.value, volume.label.type.scheme)
        if drawn is None or volume.voxels == 0:
            groups.append(Group(finding=finding, presence=content_tree.ABSENT))
            continue
        segment = next(segments)
        groups.append(
            Group(
                finding=finding,
                tracking_uid=segment.TrackingUID,
                volume=volume.voxels * findings.label_map.grid.voxel_volume_ml,
                unit=content_tree.CUBIC_CENTIMETRE,
                segment=(drawn.SOPInstanceUID, int(segment.SegmentNumber)),
                source_series_uid=series_uid,
            )
        )
    return groups


def _prove_groups(groups: Sequence[Group], expected: Sequence[Group], findings: Findings) -> None:
    same("number of measurement groups", len(groups), len(expected))
    for group, due, volume in zip(groups, expected, findings.volumes, strict=True):
        name = volume.label.name
        if due.volume is None or group.volume is None:
            same(f"measurement group of {name}", replace(group, tracking_uid=None), due)
            continue
        same(f"measurement group of {name}", replace(group, volume=due.volume), due)
        found_ml, due_ml = np.array([group.volume]), np.array([due.volume])
        close(f"volume of {name} in the report in ml", found_ml, due_ml, _RELATIVE_TOLERANCE * due.volume)
