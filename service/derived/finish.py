"""What every object of this node has in common: whose it is, what made it, when, and nothing left to chance."""

import re
from copy import deepcopy
from datetime import datetime

from highdicom.version import __version__ as highdicom_version
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from models.findings import Algorithm
from service.core.identity import algorithm_uid
from service.derived.encoding import file_meta
from service.derived.origin import Origin
from service.derived.standard import patient_and_study_attributes

MANUFACTURER = "Isocenter"
UTF_8, LATIN_1 = "ISO_IR 192", "ISO_IR 100"
SERIES_NUMBERS = {
    "SEG": 9001,
    "SEG heat map": 9010,
    "SR": 9002,
    "SR not analysed": 9003,
    "OT not analysed": 9004,
    "OT": 9011,
    "PR": 9012,
    "DOC": 9013,
    "KO": 9014,
    "RTSTRUCT": 9021,
    "M3D": 9022,
}  # far above those of scanners: results sort behind the images

_TEXT = ("LO", "LT", "PN", "SH", "ST", "UC", "UT")  # what a character set applies to (PS3.5 6.1.2.3)
_ZONE = re.compile(r"[+-]\d{4}")

# IHE AI Results, Contributing Equipment: the trial-implementation code of "Processing Algorithm"
_PROCESSING_ALGORITHM = Code("Newcode1", "99IHE", "Processing Algorithm")
_IMAGE_ATTRIBUTES = ("BodyPartExamined", "Laterality", "PatientOrientation", "QualityControlImage")
_EQUIPMENT_ATTRIBUTES = (
    "Manufacturer",
    "InstitutionName",
    "StationName",
    "ManufacturerModelName",
    "DeviceSerialNumber",
    "SoftwareVersions",
)


def finish(dataset: Dataset, source: Dataset, algorithm: Algorithm | None, origin: Origin) -> Dataset:
    """The object, complete: identity from the source image, equipment, series, times and File Meta Information.

    `algorithm` is None where none has run; the builder has then described the series.
    """
    _copy_identity(dataset, source)
    if algorithm is not None:
        _describe_series(dataset, algorithm)
    _describe_equipment(dataset, source, algorithm, origin)
    _stamp(dataset, _in_zone_of(source, origin.made_at))
    _name_dimensions(dataset, origin)
    dataset.SpecificCharacterSet = UTF_8
    dataset.file_meta = file_meta(dataset)
    return dataset


def in_character_set(dataset: Dataset, wanted: str) -> Dataset:
    """The object, to be written in that character set.

    What cannot be said in Latin-1 leaves the whole object in UTF-8: no letter of a name is ever replaced.
    """
    dataset.SpecificCharacterSet = wanted if wanted == UTF_8 or fits_latin_1(dataset) else UTF_8
    return dataset


def fits_latin_1(dataset: Dataset) -> bool:
    """True when every text of the object is made of letters that ISO 8859-1 has."""
    return all(_is_latin_1(str(element.value)) for element in dataset.iterall() if element.VR in _TEXT)


def _is_latin_1(text: str) -> bool:
    try:
        text.encode("iso8859-1")
    except UnicodeEncodeError:
        return False
    return True


def provenance(algorithm: Algorithm, origin: Origin) -> str:
    """What the object came from, so that the same can be made again; at most 1024 characters (ST)."""
    made_of = {
        "package": f"{algorithm.package} {algorithm.version}",
        "weights sha256": algorithm.weights_sha256,
        "manifest sha256": algorithm.manifest_sha256,
        "code": f"isocenter {origin.software_version}",
        "configuration": origin.configuration_digest,
        "input": origin.input_digest,
        "job": origin.job_id,
    }
    return "; ".join(f"{name} {value}" for name, value in made_of.items() if value)


def steps(algorithm: Algorithm) -> list[str]:
    """Which models a chain has asked, in their order; nothing for any other model."""
    count = len(algorithm.steps)
    return [
        f"step {number} of {count} of {algorithm.package} {algorithm.version}: package {step.package} {step.version}; "
        f"weights sha256 {step.weights_sha256}; manifest sha256 {step.manifest_sha256}"
        for number, step in enumerate(algorithm.steps, start=1)
    ]


def device_uid(algorithm: Algorithm) -> str:
    """The UID of the algorithm as a device: a new one whenever name, version or weights change (IHE AI Results)."""
    return algorithm_uid(algorithm.name, algorithm.version, algorithm.weights_sha256)


