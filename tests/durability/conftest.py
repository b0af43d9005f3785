"""What the tests of durability are lent: disks, strace, and a place for their figures."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.durability.disks import DiskRefusedError, Tmpfs, tmpfs
from tests.durability.receiving import ENGINES
from tests.durability.tracing import TracingRefusedError, require_tracing

_ENGINES = [ENGINES[0], *(pytest.param(engine, marks=pytest.mark.exhaustive) for engine in ENGINES[1:])]


@pytest.fixture(params=_ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """Each way of receiving: the one that a site gets unless it decides otherwise, and when exhaustive the others."""
    return str(request.param)


@pytest.fixture
def strace(outside_tool: Callable[[str], str], tmp_path: Path) -> str:
    """The path of strace; skips with a reason where it may not attach to a process."""
    program = outside_tool("strace")
    try:
        require_tracing(program, tmp_path / "probe.log")
    except TracingRefusedError as reason:
        pytest.skip(str(reason))
    return program


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Tmpfs]]:
    """A tmpfs by its options; skips with a reason where none can be mounted."""
    with ExitStack() as stack:

        def mount(options: str) -> Tmpfs:
            try:
                return stack.enter_context(tmpfs(tmp_path / "small", options))
            except DiskRefusedError as reason:
                pytest.skip(str(reason))

        yield mount


@pytest.fixture
def figures(capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest) -> Callable[..., None]:
    """Print one JSON line of figures, shown whether or not the test passes."""

    def show(**values: object) -> None:
        with capsys.disabled():
            print("\n" + json.dumps({"test": request.node.name, **values}))

    return show
