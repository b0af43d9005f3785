"""The receivers that are compared: how each is started, and whether it may be."""

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from pydantic import ValidationError

from benchmarks.machine import ROOT, BenchmarkError, compile_c, program
from service.settings.receiving import Receiving

SENDER = "SENDER"
BASELINE = "isocenter"
_WITH_NAMES = "dcmtk-durable-names"
_SHIM = "fsync_on_close"
_MAXIMUM_PDU = 131072
_ROOM = 64  # associations; more than any row opens


@dataclass(frozen=True, slots=True)
class Place:
    """What a receiver is given for one run."""

    folder: Path  # empty, and its own
    port: int


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start a receiver."""

    line: list[str]
    storage: Path  # every instance kept is a file below it
    ae_title: str
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Subject:
    """A receiver; `settings` are those of node.yaml's section `receiving`, and Isocenter's alone."""

    name: str
    title: str
    is_durable: bool
    launch: Callable[["Subject", Place], Launch]
    programs: tuple[str, ...] = ()
    settings: Mapping[str, object] = field(default_factory=dict)
    is_usual: bool = True  # False: measured only when named

    def require(self) -> None:
        """Raises BenchmarkError when a program, or a setting in this version of Isocenter, is missing."""
        for name in self.programs:
            program(name)
        for key, value in self.settings.items():
            if not _is_known(key, value):
                raise BenchmarkError(f"{self.name}: this version's settings have no receiving.{key} of {value!r}")


def _is_known(key: str, value: object) -> bool:
    try:
        Receiving.model_validate({key: value})
    except ValidationError:
        return False
    return True


def _isocenter(subject: Subject, place: Place) -> Launch:
    wished: dict[str, object] = {
        "engine": "fast",
        "limits": {"associations": _ROOM, "associations_per_address": _ROOM},
        "refuse_below_free": 0.001,
    }
    receiving = {key: value for key, value in wished.items() if _is_known(key, value)} | {
        "ae_title": "ISOCENTER",
        "bind": "127.0.0.1",
        "port": place.port,
        "peers": [{"ae_title": SENDER, "host": "127.0.0.1"}],
        **subject.settings,
    }
    sections = {"node": {"receiving": receiving}, "destinations": {}, "rules": {}}
    for name, content in sections.items():
        (place.folder / f"{name}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    line = [sys.executable, "-P", "-m", "service.roles.receiver", str(place.folder)]
    storage = place.folder / "spool" / "incoming"
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return Launch(line, storage, "ISOCENTER", {"PYTHONPATH": os.pathsep.join(paths)})


def _reuseport(subject: Subject, place: Place) -> Launch:
    launch = _isocenter(subject, place)
    line = [sys.executable, "-P", "-m", "benchmarks.reuseport", str(place.folder), "2"]
    return Launch(line, launch.storage, launch.ae_title, launch.environment)


def _storescp(_subject: Subject, place: Place) -> Launch:
    storage = _storage(place)
    line = [program("storescp"), "--fork", "-od", str(storage), str(place.port)]
    return Launch(line, storage, "STORESCP")


def _durable_storescp(subject: Subject, place: Place) -> Launch:
    storage = _storage(place)
    shim = place.folder / f"{_SHIM}.so"
    compile_c(shim, (f"{_SHIM}.c",), "-shared", "-fPIC", "-ldl")
    options = ["--fork", "+B", "-pdu", str(_MAXIMUM_PDU), "-od", str(storage)]
    environment = {"LD_PRELOAD": str(shim), "FSYNC_FOLDER": str(storage)}
    if subject.name == _WITH_NAMES:
        environment["FSYNC_NAMES"] = "1"
    return Launch([program("storescp"), *options, str(place.port)], storage, "STORESCP", environment)


def _orthanc(_subject: Subject, place: Place) -> Launch:
    storage = _storage(place)
    configuration = {
        "Name": "Benchmark",
        "StorageDirectory": str(storage),
        "IndexDirectory": str(place.folder),
        "SyncStorageArea": True,
        "HttpServerEnabled": False,
        "DicomAet": "ORTHANC",
        "DicomPort": place.port,
        "DicomAlwaysAllowEcho": True,
        "DicomAlwaysAllowStore": True,
        "DicomThreadsCount": 10,
        "MaximumPduLength": _MAXIMUM_PDU,
        "Plugins": [],
    }
    path = place.folder / "orthanc.json"
    path.write_text(json.dumps(configuration), encoding="utf-8")
    return Launch([program("Orthanc"), str(path)], storage, "ORTHANC")


def _pynetdicom(_subject: Subject, place: Place) -> Launch:
    storage = _storage(place)
    options = ["-ba", "127.0.0.1", "-od", str(storage)]
    return Launch([sys.executable, "-m", "pynetdicom", "storescp", *options, str(place.port)], storage, "STORESCP")


def _storage(place: Place) -> Path:
    storage = place.folder / "storage"
    storage.mkdir()
    return storage


SUBJECTS = (
    Subject(BASELINE, "Isocenter", True, _isocenter),
    Subject("dcmtk-durable", "DCMTK storescp, 128 KiB PDUs, fsync", True, _durable_storescp, ("storescp", "gcc")),
    Subject(
        _WITH_NAMES,
        "DCMTK storescp, 128 KiB PDUs, fsync of file and folder",
        True,
        _durable_storescp,
        ("storescp", "gcc"),
    ),
    Subject("dcmtk", "DCMTK storescp", False, _storescp, ("storescp",)),
    Subject("orthanc", "Orthanc, SyncStorageArea", True, _orthanc, ("Orthanc",)),
    Subject("pynetdicom", "pynetdicom storescp", False, _pynetdicom),
    Subject("isocenter-stock", "Isocenter, stock", True, _isocenter, settings={"engine": "stock"}, is_usual=False),
    Subject("isocenter-reuseport", "Isocenter, SO_REUSEPORT, 2 processes", True, _reuseport, is_usual=False),
    Subject(
        "isocenter-grouped", "Isocenter, grouped", True, _isocenter, settings={"flushing": "grouped"}, is_usual=False
    ),
    Subject("isocenter-1", "Isocenter, 1 process", True, _isocenter, settings={"processes": 1}, is_usual=False),
)
