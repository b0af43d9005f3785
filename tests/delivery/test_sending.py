"""What goes over the wire: whole, in the right transfer syntax, and never half of a file that changes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from queue import SimpleQueue

import pytest
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLSLossless, RLELossless
from pynetdicom import AE, evt

from service.core.outbox import UNREADABLE
from service.edge.dialing import DEADLINES, Remote
from service.edge.file_meta import Offer, data_set_offset
from service.edge.intake import InMemory
from service.edge.listening import listening
from service.edge.outgoing import Unreadable, look
from service.edge.sending import established
from service.edge.storage_scp import Door, StorageScp
from service.edge.storage_scu import store
from tests.delivery.objects import SECONDARY_CAPTURE, write_object
from tests.delivery.peers import Visit, peer
from tests.hostile import wire


@contextmanager
def archive() -> Iterator[tuple[int, dict[str, bytes]]]:
    """A receiver of ours; its port, and the data sets that it was sent by SOP Instance UID."""
    kept: dict[str, bytes] = {}

    def keep(offer: Offer, data_set: bytes) -> int:
        kept[offer.sop_instance_uid] = data_set
        return 0x0000

    scp = StorageScp(Door("PACS"), lambda offer: InMemory(offer, keep), lambda _: None)
    with listening(scp) as port:
        yield port, kept


def remote(port: int) -> Remote:
    return Remote("ISOCENTER", "PACS", "127.0.0.1", port)


def data_set(path: Path) -> bytes:
    content = path.read_bytes()
    return content[data_set_offset(content) :]


@pytest.mark.parametrize("size", [2, 16_000, 131_066, 1_048_576, 5_000_002], ids=lambda size: f"{size} bytes")
def test_a_data_set_arrives_byte_for_byte(tmp_path: Path, size: int) -> None:
    paths = [write_object(tmp_path / f"{number}.dcm", size) for number in range(3)]
    with archive() as (port, kept):
        assert list(store(remote(port), paths)) == [(path, 0x0000) for path in paths]
    assert [*kept.values()] == [data_set(path) for path in paths]


@pytest.mark.parametrize("longest", [128, 4096, 5001, 0], ids=lambda longest: f"PDU of {longest}")
def test_a_peer_gets_a_data_set_in_pdus_of_any_length(tmp_path: Path, longest: int) -> None:
    path = write_object(tmp_path / "object.dcm", 3_000_000 if longest != 128 else 300_000)
    received: list[int] = []

    def takes(visit: Visit) -> None:
        visit.accept(maximum_length=longest)
        request = visit.request()
        received.append(request.data_set_bytes)
        visit.answer(request)

    with peer(takes) as port:
        assert list(store(remote(port), [path])) == [(path, 0x0000)]
    assert received == [len(data_set(path))]


@contextmanager
def stranger(*transfer_syntaxes: str) -> Iterator[tuple[int, list[tuple[str, bytes]]]]:
    """A receiver of another maker that takes these syntaxes alone: its port, and what came in which one."""
    came: list[tuple[str, bytes]] = []

    def keep(event: evt.Event) -> int:
        came.append((str(event.context.transfer_syntax), event.request.DataSet.getvalue()))
        return 0x0000

    entity = AE("PACS")
    entity.add_supported_context(SECONDARY_CAPTURE, list(transfer_syntaxes))
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, keep)])
    try:
        yield server.server_address[1], came
    finally:
        server.shutdown()


@pytest.mark.parametrize(
    ("own", "accepted", "sent"),
    [
        pytest.param(ExplicitVRLittleEndian, ImplicitVRLittleEndian, ImplicitVRLittleEndian, id="explicit as implicit"),
        pytest.param(ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRLittleEndian, id="implicit as explicit"),
        pytest.param(JPEGLSLossless, JPEGLSLossless, JPEGLSLossless, id="compressed as it is"),
    ],
)
def test_a_file_goes_in_the_native_syntax_that_the_peer_takes(
    tmp_path: Path, own: str, accepted: str, sent: str
) -> None:
    path = write_object(tmp_path / "object.dcm", 1000, transfer_syntax_uid=own)
    with stranger(accepted) as (port, came):
        assert list(store(remote(port), [path])) == [(path, 0x0000)]
    ((syntax, content),) = came
    assert syntax == sent
    received = dcmread(BytesIO(content), force=True) if syntax == ExplicitVRLittleEndian else None
    if own == sent:
        assert content == data_set(path)
    elif received is not None:
        assert received.PixelData == dcmread(path).PixelData


def test_a_peer_that_takes_both_native_syntaxes_gets_the_file_as_it_is(tmp_path: Path) -> None:
    path = write_object(tmp_path / "object.dcm", 1000, transfer_syntax_uid=ImplicitVRLittleEndian)
    with stranger(ExplicitVRLittleEndian, ImplicitVRLittleEndian) as (port, came):
        list(store(remote(port), [path]))
    assert came == [(ImplicitVRLittleEndian, data_set(path))]


def test_what_the_peer_takes_goes_through_beside_what_it_does_not(tmp_path: Path) -> None:
    taken = write_object(tmp_path / "taken.dcm", 1000)
    refused = write_object(tmp_path / "refused.dcm", 1000, transfer_syntax_uid=RLELossless)
    with stranger(ExplicitVRLittleEndian) as (port, came):
        answers = list(store(remote(port), [refused, taken, refused]))
    assert answers == [(refused, 0x0122), (taken, 0x0000), (refused, 0x0122)]
    assert len(came) == 1


def test_more_kinds_than_an_association_has_contexts_for_take_another_one(tmp_path: Path) -> None:
    paths = [write_object(tmp_path / f"{kind}.dcm", 10, f"1.2.840.10008.5.1.4.1.1.{kind}") for kind in range(1, 101)]
    visits = 0

    def takes_all(visit: Visit) -> None:
        nonlocal visits
        visits += 1
        visit.accept()
        while True:
            visit.answer(visit.request())

    with peer(takes_all) as port:
        assert list(store(remote(port), paths)) == [(path, 0x0000) for path in paths]
    assert visits == 2


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"no DICOM at all, and longer than a preamble" * 9, id="another format"),
        pytest.param(b"\0" * 128 + b"DICM", id="nothing behind the preamble"),
        pytest.param(b"\0" * 128 + b"DICM\2\0\0\0UL\4\0\xff\xff\xff\xff", id="meta information of 4 GiB"),
    ],
)
def test_a_damaged_file_is_unreadable_and_holds_up_no_other(tmp_path: Path, content: bytes) -> None:
    damaged, good = tmp_path / "damaged.dcm", write_object(tmp_path / "good.dcm", 100)
    damaged.write_bytes(content)
    with archive() as (port, kept):
        assert dict(store(remote(port), [damaged, good])) == {damaged: UNREADABLE, good: 0x0000}
    assert len(kept) == 1


def test_a_file_cut_off_between_two_bytes_of_a_word_is_unreadable(tmp_path: Path) -> None:
    path = write_object(tmp_path / "object.dcm", 100)
    os.truncate(path, path.stat().st_size - 1)
    with pytest.raises(Unreadable, match="not a whole DICOM file"):
        look(path)


@pytest.mark.parametrize("change", ["grows", "shrinks", "is rewritten", "is replaced", "vanishes"])
def test_a_file_that_changes_in_mid_send_is_not_stored_and_holds_up_no_other(tmp_path: Path, change: str) -> None:
    """It changes when the first of its bytes have arrived; the rest of them is not there yet."""
    changing, other = write_object(tmp_path / "changing.dcm", 20 << 20), write_object(tmp_path / "other.dcm", 100)
    ended: SimpleQueue[int] = SimpleQueue()

    def sees_it_change(visit: Visit) -> None:
        visit.accept()
        visit.pdu()
        _change(changing, change)
        kind = wire.P_DATA
        while kind == wire.P_DATA:
            kind, _ = visit.pdu()
        ended.put(kind)

    def takes(visit: Visit) -> None:
        visit.accept()
        visit.answer(visit.request())
        visit.request()

    with peer(sees_it_change, takes, receive_buffer=16 * 1024) as port:
        assert list(store(remote(port), [changing, other])) == [(changing, UNREADABLE), (other, 0x0000)]
        assert ended.get(timeout=10) == wire.ABORT  # behind a whole PDU


def _change(path: Path, change: str) -> None:
    if change == "grows":
        with path.open("ab") as stream:
            stream.write(b"more")
    elif change == "shrinks":
        os.truncate(path, path.stat().st_size // 2)
    elif change == "is rewritten":
        with path.open("r+b") as stream:
            stream.seek(-2, os.SEEK_END)
            stream.write(b"!!")
    elif change == "is replaced":
        write_object(path.with_suffix(".new"), 100).replace(path)
    else:
        path.unlink()


def test_a_file_that_is_gone_when_its_turn_comes_is_unreadable(tmp_path: Path) -> None:
    first, second, third = (write_object(tmp_path / f"{number}.dcm", 100) for number in range(3))
    with archive() as (port, kept):
        answers = store(remote(port), [first, second, third])
        assert next(answers) == (first, 0x0000)
        third.unlink()
        assert list(answers) == [(second, 0x0000), (third, UNREADABLE)]
    assert len(kept) == 2


def test_whoever_stops_listening_to_the_answers_leaves_no_association_behind(tmp_path: Path) -> None:
    paths = [write_object(tmp_path / f"{number}.dcm", 100) for number in range(3)]
    ended: SimpleQueue[int] = SimpleQueue()

    def takes(visit: Visit) -> None:
        visit.accept()
        visit.answer(visit.request())
        ended.put(visit.pdu()[0])

    with peer(takes) as port:
        answers = store(remote(port), paths)
        next(answers)
        del answers
        assert ended.get(timeout=10) == wire.ABORT


def test_an_association_asks_under_a_new_message_id_each_time(tmp_path: Path) -> None:
    path = write_object(tmp_path / "object.dcm", 100)
    asked: list[int] = []

    def notes(visit: Visit) -> None:
        visit.accept()
        while True:
            request = visit.request()
            asked.append(request.message_id)
            visit.answer(request)

    with peer(notes) as port, established(remote(port), look(path).kinds, DEADLINES) as made:
        for _ in range(3):
            parcel = made.packed(look(path))
            assert parcel
            made.send(parcel)
            assert made.store_status(parcel) == 0x0000
    assert asked == [1, 2, 3]
