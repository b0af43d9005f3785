"""What other makers' validators print, without what is known to be wrong of them."""

import subprocess
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


def faults(*command: str | Path) -> list[str]:
    """The errors and warnings that a program prints, but for the known ones and the names of IODs."""
    run = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, timeout=120)
    return [
        line
        for line in f"{run.stdout}\n{run.stderr}".splitlines()
        if line.strip().startswith(("Error", "Warning", "E:", "W:", "F:")) and not any(known in line for known in KNOWN)
    ]
