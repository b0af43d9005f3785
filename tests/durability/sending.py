"""The sender and its own memory: what it offered, and what it was told is kept."""

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID
from pynetdicom import AE
from pynetdicom.association import Association

from tests import factories
from tests.node import SENDER
from tests.raw_sender import CT, EXPLICIT_LITTLE_ENDIAN, associate, data_set

SUCCESS, OUT_OF_RESOURCES = 0x0000, 0xA700
LOST = -1  # the connection ended before an answer came


@dataclass(frozen=True, slots=True)
class History:
    """SHA-256 of every data set that was offered, by SOP Instance UID, and which of them were acknowledged."""

    offered: dict[str, str] = field(default_factory=dict)
    acknowledged: set[str] = field(default_factory=set)

    def offer(self, image: Dataset) -> None:
        """Remember an instance before it is sent."""
        self.offered[image.SOPInstanceUID] = hashlib.sha256(data_set(image)).hexdigest()


@dataclass(frozen=True, slots=True)
class Sender:
    """An association to the receiver."""

    association: Association
    history: History

    def store(self, image: Dataset) -> int:
        """C-STORE; the status that came back, or LOST."""
        self.history.offer(image)
        try:
            answer = self.association.send_c_store(image)
        except RuntimeError:  # the association is no more
            return LOST
        status = int(answer.get("Status", LOST))
        if status == SUCCESS:
            self.history.acknowledged.add(image.SOPInstanceUID)
        return status


@contextmanager
def sender_to(port: int, history: History, timeout: float = 20) -> Iterator[Sender]:
    """An association, released at the end where it still stands."""
    entity = AE(SENDER)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = timeout
    entity.add_requested_context(CT, EXPLICIT_LITTLE_ENDIAN)
    association = associate(entity, port)
    try:
        yield Sender(association, history)
    finally:
        if association.is_established:
            association.release()
        if association.is_alive():
            association.join(10)


def image(number: int, kibibytes: int = 64) -> Dataset:
    """The same CT image for the same number, with pixels that no other number has."""
    copy = deepcopy(_template())
    copy.SOPInstanceUID = f"1.2.826.0.1.3680043.10.999.{number + 1}"
    copy.InstanceNumber = number + 1
    copy.Rows, copy.Columns = kibibytes * 2, 256
    copy.PixelData = random.Random(number).randbytes(kibibytes * 1024)
    copy.file_meta = FileMetaDataset()
    copy.file_meta.TransferSyntaxUID = UID(EXPLICIT_LITTLE_ENDIAN)
    return copy


@cache
def _template() -> Dataset:
    return factories.ct_series(factories.grid(shape=(2, 8, 8)))[0]
