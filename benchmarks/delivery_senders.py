"""Who sends results: Isocenter and pynetdicom in a process that is there already, DCMTK's programs as wholes."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydicom import dcmread
from pynetdicom import AE, _config, build_context

from benchmarks.machine import ROOT, BenchmarkError, program
from benchmarks.server import bare_environment
from benchmarks.subjects import SENDER
from service.edge.storage_scu import Remote, store

_AT_ONCE = {"TCP_NODELAY": "1"}


@dataclass(frozen=True, slots=True)
class Peer:
    """Where the objects go."""

    port: int
    ae_title: str


@dataclass(frozen=True, slots=True)
class Run:
    """One sending of all objects."""

    seconds: float
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class Way:
    """A sender: its command line for a peer and a folder of objects."""

    title: str
    line: Callable[[Peer, Path], list[str]]
    environment: Mapping[str, str] = field(default_factory=dict)
    measures_itself: bool = False

    def send(self, peer: Peer, objects: Path) -> Run:
        """Send every file of a folder. Raises BenchmarkError when the sender says that it could not."""
        environment = {**bare_environment(), **self.environment, "PYTHONPATH": str(ROOT)}
        with tempfile.TemporaryFile("w+") as said:
            began = time.perf_counter()
            process = subprocess.Popen(self.line(peer, objects), env=environment, stdout=said, stderr=subprocess.STDOUT)
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - began
            process.returncode = os.waitstatus_to_exitcode(status)
            said.seek(0)
            lines = said.read().splitlines()
        if process.returncode:
            raise BenchmarkError(f"{self.title} failed: {lines[-3:]}")
        return Run(**json.loads(lines[-1])) if self.measures_itself else Run(seconds, usage.ru_utime + usage.ru_stime)


def by_isocenter(peer: Peer, paths: list[Path]) -> None:
    """As the node's stage does, in one association."""
    remote = Remote(SENDER, peer.ae_title, "127.0.0.1", peer.port)
    statuses = [status for _, status in store(remote, paths)]
    if statuses != [0x0000] * len(paths):
        raise BenchmarkError(f"the answers were {set(statuses)}, {len(statuses)} in all")


def by_pynetdicom(peer: Peer, paths: list[Path]) -> None:
    """Its documented way, without its logging."""
    _config.LOG_HANDLER_LEVEL = "none"
    kinds = {(each.SOPClassUID, each.file_meta.TransferSyntaxUID) for each in (dcmread(path) for path in paths)}
    entity = AE(SENDER)
    contexts = [build_context(sop_class, syntax) for sop_class, syntax in kinds]
    association = entity.associate("127.0.0.1", peer.port, contexts, ae_title=peer.ae_title)
    for path in paths:
        answer = association.send_c_store(dcmread(path))
        while "Status" not in answer and association.is_established:  # its threads took the answer from one another
            answer = association.send_c_store(dcmread(path))
        if answer.Status != 0x0000:
            raise BenchmarkError(f"the answer was {answer.Status:04X}")
    association.release()


HERE = {"isocenter": by_isocenter, "pynetdicom": by_pynetdicom}


def send_here(name: str, peer: Peer, objects: Path) -> None:
    """Send in this process, and print what it took."""
    paths = sorted(objects.iterdir())
    began, cpu_before = time.perf_counter(), time.process_time()
    HERE[name](peer, paths)
    print(json.dumps(asdict(Run(time.perf_counter() - began, time.process_time() - cpu_before))))


def _in_a_process(name: str) -> Callable[[Peer, Path], list[str]]:
    own = [sys.executable, "-P", "-m", "benchmarks.deliver", "--sender", name]
    return lambda peer, folder: [*own, "--port", str(peer.port), "--called", peer.ae_title, "--objects", str(folder)]


def _dcmtk(name: str, *options: str) -> Callable[[Peer, Path], list[str]]:
    def line(peer: Peer, folder: Path) -> list[str]:
        names = ["-aet", SENDER, "-aec", peer.ae_title]
        return [program(name), *names, *options, "+sd", "127.0.0.1", str(peer.port), str(folder)]

    return line


WAYS = {
    "isocenter": Way("Isocenter", _in_a_process("isocenter"), measures_itself=True),
    "storescu": Way("DCMTK storescu, as installed", _dcmtk("storescu", "-R")),
    "storescu-nodelay": Way("DCMTK storescu, TCP_NODELAY=1", _dcmtk("storescu", "-R"), _AT_ONCE),
    "dcmsend": Way("DCMTK dcmsend, as installed", _dcmtk("dcmsend")),
    "dcmsend-nodelay": Way("DCMTK dcmsend, TCP_NODELAY=1", _dcmtk("dcmsend"), _AT_ONCE),
    "pynetdicom": Way("pynetdicom send_c_store", _in_a_process("pynetdicom"), measures_itself=True),
}
