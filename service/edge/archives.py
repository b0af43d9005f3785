"""The archives behind our peers, each asked in threads of its own: one that is slow or dead holds up nothing else."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TypeVar

import structlog

from service.core.errors import Broken, IsocenterError, TryAgain, whereabouts
from service.edge.archive_index import PriorSeries, PriorsWanted, SeriesName

_REST_SECONDS = 30.0  # after no answer, before the next question

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Calls:
    """How an archive is asked; each is bounded in time, and raises TryAgain or Broken."""

    count: Callable[[SeriesName], int]
    retrieve: Callable[[SeriesName], None] | None = None
    retrieves_by: str = "C-MOVE"
    recalling: "Recalling | None" = None  # None: it is not asked for earlier results


@dataclass(frozen=True, slots=True)
class Recalling:
    """How an archive is asked for reports of earlier studies; both are bounded in time."""

    name: str  # of the archive, for people
    priors: Callable[[PriorsWanted], list[PriorSeries]]
    fetch: Callable[[SeriesName], None]


class Archive:
    """One archive; neither to retrieve a large Series nor to look for reports keeps it from counting others."""

    def __init__(self, calls: Calls) -> None:
        self.calls = calls
        self._counting, self._retrieving, self._recalling = _Line(), _Line(), _Line()

    def count(self, series: SeriesName) -> "Future[int]":
        """How many instances of a Series it has."""
        return self._counting.add(lambda: self.calls.count(series))

    def retrieve(self, series: SeriesName) -> "Future[None]":
        """Have it send a Series to us; done when it says that it has."""
        call = self.calls.retrieve
        if call is None:
            raise Broken(f"{series.series_instance_uid} cannot be retrieved: its archive has `retrieve: none`")
        return self._retrieving.add(lambda: call(series))

    def recall(self, look: "Callable[[], Answer]") -> "Future[Answer]":
        """Look for reports of earlier studies; who cancels before its turn has not asked."""
        return self._recalling.add(look)


class _Line:
    """Calls made one after the other, in a thread that ends with the process.

    What fails in the same way again is logged once; after no answer every call fails at once for a while.
    """

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._rests_until = 0.0
        self._failure = ""
        threading.Thread(target=self._serve, daemon=True).start()

    def add(self, call: Callable[[], Answer]) -> "Future[Answer]":
        future: Future[Answer] = Future()
        self._calls.put(lambda: _settle(future, lambda: self._ask(call)))
        return future

    def _serve(self) -> None:
        while True:
            self._calls.get()()

    def _ask(self, call: Callable[[], Answer]) -> Answer:
        if time.monotonic() < self._rests_until:
            raise TryAgain(self._failure)
        try:
            answer = call()
        except Exception as error:
            self._note(error)
            raise
        if self._failure:
            structlog.get_logger().info("archive answers again", before=self._failure)
        self._failure = ""
        return answer

    def _note(self, error: Exception) -> None:
        failure = words(error)
        if failure != self._failure:
            structlog.get_logger().warning("archive does not help", reason=failure)
        self._failure = failure
        if isinstance(error, TryAgain):
            self._rests_until = time.monotonic() + _REST_SECONDS


def _settle(future: "Future[Answer]", call: Callable[[], Answer]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(call())
    except Exception as error:  # whoever asked decides
        future.set_exception(error)


def words(error: BaseException) -> str:
    """An error in one sentence."""
    return str(error) if isinstance(error, IsocenterError) else whereabouts(error)
