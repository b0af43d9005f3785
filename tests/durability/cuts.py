"""Cut the power of a receiver's disk right after an acknowledgement, and look what came back with the power."""

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count

from tests.durability.audit import Findings, audit
from tests.durability.disks import Ext4
from tests.durability.receiving import RunningReceiver
from tests.durability.sending import SUCCESS, History, Sender, image, sender_to

_PER_ASSOCIATION = 4
_FEWEST_BEFORE_CUT, _MOST_BEFORE_CUT = 3, 16
_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Cut:
    """One cut, and what it left."""

    acknowledged: int  # so far, over all cuts
    findings: Findings


@dataclass(slots=True)
class _Countdown:
    """Cuts the power within the thread that gets the n-th acknowledgement."""

    disk: Ext4
    left: int
    over: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def acknowledged(self) -> None:
        with self.lock:
            self.left -= 1
            if self.left == 0:
                self.disk.cut_power()
                self.over.set()


class PowerCuts:
    """Cuts the power under one receiver again and again; the spool and the sender's memory go on."""

    def __init__(self, receiver: RunningReceiver, disk: Ext4, senders: int, seed: int) -> None:
        self.history = History()
        self._receiver, self._disk, self._senders = receiver, disk, senders
        self._random = random.Random(seed)
        self._numbers = count(seed * 1000)

    def cut(self) -> Cut:
        """Send until some acknowledgement, cut, bring the power back, and audit before and after the receiver does."""
        countdown = _Countdown(self._disk, self._random.randint(_FEWEST_BEFORE_CUT, _MOST_BEFORE_CUT))
        with ThreadPoolExecutor(self._senders) as pool:
            sending = [pool.submit(self._send_until_over, countdown) for _ in range(self._senders)]
            in_time = countdown.over.wait(_SECONDS)
            countdown.over.set()
            self._receiver.kill()
        for each in sending:
            each.result()
        assert in_time, f"the receiver acknowledged too little in {_SECONDS} s"
        self._disk.unmount()
        self._disk.mount()
        before = audit(self._receiver.spool, self.history)
        self._receiver.start()
        after = audit(self._receiver.spool, self.history)
        return Cut(len(self.history.acknowledged), before if before else after)

    def _send_until_over(self, countdown: _Countdown) -> None:
        while not countdown.over.is_set():
            with sender_to(self._receiver.port, self.history) as sender:
                for _ in range(_PER_ASSOCIATION):
                    self._store(sender, countdown)

    def _store(self, sender: Sender, countdown: _Countdown) -> None:
        if not countdown.over.is_set() and sender.store(image(next(self._numbers))) == SUCCESS:
            countdown.acknowledged()


def cut_again_and_again(cuts: PowerCuts, rounds: int) -> Iterator[Cut]:
    """That many cuts."""
    for _ in range(rounds):
        yield cuts.cut()
