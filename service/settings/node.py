"""node.yaml: what happens between the door and the destinations, and how long things are kept."""

from datetime import time, timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from models.terms import Text
from service.core.completeness import Patience
from service.core.suitability import Allowance
from service.settings.receiving import Receiving
from service.settings.terms import Seconds


class Assembling(Text):
    """When a Series counts as whole."""

    quiet_seconds_when_gapless: Seconds = 1
    quiet_seconds_otherwise: Seconds = 60

    @property
    def patience(self) -> Patience:
        """Both waits as one value."""
        return Patience(
            timedelta(seconds=self.quiet_seconds_when_gapless), timedelta(seconds=self.quiet_seconds_otherwise)
        )


class NnunetEnvironment(Text):
    """Where model folders of nnU-Net are run, which of them may be, and what each may take."""

    python: Path
    allowed: tuple[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")], ...] = ()
    deadline_seconds: float = Field(default=600, gt=0, le=86400)
    memory_gib: float | None = Field(default=None, gt=0, le=4096)
    isolated: bool = True


class Inferring(Text):
    """Where and how long a model may run."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    packages: tuple[Path, ...] = ()
    deadline_seconds: float = Field(default=900, gt=0, le=86400)
    phantom_models_may_answer_for_patients: bool = False
    models_may_answer_for_any_age: bool = False
    nnunet: NnunetEnvironment | None = None

    @property
    def allowed(self) -> Allowance:
        """What the site lets models do, as one value."""
        return Allowance(self.phantom_models_may_answer_for_patients, self.models_may_answer_for_any_age)


class Comparing(Text):
    """Where results of earlier studies are looked for when the ledger has none."""

    ask_archives: bool = True
    archive_seconds: float = Field(default=45, gt=0, le=600)


class Keeping(Text):
    """Housekeeping."""

    days: float = Field(default=7, gt=0, le=36500)
    reconcile_at: time | None = time(3, 0)
    reconcile_days: float = Field(default=2, gt=0, le=36500)


class Node(Text):
    """node.yaml"""

    spool: Path = Path("spool")
    ledger: str = ""  # an SQLAlchemy URL; empty: ledger.sqlite3 beside the spool
    receiving: Receiving = Receiving()
    assembling: Assembling = Assembling()
    inferring: Inferring = Inferring()
    comparing: Comparing = Comparing()
    keeping: Keeping = Keeping()
