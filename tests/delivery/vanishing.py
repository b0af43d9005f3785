"""A peer whose machine is gone without a word: run in a network namespace of its own, whose interface is taken down.

`python -m tests.delivery.vanishing FILE MOMENT` prints how many seconds a C-STORE took, and its status.
"""

import fcntl
import socket
import struct
import sys
import threading
import time
from pathlib import Path

from service.edge.dialing import Remote
from service.edge.storage_scu import store
from tests.delivery.peers import Visit, peer

_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1


def set_loopback(*, up: bool) -> None:
    """Take the interface up or down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        asked = struct.pack("16sH14x", b"lo", 0)
        (flags,) = struct.unpack_from("H", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, asked), 16)
        flags = flags | _IFF_UP if up else flags & ~_IFF_UP
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags))


def main() -> None:
    """Send, and have the peer vanish."""
    path, moment = Path(sys.argv[1]), sys.argv[2]

    is_over = threading.Event()

    def vanishes(visit: Visit) -> None:
        visit.accept()
        if moment == "in mid-send":
            visit.connection.recv(100_000)
        else:
            visit.request()
        set_loopback(up=False)
        is_over.wait()

    set_loopback(up=True)
    with peer(vanishes) as port:
        began = time.monotonic()
        ((_, status),) = store(Remote("ISOCENTER", "PACS", "127.0.0.1", port), [path])
        print(f"{time.monotonic() - began:.1f} {status}", flush=True)
        is_over.set()


if __name__ == "__main__":
    main()
