"""What a delivery makes of everything that a PACS may do: each row of the table in core/outbox, by real connections."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta

import pytest

from service.commands.archive import free_port
from service.core.outbox import Trouble
from service.edge.dialing import Deadlines
from service.edge.ledger import Ledger
from service.edge.spool import Spool
from tests.delivery.peers import CALLING_TITLE_UNKNOWN, LOCAL_LIMIT_EXCEEDED, Gone, Visit, peer, storing
from tests.delivery.stage import DEAD, DELIVERED, PARKED, WAITS, Clock, endings, seen, sender, troubles
from tests.hostile import wire

SHORT = Deadlines(connect_seconds=0.5, negotiation_seconds=0.5, stall_seconds=0.5, release_seconds=0.5)
SLACK_SECONDS = 3.0  # for a busy machine

Destination = Callable[[], AbstractContextManager[int]]


@contextmanager
def closed_port() -> Iterator[int]:
    yield free_port()


@contextmanager
def dropping_port() -> Iterator[int]:
    """A port whose SYNs are dropped: its backlog is full, and nobody accepts."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = []
        try:
            while True:
                connection = socket.socket()
                waiting.append(connection)
                connection.settimeout(0.2)
                connection.connect(listener.getsockname())
        except TimeoutError:
            yield int(listener.getsockname()[1])
        finally:
            for connection in waiting:
                connection.close()


def accepts_and_is_silent(visit: Visit) -> None:
    visit.wait()


def accepts_no_context(visit: Visit) -> None:
    visit.accept(contexts=[(1, 3, wire.IMPLICIT_LITTLE_ENDIAN.encode()), (3, 3, wire.EXPLICIT_LITTLE_ENDIAN.encode())])
    visit.wait()


def rejects(answer: tuple[int, int, int]) -> Callable[[Visit], None]:
    return lambda visit: visit.reject(answer)


def aborts_before_it_accepts(visit: Visit) -> None:
    visit.pdu()
    visit.say(wire.pdu(wire.ABORT, bytes(4)))


def closes_before_it_accepts(visit: Visit) -> None:
    visit.pdu()


@pytest.mark.parametrize(
    ("destination", "words"),
    [
        pytest.param(closed_port, "is not reachable: Connection refused", id="port closed"),
        pytest.param(dropping_port, "is not reachable: no answer to a connection within 0.5 s", id="SYN dropped"),
        pytest.param(lambda: peer(accepts_and_is_silent), "it did not answer in time", id="accepts and is silent"),
        pytest.param(lambda: peer(rejects(LOCAL_LIMIT_EXCEEDED)), "Local limit exceeded", id="local limit"),
        pytest.param(lambda: peer(aborts_before_it_accepts), "it aborted the association", id="abort at once"),
        pytest.param(lambda: peer(closes_before_it_accepts), "the peer closed the connection", id="close at once"),
    ],
)
def test_where_no_association_comes_about_the_objects_wait_and_the_destination_rests(
    ledger: Ledger, spool: Spool, clock: Clock, destination: Destination, words: str
) -> None:
    with destination() as port:
        began = time.monotonic()
        sender(ledger, spool, clock, port, deadlines=SHORT).tick()
        assert time.monotonic() - began < SHORT.connect_seconds + SHORT.negotiation_seconds + SLACK_SECONDS
    assert endings(ledger) == [WAITS] * 2
    assert all(words in each for each in seen(ledger))
    circuit = ledger.circuit("pacs")
    assert (circuit.failures, circuit.parked) == (1, "")
    assert troubles(ledger) == set()  # an object has not been tried


@pytest.mark.parametrize(
    ("script", "words"),
    [
        pytest.param(rejects(CALLING_TITLE_UNKNOWN), "Calling AE title not recognised", id="calling AE title"),
        pytest.param(accepts_no_context, "accepts nothing of what was offered", id="no accepted context"),
    ],
)
def test_where_the_configuration_is_wrong_the_destination_is_parked(
    ledger: Ledger, spool: Spool, clock: Clock, script: Callable[[Visit], None], words: str
) -> None:
    with peer(script) as port:
        sender(ledger, spool, clock, port, deadlines=SHORT).tick()
    assert endings(ledger) == [WAITS] * 2
    assert words in ledger.circuit("pacs").parked


def aborts(visit: Visit) -> None:
    visit.accept()
    visit.request()
    visit.say(wire.pdu(wire.ABORT, bytes(4)))
    visit.wait()


def closes(visit: Visit) -> None:
    visit.accept()
    visit.request()


def resets(visit: Visit) -> None:
    visit.accept()
    visit.request()
    visit.reset()


def resets_in_mid_object(visit: Visit) -> None:
    visit.accept()
    visit.connection.recv(100)
    visit.reset()


def stalls(visit: Visit) -> None:
    visit.accept()
    visit.wait()


def answers_late(visit: Visit) -> None:
    visit.accept()
    request = visit.request()
    time.sleep(2.5)
    visit.answer(request)


