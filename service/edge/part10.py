"""DICOM files (PS3.10): the facts of a file without its pixels."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from pydicom import config as pydicom_config
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filereader import read_partial
from pydicom.multival import MultiValue
from pydicom.uid import UID

from service.core import radiographs
from service.core.ages import age_on
from service.core.entities import Frame, FrameReference, Instance, Orientation, PixelSpacing, Plane, Triple
from service.core.errors import Broken, TryAgain
from service.core.expectation import HINTS
from service.core.identity import IMPLEMENTATION_CLASS_UID, is_uid, patient_digest, person_digests
from service.core.outbox import Reference
from service.core.phantoms import is_phantom
from service.core.stacking import GEOMETRY, SPLITTING
from service.core.transfer_syntaxes import is_lossy
from service.edge.file_meta import PREAMBLE
from service.edge.functional_groups import FunctionalGroups
from service.edge.quick_header import QuickFile, Wanted, read_quickly

pydicom_config.settings.reading_validation_mode = pydicom_config.IGNORE


_NAMING_KEYWORDS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_SERIES_INSTANCE_UID = 0x0020000E  # the last of them in a file

ROUTING = (
    "Modality",
    "BodyPartExamined",
    "SeriesDescription",
    "StudyDescription",
    "ProtocolName",
    "SOPClassUID",
    "Manufacturer",
    "ManufacturerModelName",
    "PatientAge",
    "PatientSex",
    "StudyDate",
    "PhotometricInterpretation",
    "Units",
)
_KEYWORDS = tuple(dict.fromkeys((*ROUTING, *SPLITTING, *GEOMETRY, *HINTS, *radiographs.ATTRIBUTES)))
_OF_FRAMES = (*SPLITTING, *GEOMETRY)
_OF_ONE_IMAGE = (
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "QualityControlImage",
    "LossyImageCompression",
    "FrameOfReferenceUID",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "BitsAllocated",
    "SamplesPerPixel",
    "PerFrameFunctionalGroupsSequence",
)
_WANTED = Wanted((*_NAMING_KEYWORDS, *_KEYWORDS, *_OF_ONE_IMAGE))


def is_dicom(path: Path) -> bool:
    """True when the file has the preamble and prefix of PS3.10 7.1."""
    with path.open("rb") as stream:
        return stream.read(len(PREAMBLE))[-4:] == PREAMBLE[-4:]


def read_header(path: Path) -> Dataset:
    """The data set without its Pixel Data. Raises Broken when the file is not DICOM."""
    with _translated(path):
        return dcmread(path, stop_before_pixels=True)


def read_reference(path: Path) -> Reference:
    """How others ask for the object in a file; no more of it is read than that. Raises Broken when it is not DICOM."""
    with _translated(path), path.open("rb") as stream:
        head = read_partial(stream, stop_when=lambda tag, *_: tag > _SERIES_INSTANCE_UID)
        uids = [str(head.get(keyword, "")) for keyword in _NAMING_KEYWORDS]
    if not all(map(is_uid, uids)):
        raise Broken(f"{path.name} has no UIDs")
    return Reference(*uids)


def read_frame_headers(files: Sequence[tuple[Path, FrameReference]]) -> list[Dataset]:
    """The header of each frame, as that of a single-frame image. Raises as read_header."""
    headers = {path: read_header(path) for path in dict.fromkeys(path for path, _ in files)}
    groups = {path: FunctionalGroups(header) for path, header in headers.items()}
    return [headers[path] if frame.number is None else groups[path].header_of(frame.number) for path, frame in files]


def read_instance(path: Path) -> Instance:
    """The facts of a file that assembling and routing need. Raises Broken when it has not even its UIDs."""
    with _translated(path):
        quick = read_quickly(path, _WANTED)
        if quick is None:
            return read_instance_thoroughly(path)
        return _instance(quick.header, _meta_of(quick), path.stat().st_size - quick.pixels.start)


def read_instance_thoroughly(path: Path) -> Instance:
    """As read_instance, by parsing all of the header."""
    with _translated(path), path.open("rb") as stream:
        header = dcmread(stream, stop_before_pixels=True)
        meta = _meta_of_parsed(header.file_meta)
        own_header = 8 if meta.transfer_syntax_uid.is_implicit_VR else 12  # of Pixel Data itself
        return _instance(header, meta, path.stat().st_size - stream.tell() - own_header)


class _Header(Protocol):
    """What is asked of a header, be it parsed or not."""

    def get(self, keyword: str, default: object = None, /) -> object: ...

    def __contains__(self, keyword: str, /) -> bool: ...


@dataclass(frozen=True, slots=True)
class _FileMeta:
    transfer_syntax_uid: UID
    association: str = ""  # both are empty in a file that did not come over the network
    calling_ae_title: str = ""


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except Broken:
        raise
    except (OSError, MemoryError) as error:
        raise TryAgain(f"{path.name} cannot be read now ({type(error).__name__})") from error
    except Exception as error:  # pydicom raises anything on damaged files, and quotes values
        raise Broken(f"{path.name} cannot be read as DICOM ({type(error).__name__})") from error


def _instance(header: _Header, meta: _FileMeta, bytes_left: int) -> Instance:
    uids = {keyword: str(header.get(keyword, "")) for keyword in _NAMING_KEYWORDS}
    wrong = [keyword for keyword, value in uids.items() if not is_uid(value)]
    if wrong:
        raise Broken(f"{', '.join(wrong)} absent or not a UID")
    patient = [_text(header.get(name)).strip() for name in ("PatientID", "IssuerOfPatientID")]
    return Instance(
        sop_instance_uid=uids["SOPInstanceUID"],
        sop_class_uid=uids["SOPClassUID"],
        series_instance_uid=uids["SeriesInstanceUID"],
        study_instance_uid=uids["StudyInstanceUID"],
        patient=patient_digest(*patient),
        frame_of_reference_uid=_text(header.get("FrameOfReferenceUID")),
        frames=tuple(_frames(header)),
        multi_frame="NumberOfFrames" in header and "PerFrameFunctionalGroupsSequence" in header,
        association=meta.association,
        calling_ae_title=meta.calling_ae_title,
        phantom=is_phantom(_text(header.get("QualityControlImage")), _text(header.get("PatientID"))),
        pixels_missing=bytes_left < (needed := _native_bytes(header, meta)) and needed > 0,
        lossy=is_lossy(meta.transfer_syntax_uid, _text(header.get("LossyImageCompression"))),
        attributes=_attributes(header),
        person=person_digests(*patient, *(_text(header.get(name)) for name in ("PatientBirthDate", "PatientSex"))),
    )


def _attributes(header: _Header) -> dict[str, str]:
    """Those that assembling and routing need; an age that is not stated is counted, and the day of birth is left."""
    attributes = {keyword: text for keyword in _KEYWORDS if (text := _text(header.get(keyword)))}
    counted = age_on(_text(header.get("PatientBirthDate")), _text(header.get("StudyDate")))
    return attributes if "PatientAge" in attributes or not counted else attributes | {"PatientAge": counted}


def _frames(header: _Header) -> Iterator[Frame]:
    """The frames by their functional groups; where those do not describe them all, one without a place."""
    count = _count(header, "NumberOfFrames", absent=1)
    if not isinstance(header, Dataset) or "PerFrameFunctionalGroupsSequence" not in header:
        yield Frame(1, _plane(header, {}) if count == 1 else None, {})
        return
    groups = FunctionalGroups(header)
    if groups.count != count:
        yield Frame(1, None, {})
        return
    for number in range(1, count + 1):
        values = {keyword: element.value for keyword, element in groups.of(number).items()}
        attributes = {keyword: text for keyword in _OF_FRAMES if (text := _text(values.get(keyword)))}
        yield Frame(number, _plane(header, values), attributes)


def _meta_of_parsed(meta: Dataset) -> _FileMeta:
    syntax = meta.TransferSyntaxUID
    if meta.get("PrivateInformationCreatorUID") != IMPLEMENTATION_CLASS_UID:
        return _FileMeta(syntax)
    association = bytes(meta.get("PrivateInformation") or b" ").split()[0].decode()
    return _FileMeta(syntax, association, _text(meta.get("SourceApplicationEntityTitle")))


def _meta_of(quick: QuickFile) -> _FileMeta:
    meta, syntax = quick.meta, quick.transfer_syntax_uid
    if meta.get(0x00020100, b"").rstrip(b"\0") != IMPLEMENTATION_CLASS_UID.encode():
        return _FileMeta(syntax)
    association = meta.get(0x00020102, b" ").split()[0].decode()
    return _FileMeta(syntax, association, meta.get(0x00020016, b"").decode("ascii", "replace").strip(" \0"))


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, MultiValue):
        return "\\".join(str(part) for part in value)
    return str(value).strip(" \0")


def _plane(header: _Header, of_frame: Mapping[str, object]) -> Plane | None:
    """Where a frame lies by its own values, or by those of the header."""
    position, cosines, spacing = (
        _numbers(of_frame.get(keyword) or header.get(keyword), count)
        for keyword, count in (("ImagePositionPatient", 3), ("ImageOrientationPatient", 6), ("PixelSpacing", 2))
    )
    rows, columns = _count(header, "Rows"), _count(header, "Columns")
    if not (position and cosines and spacing and rows and columns) or min(spacing) <= 0:
        return None
    orientation = Orientation(cast(Triple, cosines[:3]), cast(Triple, cosines[3:]))
    return Plane(cast(Triple, position), orientation, PixelSpacing(spacing[0], spacing[1]), rows, columns)


def _numbers(value: object, count: int) -> tuple[float, ...]:
    if not isinstance(value, MultiValue) or len(value) != count:
        return ()
    try:
        numbers = tuple(float(part) for part in value)
    except (TypeError, ValueError):
        return ()
    return numbers if all(map(math.isfinite, numbers)) else ()


def _native_bytes(header: _Header, meta: _FileMeta) -> int:
    """What uncompressed Pixel Data must take at least; 0 where that cannot be said."""
    if meta.transfer_syntax_uid.is_compressed:
        return 0
    samples = _count(header, "SamplesPerPixel", absent=1) * _count(header, "NumberOfFrames", absent=1)
    return _count(header, "BitsAllocated") * samples * _count(header, "Rows") * _count(header, "Columns") // 8


def _count(header: _Header, keyword: str, absent: int = 0) -> int:
    """A whole number of the header; 0 when it is none."""
    value = header.get(keyword)
    if value in (None, ""):
        return absent
    try:
        return int(value)  # type: ignore[call-overload,no-any-return]
    except (TypeError, ValueError):
        return 0
