"""Storage commitment between a whole node and Orthanc, in both directions."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.uid import ImplicitVRLittleEndian, generate_uid

from service.commands.archive import AE_TITLE, Orthanc, free_port, orthanc
from service.core.commitment import Referenced, Told
from service.core.outbox import CommitmentReport, Reference
from service.derived.encoding import encode
from service.edge import commitment
from service.edge.commitment_content import read_report
from service.edge.commitment_files import reports, requests
from service.edge.spool import Spool
from service.edge.storage_scu import Remote
from tests import factories
from tests.commitment_peer import Listener, at_home, modality, request
from tests.hostile.client import NotServedError
from tests.node import SENDER, Node, configure, running, until

GRID = factories.grid(shape=(2, 16, 16))
CT = "1.2.840.10008.5.1.4.1.1.2"
NEVER_CAME = Referenced(CT, "1.2.3.4.5")


@pytest.fixture(scope="module")
def node_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def archive(
    node_port: int, outside_tool: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Orthanc]:
    with orthanc(outside_tool("Orthanc"), tmp_path_factory.mktemp("orthanc"), node_port=node_port) as running:
        yield running


@pytest.fixture(scope="module")
def listener() -> Listener:
    return Listener("CT02", free_port())


@pytest.fixture(scope="module", params=["fast", "stock"])
def node(
    request: pytest.FixtureRequest,
    archive: Orthanc,
    listener: Listener,
    node_port: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Node]:
    peers: list[dict[str, Any]] = [
        {"ae_title": SENDER, "host": "127.0.0.1"},
        {"ae_title": AE_TITLE, "host": "127.0.0.1", "report_to": {"host": "127.0.0.1", "port": archive.port}},
        {"ae_title": "CT02", "host": "127.0.0.1", "report_to": {"host": "127.0.0.1", "port": listener.port}},
    ]
    receiving = {"port": node_port, "peers": peers, "engine": request.param}
    folder = tmp_path_factory.mktemp("node")
    with running(configure(folder, archive.port, [], receiving=receiving)) as node:
        yield node


@contextmanager
def nobody_takes_reports(node: Node) -> Iterator[None]:
    """The dispatcher stands still meanwhile."""
    held = node.pids("dispatcher")
    for pid in held:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in held:
            os.kill(pid, signal.SIGCONT)


@pytest.fixture
def spool(node: Node) -> Spool:
    return Spool(node.settings.spool)


def images(seed: str) -> list[Dataset]:
    return factories.ct_series(GRID, seed=f"{seed} {generate_uid()}")


def test_what_the_archive_holds_and_lacks_it_reports_to_the_receiver(
    archive: Orthanc, spool: Spool, node: Node
) -> None:
    kept = images("kept")
    for image in kept:
        archive.post("/instances", encode(image))
    names = [(str(image.SOPClassUID), str(image.SOPInstanceUID)) for image in kept]
    transaction = str(generate_uid())
    references = [Reference(*name, "1.2", "1.2.3") for name in (*names, (CT, "1.2.3.4.5"))]
    remote = Remote("ISOCENTER", AE_TITLE, "127.0.0.1", archive.port)
    with nobody_takes_reports(node):
        assert commitment.ask(remote, transaction, references, same_association_seconds=0.2) is None
        until(lambda: reports(spool), "the report has come", seconds=20)
        (told,) = reports(spool)
    held = frozenset(uid for _, uid in names)
    assert told == Told(AE_TITLE, "127.0.0.1", CommitmentReport(transaction, held, {"1.2.3.4.5": 0x0112}))
    until(lambda: not reports(spool), "the dispatcher has taken the report", seconds=20)


@pytest.mark.parametrize(("sent", "status"), [(2, "Success"), (1, "Failure")])
def test_the_archive_is_told_at_home_what_we_hold_of_what_it_sent(
    archive: Orthanc, spool: Spool, sent: int, status: str
) -> None:
    ours = images("sent")
    keys = [archive.post("/instances", encode(image))["ID"] for image in ours]
    archive.post("/modalities/node/store", keys[:sent])
    path = archive.post("/modalities/node/storage-commitment", {"Resources": keys})["Path"]
    until(lambda: archive.ask(path)["Status"] != "Pending", "the archive has been told", seconds=20)
    told = archive.ask(path)
    assert told["Status"] == status
    assert {each["SOPInstanceUID"] for each in told["Success"]} == {str(image.SOPInstanceUID) for image in ours[:sent]}
    assert [each["FailureReason"] for each in told["Failures"]] == [0x0112] * (2 - sent)
    until(lambda: not requests(spool), "nothing waits any more", seconds=5)


def test_a_peer_without_a_place_to_report_to_is_told_in_the_association_in_which_it_asked(
    node: Node, archive: Orthanc
) -> None:
    (image, _) = images("here")
    archive.post("/modalities/node/store", [archive.post("/instances", encode(image))["ID"]])
    here = Referenced(str(image.SOPClassUID), str(image.SOPInstanceUID))
    with modality(node.settings.node.receiving.port, SENDER) as peer:
        assert peer.asks(request("1.2", [here, NEVER_CAME])) == 0x0000
        said = read_report(peer.hears().content, ImplicitVRLittleEndian)
    assert said == CommitmentReport("1.2", frozenset({here.sop_instance_uid}), {"1.2.3.4.5": 0x0112})


def test_a_peer_that_was_away_is_told_by_a_dispatcher_that_was_killed_since(
    node: Node, listener: Listener, spool: Spool
) -> None:
    transaction = str(generate_uid())
    with modality(node.settings.node.receiving.port, listener.ae_title) as peer:
        assert peer.asks(request(transaction, [NEVER_CAME])) == 0x0000
    until(lambda: [pending.attempts for pending in requests(spool)] == [1], "it was tried", seconds=20)
    node.kill("dispatcher")
    with at_home(listener):
        until(lambda: not requests(spool), "the peer has been told", seconds=60)
    assert listener.heard[-1] == (
        "ISOCENTER",
        "CT02",
        2,
        CommitmentReport(transaction, frozenset(), {"1.2.3.4.5": 0x0112}),
    )


def test_who_is_not_a_peer_asks_nothing(node: Node) -> None:
    with pytest.raises(NotServedError), modality(node.settings.node.receiving.port, "STRANGER"):
        pass
