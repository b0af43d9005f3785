"""A receiver that runs: started in a session of its own, awaited, looked into, and ended with all it forked."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pynetdicom import AE
from pynetdicom.sop_class import Verification

from benchmarks.cost import Tree
from benchmarks.machine import BenchmarkError, free_port
from benchmarks.subjects import SENDER, Launch, Place, Subject

_START_SECONDS = 60.0
_LOG_TAIL = 2000


@dataclass(frozen=True, slots=True)
class Server:
    """A receiver that answers C-ECHO."""

    tree: Tree
    port: int
    ae_title: str
    storage: Path
    log: Path

    def kept(self, at_least: int) -> int:
        """How many files of that many bytes or more lie in the storage."""
        return sum(path.stat().st_size >= at_least for path in self.storage.rglob("*") if path.is_file())

    def last_words(self) -> str:
        """The end of what it wrote to its log."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-_LOG_TAIL:]


@contextmanager
def running(subject: Subject, folder: Path, *, as_installed: bool) -> Iterator[Server]:
    """A subject that stores below `folder`; `as_installed` leaves DCMTK and Orthanc the delays they come with."""
    folder.mkdir(parents=True)
    place = Place(folder, free_port())
    launch = subject.launch(subject, place)
    log = folder / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            launch.line,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            env=_environment(launch, as_installed=as_installed),
            start_new_session=True,
        )
    server = Server(Tree(process.pid), place.port, launch.ae_title, launch.storage, log)
    try:
        _await(server, process, subject)
        yield server
    finally:
        server.tree.end()
        process.wait()


def bare_environment() -> dict[str, str]:
    """The environment without what would change DCMTK."""
    return {name: value for name, value in os.environ.items() if name != "TCP_NODELAY"}


def _environment(launch: Launch, *, as_installed: bool) -> dict[str, str]:
    at_once = {} if as_installed else {"TCP_NODELAY": "1"}  # DCMTK, and Orthanc by it, leave Nagle's algorithm on
    return bare_environment() | at_once | dict(launch.environment)


def _await(server: Server, process: subprocess.Popen[bytes], subject: Subject) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not _answers(server):
        if process.poll() is not None or time.monotonic() > deadline:
            raise BenchmarkError(f"{subject.name} does not answer C-ECHO; its log ends: {server.last_words()}")
        time.sleep(0.1)


def _answers(server: Server) -> bool:
    entity = AE(SENDER)
    entity.add_requested_context(Verification)
    association = entity.associate("127.0.0.1", server.port, ae_title=server.ae_title)
    if not association.is_established:
        return False
    answer = association.send_c_echo()
    association.release()
    return "Status" in answer and answer.Status == 0
