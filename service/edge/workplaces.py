"""Where the stages of a job work, and by which of the site's settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from models.environment import Environment
from service.core.profiles import Profile
from service.core.suitability import NOTHING_ELSE, Allowance

Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True, slots=True)
class Bench:
    """Where a model works: the spool it reads and writes, its packages, its device, what the site allows."""

    spool: Path
    packages: tuple[Path, ...]
    device: Device
    allowed: Allowance = NOTHING_ELSE
    environment: Environment | None = None  # of nnU-Net


@dataclass(frozen=True, slots=True)
class Desk:
    """Where results are written: the spool, what each destination takes, and the version that writes."""

    spool: Path
    profiles: Mapping[str, Profile]
    software_version: str
    with_side_files: frozenset[str] = frozenset()  # destinations that take label maps and findings as files too
