"""The dispatcher, killed at each named place of sending and of asking: every object is delivered, and once."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.commands.archive import Orthanc, free_port, orthanc
from tests.delivery.backlog import fill, role, start_role, states
from tests.node import configure, until

OBJECTS = 6


@pytest.fixture
def pacs(outside_tool: object, tmp_path: Path, node_port: int) -> Iterator[Orthanc]:
    assert callable(outside_tool)
    with orthanc(outside_tool("Orthanc"), tmp_path / "pacs", node_port=node_port) as archive:
        yield archive


@pytest.fixture
def node_port() -> int:
    return free_port()


@pytest.mark.parametrize(
    ("failpoint", "way"),
    [
        pytest.param("deliver.started:1", "query", id="what is to be sent is leased"),
        pytest.param("deliver.answered:1", "query", id="the first was answered"),
        pytest.param("deliver.answered:4", "query", id="the fourth was answered"),
        pytest.param("deliver.settled:3", "query", id="the third is recorded"),
        pytest.param("prove.queried:1", "query", id="a query was answered"),
        pytest.param("prove.asking:1", "commitment", id="a commitment is to be asked for"),
        pytest.param("prove.asked:1", "commitment", id="a commitment was asked for"),
        pytest.param("prove.taking:1", "commitment", id="a report has come"),
    ],
)
def test_killed_at_any_step_every_object_is_delivered_once(
    pacs: Orthanc, node_port: int, tmp_path: Path, failpoint: str, way: str
) -> None:
    settings = configure(
        tmp_path / "config",
        pacs.port,
        [],
        destination={"proof": [way, "query"], "commitment_minutes": 0.1},
        receiving={"port": node_port},
    )
    uids = fill(settings, OBJECTS)
    with role("receiver", settings):
        struck = start_role("dispatcher", settings, failpoint)
        assert struck.wait(60) == -signal.SIGKILL
        with role("dispatcher", settings):
            until(lambda: states(settings) == {"COMMITTED": OBJECTS}, "every object is proven", seconds=60)
    assert sorted(str(each.SOPInstanceUID) for each in pacs.datasets()) == sorted(uids)
