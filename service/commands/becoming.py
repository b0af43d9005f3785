"""Commands that load what the others need not load, in the same process: torch, pixels, pictures."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn


def become(module: str, *arguments: str) -> NoReturn:
    """Go on as `python -m module`."""
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-P", "-m", module, *arguments])


def options(given: Mapping[str, Path | str | int | None]) -> list[str]:
    """Options that are passed on as they were given."""
    return [word for name, value in given.items() if value is not None for word in (name, str(value))]
