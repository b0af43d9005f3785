"""Instances into a spool as the receiving stage puts them there, without a network."""

from pydicom import Dataset

from service.edge.file_meta import Offer, Provenance
from service.edge.intake import Answer
from service.edge.spool import Spool
from service.receive import Receiver
from tests.raw_sender import EXPLICIT_LITTLE_ENDIAN, data_set


def offer(image: Dataset, association: str = "2.25.1", calling_ae_title: str = "CT01") -> Offer:
    """What a sender's command says of an image."""
    provenance = Provenance(calling_ae_title, "ISOCENTER", association)
    return Offer(str(image.SOPClassUID), str(image.SOPInstanceUID), EXPLICIT_LITTLE_ENDIAN, provenance)


def receive(spool: Spool, image: Dataset, association: str = "2.25.1", calling_ae_title: str = "CT01") -> Answer:
    """The answer to a C-STORE of an image."""
    intake = Receiver(spool, refuse_below_free=0.0).begin(offer(image, association, calling_ae_title))
    intake.write([data_set(image)])
    return intake.finish()
