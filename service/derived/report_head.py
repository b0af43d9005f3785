"""What reports of template TID 1500 have in common: what they are, who observed, and which procedure."""

from collections.abc import Sequence

from highdicom import sr
from highdicom.sr.templates import Template
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from models.findings import Algorithm
from service.derived.content_items import PRIVATE_SCHEME, private_scheme
from service.derived.finish import MANUFACTURER, SERIES_NUMBERS, device_uid, finish
from service.derived.material import Material
from service.derived.sources import instances

# CID 100 names few body parts, none for most models: the procedure is the modality's, whatever the region.
_XR = codes.cid100.XRUnspecifiedBodyRegion
_PROCEDURES = {
    "CT": codes.cid100.CTUnspecifiedBodyRegion,
    "MR": codes.cid100.MRIUnspecifiedBodyRegion,
    "PT": codes.cid100.PETUnspecifiedBodyRegion,
    "CR": _XR,
    "DX": _XR,
    "RG": _XR,
}


_CLASSES = {"comprehensive 3d": sr.Comprehensive3DSR, "enhanced": sr.EnhancedSR}


def report(material: Material, groups: Sequence[Template], drawn: Sequence[Dataset]) -> Dataset:
    """The report that holds these groups; `drawn` are the segmentations that they refer to."""
    sources, algorithm = material.sources, material.findings.algorithm
    document = _CLASSES[material.profile.report](
        evidence=[*instances(sources), *drawn],
        content=sr.MeasurementReport(
            observation_context=_observer(algorithm),
            procedure_reported=_procedure(sources[0]),
            imaging_measurements=list(groups),
            title=codes.DCM.ImagingMeasurementReport,
        ),
        series_instance_uid=material.series_uid("SR"),
        series_number=SERIES_NUMBERS["SR"],
        sop_instance_uid=material.object_uid("SR"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        is_complete=True,
        is_final=False,
        is_verified=False,
    )
    if _has_private_code(document):
        document.CodingSchemeIdentificationSequence = [private_scheme()]
    return finish(document, sources[0], algorithm, material.origin)


def _has_private_code(document: Dataset) -> bool:
    designators = (each.value for each in document.iterall() if each.keyword == "CodingSchemeDesignator")
    return PRIVATE_SCHEME in designators


def _procedure(source: Dataset) -> Code:
    """The imaging procedure that a source is of (CID 100)."""
    return _PROCEDURES.get(source.Modality, codes.cid100.ImagingProcedure)


def _observer(algorithm: Algorithm) -> sr.ObservationContext:
    """The model as the device that states this (TID 1004)."""
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=device_uid(algorithm),
        name=MANUFACTURER,
        manufacturer_name=MANUFACTURER,
        model_name=algorithm.name,
    )
    return sr.ObservationContext(sr.ObserverContext(codes.DCM.Device, device))
