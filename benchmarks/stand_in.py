"""A receiver that takes everything and keeps nothing: `python -m benchmarks.stand_in PORT`."""

import sys
import threading

from service.edge.intake import InMemory
from service.edge.listening import listening
from service.edge.storage_scp import Door, StorageScp


def main() -> None:
    """Serve until it is killed."""
    scp = StorageScp(Door("STANDIN"), lambda offer: InMemory(offer, lambda *_: 0x0000), lambda _: None)
    with listening(scp, port=int(sys.argv[1])):
        threading.Event().wait()


if __name__ == "__main__":
    main()
