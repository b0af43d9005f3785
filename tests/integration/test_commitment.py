"""Storage commitment at the door and beyond it: what peers are told is true, whatever they ask and however."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, build_role
from pynetdicom.sop_class import Verification
from structlog.testing import capture_logs

from service import commit
from service.commands.archive import free_port
from service.commit import Commitments, Committer
from service.core.commitment import Account, Asked, Referenced, Told
from service.core.errors import NoRoom, TryAgain, Unsuitable
from service.core.outbox import CommitmentReport, Reference
from service.edge import commitment
from service.edge.carriers import DicomPeer
from service.edge.commitment_content import SOP_CLASS, SOP_INSTANCE, read_report, report_content, request_content
from service.edge.commitment_files import reports, requests
from service.edge.intake import Answer
from service.edge.listening import listening
from service.edge.messages import OTHER_DATA_SET_BYTES
from service.edge.spool import Spool
from service.edge.storage_scp import Door, StorageScp
from service.edge.storage_scu import Remote
from service.receive import Receiver
from tests import factories
from tests.arriving import receive
from tests.commitment_peer import Listener, Message, at_home, content_bytes, modality, request
from tests.hostile import wire
from tests.hostile.client import NotServedError
from tests.node import until
from tests.raw_sender import data_set

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
GRID = factories.grid(shape=(3, 8, 8))
HERE, AT_HOME = "CT01", "CT02"  # told in the association in which they ask, and on one of ours
CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
NEVER_CAME = Referenced(CT, "1.2.3.4.5")


class Clock:
    """A clock that tests can move."""

    def __init__(self) -> None:
        self.moment = NOW

    def __call__(self) -> datetime:
        return self.moment


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


@pytest.fixture
def references(spool: Spool) -> list[Referenced]:
    """Three instances that have come."""
    images = factories.ct_series(GRID)
    for image in images:
        receive(spool, image)
    return [Referenced(str(image.SOPClassUID), str(image.SOPInstanceUID)) for image in images]


@pytest.fixture(params=["fast", "stock"])
def door(request: pytest.FixtureRequest) -> Door:
    return Door("ISOCENTER", engine=request.param)


def has_room() -> None:
    """Always."""


@contextmanager
def listening_at(
    door: Door, spool: Spool, clock: Clock, require_room: Callable[[], None] = has_room, **changed: Any
) -> Iterator[int]:
    receiver = Receiver(spool, refuse_below_free=0.0)
    commitments = Commitments(spool, require_room, {AT_HOME}, clock, **changed)
    with listening(StorageScp(door, receiver.begin, receiver.note_end, commitments)) as port:
        yield port


@pytest.fixture
def port(door: Door, spool: Spool, clock: Clock) -> Iterator[int]:
    with listening_at(door, spool, clock) as port:
        yield port


def said(message: Message) -> CommitmentReport:
    return read_report(message.content, ImplicitVRLittleEndian)


def uids(references: list[Referenced]) -> frozenset[str]:
    return frozenset(reference.sop_instance_uid for reference in references)


def path_of(spool: Spool, reference: Referenced) -> Path:
    (name,) = [name for name in spool.arrivals() if name.sop_instance_uid == reference.sop_instance_uid]
    return spool.incoming(name)


def test_what_is_here_is_reported_in_the_association_in_which_it_was_asked(
    port: int, references: list[Referenced]
) -> None:
    with modality(port, HERE) as peer:
        assert peer.asks(request("1.2", references)) == 0x0000
        report = peer.hears()
    assert report.number(0x1002) == 1
    assert said(report) == CommitmentReport("1.2", uids(references), {})


def test_each_reference_is_told_what_is_true_of_it(port: int, spool: Spool, references: list[Referenced]) -> None:
    damaged = path_of(spool, references[1])
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"\xff")
    conflict = Referenced(MR, references[2].sop_instance_uid)
    with modality(port, HERE) as peer:
        assert peer.asks(request("1.2", [references[0], references[1], conflict, NEVER_CAME])) == 0x0000
        report = peer.hears()
    assert report.number(0x1002) == 2
    failed = {references[1].sop_instance_uid: 0x0110, conflict.sop_instance_uid: 0x0119, "1.2.3.4.5": 0x0112}
    assert said(report) == CommitmentReport("1.2", uids(references[:1]), failed)


def test_an_association_carries_several_requests_and_images_between_them(port: int, spool: Spool) -> None:
    image = factories.ct_series(GRID)[0]
    uid = str(image.SOPInstanceUID)
    with modality(port, HERE) as peer:
        for transaction, held in (("1.2", set()), ("1.3", {uid})):
            assert peer.asks(request(transaction, [Referenced(CT, uid)])) == 0x0000
            assert said(peer.hears()).held == held
            assert peer.client.store(uid, data_set(image)) == 0x0000


def test_two_thousand_references_are_asked_for_and_told_of_at_once(port: int, references: list[Referenced]) -> None:
    many = references + [Referenced(CT, f"1.2.3.{number}") for number in range(1997)]
    with modality(port, HERE) as peer:
        assert peer.asks(request("1.2", many)) == 0x0000
        report = said(peer.hears())
    assert report.held == uids(references)
    assert report.failed == {f"1.2.3.{number}": 0x0112 for number in range(1997)}


def test_what_cannot_be_read_while_the_peer_waits_is_not_promised(
    door: Door, spool: Spool, clock: Clock, references: list[Referenced]
) -> None:
    with listening_at(door, spool, clock, read_seconds=-1) as port, modality(port, HERE) as peer:
        assert peer.asks(request("1.2", references)) == 0x0000
        assert said(peer.hears()) == CommitmentReport("1.2", frozenset(), dict.fromkeys(uids(references), 0x0213))


WITHOUT_REFERENCES = content_bytes(request_content("1.2", []))
TOO_MANY = request("1.2", [Referenced(CT, f"1.2.3.{number}") for number in range(80_000)])


@pytest.mark.parametrize(
    ("content", "status"),
    [
        pytest.param(b"\xff" * 300, 0x0115, id="malformed"),
        pytest.param(request("1.2", [NEVER_CAME])[:-5], 0x0115, id="cut short"),
        pytest.param(WITHOUT_REFERENCES, 0x0115, id="no references"),
        pytest.param(request("1.2", [NEVER_CAME]).replace(b"1.2.3.4.5", b"1.2.3/4.5"), 0x0115, id="no UID"),
    ],
)
@pytest.mark.parametrize("peer", [HERE, AT_HOME])
def test_a_request_that_is_wrong_is_refused_and_leaves_nothing(
    port: int, spool: Spool, peer: str, content: bytes, status: int
) -> None:
    with modality(port, peer) as asking:
        assert asking.asks(content) == status
        assert asking.asks(request("1.3", [NEVER_CAME]), sop_instance_uid="1.2.3") == 0x0112
        assert asking.asks(request("1.3", [NEVER_CAME]), action=2) == 0x0123
        assert asking.tells(content) == status
        assert asking.tells(content_bytes(report_content("1.2", Account((NEVER_CAME,)))), event=3) == 0x0113
    assert list(spool.commitments.iterdir()) == []


def test_a_request_of_more_than_four_mebibytes_is_not_taken(
    port: int, door: Door, spool: Spool, references: list[Referenced]
) -> None:
    assert len(TOO_MANY) > OTHER_DATA_SET_BYTES
    if door.engine == "stock":
        with modality(port, AT_HOME) as peer:
            assert peer.asks(TOO_MANY) == 0x0213
    else:
        with pytest.raises(NotServedError), modality(port, AT_HOME) as peer:
            peer.asks(TOO_MANY)
    assert requests(spool) == []


def test_in_the_context_of_an_image_storage_commitment_is_not_asked_for(port: int, spool: Spool) -> None:
    with modality(port, AT_HOME) as peer:
        action = [wire.Element(0x0003, SOP_CLASS.encode()), us(0x0100, 0x0130), us(0x0110, 1), us(0x0800, 1)]
        action += [wire.Element(0x1001, SOP_INSTANCE.encode()), us(0x1008, 1)]
        context_id = wire.STORE.context_id
        command = wire.message(context_id, wire.COMMAND, wire.command_set(action))
        peer.client.send(command + wire.message(context_id, 0, request("1.2", [NEVER_CAME])))
        assert peer.next().status == 0x0118
    assert requests(spool) == []


def us(element: int, value: int) -> wire.Element:
    return wire.Element(element, value.to_bytes(2, "little"))


def test_a_request_of_a_peer_told_at_home_is_kept_before_it_is_answered(
    port: int, spool: Spool, references: list[Referenced]
) -> None:
    with modality(port, AT_HOME) as peer:
        assert peer.asks(request("1.2", references)) == 0x0000
        (pending,) = requests(spool)
    assert pending.asked == Asked("1.2", AT_HOME, "ISOCENTER", "127.0.0.1", tuple(references))
    assert (pending.asked_at, pending.attempts) == (NOW, 0)


def test_a_request_that_is_repeated_is_taken_again_and_one_of_another_content_is_not(
    port: int, spool: Spool, references: list[Referenced]
) -> None:
    with modality(port, AT_HOME) as peer:
        statuses = [peer.asks(request("1.2", each)) for each in (references, references, references[:1])]
    assert statuses == [0x0000, 0x0000, 0x0115]
    assert [pending.asked.references for pending in requests(spool)] == [tuple(references)]


def no_room() -> None:
    raise NoRoom("the disk is full")


def test_without_room_nothing_is_promised(door: Door, spool: Spool, clock: Clock) -> None:
    with listening_at(door, spool, clock, no_room) as port, modality(port, AT_HOME) as peer:
        assert peer.asks(request("1.2", [NEVER_CAME])) == 0x0213
        assert peer.tells(content_bytes(report_content("1.2", Account((NEVER_CAME,))))) == 0x0213
    assert list(spool.commitments.iterdir()) == []


def test_a_peer_that_leaves_before_its_report_is_noted(port: int, references: list[Referenced]) -> None:
    with capture_logs() as logs:
        with modality(port, HERE) as peer:
            assert peer.asks(request("1.2", references)) == 0x0000
            peer.next()
        until(lambda: untold(logs), "it is logged", seconds=5)
    assert untold(logs) == ["1.2"]


def untold(logs: list[Any]) -> list[str]:
    event = "commitment report not taken: the association ended before"
    return [log["transaction"] for log in logs if log["event"] == event]


def test_a_report_that_comes_is_kept_before_it_is_answered(port: int, spool: Spool) -> None:
    account = Account((Referenced(CT, "1.2.3"), Referenced(CT, "1.2.4")), {NEVER_CAME: 0x0112})
    with modality(port, "PACS") as peer:
        assert peer.tells(content_bytes(report_content("1.2", account)), event=2) == 0x0000
        (told,) = reports(spool)
    said = CommitmentReport("1.2", frozenset({"1.2.3", "1.2.4"}), {"1.2.3.4.5": 0x0112})
    assert told == Told("PACS", "127.0.0.1", said)


def test_a_report_comes_in_an_association_whose_requestor_is_the_scp(port: int, spool: Spool) -> None:
    reporting = Asked("1.2", "ISOCENTER", "PACS", "127.0.0.1", (NEVER_CAME,))
    commitment.report(remote(port), reporting, Account((NEVER_CAME,)))
    assert [told.calling_ae_title for told in reports(spool)] == ["NODE"]


def remote(port: int, answer_seconds: float = 10.0) -> Remote:
    return Remote("NODE", "ISOCENTER", "127.0.0.1", port, answer_seconds=answer_seconds)


def proposed_alone(port: int, **role: bool) -> list[str]:
    """Which abstract syntaxes are accepted of one who proposes storage commitment in that role."""
    entity = AE(HERE)
    entity.add_requested_context(SOP_CLASS)
    entity.add_requested_context(Verification)
    roles = [build_role(SOP_CLASS, **role)] if role else []
    association = entity.associate("127.0.0.1", port, ae_title="ISOCENTER", ext_neg=roles)
    accepted = [str(context.abstract_syntax) for context in association.accepted_contexts]
    association.release()
    return accepted


@pytest.mark.parametrize("engine", ["fast", "stock"])
def test_switched_off_it_takes_reports_and_no_requests(spool: Spool, clock: Clock, engine: str) -> None:
    with listening_at(Door("ISOCENTER", engine=engine, commitment=False), spool, clock) as port:
        assert SOP_CLASS not in proposed_alone(port)
        assert SOP_CLASS in proposed_alone(port, scp_role=True)
        with pytest.raises(Unsuitable, match="does not do storage commitment"):
            commitment.ask(remote(port), "1.2", [])


def test_an_scp_that_is_not_told_who_takes_them_takes_neither(port: int, spool: Spool) -> None:
    receiver = Receiver(spool, refuse_below_free=0.0)
    with listening(StorageScp(Door("ISOCENTER"), receiver.begin, receiver.note_end)) as plain:
        assert SOP_CLASS not in proposed_alone(plain, scp_role=True)
    assert SOP_CLASS in proposed_alone(port)


@pytest.fixture
def listener() -> Listener:
    return Listener(AT_HOME, free_port())


@pytest.fixture
def committer(spool: Spool, clock: Clock, listener: Listener) -> Committer:
    return Committer(AT_HOME, "127.0.0.1", listener.port, spool, clock, lambda: 0.0)


def ask_for(port: int, references: list[Referenced], *transactions: str) -> None:
    with modality(port, AT_HOME) as peer:
        for transaction in transactions:
            assert peer.asks(request(transaction, references)) == 0x0000


def test_a_peer_is_told_at_home_what_is_true_when_it_is_told(
    port: int, spool: Spool, references: list[Referenced], committer: Committer, listener: Listener
) -> None:
    ask_for(port, [*references, NEVER_CAME], "1.2")
    path_of(spool, references[0]).unlink()
    with at_home(listener):
        committer.tick()
    report = CommitmentReport(
        "1.2", uids(references[1:]), {"1.2.3.4.5": 0x0112, references[0].sop_instance_uid: 0x0112}
    )
    assert listener.heard == [("ISOCENTER", AT_HOME, 2, report)]
    assert requests(spool) == []


def test_a_peer_that_is_away_is_told_when_it_is_back_also_by_a_dispatcher_started_since(
    port: int, spool: Spool, references: list[Referenced], committer: Committer, listener: Listener, clock: Clock
) -> None:
    ask_for(port, references, "1.2", "1.3")
    committer.tick()
    assert [(pending.attempts, pending.next_at - NOW) for pending in requests(spool)] == [(1, timedelta(seconds=5))] * 2
    clock.moment += timedelta(seconds=5)
    committer.tick()
    assert [pending.attempts for pending in requests(spool)] == [2, 2]
    restarted = Committer(AT_HOME, "127.0.0.1", listener.port, Spool(spool.root), clock, lambda: 0.0)
    with at_home(listener):
        restarted.tick()
        assert listener.heard == []
        clock.moment += timedelta(seconds=30)
        restarted.tick()
    assert sorted(report.transaction_uid for *_, report in listener.heard) == ["1.2", "1.3"]
    assert requests(spool) == []


def test_a_peer_that_stays_away_for_a_day_is_given_up(
    port: int, spool: Spool, references: list[Referenced], committer: Committer, clock: Clock
) -> None:
    ask_for(port, references, "1.2")
    clock.moment += timedelta(hours=24) - timedelta(seconds=1)
    commit.give_up(spool, clock.moment)
    assert len(requests(spool)) == 1
    clock.moment += timedelta(seconds=1)
    with capture_logs() as logs:
        committer.tick()
        commit.give_up(spool, clock.moment)
    assert requests(spool) == []
    assert [log["event"] for log in logs if log["log_level"] == "error"] == ["commitment report given up"]


@pytest.mark.parametrize(("status", "waits"), [(0x0110, 1), (0x0213, 1), (0x0112, 0)])
def test_a_report_that_a_peer_refuses_is_repeated_only_when_that_may_help(
    port: int, spool: Spool, committer: Committer, listener: Listener, status: int, waits: int
) -> None:
    ask_for(port, [NEVER_CAME], "1.2")
    listener.status = status
    with at_home(listener):
        committer.tick()
        committer.tick()
    assert len(listener.heard) == 1
    assert [pending.attempts for pending in requests(spool)] == [1] * waits


def test_a_peer_is_not_told_what_another_asked(
    port: int, spool: Spool, references: list[Referenced], clock: Clock, listener: Listener
) -> None:
    ask_for(port, references, "1.2")
    with at_home(listener):
        Committer("ANOTHER", "127.0.0.1", listener.port, spool, clock, lambda: 0.0).tick()
    assert listener.heard == []
    assert len(requests(spool)) == 1


# As the one who asks


def asked(references: list[Referenced]) -> list[Reference]:
    return [Reference(each.sop_class_uid, each.sop_instance_uid, "1.2", "1.2.3") for each in references]


def test_a_report_in_the_same_association_is_the_answer(port: int, references: list[Referenced]) -> None:
    destination = DicomPeer(remote(port))
    report = destination.ask_commitment("1.2", asked([*references, NEVER_CAME]))
    assert report == CommitmentReport("1.2", uids(references), {"1.2.3.4.5": 0x0112})


def test_without_a_report_in_time_it_is_to_come_later(port: int, references: list[Referenced]) -> None:
    from_home = Remote(AT_HOME, "ISOCENTER", "127.0.0.1", port)
    began = time.monotonic()
    assert commitment.ask(from_home, "1.2", asked(references), same_association_seconds=0.3) is None
    assert time.monotonic() - began < 3


@contextmanager
def peer_answering(answer: Callable[[Asked], Answer], engine: str = "fast", **report: Any) -> Iterator[int]:
    """A PACS that answers N-ACTION so, and reports in the same association under whatever transaction it likes."""
    scp = StorageScp(Door("ISOCENTER", engine=engine), _stores_nothing, lambda _: None, Answering(answer, **report))
    with listening(scp) as port:
        yield port


def _stores_nothing(_offer: object) -> Any:
    raise AssertionError("nothing is stored here")


@dataclass
class Answering:
    """Commitments of a PACS that does what a test wants."""

    answer: Callable[[Asked], Answer]
    reports: bool = False

    def take_request(self, asked: Asked) -> Answer:
        return self.answer(asked)

    def take_report(self, told: Told) -> Answer:
        raise AssertionError(told)

    def tells_here(self, asked: Asked) -> bool:
        return self.reports

    def account_now(self, asked: Asked) -> Account:
        return Account(asked.references)


@pytest.mark.parametrize("status", [0x0105, 0x0112, 0x0115, 0x0118, 0x0119, 0x0122, 0x0123, 0x0124, 0x0211])
def test_a_refusal_for_good_is_unsuitable(status: int) -> None:
    with peer_answering(lambda _: Answer(status)) as port, pytest.raises(Unsuitable, match=f"0x{status:04X}"):
        commitment.ask(remote(port), "1.2", asked([NEVER_CAME]))


@pytest.mark.parametrize("status", [0x0110, 0x0210, 0x0213, 0xA700])
def test_a_peer_that_is_busy_is_asked_again(status: int) -> None:
    with peer_answering(lambda _: Answer(status)) as port, pytest.raises(TryAgain, match=f"0x{status:04X}"):
        commitment.ask(remote(port), "1.2", asked([NEVER_CAME]))


def late(_asked: Asked) -> Answer:
    time.sleep(3)
    return Answer(0)


def test_a_peer_that_does_not_answer_is_asked_again() -> None:
    with peer_answering(late) as port, pytest.raises(TryAgain, match="did not answer N-ACTION"):
        commitment.ask(remote(port, answer_seconds=0.5), "1.2", asked([NEVER_CAME]))


def test_a_peer_that_is_not_there_is_asked_again() -> None:
    with pytest.raises(TryAgain):
        commitment.ask(remote(free_port()), "1.2", asked([NEVER_CAME]))


def test_a_peer_that_accepts_nothing_at_all_is_unsuitable(free_port_of_mr_only: int) -> None:
    with pytest.raises(Unsuitable):
        commitment.ask(remote(free_port_of_mr_only), "1.2", asked([NEVER_CAME]))


@pytest.fixture
def free_port_of_mr_only() -> Iterator[int]:
    """A storage SCP of pynetdicom's without Verification."""
    port = free_port()
    entity = AE("ISOCENTER")
    entity.add_supported_context(MR, ExplicitVRLittleEndian)
    server = entity.start_server(("127.0.0.1", port), block=False)
    try:
        yield port
    finally:
        server.shutdown()


@pytest.mark.parametrize("times", range(3))
@pytest.mark.parametrize("engine", ["fast", "stock"])
def test_reports_that_come_at_once_are_taken_again_and_again(engine: str, times: int) -> None:
    with peer_answering(lambda _: Answer(0), engine, reports=True) as port:
        for number in range(5):
            report = commitment.ask(remote(port), f"1.2.{times + 1}{number}", asked([NEVER_CAME]))
            assert report is not None
            assert report.held == {"1.2.3.4.5"}
