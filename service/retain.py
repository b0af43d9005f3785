"""Housekeeping: Series all of whose work has ended leave the spool after the days a site keeps them."""

from collections import defaultdict
from datetime import datetime, timedelta

import structlog

from service.core.identity import instance_set
from service.edge.ledger import Ledger
from service.edge.questions import EndedSeries
from service.edge.spool import InstanceName, Spool


def tick(spool: Spool, ledger: Ledger, now: datetime, keep: timedelta) -> None:
    """Remove Series whose last work ended more than `keep` ago.

    Failed or undelivered work stays, and so does a Series to which anything came since it was closed.
    """
    present: dict[str, list[InstanceName]] = defaultdict(list)
    for name in spool.arrivals():
        present[name.series_instance_uid].append(name)
    for ended in ledger.ended_series(now - keep):
        names = present.get(ended.series_instance_uid, [])
        if instance_set(name.sop_instance_uid for name in names) == ended.instance_set:
            _remove(spool, ledger, ended, names)
    spool.forget_associations(before=now - keep)


def _remove(spool: Spool, ledger: Ledger, ended: EndedSeries, names: list[InstanceName]) -> None:
    ledger.forget_files(ended.series_instance_uid)
    for name in names:
        spool.remove(name)
    for job_id in ended.job_ids:
        spool.discard(spool.work(job_id))
        spool.discard(spool.outbox(job_id))
    for stack_id in ended.stack_ids:
        spool.stack(stack_id).unlink(missing_ok=True)
    structlog.get_logger().info("series removed", series=ended.series_instance_uid, instances=len(names))
