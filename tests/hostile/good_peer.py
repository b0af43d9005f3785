"""A peer that does nothing wrong beside those that do: C-ECHO and C-STORE on fresh associations, without end."""

import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing
from types import TracebackType

from tests.hostile.client import GOOD, Client, NotServedError
from tests.hostile.images import new_uid, small_ct

_LEAST_ROUNDS = 3
_PATIENCE_SECONDS = 3.0
_PAUSE_SECONDS = 0.03


class GoodPeer:
    """Calls while its `with` block runs, and keeps what became of each call."""

    def __init__(self, dial: Callable[[], socket.socket]) -> None:
        self._dial = dial
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.failures: list[str] = []
        self.echo_seconds: list[float] = []
        self.stored: set[str] = set()

    def __enter__(self) -> "GoodPeer":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ending.set()
        self._thread.join()

    def call(self) -> None:
        """One C-ECHO and one C-STORE, each on an association of its own."""
        for service in (self._echo, self._store):
            try:
                service()
            except (NotServedError, OSError, ValueError) as error:
                self.failures.append(f"{service.__name__.strip('_')}: {error}")

    def _run(self) -> None:
        rounds = 0
        while rounds < _LEAST_ROUNDS or not self._ending.is_set():
            self.call()
            rounds += 1
            time.sleep(_PAUSE_SECONDS)

    def _echo(self) -> None:
        began = time.monotonic()
        try:
            self._associated(lambda client: client.echo())
        finally:
            self.echo_seconds.append(time.monotonic() - began)

    def _store(self) -> None:
        uid = new_uid()
        self._associated(lambda client: client.store(uid, small_ct(uid)))
        self.stored.add(uid)

    def _associated(self, service: Callable[[Client], int]) -> None:
        with closing(self._dial()) as connection:
            connection.settimeout(_PATIENCE_SECONDS)
            client = Client(connection)
            client.associate(GOOD)
            status = service(client)
            client.release()
        if status != 0:
            raise NotServedError(f"status 0x{status:04X}")
