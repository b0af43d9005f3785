"""Findings as a DICOM Segmentation (PS3.3 A.51): one binary segment for each structure that was found."""

from collections.abc import Sequence

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.color import CIELabColor
from highdicom.seg import SegmentAlgorithmTypeValues, SegmentationTypeValues, SegmentDescription
from highdicom.seg import Segmentation as HighdicomSegmentation
from numpy.typing import NDArray
from pydicom import Dataset

from models.findings import Algorithm, Findings
from models.regions import plane_labels
from service.derived.finish import MANUFACTURER, SERIES_NUMBERS, finish
from service.derived.material import Made, Material
from service.derived.sources import lean, name_frames
from service.derived.terms import ARTIFICIAL_INTELLIGENCE, Structure, concept, structures


def build(material: Material, made: Made) -> list[Dataset]:
    """A Segmentation on the planes of the sources, with one segment for each region that was found.

    Raises Broken when the sources do not fit the label map.
    """
    del made
    sources, findings, origin = material.sources, material.findings, material.origin
    found = [structure for structure in structures(findings, origin) if structure.segment_number is not None]
    segmentation = HighdicomSegmentation(
        source_images=lean(sources, findings),
        pixel_array=_segment_numbers(findings, found),
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[_describe(structure, findings.algorithm) for structure in found],
        series_instance_uid=material.series_uid("SEG"),
        series_number=SERIES_NUMBERS["SEG"],
        sop_instance_uid=material.object_uid("SEG"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MANUFACTURER,
        software_versions=origin.software_version,
        device_serial_number=findings.algorithm.weights_sha256[:16],
        content_description=f"{findings.algorithm.name} {findings.algorithm.version}"[:64],
        content_creator_name=f"{MANUFACTURER}^AI",
        omit_empty_frames=True,
    )
    name_frames(segmentation, sources)
    return [finish(segmentation, sources[0], findings.algorithm, origin)]


def _segment_numbers(findings: Findings, found: Sequence[Structure]) -> NDArray[np.uint8]:
    """The layer on the source planes with segment numbers in place of labels, (plane, row, column)."""
    numbers = np.zeros(256, dtype=np.uint8)
    for structure in found:
        numbers[structure.region.number] = structure.segment_number or 0
    return np.asarray(numbers[plane_labels(findings, 0)])


def _describe(structure: Structure, algorithm: Algorithm) -> SegmentDescription:
    label = structure.region.label
    description = SegmentDescription(
        segment_number=structure.segment_number,
        segment_label=structure.region.name[:64],
        segmented_property_category=concept(label.category),
        segmented_property_type=concept(label.type),
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=AlgorithmIdentificationSequence(
            name=algorithm.name,
            version=algorithm.version,
            family=ARTIFICIAL_INTELLIGENCE,
            source=algorithm.manufacturer,
        ),
        tracking_uid=structure.tracking_uid,
        tracking_id=structure.tracking_id,
        display_color=CIELabColor.from_rgb(*label.color_rgb),
    )
    if label.modifier is not None:
        kind = description.SegmentedPropertyTypeCodeSequence[0]
        kind.SegmentedPropertyTypeModifierCodeSequence = [concept(label.modifier)]
    return description
