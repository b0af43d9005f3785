"""DIMSE messages out of P-DATA-TF PDUs (PS3.8 9.3.5, annex E): commands whole, data sets of C-STORE piece by piece."""

import struct
from dataclasses import dataclass
from typing import Protocol

from service.edge import command_set
from service.edge.command_set import NotACommandSet, StoreRequest
from service.edge.intake import Intake
from service.edge.upper_layer import Limits, PduStream, violation

_COMMAND, _LAST = 0x01, 0x02  # PS3.8 E.2
_C_CANCEL_RQ = 0x0FFF
OTHER_DATA_SET_BYTES = 4 * 1024 * 1024  # of an N-ACTION with 20,000 references


@dataclass(slots=True)
class Store:
    """A C-STORE under way."""

    request: StoreRequest
    context_id: int
    intake: Intake
    size: int = 0


@dataclass(slots=True)
class Other:
    """A message of any other service under way."""

    context_id: int
    command: bytes
    data_set: bytearray


class Listener(Protocol):
    """Who the messages are for; any of its methods may raise ConnectionEnded."""

    def intake(self, context_id: int, request: StoreRequest) -> Intake:
        """Where the data set goes."""

    def answer(self, store: Store) -> None:
        """A C-STORE is complete."""

    def serve(self, other: Other) -> None:
        """Another message is complete."""


class Messages:
    """Takes PDUs apart. Every method raises ConnectionEnded when the peer is gone, slow or wrong."""

    def __init__(self, stream: PduStream, limits: Limits, listener: Listener) -> None:
        self._stream = stream
        self._stream.before_refill = self._pass_on
        self._limits = limits
        self._listener = listener
        self._pieces: list[memoryview] = []
        self._command = bytearray()
        self._message: Store | Other | None = None

    def take(self, length: int) -> None:
        """The fragments of one P-DATA-TF of that length."""
        if not length:
            raise violation("a P-DATA-TF is empty")
        while length:
            if length < 6:
                raise violation("a P-DATA-TF ends within the header of a fragment")
            item, context_id, control = struct.unpack(">LBB", self._stream.read(6))
            length -= item + 4
            if item < 2 or length < 0:
                raise violation(f"a fragment announces {item} bytes, which its P-DATA-TF does not have")
            if control & _COMMAND:
                self._take_command(context_id, bool(control & _LAST), item - 2)
            else:
                self._take_data(context_id, bool(control & _LAST), item - 2)

    def _take_command(self, context_id: int, last: bool, size: int) -> None:
        if self._message:
            raise violation("a command comes within a data set")
        if len(self._command) + size > self._limits.command_bytes:
            raise violation(f"a command set has more than {self._limits.command_bytes} bytes")
        if not self._command:
            self._stream.message_begins()
        self._command += self._stream.read(size)
        if last:
            command = bytes(self._command)
            self._command.clear()
            self._begin_message(context_id, command)

    def _begin_message(self, context_id: int, command: bytes) -> None:
        try:
            found = command_set.elements(command)
            is_store = command_set.command_field(found) == command_set.C_STORE_RQ
            has_data_set = command_set.has_data_set(found)
            request = command_set.store_request(found) if is_store else None
        except NotACommandSet as error:
            raise violation(f"a command set cannot be understood: {error}") from error
        if request:
            self._message = Store(request, context_id, self._listener.intake(context_id, request))
            self._stream.message_begins()  # the peer has not been late while a file was opened
        elif command_set.command_field(found) != _C_CANCEL_RQ:
            self._message = Other(context_id, command, bytearray())
        if not has_data_set:
            self._end_message()

    def give_up(self) -> bool:
        """No more will come of what is under way; True when something was."""
        message, self._message = self._message, None
        self._pieces.clear()
        if isinstance(message, Store):
            message.intake.abandon()
        return message is not None or bool(self._command)

    def _take_data(self, context_id: int, last: bool, size: int) -> None:
        message = self._message
        if message is None or message.context_id != context_id:
            raise violation("a data set comes without its command")
        if isinstance(message, Store):
            message.size += size
            if message.size > self._limits.instance_bytes:
                raise violation(f"an instance has more than {self._limits.instance_bytes} bytes")
            self._stream.stream(size, self._pieces)
        else:
            if len(message.data_set) + size > OTHER_DATA_SET_BYTES:
                raise violation(f"a data set has more than {OTHER_DATA_SET_BYTES} bytes")
            message.data_set += self._stream.read(size)
        if last:
            self._pass_on()
            self._end_message()

    def _pass_on(self) -> None:
        if self._pieces and isinstance(self._message, Store):
            self._message.intake.write(self._pieces)
            self._pieces.clear()

    def _end_message(self) -> None:
        message, self._message = self._message, None
        if isinstance(message, Store):
            self._listener.answer(message)
        elif message:
            self._listener.serve(message)
        self._stream.message_ends()