def _copy_identity(dataset: Dataset, source: Dataset) -> None:
    keywords = patient_and_study_attributes()
    if "Rows" in dataset:
        keywords = (*keywords, *_IMAGE_ATTRIBUTES)
    for keyword in keywords:
        if keyword in source:
            dataset.add(_decoded(source, keyword))
    if "TimezoneOffsetFromUTC" in source:
        dataset.TimezoneOffsetFromUTC = source.TimezoneOffsetFromUTC


def _decoded(source: Dataset, keyword: str) -> object:
    """A copy of an element in which no text waits to be decoded by a character set that is no longer there."""
    element = source[keyword]
    if element.VR == "SQ":
        for item in element.value:
            for _ in item.iterall():
                pass
    return deepcopy(element)


def _describe_series(dataset: Dataset, algorithm: Algorithm) -> None:
    dataset.SeriesNumber = SERIES_NUMBERS[dataset.Modality]
    dataset.SeriesDescription = f"AI {algorithm.name} {algorithm.version}"[:64]


def _describe_equipment(dataset: Dataset, source: Dataset, algorithm: Algorithm | None, origin: Origin) -> None:
    dataset.Manufacturer = MANUFACTURER
    dataset.ManufacturerModelName = MANUFACTURER
    dataset.SoftwareVersions = origin.software_version
    contributors = _acquisition(source)
    if algorithm is not None:
        dataset.DeviceSerialNumber = algorithm.weights_sha256[:16]
        contributors += [_algorithm(algorithm, provenance(algorithm, origin))]
        contributors += [_algorithm(step, said) for step, said in zip(algorithm.steps, steps(algorithm), strict=True)]
        contributors += [_library()]
    if contributors:
        dataset.ContributingEquipmentSequence = contributors


def _acquisition(source: Dataset) -> list[Dataset]:
    if not source.get("Manufacturer"):  # Type 1 in this sequence
        return []
    item = Dataset()
    for keyword in _EQUIPMENT_ATTRIBUTES:
        if source.get(keyword):
            item.add(deepcopy(source[keyword]))
    item.PurposeOfReferenceCodeSequence = [_coded(codes.DCM.AcquisitionEquipment)]
    return [item]


def _algorithm(algorithm: Algorithm, described: str) -> Dataset:
    item = Dataset()
    item.Manufacturer = algorithm.manufacturer
    item.ManufacturerModelName = algorithm.name
    item.SoftwareVersions = algorithm.version
    item.DeviceUID = device_uid(algorithm)
    item.ContributionDescription = described
    item.PurposeOfReferenceCodeSequence = [_coded(_PROCESSING_ALGORITHM)]
    return item


def _library() -> Dataset:
    item = Dataset()
    item.Manufacturer = "Highdicom open-source contributors"
    item.ManufacturerModelName = "highdicom"
    item.SoftwareVersions = highdicom_version
    item.ContributionDescription = "Software library used to create this instance"
    item.PurposeOfReferenceCodeSequence = [_coded(codes.DCM.ProcessingEquipment)]
    return item


def _coded(code: Code) -> Dataset:
    item = Dataset()
    item.CodeValue = code.value
    item.CodingSchemeDesignator = code.scheme_designator
    item.CodeMeaning = code.meaning
    return item


def _in_zone_of(source: Dataset, made_at: datetime) -> datetime:
    """The moment in the zone that the source declares; a moment without zone, or a source without, is left alone."""
    zone = str(source.get("TimezoneOffsetFromUTC") or "")
    if made_at.tzinfo is None or not _ZONE.fullmatch(zone):
        return made_at
    return made_at.astimezone(datetime.strptime(zone, "%z").tzinfo)


def _stamp(dataset: Dataset, made_at: datetime) -> None:
    for event in ("InstanceCreation", "Series", "Content"):
        setattr(dataset, f"{event}Date", made_at.strftime("%Y%m%d"))
        setattr(dataset, f"{event}Time", made_at.strftime("%H%M%S.%f"))


def _name_dimensions(dataset: Dataset, origin: Origin) -> None:
    """The dimension organization by a computed UID; the library draws one."""
    uid = origin.uid("dimensions", str(dataset.SOPInstanceUID))
    for keyword in ("DimensionOrganizationSequence", "DimensionIndexSequence"):
        for item in dataset.get(keyword, []):
            item.DimensionOrganizationUID = uid
