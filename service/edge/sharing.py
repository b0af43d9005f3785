"""One volume decoded by several processes: its values in shared memory, its tasks in a pipe that all take from.

pydicom's decoders hold the interpreter, so threads would take turns. A child is a fresh interpreter that runs
`service.edge.decoder`: it inherits no CUDA and loads no torch, which a fork or a spawned `__main__` would bring.
"""

import json
import mmap
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.core.errors import Broken, IsocenterError, TryAgain, Unsuitable
from service.edge.decoding import Wanted, read_into

Shape = tuple[int, int, int]

_CRASHES = [-number for number in (signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL)]
_KINDS = {kind.__name__: kind for kind in (Broken, TryAgain, Unsuitable)}
_NUMBER = struct.Struct("<L")  # four bytes are taken from a pipe all or not at all
_MOST_NUMBERS = 4096  # that a pipe holds while nobody takes: 16 KiB


@dataclass(frozen=True, slots=True)
class Task:
    """Frames of one file, and the slices they are."""

    path: Path
    wanted: Wanted


def read_together(tasks: Sequence[Task], shape: Shape, children: int, *, parent_helps: bool) -> NDArray[np.float32]:
    """The values of all tasks, (slice, row, column), decoded by child processes, and by this one where it helps.

    Raises as read_into, Broken when a decoder crashed, and TryAgain when a child was killed.
    """
    with ExitStack() as stack:
        shared, plan = _memory(stack, "values"), _memory(stack, "plan")
        os.ftruncate(shared, 4 * int(np.prod(shape)))
        os.write(plan, _written(tasks, shape))
        queue = _queue(stack, len(tasks))
        names = [str(number) for number in (os.getpid(), shared, plan, queue)]
        started = [_child(stack, names, (shared, plan, queue)) for _ in range(children)]
        stack.callback(drain, queue)  # before the children are waited for, also when this process fails
        values = mapped(shared, shape)
        work_off(values, tasks, queue, lambda: parent_helps)
        for child in started:
            _require_well(child)
    return values


def work_off(values: NDArray[np.float32], tasks: Sequence[Task], queue: int, goes_on: Callable[[], bool]) -> None:
    """Do tasks of the queue until it is empty; who fails empties it, so that the others end too."""
    lump = _lump(len(tasks))
    try:
        while goes_on() and (taken := os.read(queue, _NUMBER.size)):
            (number,) = _NUMBER.unpack(taken)
            for task in tasks[number * lump : (number + 1) * lump]:
                read_into(values, task.path, task.wanted)
    except IsocenterError:
        drain(queue)
        raise


def mapped(descriptor: int, shape: Shape) -> NDArray[np.float32]:
    """Shared memory as values, (slice, row, column); it lives as long as they do."""
    memory = mmap.mmap(descriptor, 4 * int(np.prod(shape)))
    return np.frombuffer(memory, dtype=np.float32).reshape(shape)


def read_plan(descriptor: int) -> tuple[list[Task], Shape]:
    """The tasks and the shape that `read_together` wrote down."""
    written = json.loads(os.pread(descriptor, os.fstat(descriptor).st_size, 0))
    slices, rows, columns = written["shape"]
    return [Task(Path(path), wanted) for path, wanted in written["tasks"]], (slices, rows, columns)


def told(error: IsocenterError) -> str:
    """An error as a child tells it."""
    return json.dumps([type(error).__name__, str(error)])


def drain(queue: int) -> None:
    """Leave nothing in the queue."""
    while os.read(queue, _MOST_NUMBERS * _NUMBER.size):
        pass


def _memory(stack: ExitStack, name: str) -> int:
    descriptor = os.memfd_create(name)
    stack.callback(os.close, descriptor)
    return descriptor


def _written(tasks: Sequence[Task], shape: Shape) -> bytes:
    plan = {"shape": shape, "tasks": [(str(task.path), task.wanted) for task in tasks]}
    return json.dumps(plan).encode()


def _lump(tasks: int) -> int:
    """How many tasks one number in the queue stands for."""
    return -(-tasks // _MOST_NUMBERS)


def _queue(stack: ExitStack, tasks: int) -> int:
    """A pipe with a number for each lump of tasks, and nobody who could write more."""
    reading, writing = os.pipe()
    stack.callback(os.close, reading)
    os.write(writing, b"".join(map(_NUMBER.pack, range(-(-tasks // _lump(tasks))))))
    os.close(writing)
    return reading


def _child(stack: ExitStack, names: Sequence[str], descriptors: Sequence[int]) -> "subprocess.Popen[str]":
    child = subprocess.Popen(
        [sys.executable, "-m", "service.edge.decoder", *names],
        pass_fds=descriptors,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    stack.enter_context(child)
    return child


def _require_well(child: "subprocess.Popen[str]") -> None:
    said, _ = child.communicate()
    if said:
        kind, sentence = json.loads(said)
        raise _KINDS.get(kind, Broken)(sentence)
    if child.returncode in _CRASHES:
        raise Broken(
            f"a frame made its decoder crash ({signal.Signals(-child.returncode).name}): send the Series again"
        )
    if child.returncode:
        raise TryAgain(f"a process that decodes ended with {child.returncode}")
