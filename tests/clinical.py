"""Reports of others that state clinical values: a spirometry as a laboratory would send it with a study."""

from datetime import date

from pydicom import Dataset
from pydicom.uid import EnhancedSRStorage

from service.core.identity import derived_uid
from service.derived.encoding import file_meta

FVC = ("19868-9", "LN", "Forced vital capacity [Volume] Respiratory system by Spirometry")
TOBACCO = ("72166-2", "LN", "Tobacco smoking status")
EX_SMOKER = ("8517006", "SCT", "Ex-smoker")
ML = ("ml", "UCUM", "milliliter")


def code(value: str, scheme: str, meaning: str) -> Dataset:
    """An item of a Code Sequence."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def number(value: float, unit: tuple[str, str, str] = ML, name: tuple[str, str, str] = FVC) -> Dataset:
    """A NUM."""
    measured = Dataset()
    measured.NumericValue = str(value)
    measured.MeasurementUnitsCodeSequence = [code(*unit)]
    item = _item("NUM", name)
    item.MeasuredValueSequence = [measured]
    return item


def coded(value: tuple[str, str, str], name: tuple[str, str, str] = TOBACCO) -> Dataset:
    """A CODE."""
    item = _item("CODE", name)
    item.ConceptCodeSequence = [code(*value)]
    return item


def estimated(item: Dataset) -> Dataset:
    """The number, said to be none that was measured."""
    derivation = coded(("414135002", "SCT", "Estimated"), ("121401", "DCM", "Derivation"))
    derivation.RelationshipType = "HAS CONCEPT MOD"
    item.ContentSequence = [derivation]
    return item


def report(image: Dataset, *content: Dataset, made_on: date = date(2026, 1, 1)) -> Dataset:
    """An Enhanced SR (PS3.3 A.35.2) of the image's patient and study, in a series of its own, two levels deep."""
    group = _item("CONTAINER", ("125007", "DCM", "Measurement Group"))
    group.ContinuityOfContent, group.ContentSequence = "SEPARATE", list(content)
    made = _item("CONTAINER", ("126000", "DCM", "Imaging Measurement Report"))
    del made.RelationshipType
    made.ContinuityOfContent, made.ContentSequence = "SEPARATE", [group]
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyDate"):
        setattr(made, keyword, image.get(keyword))
    for keyword in ("StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName"):
        setattr(made, keyword, image.get(keyword, ""))
    made.SOPClassUID, made.Modality = EnhancedSRStorage, "SR"
    made.SeriesInstanceUID = derived_uid(str(image.StudyInstanceUID), "spirometry")
    made.SOPInstanceUID = derived_uid(str(image.StudyInstanceUID), "spirometry", "1")
    made.SeriesNumber, made.InstanceNumber, made.Manufacturer = 90, 1, "Laboratory"
    made.ContentDate, made.ContentTime = f"{made_on:%Y%m%d}", "101500"
    made.CompletionFlag, made.VerificationFlag = "COMPLETE", "UNVERIFIED"
    made.ReferencedPerformedProcedureStepSequence, made.PerformedProcedureCodeSequence = [], []
    made.file_meta = file_meta(made)
    return made


def _item(value_type: str, name: tuple[str, str, str]) -> Dataset:
    item = Dataset()
    item.RelationshipType, item.ValueType = "CONTAINS", value_type
    item.ConceptNameCodeSequence = [code(*name)]
    return item
