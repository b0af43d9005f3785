"""destinations.yaml: who gets the results, and in which form."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from models.terms import Text
from service.core.profiles import USUAL, Profile, profile_of
from service.settings.terms import AeTitle, ClientTls, DicomWebServer, Port, kind_of


class _Destination(Text):
    name: str = Field(min_length=1)
    profile: Annotated[Profile, BeforeValidator(profile_of)] = USUAL


class DicomDestination(_Destination):
    """A peer that takes objects by C-STORE, and proves that it has them as `proof` says: each way until one can."""

    kind: Literal["dicom"] = "dicom"
    ae_title: AeTitle
    host: str = Field(min_length=1)
    port: Port
    calling_ae_title: AeTitle | None = None
    tls: ClientTls | None = None
    associations: int = Field(default=2, ge=1, le=16)
    answer_seconds: float = Field(default=12, gt=0, le=600)
    proof: tuple[Literal["commitment", "query"], ...] = ("commitment", "query")
    commitment_minutes: float = Field(default=10, gt=0, le=10_080)


class DicomWebDestination(_Destination, DicomWebServer):
    """A server that takes objects by STOW-RS, and says by QIDO-RS whether it has them."""

    kind: Literal["dicomweb"]
    associations: int = Field(default=2, ge=1, le=16)
    answer_seconds: float = Field(default=12, gt=0, le=600)
    proof: tuple[Literal["query"], ...] = ("query",)


class FolderDestination(_Destination):
    """A folder of ours: DICOM files, and NIfTI with JSON where somebody wants them."""

    kind: Literal["folder"]
    path: Path
    nifti: bool = False


Destination = Annotated[
    Annotated[DicomDestination, Tag("dicom")]
    | Annotated[DicomWebDestination, Tag("dicomweb")]
    | Annotated[FolderDestination, Tag("folder")],
    Discriminator(kind_of, custom_error_type="kind", custom_error_message="kind is dicom, dicomweb or folder"),
]


class Destinations(Text):
    """destinations.yaml"""

    destinations: tuple[Destination, ...] = ()

    @model_validator(mode="after")
    def _names_differ(self) -> "Destinations":
        names = [destination.name for destination in self.destinations]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two destinations are named {', '.join(twice)}: rename one")
        return self
