"""How every role lives: until it is told to stop, or until the node that started it is gone."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import structlog

from service.core.errors import IsocenterError
from service.settings import Settings, load

OWNER_ONLY = 0o077  # images of patients are for the service's own user
FINISH_SECONDS = 10.0  # for associations that are open when it is time to stop
PARENT_VARIABLE = "ISOCENTER_NODE_PID"  # set by the node for the roles it starts


class Life:
    """Ends on SIGTERM or SIGINT, and when the parent that started this role has died."""

    def __init__(self) -> None:
        self._ending = threading.Event()
        self._parent = int(os.environ.get(PARENT_VARIABLE, "0"))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)

    def _end(self, _number: int, _frame: object) -> None:
        self._ending.set()

    def goes_on(self) -> bool:
        """False once it is time to stop."""
        orphaned = self._parent != 0 and os.getppid() != self._parent
        return not (self._ending.is_set() or orphaned)

    def pause(self, seconds: float) -> None:
        """Wait, but no longer than this life goes on."""
        self._ending.wait(seconds)


def live(run: Callable[[Settings], None]) -> None:
    """Run a role as a process of its own: `python -m service.roles.<role> <configuration folder>`."""
    os.umask(OWNER_ONLY)
    try:
        run(load(Path(sys.argv[1])))
    except IsocenterError as error:
        structlog.get_logger().error("role ended", reason=str(error))
        sys.exit(1)
