"""A program of other makers in a process of its own, which answers one line of JSON for each that it is given.

Arrays go there and back in files without names, so that nothing of a patient lies on a disk when either process dies.
"""

import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

LONGEST_ANSWER = 64 * 1024
_LAST_WORDS = 4096
_LONGEST_WORDS = 300
_PASSED_ON = ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "OMP_NUM_THREADS")


class Ended(Exception):  # noqa: N818 - named after what happened
    """The process died, or took too long and was ended; the sentence has the last that it said."""


class Apart:
    """A running program, ended with this object; `image` and `answer` are the files that it shares."""

    def __init__(self, command: Sequence[str], home: Path) -> None:
        """Raises OSError when the program cannot be started; `home` is all that it may write, and goes with it."""
        files = tuple(_nameless(home) for _ in range(3))
        self.image, self.answer, self._words = files
        shared = (self.image.fileno(), self.answer.fileno())
        try:
            self._process = subprocess.Popen(
                [*command, *map(str, shared)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._words,
                cwd=home,
                env=_environment(home),
                pass_fds=shared,
                start_new_session=True,
            )
        except OSError:
            _close(files)
            raise
        self._finalizer = weakref.finalize(self, _end, self._process, home, files)

    def ask(self, question: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """What the program answers. Raises Ended when it dies first or takes longer, and the process is gone then."""
        try:
            _pipe(self._process.stdin).write(json.dumps(question).encode() + b"\n")
            _pipe(self._process.stdin).flush()
        except BrokenPipeError:
            raise self._ended() from None
        return self.listen(seconds)

    def listen(self, seconds: float) -> dict[str, Any]:
        """The next line that the program says. Raises as `ask`."""
        line, until = b"", time.monotonic() + seconds
        while not line.endswith(b"\n"):
            if not select.select([_pipe(self._process.stdout)], [], [], max(0.0, until - time.monotonic()))[0]:
                self.close()
                raise Ended(f"the process took longer than {seconds:g} s and was ended")
            held = os.read(_pipe(self._process.stdout).fileno(), LONGEST_ANSWER)
            line += held
            if not held or len(line) > LONGEST_ANSWER:
                raise self._ended()
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise self._ended()
        return answer

    def close(self) -> None:
        """End the process and all that it started."""
        self._finalizer()

    def _ended(self) -> Ended:
        last = self._last_words()
        try:
            code: int | str = self._process.wait(1)
        except subprocess.TimeoutExpired:
            code = "none, it said what cannot be read"
        self.close()
        return Ended(f"the process died (exit code {code}){': ' + last if last else ''}")

    def _last_words(self) -> str:
        size = os.fstat(self._words.fileno()).st_size
        held = os.pread(self._words.fileno(), _LAST_WORDS, max(0, size - _LAST_WORDS))
        lines = [line for line in held.decode("utf-8", errors="replace").splitlines() if line.strip()]
        return lines[-1].strip()[:_LONGEST_WORDS] if lines else ""


def _environment(home: Path) -> dict[str, str]:
    """Nothing of ours but which devices and how many processors there are."""
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return passed_on | {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": str(home), "TMPDIR": str(home)}


def _nameless(folder: Path) -> IO[bytes]:
    return tempfile.TemporaryFile(dir=folder)


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise RuntimeError("the process was started without pipes")
    return stream


def _end(process: subprocess.Popen[bytes], home: Path, files: Sequence[IO[bytes]]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    shutil.rmtree(home, ignore_errors=True)
    _close((*files, _pipe(process.stdout), _pipe(process.stdin)))


def _close(files: Sequence[IO[bytes]]) -> None:
    for each in files:
        try:
            each.close()
        except BrokenPipeError:
            continue  # what was not sent yet goes nowhere
