"""Where a program of other makers is run: a Python of its own, and what it may take."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Environment:
    """A site's environment for models that are programs, and which of them it trusts."""

    python: Path  # of a virtual environment that holds the program; never our own
    allowed: frozenset[str]  # SHA-256 of the listings of the packages that may be run
    seconds: float = 600.0  # for one answer, and for getting ready
    memory_bytes: int | None = None  # of the process; None where it may take what there is
    isolated: bool = True  # has no network
