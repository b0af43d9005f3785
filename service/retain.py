"""Housekeeping: Series all of whose work has ended leave the spool after the days a site keeps them."""

from collections import defaultdict
from datetime import datetime, timedelta

import structlog

from service.edge.ledger import Ledger
from service.edge.spool import InstanceName, Spool


def tick(spool: Spool, ledger: Ledger, now: datetime, keep: timedelta) -> None:
    """Remove files of Series whose last work ended more than `keep` ago. Failed or undelivered work stays."""
    log = structlog.get_logger()
    present: dict[str, list[InstanceName]] = defaultdict(list)
    for name in spool.arrivals():
        present[name.series_instance_uid].append(name)
    for series, job_ids in ledger.ended_series(now - keep).items():
        names = present.get(series, [])
        for name in names:
            spool.incoming(name).unlink(missing_ok=True)
        for job_id in job_ids:
            spool.discard(spool.work(job_id))
            spool.discard(spool.outbox(job_id))
        if names:
            log.info("series removed", series=series, instances=len(names))
    spool.forget_associations(before=now - keep)
