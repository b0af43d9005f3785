"""A stand-in for the PACS, for the demo and the tests: Orthanc where it is installed, else an SCP of ours."""

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

from pydicom import dcmread
from pydicom.dataset import Dataset

from service.core.errors import Broken
from service.edge.file_meta import Offer, encode_meta
from service.edge.intake import SUCCESS, InMemory
from service.edge.listening import listening
from service.edge.storage_scp import Door, StorageScp

AE_TITLE = "ARCHIVE"
_START_SECONDS = 15.0
_STOP_SECONDS = 15.0


class Archive(Protocol):
    """Somewhere that keeps what it is sent."""

    @property
    def name(self) -> str:
        """What it is."""

    @property
    def port(self) -> int:
        """Its DICOM port."""

    def datasets(self) -> list[Dataset]:
        """Everything it holds."""


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def standing_in(folder: Path, *, port: int = 0, node_port: int = 0) -> Iterator[Archive]:
    """A running archive that keeps its files below `folder`, and knows the node at `node_port`."""
    program = orthanc_program()
    running = orthanc(program, folder, port=port, node_port=node_port) if program else _embedded(folder, port=port)
    with running as archive:
        yield archive


def orthanc_program() -> str | None:
    """The path of Orthanc; Debian keeps it in /usr/sbin."""
    return shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin")


@dataclass(frozen=True, slots=True)
class _Embedded:
    name: str
    port: int
    folder: Path

    def datasets(self) -> list[Dataset]:
        """Every file."""
        return [dcmread(path) for path in sorted(self.folder.glob("*.dcm"))]


@contextmanager
def _embedded(folder: Path, *, port: int) -> Iterator[Archive]:
    folder.mkdir(parents=True, exist_ok=True)

    def keep(offer: Offer, data_set: bytes) -> int:
        (folder / f"{offer.sop_instance_uid}.dcm").write_bytes(encode_meta(offer) + data_set)
        return SUCCESS

    scp = StorageScp(Door(AE_TITLE), lambda offer: InMemory(offer, keep), lambda _: None)
    with listening(scp, port=port) as listens_on:
        yield _Embedded("embedded SCP", listens_on, folder)


@dataclass(frozen=True, slots=True)
class Orthanc:
    """A running Orthanc."""

    name: str
    port: int
    http_port: int
    process: subprocess.Popen[bytes]

    def ask(self, path: str) -> Any:
        """The JSON answer of its REST API."""
        return json.loads(self.fetch(path))

    def fetch(self, path: str) -> bytes:
        """The bytes that its REST API answers with."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}", timeout=30) as answer:
            return bytes(answer.read())

    def post(self, path: str, content: object) -> Any:
        """The JSON answer of its REST API to a POST of JSON, or of bytes as they are."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}{path}", data=body, method="POST")
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.loads(answer.read())

    def delete(self, path: str) -> None:
        """Delete by its REST API."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}{path}", method="DELETE")
        with urllib.request.urlopen(request, timeout=30):
            return

    def datasets(self) -> list[Dataset]:
        """Every instance."""
        return [dcmread(BytesIO(self.fetch(f"/instances/{key}/file"))) for key in self.ask("/instances")]


@contextmanager
def orthanc(
    program: str, folder: Path, *, port: int = 0, node_port: int = 0, plugins: Sequence[Path] = ()
) -> Iterator[Orthanc]:
    """An Orthanc of its own, with its storage below `folder`; it knows the node at `node_port` as "node"."""
    folder.mkdir(parents=True, exist_ok=True)
    port, http_port = port or free_port(), free_port()
    configuration = {
        "Name": "Isocenter's stand-in archive",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "DicomAet": AE_TITLE,
        "DicomPort": port,
        "HttpPort": http_port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAlwaysAllowEcho": True,
        "DicomAlwaysAllowStore": True,
        "DicomAlwaysAllowFind": True,
        "StableAge": 2,
        "Plugins": [str(plugin) for plugin in plugins],
        "DicomModalities": {"node": _node(node_port)} if node_port else {},
    }
    (folder / "orthanc.json").write_text(json.dumps(configuration, indent=1), encoding="utf-8")
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen(
            [program, str(folder / "orthanc.json")], stdout=log, stderr=log, env=os.environ | {"TCP_NODELAY": "1"}
        )
    archive = Orthanc("Orthanc", port, http_port, process)
    try:
        _await_start(archive, folder)
        yield archive
    finally:
        _end(process)


def _node(port: int) -> dict[str, object]:
    return {"AET": "ISOCENTER", "Host": "127.0.0.1", "Port": port, "AllowStorageCommitment": True}


def _await_start(archive: Orthanc, folder: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and archive.process.poll() is None:
        try:
            archive.ask("/system")
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
            continue
        return
    raise Broken(f"Orthanc did not start: see {folder / 'orthanc.log'}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
