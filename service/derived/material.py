"""What the objects of a job are made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydicom import Dataset

from models.findings import Findings
from models.volume import Radiograph, Volume
from service.core.profiles import USUAL, Kind, Profile
from service.core.radiographs import names_radiograph
from service.derived.origin import Origin

Made = Mapping[Kind, Sequence[Dataset]]  # what has been built and proven so far, as read back from its bytes


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """Everything that builders and proofs know.

    `sources` are the images, or frames under the names of single-frame images, without pixels and in the order of the
    source planes. `image` holds their values, and is None where no kind of the profile shows any.
    """

    sources: Sequence[Dataset]
    findings: Findings
    origin: Origin
    profile: Profile = USUAL
    image: Volume | Radiograph | None = None

    @property
    def of_radiograph(self) -> bool:
        """True when the source is a projection, whose findings are in pixels."""
        source = self.sources[0]
        return names_radiograph(str(source.SOPClassUID), str(source.get("Modality") or ""))

    def object_uid(self, kind: str, *parts: str) -> str:
        """The SOP Instance UID of an object of this form; equal whenever it is made again."""
        return self.origin.uid("instance", kind, *parts, *self._variant())

    def series_uid(self, kind: str, *parts: str) -> str:
        """The Series Instance UID of the objects of this kind and form."""
        return self.origin.uid("series", kind, *parts, *self._variant())

    def _variant(self) -> tuple[str, ...]:
        return (self.profile.variant,) if self.profile.variant else ()
