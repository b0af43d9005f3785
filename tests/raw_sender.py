"""A sender that checks nothing: any bytes under any name, as a broken or hostile peer would send them."""

import time
from io import BytesIO
from typing import Any

from pydicom import Dataset
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode

from service.edge.storage_scu import Checkpoint

CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"


def associate(entity: AE, port: int) -> Association:
    """pynetdicom's association to the node; its own thread takes no answer that the caller waits for."""
    return entity.associate(
        "127.0.0.1", port, ae_title="ISOCENTER", evt_handlers=[(evt.EVT_CONN_OPEN, _leave_answers_to_the_caller)]
    )


def _leave_answers_to_the_caller(event: Any) -> None:
    event.assoc._reactor_checkpoint = Checkpoint(event.assoc)


def store(port: int, calling_ae_title: str, data_set: bytes, sop_instance_uid: str) -> int:
    """C-STORE the bytes as a CT under a name; the status that came back."""
    entity = AE(calling_ae_title)
    entity.add_requested_context(CT, EXPLICIT_LITTLE_ENDIAN)
    association = associate(entity, port)
    assert association.is_established
    request = C_STORE()
    request.MessageID, request.Priority = 1, 2
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = CT, sop_instance_uid
    request.DataSet = BytesIO(data_set)
    association._reactor_checkpoint.clear()  # else the association's own thread takes the answer
    while not association._is_paused:
        time.sleep(0.001)
    association.dimse.send_msg(request, association.accepted_contexts[0].context_id)
    _, answer = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    association.release()
    return int(answer.Status)


def data_set(image: Dataset) -> bytes:
    """The bytes of a data set as they go over the network."""
    encoded = encode(image, is_implicit_vr=False, is_little_endian=True)
    assert encoded is not None
    return bytes(encoded)
