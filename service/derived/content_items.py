"""Content items of a structured document (PS3.3 C.17.3), and the node as the device that says something."""

from pydicom import Dataset

from service.core.identity import derived_uid
from service.derived.finish import MANUFACTURER
from service.derived.origin import Origin

Code = tuple[str, str, str]  # value, coding scheme, meaning

PRIVATE_SCHEME = "99ISOCENTER"  # of codes that no scheme has
_OBSERVER_TYPE = ("121005", "DCM", "Observer Type")
_DEVICE = ("121007", "DCM", "Device")
_DEVICE_UID = ("121012", "DCM", "Device Observer UID")
_DEVICE_NAME = ("121013", "DCM", "Device Observer Name")


def item(relationship: str, value_type: str, name: Code | None, **values: object) -> Dataset:
    """One content item with its values by keyword; `name` is None where the template wants none."""
    content = Dataset()
    content.RelationshipType, content.ValueType = relationship, value_type
    if name is not None:
        content.ConceptNameCodeSequence = [coded(name)]
    for keyword, value in values.items():
        setattr(content, keyword, value)
    return content


def coded(code: Code) -> Dataset:
    """The item of a code sequence."""
    written = Dataset()
    written.CodeValue, written.CodingSchemeDesignator, written.CodeMeaning = code
    return written


def private_scheme() -> Dataset:
    """Whose our own codes are (PS3.16 8.2): every object that has one says it."""
    scheme = Dataset()
    scheme.CodingSchemeDesignator, scheme.CodingSchemeName = PRIVATE_SCHEME, "Codes of Isocenter"
    scheme.CodingSchemeResponsibleOrganization = MANUFACTURER
    return scheme


def device_observer(origin: Origin) -> list[Dataset]:
    """The node as the device that states this (TID 1002, 1004)."""
    software = derived_uid("software", MANUFACTURER, origin.software_version)
    return [
        item("HAS OBS CONTEXT", "CODE", _OBSERVER_TYPE, ConceptCodeSequence=[coded(_DEVICE)]),
        item("HAS OBS CONTEXT", "UIDREF", _DEVICE_UID, UID=software),
        item("HAS OBS CONTEXT", "TEXT", _DEVICE_NAME, TextValue=MANUFACTURER),
    ]