def releases(visit: Visit) -> None:
    visit.accept()
    visit.request()
    visit.say(wire.pdu(wire.RELEASE_RQ, bytes(4)))
    assert visit.pdu()[0] == wire.RELEASE_RP


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(aborts, id="abort"),
        pytest.param(closes, id="close, which is also a lost answer"),
        pytest.param(resets, id="reset"),
        pytest.param(resets_in_mid_object, id="reset in mid-object"),
        pytest.param(stalls, id="stall"),
        pytest.param(answers_late, id="late answer"),
        pytest.param(releases, id="unexpected release"),
    ],
)
def test_where_no_answer_comes_the_object_waits_as_maybe_stored_and_the_next_is_not_tried(
    ledger: Ledger, spool: Spool, clock: Clock, script: Callable[[Visit], None]
) -> None:
    with peer(script) as port:
        began = time.monotonic()
        sender(ledger, spool, clock, port, deadlines=SHORT).tick()
        assert time.monotonic() - began < 2 + SLACK_SECONDS  # the answer has 2 s
    assert endings(ledger) == [WAITS] * 2
    assert troubles(ledger) == {Trouble.NO_ANSWER}
    assert [row["tries"] for row in ledger.deliveries_where(destination="pacs")] == [1, 0]
    assert ledger.circuit("pacs").failures == 1


def test_an_object_whose_answer_was_lost_is_sent_again_under_the_same_name(
    ledger: Ledger, spool: Spool, clock: Clock
) -> None:
    with peer(closes, storing(0x0111, 0x0000)) as port:
        for _ in range(3):  # the second sends one object, to see whether it answers
            sender(ledger, spool, clock, port, deadlines=SHORT).tick()
            clock.moment += timedelta(minutes=1)
    assert endings(ledger) == [DELIVERED] * 2
    assert ledger.circuit("pacs").failures == 0


@pytest.mark.parametrize(
    ("status", "tries", "expected"),
    [
        pytest.param(0x0000, 1, (DELIVERED, Trouble.NONE), id="success"),
        pytest.param(0xB000, 1, (DELIVERED, Trouble.NONE), id="coercion"),
        pytest.param(0xB006, 1, (DELIVERED, Trouble.NONE), id="elements discarded"),
        pytest.param(0xB007, 1, (DELIVERED, Trouble.NONE), id="does not match its SOP Class"),
        pytest.param(0x0111, 1, (DELIVERED, Trouble.NONE), id="it has it already"),
        pytest.param(0xA700, 6, (WAITS, Trouble.BUSY), id="out of resources"),
        pytest.param(0xA7FF, 6, (WAITS, Trouble.BUSY), id="out of resources in other words"),
        pytest.param(0xA900, 1, (WAITS, Trouble.CONTENT), id="content refused once"),
        pytest.param(0xA9FF, 2, (DEAD, Trouble.CONTENT), id="mismatch twice"),
        pytest.param(0xC000, 2, (DEAD, Trouble.CONTENT), id="not understood twice"),
        pytest.param(0x0110, 2, (WAITS, Trouble.PROCESSING), id="processing failure twice"),
        pytest.param(0x0110, 3, (DEAD, Trouble.PROCESSING), id="processing failure three times"),
        pytest.param(0x0122, 1, (PARKED, Trouble.CONFIGURATION), id="SOP Class not supported"),
        pytest.param(0x0124, 1, (PARKED, Trouble.CONFIGURATION), id="not authorised"),
        pytest.param(0x1234, 3, (DEAD, Trouble.PROCESSING), id="an unknown status"),
    ],
)
def test_a_status_ends_in_its_state(
    ledger: Ledger, spool: Spool, clock: Clock, status: int, tries: int, expected: tuple[str, Trouble]
) -> None:
    with peer(storing(status)) as port:
        for _ in range(tries):
            sender(ledger, spool, clock, port).tick()
            clock.moment += timedelta(hours=2)
    ending, trouble = expected
    assert endings(ledger) == [ending] * 2
    assert troubles(ledger) == {trouble}
    assert all(f"0x{status:04X}" in words for words in seen(ledger))


def test_a_peer_that_is_gone_when_it_is_asked_to_release_has_had_everything(
    ledger: Ledger, spool: Spool, clock: Clock
) -> None:
    def serves_and_goes(visit: Visit) -> None:
        visit.accept()
        for _ in range(2):
            visit.answer(visit.request())

    with peer(serves_and_goes) as port:
        sender(ledger, spool, clock, port).tick()
    assert endings(ledger) == [DELIVERED] * 2


def test_a_peer_that_never_answers_a_release_holds_nobody_up(ledger: Ledger, spool: Spool, clock: Clock) -> None:
    def keeps(visit: Visit) -> None:
        visit.accept()
        for _ in range(2):
            visit.answer(visit.request())
        assert visit.pdu()[0] == wire.RELEASE_RQ
        with pytest.raises(Gone):
            visit.pdu()

    with peer(keeps) as port:
        began = time.monotonic()
        sender(ledger, spool, clock, port, deadlines=SHORT).tick()
        assert time.monotonic() - began < SHORT.release_seconds + SLACK_SECONDS
    assert endings(ledger) == [DELIVERED] * 2
