"""Findings as DICOM Segmentations (PS3.3 A.51, A.94): one segment for each structure that was found."""

from collections.abc import Sequence

import numpy as np
from highdicom import AlgorithmIdentificationSequence, PixelMeasuresSequence
from highdicom.color import CIELabColor
from highdicom.seg import (
    SegmentAlgorithmTypeValues,
    SegmentationFractionalTypeValues,
    SegmentationTypeValues,
    SegmentDescription,
)
from highdicom.seg import Segmentation as HighdicomSegmentation
from pydicom import Dataset

from models.findings import Algorithm
from models.terms import Term
from service.derived.encoding import transfer_syntax_uid
from service.derived.finish import MANUFACTURER, SERIES_NUMBERS, finish
from service.derived.material import Made, Material
from service.derived.segment_frames import MAXIMUM, Drawing, add_frames, overlap
from service.derived.sources import image_reference, instance_references, lean_first
from service.derived.terms import ARTIFICIAL_INTELLIGENCE, Structure, Tracking, concept, structures


def build(material: Material, made: Made) -> list[Dataset]:
    """Segmentations on the planes of the sources, with one segment for each region that was found.

    It is one object, but for a LABELMAP of several layers: what overlaps has no room in one. Each layer is then an
    object in a series of its own, because viewers show one segmentation of a series; segment numbers are unique
    throughout. Raises Broken when the sources do not fit the label map.
    """
    del made
    return [_object(material, part) for part in parts(material)]


def parts(material: Material) -> list[list[Structure]]:
    """The structures that were found, by the object that they are segments of."""
    found = [each for each in structures(material.findings, material.origin) if each.segment_number is not None]
    if material.profile.segmentation != "labelmap":
        return [found]
    layers = sorted({structure.region.layer for structure in found})
    return [[structure for structure in found if structure.region.layer == layer] for layer in layers]


def _object(material: Material, found: Sequence[Structure]) -> Dataset:
    sources, findings = material.sources, material.findings
    layer = found[0].region.layer
    apart = (f"layer {layer}",) if layer and material.profile.segmentation == "labelmap" else ()
    segmentation = _without_frames(material, found, apart)
    segmentation.ReferencedSeriesSequence[0].ReferencedInstanceSequence = instance_references(sources)
    segmentation.SourceImageSequence = [image_reference(source) for source in sources]
    finish(segmentation, sources[0], findings.algorithm, material.origin)
    if apart:
        segmentation.SeriesDescription = f"{segmentation.SeriesDescription} {apart[0]}"[:64]
    segmentation.file_meta.TransferSyntaxUID = transfer_syntax_uid(material.profile)
    drawing = Drawing(findings, found, material.profile)
    segmentation.SegmentsOverlap = "YES" if overlap(drawing) else "NO"
    add_frames(segmentation, drawing, sources)
    return segmentation


def _without_frames(material: Material, found: Sequence[Structure], apart: Sequence[str]) -> Dataset:
    """Everything but the frames: the library makes one, of one voxel in the first plane, as a pattern for all."""
    findings = material.findings
    first = lean_first(material.sources, findings)
    pattern = np.zeros((1, int(first.Rows), int(first.Columns)), dtype=np.uint8)
    pattern[0, 0, 0] = found[0].segment_number or 0
    return HighdicomSegmentation(
        source_images=[first],
        pixel_array=pattern,
        segmentation_type=SegmentationTypeValues(material.profile.segmentation.upper()),
        fractional_type=SegmentationFractionalTypeValues.OCCUPANCY,  # of FRACTIONAL alone
        max_fractional_value=MAXIMUM,
        segment_descriptions=[_describe(structure, findings.algorithm) for structure in found],
        pixel_measures=PixelMeasuresSequence(first.PixelSpacing, first.SliceThickness, first.SpacingBetweenSlices),
        series_instance_uid=material.series_uid("SEG", *apart),
        series_number=SERIES_NUMBERS["SEG"],
        sop_instance_uid=material.object_uid("SEG", *apart),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MANUFACTURER,
        software_versions=material.origin.software_version,
        device_serial_number=findings.algorithm.weights_sha256[:16],
        content_description=f"{findings.algorithm.name} {findings.algorithm.version}"[:64],
        content_creator_name=f"{MANUFACTURER}^AI",
    )


def _describe(structure: Structure, algorithm: Algorithm) -> SegmentDescription:
    region, names = structure.region, Tracking(structure.tracking_id, structure.tracking_uid)
    return described(structure.segment_number or 0, region.name, region.label, names, algorithm)


def described(number: int, name: str, term: Term, names: Tracking, algorithm: Algorithm) -> SegmentDescription:
    """A segment of that number (PS3.3 C.8.20.2): what it shows, who says so, and its recommended colour."""
    description = SegmentDescription(
        segment_number=number,
        segment_label=name[:64],
        segmented_property_category=concept(term.category),
        segmented_property_type=concept(term.type),
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=AlgorithmIdentificationSequence(
            name=algorithm.name,
            version=algorithm.version,
            family=ARTIFICIAL_INTELLIGENCE,
            source=algorithm.manufacturer,
        ),
        tracking_uid=names.uid,
        tracking_id=names.identifier,
        display_color=CIELabColor.from_rgb(*term.color_rgb),
    )
    if term.modifier is not None:
        kind = description.SegmentedPropertyTypeCodeSequence[0]
        kind.SegmentedPropertyTypeModifierCodeSequence = [concept(term.modifier)]
    return description
