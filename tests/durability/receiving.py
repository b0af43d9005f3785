"""A receiver of its own, to be killed and started again on the same spool."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import yaml

from service.core.errors import TryAgain
from service.edge.storage_scu import Remote, echo
from service.settings import Settings, load
from service.settings.receiving import Receiving
from tests.durability import sabotage
from tests.node import SENDER, configure, until

ENGINES = ("fast", "stock") if "engine" in Receiving.model_fields else ("only",)
_TOKEN = "ISOCENTER_RECEIVER_UNDER_TEST"  # inherited by whatever the receiver starts
_ROOT = Path(__file__).parents[2]
_GONE = suppress(FileNotFoundError, ProcessLookupError, PermissionError)  # PermissionError: another user's


class Faults:
    """The sabotage of one receiver: a fault is on while its file is there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "path").mkdir(parents=True)
        shutil.copy(sabotage.__file__, folder / "path" / "sitecustomize.py")

    def on(self, fault: str, every: int = 1) -> None:
        """From now on, strike every so many calls of a kind, counted in each process by itself."""
        draft = self.folder / f"{fault}.draft"
        draft.write_text(str(every))
        draft.replace(self.folder / fault)

    def off(self, fault: str) -> None:
        """The fault is over."""
        (self.folder / fault).unlink()

    def watch_flushes(self) -> None:
        """Keep a journal of every fsync from now on."""
        (self.folder / sabotage.JOURNAL).touch()

    def flushes(self, kind: str) -> list[tuple[str, str]]:
        """Which inodes were to be flushed, files or folders, and how each fsync ended: "ok" or "EIO"."""
        rows = [line.split() for line in (self.folder / sabotage.JOURNAL).read_text().splitlines()]
        return [(inode, outcome) for outcome, what, inode in rows if what == kind]

    @property
    def environment(self) -> dict[str, str]:
        """What makes the Python processes of a receiver load the sabotage."""
        paths = [str(self.folder / "path"), os.environ.get("PYTHONPATH", "")]
        return {sabotage.VARIABLE: str(self.folder), "PYTHONPATH": os.pathsep.join(filter(None, paths))}


class RunningReceiver:
    """`python -m service.roles.receiver`, and everything it starts."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.faults = Faults(settings.folder / "faults")
        self.log = settings.folder / "receiver.log"
        self._running: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.settings.node.receiving.port

    @property
    def spool(self) -> Path:
        """The root of its spool."""
        return self.settings.spool

    def start(self) -> None:
        """Run it until it answers C-ECHO."""
        environment = os.environ | self.faults.environment | {_TOKEN: str(self.settings.folder)}
        line = [sys.executable, "-P", "-m", "service.roles.receiver", str(self.settings.folder)]
        with self.log.open("ab") as stream:
            self._running = subprocess.Popen(line, stdout=stream, stderr=stream, env=environment, cwd=_ROOT)
        until(self._answers_or_ended, "the receiver answers C-ECHO", seconds=30, pause=0.05)

    def kill(self) -> None:
        """SIGKILL to it and to everything it started."""
        while pids := self.pids():
            for pid in pids:
                with _GONE:
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)
        if self._running:
            self._running.wait(10)

    def pids(self) -> list[int]:
        """It and everything it started, as far as it lives."""
        return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and self._is_ours(entry)]

    def _is_ours(self, entry: Path) -> bool:
        with _GONE:
            return f"{_TOKEN}={self.settings.folder}".encode() in (entry / "environ").read_bytes().split(b"\0")
        return False

    def _answers_or_ended(self) -> bool:
        assert self._running is not None
        assert self._running.poll() is None, f"the receiver ended:\n{self.log.read_text()[-2000:]}"
        try:
            echo(Remote(SENDER, self.settings.node.receiving.ae_title, "127.0.0.1", self.port))
        except TryAgain:
            return False
        return True


def settings_for(folder: Path, spool: Path, engine: str = "only") -> Settings:
    """The settings of a receiver with one acceptor, which takes whatever the disk takes."""
    wishes = {"refuse_below_free": 0, "processes": 1, "engine": engine}
    known = {key: value for key, value in wishes.items() if key in Receiving.model_fields and value != "only"}
    configure(folder, archive_port=1, rules=[], receiving=known)
    node = yaml.safe_load((folder / "node.yaml").read_text()) | {"spool": str(spool)}
    (folder / "node.yaml").write_text(yaml.safe_dump(node))
    return load(folder)


@contextmanager
def receiver_on(
    folder: Path, spool: Path, engine: str = "only", faults: Sequence[str] = ()
) -> Iterator[RunningReceiver]:
    """A receiver that answers, with faults that are on from its start; nothing of it is left at the end."""
    receiver = RunningReceiver(settings_for(folder, spool, engine))
    for fault in faults:
        receiver.faults.on(fault)
    try:
        receiver.start()
        yield receiver
    finally:
        receiver.kill()
