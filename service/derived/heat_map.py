"""Heat maps as a DICOM Segmentation (PS3.3 A.51): fractions of 255 that are probabilities, one segment for each map.

A Parametric Map would hold the numbers themselves, but it needs a Frame of Reference and a radiograph has none.
"""

import numpy as np
from highdicom.seg import (
    Segmentation,
    SegmentationFractionalTypeValues,
    SegmentationTypeValues,
    SegmentDescription,
)
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import RLELossless

from models.findings import Findings, HeatMap
from models.uneven import nearest_slices
from service.core.errors import Broken
from service.derived.encoding import transfer_syntax_uid
from service.derived.finish import MANUFACTURER, SERIES_NUMBERS, finish
from service.derived.material import Made, Material
from service.derived.segment_frames import MAXIMUM
from service.derived.segmentation import described
from service.derived.sources import lean, name_frames
from service.derived.terms import tracking


def build(material: Material, made: Made) -> list[Dataset]:
    """A fractional Segmentation on the source planes, or on the radiograph, rounded to 1/255.

    Raises Broken when a heat map does not fit its image or holds what is no probability.
    """
    del made
    sources, findings, origin = material.sources, material.findings, material.origin
    copies = lean(sources, findings)
    fractions = _fractions(findings, (len(copies), int(copies[0].Rows), int(copies[0].Columns)))
    segmentation = Segmentation(
        source_images=copies,
        pixel_array=fractions,
        segmentation_type=SegmentationTypeValues.FRACTIONAL,
        fractional_type=SegmentationFractionalTypeValues.PROBABILITY,
        max_fractional_value=MAXIMUM,
        segment_descriptions=[
            _describe(material, number, heat_map) for number, heat_map in enumerate(findings.heat_maps, start=1)
        ],
        series_instance_uid=material.series_uid("SEG heat map"),
        series_number=SERIES_NUMBERS["SEG heat map"],
        sop_instance_uid=material.object_uid("SEG heat map"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MANUFACTURER,
        software_versions=origin.software_version,
        device_serial_number=findings.algorithm.weights_sha256[:16],
        content_description=f"{findings.algorithm.name} {findings.algorithm.version}"[:64],
        content_creator_name=f"{MANUFACTURER}^AI",
        omit_empty_frames=_may_omit_frames(fractions, material),
    )
    name_frames(segmentation, sources)
    finished = finish(segmentation, sources[0], findings.algorithm, origin)
    finished.SeriesNumber = SERIES_NUMBERS["SEG heat map"]
    if not findings.layers:
        finished.PatientOrientation = copies[0].PatientOrientation  # there even when it is empty: Type 2C
    return [_compressed(finished, transfer_syntax_uid(material.profile))]


def plane_values(findings: Findings, heat_map: HeatMap) -> NDArray[np.float32]:
    """A heat map on the source planes, (plane, row, column); a radiograph is one plane."""
    if heat_map.values.ndim == 2:
        return heat_map.values[None]
    return heat_map.values[nearest_slices(findings.places)] if findings.places else heat_map.values


def _fractions(findings: Findings, shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """All heat maps, (plane, row, column, map)."""
    maps = [plane_values(findings, heat_map) for heat_map in findings.heat_maps]
    for heat_map, values in zip(findings.heat_maps, maps, strict=True):
        if values.shape != shape:
            raise Broken(f"the heat map of {heat_map.term.name} has shape {values.shape}, its image {shape}")
        if not (np.isfinite(values).all() and values.min() >= 0.0 and values.max() <= 1.0):
            raise Broken(f"the heat map of {heat_map.term.name} holds values that are not from 0 to 1")
    return np.stack(maps, axis=-1).astype(np.float32)


def _may_omit_frames(fractions: NDArray[np.float32], material: Material) -> bool:
    """Every segment keeps a frame at least: viewers stop at one that has none."""
    per_map = (np.rint(fractions * MAXIMUM) > 0).any(axis=(0, 1, 2))
    return not material.profile.empty_frames and fractions.shape[0] > 1 and bool(per_map.all())


def _describe(material: Material, number: int, heat_map: HeatMap) -> SegmentDescription:
    algorithm, term = material.findings.algorithm, heat_map.term
    names = tracking(algorithm, material.origin, "heat map", number, term)
    return described(number, term.name, term, names, algorithm)


def _compressed(dataset: Dataset, syntax: str) -> Dataset:
    if syntax == RLELossless:
        dataset.compress(RLELossless, generate_instance_uid=False)
    dataset.file_meta.TransferSyntaxUID = syntax
    return dataset
