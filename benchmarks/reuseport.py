"""This receiver's acceptors behind SO_REUSEPORT instead of a process that hands connections over, for comparison.

`python -m benchmarks.reuseport <configuration folder> <processes>`; the kernel deals connections out by their address.
"""

import os
import signal
import socket
import sys
from pathlib import Path

from service.edge.spool import Spool
from service.edge.storage_scp import StorageScp
from service.receive import Receiver
from service.roles.acceptor import door
from service.settings import Settings, load

_BACKLOG = 512


def main(folder: Path, processes: int) -> None:
    """Serve in that many processes until killed."""
    settings = load(folder)
    children = []
    for _ in range(processes - 1):
        child = os.fork()
        if not child:
            _serve(settings)
        children.append(child)
    signal.signal(signal.SIGTERM, lambda *_: _end(children))
    _serve(settings)


def _serve(settings: Settings) -> None:
    receiving = settings.node.receiving
    spool = Spool(settings.spool)
    receiver = Receiver(spool, receiving.refuse_below_free)
    scp = StorageScp(door(receiving), receiver.begin, receiver.note_end)
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((receiving.bind, receiving.port))
        listener.listen(_BACKLOG)
        while True:
            connection, address = listener.accept()
            scp.serve(connection, address[0])


def _end(children: list[int]) -> None:
    for child in children:
        os.kill(child, signal.SIGTERM)
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
