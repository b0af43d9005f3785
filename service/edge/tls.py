"""Transport security for associations (PS3.15 B.12): TLS 1.2 or later, both sides with a certificate."""

import ssl
from pathlib import Path

from service.core.errors import ConfigurationError


def server_context(certificate: Path, private_key: Path, authorities: Path) -> ssl.SSLContext:
    """What a port that asks for certificates needs. Raises ConfigurationError when a file cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_cert_chain(certificate, private_key)
        context.load_verify_locations(authorities)
    except OSError as error:
        raise ConfigurationError(f"receiving.tls: {certificate}, {private_key} or {authorities}: {error}") from error
    return context
