"""What measurement groups of reports are put together from: numbers, names, places and pictures."""

from collections.abc import Sequence

from highdicom import sr
from highdicom.sr.templates import Template
from pydicom import Dataset
from pydicom.sr.codedict import codes

from models.findings import Algorithm, Change, Measurement, Score
from models.terms import Code, Term
from service.derived.material import Material
from service.derived.sources import reference
from service.derived.terms import ARTIFICIAL_INTELLIGENCE, concept, tracking

PROBABILITY = Code(value="122157", scheme="DCM", meaning="Probability")
DIFFERENCE_IN_SIZE = Code(value="442714003", scheme="SCT", meaning="Difference in size")
PERCENT = Code(value="%", scheme="UCUM", meaning="Percent")
CONTAINS = sr.RelationshipTypeValues.CONTAINS


def plain_group(
    material: Material,
    tracking: sr.TrackingIdentifier,
    term: Term | None,
    measurements: Sequence[Measurement] = (),
    presence: Code | None = None,
    time_point: sr.TimePointContext | None = None,
) -> Template:
    """A group without a region (TID 1501)."""
    evaluations = [] if presence is None else [sr.QualitativeEvaluation(codes.DCM.PresenceOfProperty, presence)]
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=tracking,
        time_point_context=time_point,
        finding_type=concept(term.type) if term else None,
        finding_category=concept(term.category) if term else None,
        finding_sites=finding_sites(term) if term else None,
        algorithm_id=identification(material.findings.algorithm),
        measurements=[numeric(each) for each in measurements] or None,
        qualitative_evaluations=evaluations or None,
    )


def numeric(measurement: Measurement) -> sr.Measurement:
    """A NUM; six digits are more than any of our measurements is worth."""
    return sr.Measurement(
        name=concept(measurement.name),
        value=_digits(measurement.value),
        unit=concept(measurement.unit),
        derivation=concept(measurement.derivation) if measurement.derivation else None,
        properties=None if measurement.uncertainty is None else _uncertainty(measurement.uncertainty, measurement.unit),
    )


def _uncertainty(uncertainty: float, unit: Code) -> sr.MeasurementProperties:
    """One deviation up and down (TID 310), in the measurement's unit; the library writes them without one."""
    each = _digits(uncertainty)
    properties = sr.MeasurementProperties(upper_measurement_uncertainty=each, lower_measurement_uncertainty=each)
    for item in properties:
        item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence = [concept(unit)]
    return properties


def _digits(value: float) -> float:
    return float(f"{value:.6g}")


def percent(probability: float, derivation: Code | None = None) -> Measurement:
    """A probability, 0 to 1, as a measurement in percent."""
    return Measurement(PROBABILITY, probability * 100, PERCENT, derivation)


def extended(group: Template, *items: Dataset) -> Template:
    """The group with more items at its end; the templates of groups are extensible (PS3.16)."""
    group[0].ContentSequence.extend(items)
    return group


def operating_point(score: Score) -> str:
    """From which probability on something is called present, as a parameter of the algorithm (TID 4019).

    The CAD Operating Point of PS3.16 counts points of a curve and says no probability.
    """
    return f"operating point: present from a probability of {100 * score.operating_point:.6g} % on"


def parameter(text: str) -> sr.TextContentItem:
    """What the algorithm was set to (TID 4019)."""
    return sr.TextContentItem(codes.DCM.AlgorithmParameters, text, sr.RelationshipTypeValues.HAS_CONCEPT_MOD)


def comment(text: str) -> sr.TextContentItem:
    """What a person may read and no program has to."""
    return sr.TextContentItem(codes.DCM.Comment, text, CONTAINS)


def beside_numbers(change: Change) -> list[Dataset]:
    """What a change says beside its numbers: what there is to know of it, and what has become of a lesion."""
    said: list[Dataset] = [comment(change.remark)] if change.remark else []
    if change.size:
        said.append(sr.CodeContentItem(concept(DIFFERENCE_IN_SIZE), concept(change.size), CONTAINS))
    return said


def key_image(source: Dataset) -> sr.ImageContentItem:
    """The image, or the frame of one, that shows the finding best."""
    frame = reference(source)
    return sr.ImageContentItem(
        codes.DCM.BestIllustrationOfFinding,
        referenced_sop_class_uid=source.SOPClassUID,
        referenced_sop_instance_uid=frame.sop_instance_uid,
        referenced_frame_numbers=frame.number,
        relationship_type=CONTAINS,
    )


def source_series(material: Material) -> sr.SourceSeriesForSegmentation:
    """The Series that was analysed: one item in place of one for each of its images."""
    return sr.SourceSeriesForSegmentation(material.sources[0].SeriesInstanceUID)


def finding_sites(term: Term) -> list[sr.FindingSite]:
    """Where a structure lies that shares its code with another one."""
    if term.modifier is None:
        return []
    return [sr.FindingSite(anatomic_location=concept(term.type), topographical_modifier=concept(term.modifier))]


def tracking_identifier(
    material: Material, kind: str, number: int = 1, term: Term | None = None
) -> sr.TrackingIdentifier:
    """Names of a finding without a segment, equal whenever the report is made again."""
    names = tracking(material.findings.algorithm, material.origin, kind, number, term)
    return sr.TrackingIdentifier(uid=names.uid, identifier=names.identifier)


def identification(algorithm: Algorithm) -> sr.AlgorithmIdentification:
    """Who speaks (TID 4019)."""
    return sr.AlgorithmIdentification(
        name=algorithm.name,
        version=algorithm.version,
        family=ARTIFICIAL_INTELLIGENCE,
        manufacturer=algorithm.manufacturer,
    )
