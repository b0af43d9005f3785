"""When a Series counts as whole, beside a real archive: Orthanc, with DCMTK's storescu as the sender."""

import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
from pydicom import Dataset
from pynetdicom import AE, QueryRetrievePresentationContexts, evt
from structlog.testing import capture_logs

from service.assemble import Assembler
from service.commands.archive import AE_TITLE, Orthanc, free_port, orthanc
from service.core.errors import TryAgain
from service.derived.encoding import encode
from service.edge.archive_index import SeriesName
from service.edge.ledger import Ledger, opened
from service.edge.listening import listening
from service.edge.query import count_instances
from service.edge.spool import Spool
from service.edge.storage_scp import StorageScp
from service.edge.storage_scu import Remote
from service.edge.tables import series, stacks
from service.receive import Receiver
from service.roles.acceptor import door
from service.roles.reaching import archives_for
from service.settings import Settings
from service.settings.node import Assembling
from tests import factories
from tests.node import SENDER, configure, rule, running, until
from tests.unit.models import packages

GRID = factories.grid(shape=(12, 16, 16))
WHOLE = "axial, 12 x 16 x 16 voxels of 2.5 x 1 x 1 mm"
DIRECT = "CT01"  # a peer without an archive
QUIET, SILENCE = 0.5, 3.0


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def archive(
    port: int, outside_tool: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Orthanc]:
    with orthanc(outside_tool("Orthanc"), tmp_path_factory.mktemp("orthanc"), node_port=port) as running:
        yield running


def settings_in(folder: Path, port: int, archive_port: int, **archive: object) -> Settings:
    behind = {"ae_title": AE_TITLE, "host": "127.0.0.1", "port": archive_port, **archive}
    peers: list[dict[str, object]] = [
        {"ae_title": SENDER, "host": "127.0.0.1", "archive": behind},
        {"ae_title": AE_TITLE, "host": "127.0.0.1", "archive": behind},
        {"ae_title": DIRECT, "host": "127.0.0.1"},
    ]
    assembling = {"quiet_seconds_when_gapless": QUIET, "quiet_seconds_otherwise": SILENCE}
    return configure(folder, archive_port, [], receiving={"port": port, "peers": peers}, assembling=assembling)


def with_receiving(settings: Settings, **changed: object) -> Settings:
    receiving = settings.node.receiving.model_copy(update=changed)
    return settings.model_copy(update={"node": settings.node.model_copy(update={"receiving": receiving})})


@dataclass(frozen=True, slots=True)
class SmallNode:
    """A receiver and an assembler without the rest of the node."""

    port: int
    spool: Spool
    ledger: Ledger
    assembler: Assembler
    storescu: str
    folder: Path
    ae_title: str

    def send(self, images: Sequence[Dataset], calling_ae_title: str = SENDER) -> None:
        """In one association, in the order given."""
        folder = self.folder / f"sent_{time.monotonic_ns()}"
        folder.mkdir()
        files = [folder / f"{number}.dcm" for number in range(len(images))]
        for file, image in zip(files, images, strict=True):
            file.write_bytes(encode(image))
        line = [self.storescu, "-aet", calling_ae_title, "-aec", self.ae_title, "127.0.0.1", str(self.port)]
        subprocess.run([*line, *map(str, files)], check=True, capture_output=True, timeout=60)

    def closes(self, images: Sequence[Dataset], seconds: float = 30) -> float:
        """Tick until the Series of an image is closed; how long that took."""
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            self.assembler.tick(datetime.now(UTC))
            if self.evidence(images):
                return time.monotonic() - began
            time.sleep(0.05)
        raise AssertionError(f"not closed within {seconds:g} s")

    def evidence(self, images: Sequence[Dataset]) -> str:
        """What the Series of an image was closed on; empty while it is open."""
        mine = [row["evidence"] for row in self.ledger.rows(series) if self._is_of(row, images)]
        return str(mine[0]) if mine else ""

    def parts(self, images: Sequence[Dataset]) -> list[str]:
        """The geometry, or the reason for none, of each part of the Series of an image."""
        rows = [row for row in self.ledger.rows(stacks) if row["standing"] == "STANDS" and self._is_of(row, images)]
        return [row["geometry"] or row["reason"] for row in rows]

    def _is_of(self, row: dict[str, Any], images: Sequence[Dataset]) -> bool:
        return bool(row["series_instance_uid"] == images[0].SeriesInstanceUID)


