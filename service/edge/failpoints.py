"""Named places where a test can have this process killed, as a power cut would: nothing unless it asks for it.

`ISOCENTER_FAILPOINT=deliver.answered:3` kills the process the third time it comes to that place.
"""

import os
import signal
from collections import Counter

VARIABLE = "ISOCENTER_FAILPOINT"
_passed: Counter[str] = Counter()


def failpoint(name: str) -> None:
    """Be killed here, if that was asked for."""
    wanted = os.environ.get(VARIABLE)
    if wanted is None:
        return
    place, _, nth = wanted.partition(":")
    _passed[name] += 1
    if place == name and _passed[name] == int(nth or 1):
        os.kill(os.getpid(), signal.SIGKILL)
