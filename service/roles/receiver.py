"""The process at the door: it accepts connections, counts them, and hands each to the acceptor that has the fewest.

It never reads a byte of DICOM, and loads no torch, SQLAlchemy or SimpleITK.
"""

import os
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from itertools import count
from pathlib import Path

import structlog

from service.core.doorkeeping import Doorkeeper, Full, Slot
from service.core.errors import TryAgain
from service.edge import logs, metrics
from service.edge.handover import Handed, channel, hand_over, hear_end
from service.edge.listening import TurningAway, listen
from service.edge.spool import Spool
from service.roles.life import FINISH_SECONDS, PARENT_VARIABLE, Life, live
from service.roles.securing import door_credentials
from service.settings import Settings
from service.settings.receiving import Receiving

_TICK_SECONDS = 0.2
_MOST_PROCESSES = 4  # by default: more than the disk can follow
_RESTART_SECONDS = 1.0
_MEMORY = "/dev/shm"  # counters are lost with the process; on a full disk they would end it
_REST_SECONDS = 0.2  # after an accept that failed for want of descriptors


class Acceptor:
    """A process that serves associations, and the slots of those it has."""

    def __init__(self, settings: Settings, counting: Path) -> None:
        self.slots: dict[int, Slot] = {}
        self.started_at = time.monotonic()
        self.channel, theirs = channel()
        with theirs:
            command = [sys.executable, "-P", "-m", "service.roles.acceptor", str(settings.folder), str(theirs.fileno())]
            environment = os.environ | {
                PARENT_VARIABLE: str(os.getpid()),
                metrics.FOLDER_VARIABLE: str(counting),
                "MALLOC_ARENA_MAX": "2",  # else each of many short-lived threads leaves memory behind
            }
            self.process = subprocess.Popen(command, env=environment, pass_fds=[theirs.fileno()])

    def close_channel(self) -> None:
        """Nothing more will be handed over."""
        with suppress(OSError):  # it is gone
            self.channel.shutdown(socket.SHUT_WR)

    def stop(self) -> None:
        """Let it finish what is open; what outlasts that is killed."""
        self.close_channel()
        try:
            self.process.wait(FINISH_SECONDS + 5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.channel.close()


class Doorway:
    """Listens, and keeps as many acceptors running as the site wants."""

    def __init__(self, settings: Settings, counting: Path) -> None:
        self._settings = settings
        self._counting = counting
        self._spool = Spool(settings.spool)
        self._spool.sweep_after_the_dead()  # of a receiver that was killed
        receiving = settings.node.receiving
        self._keeper = Doorkeeper(receiving.capacity, [entry.host for entry in receiving.admitted])
        self._numbers = count(1)
        self._selector = selectors.DefaultSelector()
        self._acceptors: list[Acceptor] = []
        self._turning_away = TurningAway()
        self._listeners = _listeners(receiving)
        self._log = structlog.get_logger()
        for _ in range(processes(receiving)):
            self._start_acceptor()
        for listener in self._listeners:
            self._selector.register(listener, selectors.EVENT_READ)

    def tick(self) -> None:
        """Serve what happened within a short while."""
        for key, _ in self._selector.select(_TICK_SECONDS):
            if isinstance(key.data, Acceptor):
                self._hear(key.data)
            elif isinstance(key.fileobj, socket.socket):
                self._accept(key.fileobj)
        self._turning_away.close_due(time.monotonic())
        metrics.OPEN_CONNECTIONS.set(self._keeper.open_connections)

    def close(self) -> None:
        """Close the port, let open associations finish, and end every acceptor."""
        for listener in self._listeners:
            listener.close()
        self._turning_away.close()
        for acceptor in self._acceptors:
            acceptor.close_channel()
        for acceptor in self._acceptors:
            acceptor.stop()
        self._selector.close()

    def _start_acceptor(self) -> None:
        acceptor = Acceptor(self._settings, self._counting)
        self._acceptors.append(acceptor)
        self._selector.register(acceptor.channel, selectors.EVENT_READ, acceptor)

    def _accept(self, listener: socket.socket) -> None:
        try:
            connection, peer = listener.accept()
        except OSError as error:  # no descriptors left: the connection waits where it is
            self._log.error("connection not accepted", reason=error.strerror)
            time.sleep(_REST_SECONDS)
            return
        secured = listener is not self._listeners[0]
        slot = self._keeper.admit(peer[0])
        if isinstance(slot, Full):
            self._refuse(connection, peer[0], slot.sentence, secured)
            return
        with connection:
            self._hand_over(connection, slot, secured)

    def _refuse(self, connection: socket.socket, address: str, sentence: str, secured: bool) -> None:
        metrics.count(metrics.TURNED_AWAY)
        self._log.warning("connection turned away", address=address, reason=sentence)
        if secured:  # plain words would look like a port without TLS
            connection.close()
            return
        self._turning_away.turn_away(connection, time.monotonic())

    def _hand_over(self, connection: socket.socket, slot: Slot, secured: bool) -> None:
        number = next(self._numbers)
        for acceptor in sorted(self._acceptors, key=lambda each: len(each.slots)):
            try:
                hand_over(acceptor.channel, Handed(number, slot.address, secured), connection)
            except TryAgain as error:
                self._log.error("connection not handed over", reason=str(error))
                continue
            acceptor.slots[number] = slot
            return
        self._keeper.leave(slot)

    def _hear(self, acceptor: Acceptor) -> None:
        number = hear_end(acceptor.channel)
        if number is None:
            self._bury(acceptor)
            return
        slot = acceptor.slots.pop(number, None)
        if slot:
            self._keeper.leave(slot)

    def _bury(self, acceptor: Acceptor) -> None:
        """Its connections ended with it; what it had half-written goes, and another takes its place."""
        self._selector.unregister(acceptor.channel)
        self._acceptors.remove(acceptor)
        acceptor.stop()
        for slot in acceptor.slots.values():
            self._keeper.leave(slot)
        swept = self._spool.sweep_after_the_dead()
        self._log.error(
            "acceptor died", exit_code=acceptor.process.returncode, connections=len(acceptor.slots), swept=swept
        )
        if time.monotonic() - acceptor.started_at < _RESTART_SECONDS:
            time.sleep(_RESTART_SECONDS)
        self._start_acceptor()


def run(settings: Settings) -> None:
    """Receive until told to stop; then close the port, let open associations finish, and abort what is left."""
    logs.configure("receiver")
    life = Life()
    receiving = settings.node.receiving
    door_credentials(settings)  # what does not fit is said once, and not by every acceptor
    counting = Path(tempfile.mkdtemp(prefix="isocenter-metrics-", dir=_MEMORY if Path(_MEMORY).is_dir() else None))
    doorway = Doorway(settings, counting)
    structlog.get_logger().info(
        "receiving", ae_title=receiving.ae_title, port=receiving.port, peers=len(receiving.peers)
    )
    if receiving.metrics_port:
        metrics.publish("127.0.0.1", receiving.metrics_port, counting)
    while life.goes_on():
        doorway.tick()
    doorway.close()
    shutil.rmtree(counting, ignore_errors=True)
    structlog.get_logger().info("stopped")


def processes(receiving: Receiving) -> int:
    """How many acceptors: as configured, else as many as there are cores, up to four."""
    return receiving.processes or min(len(os.sched_getaffinity(0)), _MOST_PROCESSES)


def _listeners(receiving: Receiving) -> list[socket.socket]:
    """The plain port and then, where there is one, that of TLS."""
    ports = [receiving.port, *([receiving.tls.port] if receiving.tls else [])]
    return [listen(receiving.bind, port) for port in ports]


if __name__ == "__main__":
    live(run)