@contextmanager
def assembling(settings: Settings, storescu: str) -> Iterator[SmallNode]:
    spool = Spool(settings.spool)
    receiver = Receiver(spool, refuse_below_free=0.0)
    scp = StorageScp(door(settings.node.receiving), receiver.begin, receiver.note_end)
    with opened(settings.ledger_url) as ledger, listening(scp, port=settings.node.receiving.port) as port:
        patience = settings.node.assembling.patience
        assembler = Assembler(spool, ledger, patience, archives_for(settings, spool))
        yield SmallNode(port, spool, ledger, assembler, storescu, settings.folder, settings.node.receiving.ae_title)


@pytest.fixture
def node(port: int, archive: Orthanc, outside_tool: Callable[[str], str], tmp_path: Path) -> Iterator[SmallNode]:
    with assembling(settings_in(tmp_path / "node", port, archive.port), outside_tool("storescu")) as node:
        yield node


def keep(archive: Orthanc, images: Sequence[Dataset]) -> None:
    for image in images:
        archive.post("/instances", encode(image))


def test_a_series_of_which_all_came_is_closed_without_waiting(node: SmallNode, archive: Orthanc) -> None:
    one_image = factories.ct_series(GRID, seed="lone")[:1]
    keep(archive, one_image)
    node.send(one_image)
    assert node.closes(one_image) < SILENCE
    assert node.evidence(one_image) == "as many as the archive has"


def test_a_missing_slice_is_fetched_and_the_volume_is_whole(node: SmallNode, archive: Orthanc) -> None:
    images = factories.ct_series(GRID, seed="inner")
    keep(archive, images)
    node.send(images[:5] + images[6:])
    assert node.closes(images) > SILENCE
    assert node.evidence(images) == "as many as the archive has"
    assert node.parts(images) == [WHOLE]
    assert len(list(node.spool.arrivals())) == len(images)


def test_a_missing_end_shows_by_the_count_and_is_fetched(node: SmallNode, archive: Orthanc) -> None:
    images = factories.ct_series(GRID, seed="end")
    keep(archive, images)
    node.send(images[:-1])
    node.closes(images)
    assert node.parts(images) == [WHOLE]


def test_a_missing_slice_is_fetched_by_c_get_where_the_archive_does_not_know_us(
    port: int, archive: Orthanc, outside_tool: Callable[[str], str], tmp_path: Path
) -> None:
    images = factories.ct_series(GRID, seed="get")
    keep(archive, images)
    settings = settings_in(tmp_path / "node", port, archive.port, retrieve="get")
    with assembling(settings, outside_tool("storescu")) as node:
        node.send(images[:5] + images[6:])
        node.closes(images)
        assert node.evidence(images) == "as many as the archive has"
        assert node.parts(images) == [WHOLE]
        assert list((node.spool.root / "held").iterdir()) == []


def test_a_slice_that_the_archive_lacks_too_is_a_reason_that_says_so(node: SmallNode, archive: Orthanc) -> None:
    images = factories.ct_series(GRID, seed="lacking", missing=[5])
    keep(archive, images)
    node.send(images)
    node.closes(images)
    (reason,) = node.parts(images)
    assert reason.startswith("hole: 1 of 12 slices missing")
    assert reason.endswith("; the archive has 11, 11 came")


