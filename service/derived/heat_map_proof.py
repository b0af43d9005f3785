"""The proof of a fractional Segmentation: it holds exactly the heat maps, to half a step, on the images they are of."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import SegmentationStorage

from models.findings import Findings
from service.core.errors import Unproven
from service.core.geometry import ORIENTATION_TOLERANCE
from service.derived import content_tree
from service.derived.checks import (
    POSITION_TOLERANCE_MM,
    close,
    prove_file,
    prove_grid,
    prove_identity,
    prove_required_attributes,
    same,
)
from service.derived.encoding import transfer_syntax_uid
from service.derived.heat_map import plane_values
from service.derived.material import Made, Material
from service.derived.segment_frames import MAXIMUM
from service.derived.sources import reference
from service.derived.terms import tracking

_ROUNDING = 0.5 / MAXIMUM + 1e-6
_PLACE = (  # macro, attribute, and how far it may be off
    ("PlanePositionSequence", "ImagePositionPatient", POSITION_TOLERANCE_MM),
    ("PlaneOrientationSequence", "ImageOrientationPatient", ORIENTATION_TOLERANCE),
    ("PixelMeasuresSequence", "PixelSpacing", POSITION_TOLERANCE_MM),
)

Place = tuple[int, int]  # segment number, index of the source


def prove(objects: Sequence[Dataset], material: Material, made: Made) -> None:
    """Raise Unproven unless the one object holds each heat map in a segment of its own, on the source planes."""
    del made
    (drawn,) = objects
    sources, findings = material.sources, material.findings
    prove_file(drawn, SegmentationStorage, transfer_syntax_uid(material.profile))
    prove_identity(drawn, sources)
    prove_required_attributes(drawn)
    form = (drawn.SegmentationType, drawn.SegmentationFractionalType, int(drawn.MaximumFractionalValue))
    same("form of the fractions", form, ("FRACTIONAL", "PROBABILITY", MAXIMUM))
    same("rows and columns", (int(drawn.Rows), int(drawn.Columns)), (int(sources[0].Rows), int(sources[0].Columns)))
    frame_of_reference_uid = sources[0].FrameOfReferenceUID if findings.layers else None
    same("FrameOfReferenceUID", drawn.get("FrameOfReferenceUID"), frame_of_reference_uid)
    if findings.layers:
        prove_grid(sources, findings.grid, findings.places)
    else:
        orientation = list(sources[0].get("PatientOrientation") or [])
        same("PatientOrientation", list(drawn.get("PatientOrientation") or []), orientation)
    _prove_references(drawn, sources)
    _prove_segments(drawn, material)
    _prove_values(drawn, sources, findings)


def _prove_references(drawn: Dataset, sources: Sequence[Dataset]) -> None:
    series = drawn.ReferencedSeriesSequence
    same("referenced series", [item.SeriesInstanceUID for item in series], [sources[0].SeriesInstanceUID])
    referenced = {item.ReferencedSOPInstanceUID for item in series[0].ReferencedInstanceSequence}
    same("referenced instances", referenced, {source.SOPInstanceUID for source in sources})


def _prove_segments(drawn: Dataset, material: Material) -> None:
    algorithm, origin = material.findings.algorithm, material.origin
    described = [
        (
            int(item.SegmentNumber),
            item.SegmentLabel,
            content_tree.term(item, "SegmentedPropertyTypeCodeSequence"),
            item.TrackingUID,
        )
        for item in drawn.SegmentSequence
    ]
    expected = [
        (number, term.name[:64], (term.type.value, term.type.scheme), names.uid)
        for number, term in enumerate((heat_map.term for heat_map in material.findings.heat_maps), start=1)
        for names in [tracking(algorithm, origin, "heat map", number, term)]
    ]
    same("segments", described, expected)


def _prove_values(drawn: Dataset, sources: Sequence[Dataset], findings: Findings) -> None:
    """Every frame equals its plane of its heat map; where there is no frame, the heat map is nothing."""
    left = {
        (number, index): plane
        for number, heat_map in enumerate(findings.heat_maps, start=1)
        for index, plane in enumerate(plane_values(findings, heat_map))
    }
    for number, (place, fractions) in enumerate(_frames(drawn, sources, bool(findings.layers)), start=1):
        same(f"whether frame {number} is of a plane {place} without one", place in left, True)
        _prove_plane(f"values of frame {number}, of segment and image {place}", fractions, left.pop(place))
    for place, values in left.items():
        _prove_plane(f"values without a frame, of segment and image {place}", np.zeros_like(values), values)


def _prove_plane(check: str, found: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
    same(f"size of {check}", found.shape, expected.shape)
    wrong = int(np.count_nonzero(~(np.abs(found - expected) <= _ROUNDING)))
    same(f"{check}: how many differ", wrong, 0)


def _frames(drawn: Dataset, sources: Sequence[Dataset], has_place: bool) -> list[tuple[Place, NDArray[np.float32]]]:
    index_of = {reference(source): index for index, source in enumerate(sources)}
    groups, shared = drawn.PerFrameFunctionalGroupsSequence, drawn.SharedFunctionalGroupsSequence[0]
    same("number of frames", int(drawn.NumberOfFrames), len(groups))
    pixels = np.asarray(drawn.pixel_array).reshape(len(groups), int(drawn.Rows), int(drawn.Columns))
    frames = []
    for number, (group, stored) in enumerate(zip(groups, pixels, strict=True), start=1):
        images = [image for step in group.DerivationImageSequence for image in step.SourceImageSequence]
        same(f"source images of frame {number}", len(images), 1)
        index = index_of.get(reference(images[0], "ReferencedSOPInstanceUID"))
        if index is None:
            raise Unproven(f"source of frame {number}: {images[0].ReferencedSOPInstanceUID} is not one of the sources")
        if has_place:
            _prove_place(number, (group, shared), sources[index])
        segment = (group if "SegmentIdentificationSequence" in group else shared).SegmentIdentificationSequence[0]
        frames.append(
            ((int(segment.ReferencedSegmentNumber), index), (stored / np.float32(MAXIMUM)).astype(np.float32))
        )
    return frames


def _prove_place(number: int, groups: tuple[Dataset, Dataset], source: Dataset) -> None:
    of_frame, shared = groups
    for macro, keyword, tolerance in _PLACE:
        said = (of_frame if macro in of_frame else shared)[macro][0][keyword].value
        found, expected = (np.array(values, dtype=np.float64) for values in (said, source[keyword].value))
        close(f"{keyword} of frame {number}", found, expected, tolerance)
