"""The proxy breaks what it is told to break, at the byte it is told, and nothing else."""

from pathlib import Path

import pytest

from service.core.errors import Unreached
from service.edge.dialing import Deadlines, Remote
from service.edge.storage_scu import store
from tests.delivery.objects import write_object
from tests.delivery.peers import Gone, Visit, peer
from tests.delivery.proxy import Action, Fault, Way, drawn, proxied

SHORT = Deadlines(connect_seconds=1, negotiation_seconds=1, stall_seconds=1, release_seconds=1)


@pytest.fixture
def objects(tmp_path: Path) -> list[Path]:
    return [write_object(tmp_path / f"{number}.dcm", 20_000) for number in range(3)]


class Archive:
    """Counts what it stored."""

    def __init__(self) -> None:
        self.stored = 0

    def __call__(self, visit: Visit) -> None:
        """Serve one connection."""
        visit.accept()
        while True:
            request = visit.request()
            self.stored += 1
            visit.answer(request)


def sent_through(fault: Fault, objects: list[Path]) -> tuple[list[int | None] | None, int]:
    """The statuses, None where nothing was sent, and how many the archive stored."""
    archive = Archive()
    with peer(archive) as port, proxied(port, [fault]) as proxy:
        remote = Remote("ISOCENTER", "PACS", "127.0.0.1", proxy.port, answer_seconds=1)
        try:
            statuses = [status for _, status in store(remote, objects, SHORT)]
        except Unreached:
            return None, archive.stored
        assert proxy.suffered == [fault]
    return statuses, archive.stored


@pytest.mark.parametrize(
    ("fault", "statuses", "stored"),
    [
        pytest.param(Fault(), [0, 0, 0], 3, id="none"),
        pytest.param(Fault(Action.REFUSE), None, 0, id="refused"),
        pytest.param(Fault(Action.CLOSE, Way.UP, 100), None, 0, id="closed in negotiation"),
        pytest.param(Fault(Action.CLOSE, Way.UP, 30_000), [0, None], 1, id="closed in the second object"),
        pytest.param(Fault(Action.RESET, Way.UP, 10_000), [None], 0, id="reset in the first object"),
        pytest.param(Fault(Action.CLOSE, Way.DOWN, 10), None, 0, id="closed within the acceptance"),
        pytest.param(Fault(Action.STALL, Way.UP, 50_000), [0, 0, None], 2, id="stalled in the third object"),
        pytest.param(Fault(Action.DELAY, Way.UP, 30_000, seconds=0.3), [0, 0, 0], 3, id="held up for a moment"),
        pytest.param(Fault(Action.DELAY, Way.DOWN, 0, seconds=3), None, 0, id="held up too long"),
        pytest.param(Fault(Action.DROP_ANSWER, after=0), [None], 1, id="first answer lost"),
        pytest.param(Fault(Action.DROP_ANSWER, after=2), [0, 0, None], 3, id="third answer lost"),
        pytest.param(Fault(Action.SLOW, Way.DOWN, bytes_per_second=2000), [0, 0, 0], 3, id="slow answers"),
    ],
)
def test_a_fault_strikes_where_it_is_told_to(
    objects: list[Path], fault: Fault, statuses: list[int | None] | None, stored: int
) -> None:
    assert sent_through(fault, objects) == (statuses, stored)


def test_the_same_seed_draws_the_same_faults_and_another_one_others() -> None:
    faults = drawn(7, 1000, share=0.5, longest=100_000)
    assert faults == drawn(7, 1000, share=0.5, longest=100_000)
    assert faults != drawn(8, 1000, share=0.5, longest=100_000)
    assert 400 < sum(fault.action is not Action.PASS for fault in faults) < 600


def test_connections_beyond_the_last_fault_pass(objects: list[Path]) -> None:
    def serves_one_object(visit: Visit) -> None:
        visit.accept()
        visit.answer(visit.request())
        with pytest.raises(Gone):
            visit.request()

    with peer(serves_one_object) as port, proxied(port, [Fault(Action.REFUSE)]) as proxy:
        remote = Remote("ISOCENTER", "PACS", "127.0.0.1", proxy.port)
        with pytest.raises(Unreached):
            list(store(remote, objects[:1], SHORT))
        for _ in range(3):
            assert list(store(remote, objects[:1], SHORT)) == [(objects[0], 0x0000)]
        assert [fault.action for fault in proxy.suffered] == [Action.REFUSE, *[Action.PASS] * 3]