def test_slices_that_the_archive_does_not_send_are_a_reason_that_says_what_was_asked(
    port: int, archive: Orthanc, outside_tool: Callable[[str], str], tmp_path: Path
) -> None:
    images = factories.ct_series(GRID, seed="withheld")
    keep(archive, images)
    settings = settings_in(tmp_path / "node", port, archive.port)
    with assembling(settings, outside_tool("storescu")) as node:
        node.send(images[:-1])
    takes_no_ct = with_receiving(settings, sop_classes=("1.2.840.10008.5.1.4.1.1.4",))
    with assembling(takes_no_ct, outside_tool("storescu")) as node:
        node.closes(images)
        assert node.evidence(images) == "nothing more arrived"
        (reason,) = node.parts(images)
    assert reason.startswith("incomplete: the archive has 12, 11 came, asked again by C-MOVE: ")


def test_a_destination_that_the_archive_does_not_know_is_named_in_the_reason(
    archive: Orthanc, outside_tool: Callable[[str], str], tmp_path: Path
) -> None:
    images = factories.ct_series(GRID, seed="unknown")
    keep(archive, images)
    settings = settings_in(tmp_path / "node", free_port(), archive.port, calling_ae_title="ISOCENTER")
    unknown = with_receiving(settings, ae_title="NOBODY")
    with assembling(unknown, outside_tool("storescu")) as node:
        node.send(images[:-1])
        node.closes(images)
        (reason,) = node.parts(images)
    assert "asked again by C-MOVE: ARCHIVE at" in reason
    assert "answered C-MOVE to NOBODY with status 0x" in reason


@contextmanager
def miser(claims: int, answers_after: float = 0.0) -> Iterator[tuple[int, list[str]]]:
    """An archive that claims to have so many instances, and sends none; its port, and what it was asked."""
    asked: list[str] = []
    over = threading.Event()

    def find(event: Any) -> Iterator[tuple[int, Dataset]]:
        asked.append("C-FIND")
        over.wait(answers_after)
        answer = event.identifier
        answer.NumberOfSeriesRelatedInstances = claims
        yield 0xFF00, answer

    def move(event: Any) -> Iterator[object]:
        asked.append(f"C-MOVE to {event.move_destination}")
        yield "127.0.0.1", 1
        yield 0

    entity = AE(AE_TITLE)
    entity.supported_contexts = QueryRetrievePresentationContexts
    handlers = [(evt.EVT_C_FIND, find), (evt.EVT_C_MOVE, move)]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    try:
        yield int(server.socket.getsockname()[1]), asked
    finally:
        over.set()
        server.shutdown()


def test_an_archive_that_sends_nothing_is_asked_once_and_quoted(
    outside_tool: Callable[[str], str], tmp_path: Path
) -> None:
    images = factories.ct_series(GRID, seed="miser")
    with (
        miser(claims=14) as (archive_port, asked),
        assembling(settings_in(tmp_path / "node", free_port(), archive_port), outside_tool("storescu")) as node,
    ):
        node.send(images)
        assert node.closes(images) > 2 * SILENCE
        assert node.parts(images) == [
            "incomplete: the archive has 14, 12 came, asked again by C-MOVE: nothing more came"
        ]
        node.assembler.tick(datetime.now(UTC))
    assert [each for each in asked if each != "C-FIND"] == ["C-MOVE to ISOCENTER"]


def test_an_archive_that_admits_us_and_never_answers_is_left_in_time() -> None:
    with miser(claims=1, answers_after=60) as (port, _), pytest.raises(TryAgain, match="did not answer C-FIND"):
        count_instances(Remote("ISOCENTER", AE_TITLE, "127.0.0.1", port), SeriesName("1.2", "1.2.3"))


