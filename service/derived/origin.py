"""Where a derived object comes from: what every builder needs beside sources and findings."""

from dataclasses import dataclass
from datetime import datetime

from service.core.identity import derived_uid


@dataclass(frozen=True, slots=True)
class Origin:
    """The job behind an object. `made_at` is when the input was complete, so that a second run gives equal bytes."""

    job_id: str
    made_at: datetime
    software_version: str
    configuration_digest: str = ""  # of the destination's profile
    input_digest: str = ""  # of the received bytes of every source image

    def uid(self, kind: str, *parts: str) -> str:
        """The UID of an object, series or tracked finding of this job."""
        return derived_uid(self.job_id, kind, *parts)
