"""Findings as a Comprehensive 3D SR of template TID 1500: what was measured, and what was looked for in vain."""

from highdicom import sr
from highdicom.sr.templates import Template
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from models.findings import Algorithm
from models.manifest import Label
from service.core.profiles import Kind
from service.derived.finish import MANUFACTURER, SERIES_NUMBERS, device_uid, finish
from service.derived.material import Made, Material
from service.derived.sources import lean_instances
from service.derived.terms import ARTIFICIAL_INTELLIGENCE, Structure, concept, structures

# CID 100 names few body parts, none for most models: the procedure is the modality's, whatever the region.
_PROCEDURES = {
    "CT": codes.cid100.CTUnspecifiedBodyRegion,
    "MR": codes.cid100.MRIUnspecifiedBodyRegion,
    "PT": codes.cid100.PETUnspecifiedBodyRegion,
}
_PRESENCE = codes.DCM.PresenceOfProperty


def build(material: Material, made: Made) -> list[Dataset]:
    """A report with one measurement group for each structure of the model, in the model's order.

    A structure that was found has its volume and its segment; any other is stated to be absent.
    """
    sources, findings, origin = material.sources, material.findings, material.origin
    segmentation = next(iter(made.get(Kind.SEGMENTATION, ())), None)
    instances = lean_instances(sources, findings)
    report = sr.Comprehensive3DSR(
        evidence=[*instances, *([] if segmentation is None else [segmentation])],
        content=sr.MeasurementReport(
            observation_context=_observer(findings.algorithm),
            procedure_reported=_procedure(sources[0]),
            imaging_measurements=[
                _group(structure, findings.algorithm, segmentation, sources[0])
                for structure in structures(findings, origin)
            ],
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


def _group(structure: Structure, algorithm: Algorithm, segmentation: Dataset | None, source: Dataset) -> Template:
    if segmentation is None or structure.segment_number is None:
        return _absent(structure, algorithm)
    segment = sr.ReferencedSegment(
        sop_class_uid=segmentation.SOPClassUID,
        sop_instance_uid=segmentation.SOPInstanceUID,
        segment_number=structure.segment_number,
        source_series=sr.SourceSeriesForSegmentation(source.SeriesInstanceUID),
    )
    # ml and cm3 are one size, and CID 7462 lists cm3; six digits are more than any voxel count is worth
    volume_cm3 = float(f"{structure.region.volume_ml:.6g}")
    volume = sr.Measurement(codes.SCT.Volume, volume_cm3, codes.UCUM.CubicCentimeter)
    return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking(structure),
        referenced_segment=segment,
        finding_type=concept(structure.region.label.type),
        finding_category=concept(structure.region.label.category),
        finding_sites=_sites(structure.region.label),
        algorithm_id=_identification(algorithm),
        measurements=[volume],
    )


def _absent(structure: Structure, algorithm: Algorithm) -> Template:
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking(structure),
        finding_type=concept(structure.region.label.type),
        finding_category=concept(structure.region.label.category),
        finding_sites=_sites(structure.region.label),
        algorithm_id=_identification(algorithm),
        qualitative_evaluations=[sr.QualitativeEvaluation(_PRESENCE, codes.cid240.Absent)],
    )


def _sites(label: Label) -> list[sr.FindingSite]:
    """Where a structure lies that shares its code with another one."""
    if label.modifier is None:
        return []
    return [sr.FindingSite(anatomic_location=concept(label.type), topographical_modifier=concept(label.modifier))]


def _tracking(structure: Structure) -> sr.TrackingIdentifier:
    return sr.TrackingIdentifier(uid=structure.tracking_uid, identifier=structure.tracking_id)


def _identification(algorithm: Algorithm) -> sr.AlgorithmIdentification:
    return sr.AlgorithmIdentification(
        name=algorithm.name,
        version=algorithm.version,
        family=ARTIFICIAL_INTELLIGENCE,
        manufacturer=algorithm.manufacturer,
    )
