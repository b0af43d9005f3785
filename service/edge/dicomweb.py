"""A destination that takes objects by STOW-RS (PS3.18 10.5), one for each request, and is asked by QIDO-RS."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import structlog

from service.core.errors import Broken, TryAgain, Unreached, Unsuitable
from service.core.outbox import UNREADABLE, CommitmentReport, Reference, Trouble
from service.edge.dicom_json import Item, items, number, read_items, text
from service.edge.part10 import read_reference
from service.edge.qido import QidoIndex
from service.edge.web import Answer, Line, WebServer, connected, require_service

_STUDIES = "/studies"
_PIECE = 64 * 1024
_FAILED_SOP_SEQUENCE = "00081198"
_REFERENCED_SOP_SEQUENCE = "00081199"
_REFERENCED_SOP_INSTANCE_UID = "00081155"
_WARNING_REASON = "00081196"
_FAILURE_REASON = "00081197"

_SUCCESS = 0x0000
_PROCESSING_FAILURE = 0x0110
_CANNOT_UNDERSTAND = 0xC000
_COERCED = 0xB000
_WARNINGS = range(0xB000, 0xC000)


@dataclass(frozen=True, slots=True)
class DicomWebPeer:
    """A destination that speaks DICOMweb."""

    server: WebServer

    def __str__(self) -> str:
        return self.server.configuration

    def store(self, paths: Sequence[Path]) -> Iterator[tuple[Path, int | None]]:
        """As `Carrier`, by STOW-RS over one connection; what is not told per object gets the status it amounts to."""
        with connected(self.server) as line:
            for path in paths:
                yield path, _store(line, path)

    def held(self, references: Sequence[Reference]) -> set[str]:
        """As `Carrier`, by QIDO-RS."""
        return QidoIndex(self.server).held(references)

    def ask_commitment(self, transaction_uid: str, references: Sequence[Reference]) -> CommitmentReport | None:
        """As `Carrier`: DICOMweb has a Storage Commitment Service that few servers offer; it is not asked for."""
        raise Unsuitable(f"{self.server} is asked by QIDO-RS alone, not to commit {len(references)} objects")


def _store(line: Line, path: Path) -> int | None:
    try:
        uid = read_reference(path).sop_instance_uid
        body = _Multipart(path)
        answer = line.post(_STUDIES, body.pieces(), body.headers)
        require_service(line.server, _STUDIES, answer.status)
    except Unreached as error:
        if error.trouble == Trouble.NO_ANSWER:
            return None
        raise
    except (OSError, Broken, TryAgain):
        return UNREADABLE
    return _heard(line.server, answer, uid)


def _heard(server: WebServer, answer: Answer, sop_instance_uid: str) -> int:
    """What an answer means for the one object that was sent."""
    status = _status_of(answer, sop_instance_uid)
    if status is None:
        status = _CANNOT_UNDERSTAND if answer.status in _REFUSED else _PROCESSING_FAILURE
        log = structlog.get_logger().bind(server=str(server), sop_instance=sop_instance_uid)
        log.warning("STOW-RS answer does not name the object", http_status=answer.status, status=f"0x{status:04X}")
    return status


_REFUSED = set(range(400, 500)) - {409}  # 409 says that nothing was stored, and its body why


def _status_of(answer: Answer, sop_instance_uid: str) -> int | None:
    """The C-STORE status that an answer tells of an object (PS3.18 annex I.2); None: it tells none."""
    try:
        told = read_items(answer.content)
    except ValueError:
        return None
    for failed in _of(told, _FAILED_SOP_SEQUENCE, sop_instance_uid):
        return _failure(number(failed, _FAILURE_REASON))
    for stored in _of(told, _REFERENCED_SOP_SEQUENCE, sop_instance_uid):
        return _COERCED if _WARNING_REASON in stored else _SUCCESS
    return None


def _of(told: Sequence[Item], sequence: str, sop_instance_uid: str) -> list[Item]:
    listed = [item for each in told for item in items(each, sequence)]
    return [item for item in listed if text(item, _REFERENCED_SOP_INSTANCE_UID) == sop_instance_uid]


def _failure(reason: int | None) -> int:
    """A Failure Reason as a status; one that would mean success is none."""
    if reason is None or reason == _SUCCESS or reason in _WARNINGS or not 0 < reason <= 0xFFFF:
        return _PROCESSING_FAILURE
    return reason


class _Multipart:
    """One file as multipart/related (RFC 2387), read as it is sent."""

    def __init__(self, path: Path) -> None:
        self._path = path
        boundary = uuid4().hex
        self._head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        self._tail = f"\r\n--{boundary}--\r\n".encode()
        length = len(self._head) + path.stat().st_size + len(self._tail)
        self.headers = {
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
            "Content-Length": str(length),
        }

    def pieces(self) -> Iterator[bytes]:
        yield self._head
        with self._path.open("rb") as stream:
            while piece := stream.read(_PIECE):
                yield piece
        yield self._tail
