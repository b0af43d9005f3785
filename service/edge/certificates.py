"""Certificates on disk: what they call themselves, and until when they are good."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import structlog
from cryptography import x509

from service.core.errors import ConfigurationError
from service.core.expiry import is_due, remaining, words


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate of a PEM file."""

    path: Path
    subject: str  # RFC 4514
    not_after: datetime

    def __str__(self) -> str:
        return f"{self.subject} in {self.path}"


def read_certificates(path: Path) -> list[Certificate]:
    """Every certificate of a PEM file. Raises ConfigurationError when it has none."""
    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigurationError(f"{path} holds no certificate in PEM form") from error
    return [Certificate(path, each.subject.rfc4514_string(), each.not_valid_after_utc) for each in found]


class ExpiryWatch:
    """Warns of every certificate that runs out, once a day."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._told: dict[Certificate, date] = {}

    def tick(self, now: datetime) -> None:
        """Look at the files as they are now."""
        told = {each: self._told.get(each) for each in self._certificates()}
        for certificate, day in told.items():
            left = remaining(certificate.not_after, now)
            if is_due(left, day, now.date()):
                _warn(certificate, now, urgent=left.is_urgent)
                self._told[certificate] = now.date()

    def _certificates(self) -> Iterator[Certificate]:
        for path in self._paths:
            try:
                yield from read_certificates(path)
            except ConfigurationError as error:
                structlog.get_logger().error("certificate not readable", file=str(path), reason=str(error))


def _warn(certificate: Certificate, now: datetime, *, urgent: bool) -> None:
    log = structlog.get_logger().error if urgent else structlog.get_logger().warning
    sentence = words(certificate.not_after, now)
    log("certificate runs out", subject=certificate.subject, file=str(certificate.path), reason=sentence)
