"""What other makers' validators print, without what is known to be wrong of them."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

KNOWN = {
    "(0x0018,0x1002) UI Device UID": "dciodvfy of 2022 does not know Device UID in Contributing Equipment (IHE AIR)",
    "this is a Standard Extended SOP Class": "dciodvfy of 2022 concludes this from the Device UID it does not know",
    "Warning - Different information entities for attribute - Element=<AccessionNumber>": "same value; dcentvfy "
    "knows it in the Study of images and in the Series of reports",
    "Warning - Different information entities for attribute - Element=<ReferencedStudySequence>": "as above",
    "Warning - Attribute present in one instance but not the other": "the image lacks what is Type 2: we send it empty",
    "Retired Person Name form": "the name of the patient, copied from the image as it is",
    "would be needed to build DICOMDIR": "what the image left empty, copied as it is",
    "(0x0062,0x000d) US Recommended Display CIELab Value": "dciodvfy of 2022 does not know the colour of a 3D model "
    "(PS3.3 C.35.1)",
    "Unrecognized defined term <99ISOCENTER>": "a private coding scheme, identified in the object (PS3.16 8.2)",
    "(0x0010,0x1010) AS Patient's Age": "the age of the patient, copied from the image as it is",
    "Dicom dataset contains invalid data values for Value Representations": "said once more of what is named in a line "
    "of its own",
    "is only permitted to be empty when actually unknown": "the laterality of a page of text",
    "The VR checker does not support this Specific Character Set: ISO_IR 192": "UTF-8 is not checked, nothing is wrong",
}

# What dciodvfy of 2022 says of a LABELMAP (PS3.3 A.94, of 2024) that is shown to it as the Segmentation that it knows.
OF_LABEL_MAP = {
    "Unrecognized enumerated value <LABELMAP>": "it knows BINARY and FRACTIONAL",
    "SegmentIdentificationSequence": "the pixels of a LABELMAP say which segment they are (C.8.20.2.3.3)",
    "for value 1 of attribute <Segment Number>": "0 is the background (C.8.20.2.3.3)",
    "SegmentNumber not monotonically increasing": "as above, and numbers may have gaps",
}

_NEWER = "its templates are of 2022: TID 1410, 1411 and 1501 say it since"
_ADDED = "what we add: these templates are extensible (PS3.16)"
_OTHER_TEMPLATE = (
    "a group of TID 1501 is taken for one of TID 1411, as both have one name; the report's proof sees to it that "
    "what has a region refers to it"
)
_PROPERTY = "a property (TID 310) is taken for another number, which the measurement would be inferred from"
KNOWN_OF_TEMPLATES = {
    '(276214006,SCT,"Finding category"): Content Item not in template': _NEWER,
    '(111001,DCM,"Algorithm Name"): Content Item not in template': _NEWER,
    '(111003,DCM,"Algorithm Version"): Content Item not in template': _NEWER,
    '(122405,DCM,"Algorithm Manufacturer"): Content Item not in template': _NEWER,
    '(111000,DCM,"Algorithm Family"): Content Item not in template': _NEWER,
    '(121052,DCM,"Presence of property"): Content Item not in template': "a qualitative evaluation: any concept may be",
    '(442714003,SCT,"Difference in size"): Content Item not in template': _ADDED,
    '(121106,DCM,"Comment"): Content Item not in template': _ADDED,
    '(121080,DCM,"Best illustration of finding"): Content Item not in template': _ADDED,
    '(111060,DCM,"Study Date"): Content Item not in template': _ADDED,
    '(112002,DCM,"Series Instance UID"): Content Item not in template': _ADDED,
    '[Row 5] SCOORD (111030,DCM,"Image Region"): within': _OTHER_TEMPLATE,
    '[Row 7] IMAGE (121191,DCM,"Referenced Segment"): within': _OTHER_TEMPLATE,
    '[Row 7] IMAGE (121214,DCM,"Referenced Segmentation Frame"): within': _OTHER_TEMPLATE,
    '(111002,DCM,"Algorithm Parameters"): Content Item not in template': _NEWER,
    '(121112,DCM,"Source of Measurement"): Content Item not in template': "highdicom names sources by the code that "
    "CID 7551 has had since",
    '(43468-8,LN,"XR unspecified body region") not found in context group 100': "its CID 100 is of 2019, before this",
    '(128140,DCM,"Representative point") not found in context group 219': "its CID 219 is of 2019, before this",
    '[Row 10] SCOORD3D (121231,DCM,"Volume Surface"): within': _OTHER_TEMPLATE,
    'has different code meaning ("Source Series for Segmentation")': "a capital; meanings do not count (PS3.3 8.3)",
    'has different code meaning ("Source Image for Segmentation")': "a capital; meanings do not count (PS3.3 8.3)",
    'range of upper measurement uncertainty"): Incorrect relationship': _PROPERTY,
    'range of lower measurement uncertainty"): Incorrect relationship': _PROPERTY,
}


def template_faults(pixelmed: Sequence[str], report: Path) -> list[str]:
    """The errors and warnings of PixelMed about a TID 1500 report, but for the known ones.

    Raises ValueError when the report was not seen to the end.
    """
    command = [*pixelmed, "com.pixelmed.validate.DicomSRValidator", str(report)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    lines = f"{run.stdout}\n{run.stderr}".splitlines()
    if not {"Found Root Template TID_1500 (MeasurementReport)", "Root Template Validation Complete"} <= set(lines):
        raise ValueError(f"PixelMed did not see the whole report: {lines[-5:]}")
    found = [line for line in lines if line.startswith(("Error", "Warning"))]
    return [line for line in found if not any(known in line for known in KNOWN_OF_TEMPLATES)]


def faults(*command: str | Path) -> list[str]:
    """The errors and warnings that a program prints, but for the known ones and the names of IODs."""
    run = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, timeout=120)
    return [
        line
        for line in f"{run.stdout}\n{run.stderr}".splitlines()
        if line.strip().startswith(("Error", "Warning", "E:", "W:", "F:")) and not any(known in line for known in KNOWN)
    ]
