"""What the sections of a site's configuration have in common: kinds of value, and servers with their certificates."""

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from models.terms import Text

AeTitle = Annotated[str, Field(min_length=1, max_length=16, pattern=r"^[\x21-\x5b\x5d-\x7e][\x20-\x5b\x5d-\x7e]*$")]
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(ge=0, le=86400)]
Share = Annotated[float, Field(ge=0, lt=1)]


def kind_of(written: object) -> str:
    """Which of several kinds of section something is, written or read: DICOM where it does not say."""
    found = written.get("kind", "dicom") if isinstance(written, dict) else getattr(written, "kind", "dicom")
    return str(found)


class ClientTls(Text):
    """How a peer proves who it is, and we to it: certificates of its authorities, and our own where it asks."""

    authorities: Path
    certificate: Path | None = None
    private_key: Path | None = None

    @model_validator(mode="after")
    def _key_and_certificate(self) -> Self:
        _require_both(self.certificate, self.private_key)
        return self


class DicomWebServer(Text):
    """A server that speaks DICOMweb (PS3.18): where it is, how it proves who it is, and we to it."""

    url: str = Field(pattern=r"^https?://[^/?#@\s]+(/[^?#\s]*)?$")
    token_file: Path | None = None
    authorities: Path | None = None
    certificate: Path | None = None
    private_key: Path | None = None

    @model_validator(mode="after")
    def _key_and_certificate(self) -> Self:
        _require_both(self.certificate, self.private_key)
        return self

    @model_validator(mode="after")
    def _nobody_overhears_the_token(self) -> Self:
        host = urlsplit(self.url).hostname or ""
        if self.token_file and self.url.startswith("http:") and not _is_loopback(host):
            raise ValueError(f"a token would cross the network to {host} in plain text: write https:// in url")
        return self


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _require_both(certificate: Path | None, private_key: Path | None) -> None:
    if (certificate is None) != (private_key is None):
        raise ValueError("certificate and private_key belong together: name both, or none")
