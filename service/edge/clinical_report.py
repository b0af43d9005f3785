"""Clinical values in structured reports (PS3.3 A.35): forced vital capacity and smoking status, by their codes.

The whole content tree is read, whatever its template. What this node wrote is never read: its predictions are no
measurements; nor is a report that is not complete.
"""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

from pydicom import Dataset

from service.core.entities import Instance
from service.core.errors import Broken
from service.core.identity import person_digests
from service.core.observations import Observation, Quantity, Smoking
from service.edge.part10 import read_header

Code = tuple[str, str]

_REPORTS = "1.2.840.10008.5.1.4.1.1.88."
FVC: Code = ("19868-9", "LN")  # Forced vital capacity [Volume] Respiratory system by Spirometry
TOBACCO: Code = ("72166-2", "LN")  # Tobacco smoking status
ESTIMATED: Code = ("414135002", "SCT")
_DERIVATION: Code = ("121401", "DCM")
_ML = {"ml": 1.0, "mL": 1.0, "cm3": 1.0, "l": 1000.0, "L": 1000.0}  # UCUM, which is case-sensitive
_SMOKING = {
    ("266919005", "SCT"): Smoking.NEVER,
    ("8517006", "SCT"): Smoking.FORMER,
    ("77176002", "SCT"): Smoking.CURRENT,
    ("LA18978-9", "LN"): Smoking.NEVER,
    ("LA15920-4", "LN"): Smoking.FORMER,
    ("LA18976-3", "LN"): Smoking.CURRENT,  # every day
    ("LA18977-1", "LN"): Smoking.CURRENT,  # some days
}
_DEEPEST = 32  # levels of content


def may_hold_observations(instance: Instance) -> bool:
    """True for a report by somebody else."""
    ours = instance.value("ManufacturerModelName") == "Isocenter"
    return instance.sop_class_uid.startswith(_REPORTS) and not ours


def read_observations(path: Path, patient: str) -> list[Observation]:
    """The values that the report in a file states, of the patient with that digest (empty: of its study alone).

    Raises Broken when the file is not DICOM or its content is damaged, and TryAgain when it cannot be read now.
    """
    report = read_header(path)
    if report.get("CompletionFlag") != "COMPLETE":
        return []
    try:
        return list(_observations(report, patient))
    except Exception as error:  # pydicom raises anything on damaged content, and quotes values
        raise Broken(f"the content of {path.name} cannot be read ({type(error).__name__})") from error


def _observations(report: Dataset, patient: str) -> Iterator[Observation]:
    uids = patient, str(report.StudyInstanceUID)
    for item in _items(report, _DEEPEST):
        quantity, value = _quantity(item)
        day = _day(item) or _day(report) or _date(str(report.get("ContentDate", "")))
        if quantity is None or value is None or day is None:
            continue
        try:
            yield Observation(*uids, quantity, value, day, str(report.SOPInstanceUID), _person(report))
        except Broken:  # a volume that no lung has: it is no observation
            continue


def _person(report: Dataset) -> str:
    keywords = ("PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex")
    return person_digests(*(str(report.get(keyword) or "").strip() for keyword in keywords))


def _items(item: Dataset, levels: int) -> Iterator[Dataset]:
    for child in item.get("ContentSequence", []) if levels else []:
        yield child
        yield from _items(child, levels - 1)


def _quantity(item: Dataset) -> tuple[Quantity | None, float | Smoking | None]:
    match item.get("ValueType"), _code(item, "ConceptNameCodeSequence"):
        case "NUM", name if name == FVC and not _is_estimated(item):
            return Quantity.FVC, _millilitres(item)
        case "CODE", name if name == TOBACCO:
            return Quantity.SMOKING, _SMOKING.get(_code(item, "ConceptCodeSequence") or ("", ""))
    return None, None


def _is_estimated(item: Dataset) -> bool:
    """True for a number that its report itself calls estimated: a reference value or a prediction."""
    below = item.get("ContentSequence", [])
    derivations = [each for each in below if _code(each, "ConceptNameCodeSequence") == _DERIVATION]
    return any(_code(each, "ConceptCodeSequence") == ESTIMATED for each in derivations)


def _millilitres(item: Dataset) -> float | None:
    measured = next(iter(item.get("MeasuredValueSequence") or []), None)
    unit = measured and _code(measured, "MeasurementUnitsCodeSequence")
    if measured is None or unit is None or unit[1] != "UCUM" or unit[0] not in _ML:
        return None
    return float(measured.NumericValue) * _ML[unit[0]]


def _day(item: Dataset) -> date | None:
    """When a value was measured, where that is another time than that of the content (PS3.3 C.17.3)."""
    return _date(str(item.get("ObservationDateTime", ""))[:8])


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if len(text) == 8 and text.isdecimal() else None
    except ValueError:
        return None


def _code(item: Dataset, keyword: str) -> Code | None:
    code = next(iter(item.get(keyword) or []), None)
    return None if code is None else (str(code.get("CodeValue", "")), str(code.get("CodingSchemeDesignator", "")))
