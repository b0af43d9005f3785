"""A process that serves associations: it takes connections from the receiver and leaves durable files.

It loads no torch, SQLAlchemy or SimpleITK: `python -m service.roles.acceptor <configuration folder> <channel>`.
"""

import gc
import selectors
import socket
import sys
import time
from contextlib import suppress
from functools import partial

from service.commit import Commitments
from service.core.doorkeeping import objection
from service.edge import logs, metrics
from service.edge.handover import take_over, tell_end
from service.edge.spool import Spool
from service.edge.storage_scp import Door, StorageScp
from service.edge.upper_layer import Limits
from service.receive import Receiver
from service.roles.clock import now
from service.roles.life import FINISH_SECONDS, Life, live
from service.roles.securing import door_credentials
from service.settings import Settings
from service.settings.receiving import Receiving

_TICK_SECONDS = 0.2
_COUNTS_SECONDS = 0.5  # how old a published count may be


def run(settings: Settings) -> None:
    """Serve until the receiver closes the channel; then let open associations finish, and abort what is left."""
    logs.configure("acceptor")
    life = Life()
    receiving = settings.node.receiving
    spool = Spool(settings.spool, flushing=receiving.flushing)
    spool.prepare_to_receive()
    gc.freeze()  # what is loaded stays: only associations are looked through for what is over
    receiver = Receiver(spool, receiving.refuse_below_free)
    commitments = Commitments(spool, receiver.require_room, receiving.reporting.keys(), now)
    scp = StorageScp(door(receiving), receiver.begin, receiver.note_end, commitments)
    with socket.socket(fileno=int(sys.argv[2])) as channel:
        _serve(settings, life, channel, scp)
        with suppress(OSError):  # the receiver is gone
            channel.shutdown(socket.SHUT_RD)  # what comes now it gives to another
        _finish(scp)


def _serve(settings: Settings, life: Life, channel: socket.socket, scp: StorageScp) -> None:
    credentials = door_credentials(settings)
    with selectors.DefaultSelector() as selector:
        selector.register(channel, selectors.EVENT_READ)
        due = 0.0
        while life.goes_on():
            moment = time.monotonic()
            if moment >= due:
                metrics.write_down()
                due = moment + _COUNTS_SECONDS
            if not selector.select(_TICK_SECONDS):
                continue
            taken = take_over(channel)
            if taken is None:
                return
            handed, connection = taken
            over = partial(tell_end, channel, handed.number)
            if connection is None:
                over()
                continue
            scp.serve(connection, handed.address, tls=credentials if handed.secured else None, on_close=over)


def _finish(scp: StorageScp) -> None:
    rest = Life()
    waits = int(FINISH_SECONDS / _TICK_SECONDS)
    while scp.open_associations() and waits and rest.goes_on():
        rest.pause(_TICK_SECONDS)
        waits -= 1
    scp.stop()
    metrics.write_down()


def door(receiving: Receiving) -> Door:
    """The site's decisions as the SCP takes them."""
    limits = receiving.limits
    return Door(
        ae_title=receiving.ae_title,
        objection=partial(objection, receiving.admitted),
        limits=Limits(
            handshake_seconds=limits.handshake_seconds,
            idle_seconds=limits.idle_seconds,
            pdu_seconds=limits.pdu_seconds,
            pdu_bytes=limits.pdu_bytes,
            command_bytes=limits.command_bytes,
            instance_bytes=limits.instance_bytes,
            bytes_per_second=limits.bytes_per_second,
        ),
        engine=receiving.engine,
        sop_classes=receiving.sop_classes,
        transfer_syntaxes=receiving.negotiated,
        commitment=receiving.commitment,
    )


if __name__ == "__main__":
    live(run)
