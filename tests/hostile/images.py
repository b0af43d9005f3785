"""Small CT images as encoded data sets, each under a name of its own."""

from functools import cache
from itertools import count

from pydicom.dataset import Dataset
from pynetdicom.dsutils import encode

from tests.hostile import wire

_PLACE = "1.2.3.100000000000"
_numbers = count(100_000_000_001)
_ROWS = 32


def new_uid() -> str:
    """A SOP Instance UID that this run has not used yet."""
    return f"1.2.3.{next(_numbers)}"


def small_ct(sop_instance_uid: str) -> bytes:
    """The data set of an image in Explicit VR Little Endian, under a name from `new_uid`."""
    assert len(sop_instance_uid) == len(_PLACE)
    return _template().replace(_PLACE.encode(), sop_instance_uid.encode())


@cache
def _template() -> bytes:
    image = Dataset()
    image.SOPClassUID, image.SOPInstanceUID = wire.CT, _PLACE
    image.StudyInstanceUID, image.SeriesInstanceUID = "1.2.3.4", "1.2.3.4.5"
    image.Modality, image.PatientID, image.PatientName = "CT", "hostile", "Hostile^Tests"
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.Rows = image.Columns = _ROWS
    image.BitsAllocated = image.BitsStored = 16
    image.HighBit, image.PixelRepresentation = 15, 0
    image.PixelData = bytes(2 * _ROWS * _ROWS)
    image["PixelData"].VR = "OW"
    encoded = encode(image, is_implicit_vr=False, is_little_endian=True)
    assert encoded is not None
    return bytes(encoded)
