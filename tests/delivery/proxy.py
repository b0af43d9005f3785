"""A proxy that breaks connections in front of an archive: which one, how and after which byte is said beforehand."""

import random
import socket
import struct
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from itertools import chain, repeat

_RESET_AT_CLOSE = struct.pack("ii", 1, 0)
_P_DATA_TF = 4
_TICK_SECONDS = 0.02
_SLOW_PIECES_PER_SECOND = 50


class Action(Enum):
    """What happens to a connection."""

    PASS = "nothing"
    REFUSE = "it is reset before anything is said"
    CLOSE = "both sides are closed (FIN)"
    RESET = "both sides are reset (RST)"
    STALL = "nothing more is passed on, in either direction"
    DELAY = "nothing is passed on for some seconds"
    SLOW = "bytes are passed on at a rate"
    DROP_ANSWER = "both sides are closed in place of an answer"


class Way(Enum):
    """Which bytes are counted."""

    UP = "towards the archive"
    DOWN = "from the archive"


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to one connection, after how many bytes of one way."""

    action: Action = Action.PASS
    way: Way = Way.UP
    after: int = 0  # bytes; of DROP_ANSWER: answers that get through
    seconds: float = 0.0  # of DELAY
    bytes_per_second: float = 0.0  # of SLOW


def drawn(seed: int, count: int, share: float, longest: int) -> list[Fault]:
    """Faults for `count` connections, a share of them faulty at a byte before `longest`; by the seed always the same.

    Left out are STALL and SLOW, which take the time of a deadline.
    """
    dice = random.Random(seed)
    actions = (Action.REFUSE, Action.CLOSE, Action.RESET, Action.DELAY, Action.DROP_ANSWER)

    def one() -> Fault:
        if dice.random() >= share:
            return Fault()
        action = dice.choice(actions)
        after = dice.randrange(4) if action is Action.DROP_ANSWER else dice.randrange(longest)
        return Fault(action, dice.choice(tuple(Way)), after, seconds=0.05)

    return [one() for _ in range(count)]


class FaultProxy:
    """Passes connections on to a port of 127.0.0.1; the n-th one suffers the n-th fault, those after the last none."""

    def __init__(self, target: int, faults: Iterable[Fault] = (), receive_buffer: int = 0) -> None:
        self._target = target
        self._faults: Iterator[Fault] = chain(faults, repeat(Fault()))
        self._ending = threading.Event()
        self._threads: list[threading.Thread] = []
        self.suffered: list[Fault] = []
        self._listener = socket.socket()
        if receive_buffer:  # else the kernel takes megabytes that nobody reads
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(64)
        self.port = int(self._listener.getsockname()[1])
        self._start(threading.Thread(target=self._accept))

    def close(self) -> None:
        """End all connections."""
        self._ending.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _start(self, thread: threading.Thread) -> None:
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed
                return
            fault = next(self._faults)
            self.suffered.append(fault)
            if fault.action is Action.REFUSE:
                _end(client, reset=True)
                continue
            self._start(threading.Thread(target=self._serve, args=(client, fault)))

    def _serve(self, client: socket.socket, fault: Fault) -> None:
        try:
            archive = socket.create_connection(("127.0.0.1", self._target), timeout=5)
        except OSError:
            _end(client, reset=True)
            return
        passage = _Passage(client, archive, fault, self._ending)
        down = threading.Thread(target=passage.pump, args=(Way.DOWN,))
        down.start()
        passage.pump(Way.UP)
        down.join()
        passage.end()


class _Passage:
    """One connection on both its sides."""

    def __init__(self, client: socket.socket, archive: socket.socket, fault: Fault, ending: threading.Event) -> None:
        self._sides = {Way.UP: (client, archive), Way.DOWN: (archive, client)}
        self._fault = fault
        self._ending = ending
        self._over = threading.Event()
        self._stalled = threading.Event()
        self._passed = {Way.UP: 0, Way.DOWN: 0}
        self._answers = _Answers()
        for side in (client, archive):
            side.settimeout(_TICK_SECONDS)
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def pump(self, way: Way) -> None:
        """Pass bytes of one way on until either side ends, or the fault says so."""
        source, target = self._sides[way]
        while not self._is_over():
            if self._stalled.is_set():
                time.sleep(_TICK_SECONDS)
                continue
            try:
                content = source.recv(self._most(way))
            except TimeoutError:
                continue
            except OSError:
                break
            if not content or not self._pass(way, content, target):
                break
        self._over.set()

    def end(self) -> None:
        """Close both sides as the fault says."""
        for side, _ in self._sides.values():
            _end(side, reset=self._fault.action is Action.RESET)

    def _is_over(self) -> bool:
        return self._over.is_set() or self._ending.is_set()

    def _most(self, way: Way) -> int:
        """How many bytes may be read at once, so that a fault strikes behind its byte and no later."""
        fault = self._fault
        if fault.action is Action.SLOW and fault.way is way and self._passed[way] >= fault.after:
            return max(1, int(fault.bytes_per_second / _SLOW_PIECES_PER_SECOND))
        left = fault.after - self._passed[way]
        return min(left, 65536) if fault.way is way and left > 0 else 65536

    def _pass(self, way: Way, content: bytes, target: socket.socket) -> bool:
        fault = self._fault
        if fault.way is way and self._passed[way] >= fault.after:
            if fault.action in (Action.CLOSE, Action.RESET):
                return False
            if fault.action is Action.STALL:
                self._stalled.set()
                return True
            self._hold_up(len(content), is_first=self._passed[way] == fault.after)
        if fault.action is Action.DROP_ANSWER and way is Way.DOWN and self._answers.seen(content) > fault.after:
            return False
        self._passed[way] += len(content)
        return self._send(target, content)

    def _hold_up(self, count: int, *, is_first: bool) -> None:
        if self._fault.action is Action.SLOW:
            time.sleep(count / self._fault.bytes_per_second)
        elif self._fault.action is Action.DELAY and is_first:
            self._over.wait(self._fault.seconds)

    def _send(self, target: socket.socket, content: bytes) -> bool:
        while content and not self._is_over():
            try:
                content = content[target.send(content) :]
            except TimeoutError:
                continue
            except OSError:
                return False
        return not content


class _Answers:
    """Counts the P-DATA-TF that begin in what passes."""

    def __init__(self) -> None:
        self._header = b""
        self._body_left = 0
        self._count = 0

    def seen(self, content: bytes) -> int:
        """How many have begun with this piece."""
        while content:
            skipped = min(self._body_left, len(content))
            self._body_left -= skipped
            wanted = 6 - len(self._header)
            self._header += content[skipped : skipped + wanted]
            content = content[skipped + wanted :]
            if len(self._header) == 6:
                kind, self._body_left = struct.unpack(">BxI", self._header)
                self._header = b""
                self._count += kind == _P_DATA_TF
        return self._count


def _end(connection: socket.socket, *, reset: bool) -> None:
    with suppress(OSError):
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
        else:
            connection.shutdown(socket.SHUT_RDWR)
    connection.close()


@contextmanager
def proxied(target: int, faults: Sequence[Fault] = (), receive_buffer: int = 0) -> Iterator[FaultProxy]:
    """A proxy in front of a port, until the context ends."""
    proxy = FaultProxy(target, faults, receive_buffer)
    try:
        yield proxy
    finally:
        proxy.close()
