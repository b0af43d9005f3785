"""The process at the door: C-ECHO and C-STORE in, durable files out. Loads no torch, SQLAlchemy or SimpleITK."""

from ipaddress import ip_address

import structlog

from service.edge import logs
from service.edge.spool import Spool
from service.edge.storage_scp import Door, StorageScp
from service.receive import Receiver
from service.roles.life import Life, live
from service.settings import Receiving, Settings

_TICK_SECONDS = 0.2
_FINISH_SECONDS = 10.0  # for associations that are open when it is time to stop


def run(settings: Settings) -> None:
    """Receive until told to stop; then close the port, let open associations finish, and abort what is left."""
    logs.configure("receiver")
    life = Life()
    receiving = settings.node.receiving
    receiver = Receiver(Spool(settings.spool), receiving.refuse_below_free)
    scp = StorageScp(_door(receiving), receiver.admit, receiver.note_end)
    port = scp.start()
    structlog.get_logger().info("receiving", ae_title=receiving.ae_title, port=port, peers=len(receiving.peers))
    while life.goes_on():
        life.pause(_TICK_SECONDS)
    _finish(scp)


def _finish(scp: StorageScp) -> None:
    scp.close_door()
    rest = Life()
    waits = int(_FINISH_SECONDS / _TICK_SECONDS)
    while scp.open_associations() and waits and rest.goes_on():
        rest.pause(_TICK_SECONDS)
        waits -= 1
    scp.stop()
    structlog.get_logger().info("stopped")


def _door(receiving: Receiving) -> Door:
    def admits(calling_ae_title: str, address: str) -> bool:
        caller = ip_address(address)
        return any(peer.ae_title == calling_ae_title and caller in peer.host for peer in receiving.peers)

    return Door(
        ae_title=receiving.ae_title,
        bind=receiving.bind,
        port=receiving.port,
        admits=admits,
        maximum_associations=receiving.maximum_associations,
        idle_seconds=receiving.idle_seconds,
    )


if __name__ == "__main__":
    live(run)
