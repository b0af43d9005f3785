"""Findings as a Key Object Selection (PS3.3 A.35.4, TID 2010): the images on which a person should look first."""

from collections.abc import Sequence

import numpy as np
from pydicom import Dataset
from pydicom.uid import KeyObjectSelectionDocumentStorage

from models.findings import Box, Findings, Point
from models.regions import largest_planes
from service.core.profiles import Kind
from service.derived import wording
from service.derived.checks import corners_mm
from service.derived.companion import begun, evidence, referenced
from service.derived.content_items import coded, device_observer, item
from service.derived.finish import finish
from service.derived.material import Made, Material

OF_INTEREST = ("113000", "DCM", "Of Interest")
DESCRIPTION = ("113012", "DCM", "Key Object Description")


def build(material: Material, made: Made) -> list[Dataset]:
    """One document, or none where no image stands out."""
    del made
    chosen = [material.sources[index] for index in key_planes(material.findings, material.sources)]
    if not chosen:
        return []
    selection = begun(material, Kind.KEY_IMAGES, KeyObjectSelectionDocumentStorage)
    selection.ReferencedPerformedProcedureStepSequence = []
    selection.CurrentRequestedProcedureEvidenceSequence = [evidence(chosen)]
    selection.ValueType, selection.ContinuityOfContent = "CONTAINER", "SEPARATE"
    selection.ConceptNameCodeSequence = [coded(OF_INTEREST)]
    selection.ContentTemplateSequence = [_template()]
    selection.ContentSequence = [
        *device_observer(material.origin),
        item("CONTAINS", "TEXT", DESCRIPTION, TextValue=described(material.findings)),
        # an image has no concept name here (TID 2010, row 6)
        *(item("CONTAINS", "IMAGE", None, ReferencedSOPSequence=referenced([source])) for source in chosen),
    ]
    return [finish(selection, material.sources[0], material.findings.algorithm, material.origin)]


def key_planes(findings: Findings, sources: Sequence[Dataset]) -> list[int]:
    """The places of the sources on which a region is largest or a mark lies, in their order, each once.

    A radiograph is chosen when anything in it is positive.
    """
    if not findings.layers and len(sources) == 1:
        return [0] if wording.is_anything(findings) else []
    return sorted({*largest_planes(findings).values(), *(_nearest(mark, sources) for mark in wording.marks(findings))})


def described(findings: Findings) -> str:
    """What is to be seen on the images, and who says so."""
    algorithm = findings.algorithm
    seen = [f"{line.name} {line.amount}".strip() for line in map(wording.region_line, findings.found)]
    seen += [
        f"{score.term.name} {wording.percent(score.probability)}" for score in findings.scores if score.is_positive
    ]
    seen += [wording.mark_name(mark) for mark in wording.marks(findings)]
    return f"AI result of {algorithm.name} {algorithm.version}, not verified, not for diagnosis: {', '.join(seen)}"


def _nearest(mark: Box | Point, sources: Sequence[Dataset]) -> int:
    """The plane that lies nearest to the middle of a mark of a volume."""
    middle = np.mean([mark.low, mark.high], axis=0) if isinstance(mark, Box) else np.array(mark.at)
    cosines = np.array(sources[0].ImageOrientationPatient, dtype=np.float64).reshape(2, 3)
    positions = np.array([corners_mm(source, np.zeros((1, 2)))[0] for source in sources])
    return int(np.abs((positions - middle) @ np.cross(*cosines)).argmin())


def _template() -> Dataset:
    template = Dataset()
    template.MappingResource, template.TemplateIdentifier = "DCMR", "2010"
    return template
