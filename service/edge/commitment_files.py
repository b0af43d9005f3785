"""The spool's folder commitments/: requests of peers that wait for our answer, and what peers told of requests of ours.

request-<transaction>_<peer>.json   removed once the peer has our answer, or after 24 hours without reaching it
report-<transaction>_<peer>.json    removed once it is in the ledger

`<peer>` is a digest of the AE title: two peers may use one Transaction UID.
"""

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import structlog

from service.core.commitment import Asked, Pending, Referenced, Told
from service.core.errors import Broken
from service.core.identity import digest, is_uid
from service.core.outbox import CommitmentReport
from service.edge.spool import Spool

_Kept = TypeVar("_Kept")


def keep_request(spool: Spool, pending: Pending) -> None:
    """Write a request down so that it survives a power cut. Raises TryAgain when the disk refuses."""
    asked = pending.asked
    record = {
        "transaction_uid": asked.transaction_uid,
        "calling_ae_title": asked.calling_ae_title,
        "called_ae_title": asked.called_ae_title,
        "address": asked.address,
        "asked_at": pending.asked_at.isoformat(),
        "next_at": pending.next_at.isoformat(),
        "attempts": pending.attempts,
        "references": [[each.sop_class_uid, each.sop_instance_uid] for each in asked.references],
    }
    spool.place(_of_request(spool, asked), json.dumps(record).encode())


def requests(spool: Spool) -> list[Pending]:
    """The requests that wait for our answer, the oldest first."""
    found = _all(spool, "request", _pending)
    return sorted(found, key=lambda pending: pending.asked_at)


def waiting_request(spool: Spool, asked: Asked) -> Pending | None:
    """The request that waits under the same Transaction UID of the same peer, or None."""
    return _read(spool, _of_request(spool, asked), _pending)


def forget_request(spool: Spool, asked: Asked) -> None:
    """The peer has been answered, or never will be."""
    _of_request(spool, asked).unlink(missing_ok=True)


def keep_report(spool: Spool, told: Told) -> None:
    """Write down what a peer told so that it survives a power cut. Raises TryAgain when the disk refuses."""
    record = {
        "transaction_uid": told.report.transaction_uid,
        "calling_ae_title": told.calling_ae_title,
        "address": told.address,
        "held": sorted(told.report.held),
        "failed": dict(told.report.failed),
    }
    spool.place(_of_report(spool, told), json.dumps(record).encode())


def reports(spool: Spool) -> list[Told]:
    """What peers told and nobody has taken yet."""
    return list(_all(spool, "report", _told))


def forget_report(spool: Spool, told: Told) -> None:
    """It has been taken."""
    _of_report(spool, told).unlink(missing_ok=True)


def _of_request(spool: Spool, asked: Asked) -> Path:
    return _path(spool, "request", asked.transaction_uid, asked.calling_ae_title)


def _of_report(spool: Spool, told: Told) -> Path:
    return _path(spool, "report", told.report.transaction_uid, told.calling_ae_title)


def _path(spool: Spool, kind: str, transaction_uid: str, calling_ae_title: str) -> Path:
    if not is_uid(transaction_uid):
        raise Broken(f"{transaction_uid[:70]!r} is not a UID")
    return spool.commitments / f"{kind}-{transaction_uid}_{digest((calling_ae_title,))[:8]}.json"


def _all(spool: Spool, kind: str, parse: Callable[[Any], _Kept]) -> Iterator[_Kept]:
    for path in sorted(spool.commitments.glob(f"{kind}-*.json")):
        found = _read(spool, path, parse)
        if found is not None:
            yield found


def _read(spool: Spool, path: Path, parse: Callable[[Any], _Kept]) -> _Kept | None:
    """A file's content; None where it is gone, or a disk has damaged it: then it is set aside for a person."""
    try:
        return parse(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        spool.hold(path)
        structlog.get_logger().error("file of storage commitment held", file=path.name, reason=type(error).__name__)
        return None


def _pending(record: Any) -> Pending:
    asked = Asked(
        record["transaction_uid"],
        record["calling_ae_title"],
        record["called_ae_title"],
        record["address"],
        tuple(Referenced(sop_class, sop_instance) for sop_class, sop_instance in record["references"]),
    )
    asked_at, next_at = (datetime.fromisoformat(record[moment]) for moment in ("asked_at", "next_at"))
    return Pending(asked, asked_at, next_at, int(record["attempts"]))


def _told(record: Any) -> Told:
    failed = {uid: int(reason) for uid, reason in record["failed"].items()}
    report = CommitmentReport(record["transaction_uid"], frozenset(record["held"]), failed)
    return Told(record["calling_ae_title"], record["address"], report)
