"""What archives were asked about open Series, and what they answered."""

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime, timedelta

from service.core.arriving import ArrivingSeries
from service.core.completeness import NO_ARCHIVE, ArchiveSays, Retrieval
from service.edge.archive_index import SeriesName
from service.edge.archives import Archive, words

ASK_AGAIN = timedelta(seconds=10)  # about what did not change since
ASK_ANEW = timedelta(seconds=2)  # about what did
WAIT_AT_MOST = timedelta(seconds=15)  # for a count, before other evidence will do


class Inquiries:
    """One for each open Series that came from a peer with an archive."""

    def __init__(self, archives: Mapping[str, Archive]) -> None:
        """`archives` by the calling AE title of the peer they are behind."""
        self._archives = archives
        self._inquiries: dict[str, Inquiry] = {}

    def says(self, uid: str, series: ArrivingSeries, now: datetime) -> ArchiveSays:
        """What the archive says of a Series as it stands; it is asked, and its answer taken at a later call."""
        inquiry = self._inquiries.get(uid) or self._begin(series, now)
        if inquiry is None:
            return NO_ARCHIVE
        self._inquiries[uid] = inquiry
        inquiry.ask(len(series.instances), now)
        return inquiry.says(len(series.instances), now)

    def retrieve(self, uid: str, came: int) -> None:
        """Ask the archive for all of a Series of which it has said something."""
        self._inquiries[uid].retrieve(came)

    def forget(self, uid: str) -> None:
        """The Series is closed."""
        self._inquiries.pop(uid, None)

    def _begin(self, series: ArrivingSeries, now: datetime) -> "Inquiry | None":
        brought_by = {instance.calling_ae_title: instance for instance in series.instances.values()}
        for title in sorted(brought_by.keys() & self._archives.keys()):
            first = brought_by[title]
            sop_classes = sorted({instance.sop_class_uid for instance in series.instances.values()})
            name = SeriesName(first.study_instance_uid, first.series_instance_uid, tuple(sop_classes))
            return Inquiry(self._archives[title], name, now)
        return None


@dataclass(frozen=True, slots=True)
class _Counted:
    """An answer, for as many instances as were here when it was asked for."""

    came: int
    count: int | None
    failure: str = ""


class Inquiry:
    """What one archive was asked about one open Series, and what it answered; how many came names what is here."""

    def __init__(self, archive: Archive, series: SeriesName, now: datetime) -> None:
        self._archive = archive
        self._series = series
        self._came, self._since = 0, now
        self._counting: tuple[int, Future[int]] | None = None
        self._asked_at = datetime.min.replace(tzinfo=now.tzinfo)
        self._counted = _Counted(0, None)
        self._retrieving: tuple[int, Future[None]] | None = None
        self._retrieved_at: datetime | None = None

    def ask(self, came: int, now: datetime) -> None:
        """Ask how many instances there are, unless that was asked just now."""
        if came != self._came:
            self._came, self._since = came, now
        least = ASK_AGAIN if self._counted.came == came else ASK_ANEW
        if self._counting is None and now - self._asked_at >= least:
            self._counting, self._asked_at = (came, self._archive.count(self._series)), now

    def retrieve(self, came: int) -> None:
        """Ask for all of the Series, unless such a request is on its way."""
        if self._retrieving is None or self._retrieving[1].done():
            self._retrieving, self._retrieved_at = (came, self._archive.retrieve(self._series)), None

    def says(self, came: int, now: datetime) -> ArchiveSays:
        """What is known now, about exactly what is here."""
        self._take_count()
        counted = self._counted if self._counted.came == came else None
        return ArchiveSays(
            count=counted.count if counted else None,
            failure=(counted.failure if counted else "") or "the archive did not say how many it has",
            asking=counted is None and now - self._since < WAIT_AT_MOST,
            can_send=self._archive.calls.retrieve is not None,
            retrieval=self._retrieval(came, now),
        )

    def _take_count(self) -> None:
        if self._counting is None or not self._counting[1].done():
            return
        came, future = self._counting
        error = future.exception()
        self._counted = _Counted(came, None, words(error)) if error else _Counted(came, future.result())
        self._counting = None

    def _retrieval(self, came: int, now: datetime) -> Retrieval | None:
        if self._retrieving is None or self._retrieving[0] != came:
            return None
        future, by = self._retrieving[1], self._archive.calls.retrieves_by
        if not future.done():
            return Retrieval(by, None)
        self._retrieved_at = self._retrieved_at or now
        error = future.exception()
        return Retrieval(by, self._retrieved_at, words(error) if error else "")
