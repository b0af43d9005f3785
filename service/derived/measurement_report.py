"""Findings as an SR of template TID 1500: what was measured, and what was looked for in vain.

Groups of regions refer to their segment, to the source Series, and to one image: that on which the region is largest.
"""

from highdicom import sr
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from models.findings import Algorithm
from service.core.profiles import Kind
from service.derived.finish import MANUFACTURER, SERIES_NUMBERS, device_uid, finish
from service.derived.material import Made, Material
from service.derived.report_groups import groups
from service.derived.sources import instances

# CID 100 names few body parts, none for most models: the procedure is the modality's, whatever the region.
_PROCEDURES = {
    "CT": codes.cid100.CTUnspecifiedBodyRegion,
    "MR": codes.cid100.MRIUnspecifiedBodyRegion,
    "PT": codes.cid100.PETUnspecifiedBodyRegion,
}
_CLASSES = {"comprehensive 3d": sr.Comprehensive3DSR, "enhanced": sr.EnhancedSR}


def build(material: Material, made: Made) -> list[Dataset]:
    """A report with a measurement group for each finding, in the model's order.

    A structure that was found has its volume, what else was measured and its segment; any other is stated to be absent.
    """
    sources, findings, origin = material.sources, material.findings, material.origin
    report = _CLASSES[material.profile.report](
        evidence=[*instances(sources), *made.get(Kind.SEGMENTATION, ())],
        content=sr.MeasurementReport(
            observation_context=_observer(findings.algorithm),
            procedure_reported=_procedure(sources[0]),
            imaging_measurements=groups(material, made),
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
    return [finish(report, sources[0], findings.algorithm, origin)]


def _procedure(source: Dataset) -> Code:
    return _PROCEDURES.get(source.Modality, codes.cid100.ImagingProcedure)


def _observer(algorithm: Algorithm) -> sr.ObservationContext:
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=device_uid(algorithm),
        name=MANUFACTURER,
        manufacturer_name=MANUFACTURER,
        model_name=algorithm.name,
    )
    return sr.ObservationContext(sr.ObserverContext(codes.DCM.Device, device))