@contextmanager
def black_hole() -> Iterator[int]:
    """A port that accepts connections, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])


@contextmanager
def nobody() -> Iterator[int]:
    """A port on which nobody listens."""
    yield free_port()


@pytest.mark.parametrize("silent", [nobody, black_hole], ids=["nobody listens", "accepts and never answers"])
def test_a_dead_archive_holds_up_no_other_series_and_its_own_fall_back_to_positions(
    outside_tool: Callable[[str], str], tmp_path: Path, silent: Callable[[], Any]
) -> None:
    theirs = [factories.ct_series(GRID, seed=f"theirs {number}") for number in range(3)]
    direct = factories.ct_series(GRID, seed="direct")
    with (
        silent() as dead,
        assembling(settings_in(tmp_path / "node", free_port(), dead), outside_tool("storescu")) as node,
        capture_logs() as logged,
    ):
        for images in theirs:
            node.send(images)
        node.send(direct, DIRECT)
        longest_tick = _longest_tick(node, direct)
        for images in theirs:
            node.closes(images)
            assert node.evidence(images) == "association released, no hole"
    assert longest_tick < 2
    assert len([event for event in logged if event["event"] == "archive does not help"]) == 1


def _longest_tick(node: SmallNode, images: Sequence[Dataset]) -> float:
    """Tick until the Series is closed; the longest of these looks."""
    longest = 0.0
    while not node.evidence(images):
        began = time.monotonic()
        node.assembler.tick(datetime.now(UTC))
        longest = max(longest, time.monotonic() - began)
        time.sleep(0.05)
    return longest


def test_a_count_ends_in_time_when_the_archive_never_answers() -> None:
    began = time.monotonic()
    with black_hole() as port, pytest.raises(TryAgain, match="not reachable"):
        count_instances(Remote("ISOCENTER", AE_TITLE, "127.0.0.1", port), SeriesName("1.2", "1.2.3"))
    assert time.monotonic() - began < 30


def test_a_series_that_the_archive_does_not_know_has_no_instances_there(archive: Orthanc) -> None:
    assert count_instances(Remote("ISOCENTER", AE_TITLE, "127.0.0.1", archive.port), SeriesName("1.2", "1.2.3")) == 0


@pytest.mark.parametrize("seed", range(3))
def test_many_series_that_come_in_turns_and_in_any_order_are_all_whole(
    node: SmallNode, archive: Orthanc, seed: int
) -> None:
    """Two senders share every Series, each over several associations with pauses, in random order."""
    random = Random(seed)
    many = [factories.ct_series(GRID, seed=f"turns {seed} {number}") for number in range(6)]
    mixed = [image for images in many for image in images]
    keep(archive, mixed)
    random.shuffle(mixed)
    shares = [mixed[start::6] for start in range(6)]
    senders = [
        threading.Thread(target=_send_with_pauses, args=(node, shares[:3], SENDER)),
        threading.Thread(target=_send_with_pauses, args=(node, shares[3:], DIRECT)),
    ]
    for sender in senders:
        sender.start()
    while any(sender.is_alive() for sender in senders):
        node.assembler.tick(datetime.now(UTC))
        time.sleep(0.05)
    for images in many:
        node.closes(images)
    assert [node.parts(images) for images in many] == [[WHOLE]] * 6
    assert {node.evidence(images) for images in many} == {"as many as the archive has"}


def _send_with_pauses(node: SmallNode, shares: Sequence[Sequence[Dataset]], calling_ae_title: str) -> None:
    for share in shares:
        node.send(share, calling_ae_title)
        time.sleep(QUIET * 2)


def test_a_gapless_series_is_queued_long_before_silence(outside_tool: Callable[[str], str], tmp_path: Path) -> None:
    """In a whole node with the waits of a new configuration; how soon exactly is said in CHANGELOG.md."""
    packages.with_weights(tmp_path / "packages" / "tiny")
    models = {"packages": [str(tmp_path / "packages")]}
    waits = Assembling().model_dump()
    rules = [rule("tiny", modality="CT")]
    settings = configure(tmp_path / "node", free_port(), rules, inferring=models, assembling=waits)
    (tmp_path / "sent").mkdir()
    for number, image in enumerate(factories.ct_series(GRID, seed="soon")):
        (tmp_path / "sent" / f"{number}.dcm").write_bytes(encode(image))
    with running(settings) as node:
        assert node.storescu(outside_tool("storescu"), "+sd", str(tmp_path / "sent")).returncode == 0
        answered_at = datetime.now(UTC)
        until(node.jobs, "a job is queued")
        (job,) = node.jobs()
        (row,) = node.series()
    assert row["closed_on"] == "association released, no hole"
    assert (job["created_at"] - answered_at).total_seconds() < settings.node.assembling.quiet_seconds_otherwise / 4
