"""Transport security for associations (PS3.15 B.12, BCP 195): TLS 1.2 or 1.3, and a certificate on either side."""

import hashlib
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from socket import socket
from typing import Any

import structlog

from service.core.doorkeeping import ShownCertificate
from service.core.errors import ConfigurationError
from service.edge.tls_failures import RememberingSocket, tls_words

# forward secrecy and authenticated encryption (RFC 9325 4.2); level 2 asks for RSA of 2048 bits and no SHA-1
_SUITES = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20:!aDSS:@SECLEVEL=2"
_OTHERS = 0o077  # permissions that a private key may not give


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The PEM files of one side, and where the configuration names them."""

    place: str
    authorities: Path
    certificate: Path | None = None
    private_key: Path | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """Those that there are."""
        return tuple(path for path in (self.authorities, self.certificate, self.private_key) if path)


def server_context(files: TlsFiles) -> ssl.SSLContext:
    """What a port needs that asks every peer for a certificate. Raises ConfigurationError when a file does not fit."""
    context = _context(ssl.PROTOCOL_TLS_SERVER, files)
    context.verify_mode = ssl.CERT_REQUIRED
    context.num_tickets = 0  # each connection shows its certificate; nobody comes back by a ticket
    return context


def client_context(files: TlsFiles) -> ssl.SSLContext:
    """What a call needs: the peer's certificate has to be of our authorities, and for the host that was called.

    Raises ConfigurationError when a file does not fit.
    """
    context = _context(ssl.PROTOCOL_TLS_CLIENT, files)  # which checks host names
    context.sslsocket_class = RememberingSocket
    return context


def _context(protocol: int, files: TlsFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_SUITES)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    for path in files.paths:
        _require_readable(files.place, path)
    _load_authorities(context, files)
    if files.certificate and files.private_key:
        _load_own(context, files.place, files.certificate, files.private_key)
    return context


def _require_readable(place: str, path: Path) -> None:
    try:
        with path.open("rb"):
            return
    except OSError as error:
        sentence = f"{place}: {path} cannot be read ({error.strerror}): name a file of PEM that the service may read"
        raise ConfigurationError(sentence) from error


def _load_authorities(context: ssl.SSLContext, files: TlsFiles) -> None:
    try:
        context.load_verify_locations(files.authorities)
    except ssl.SSLError as error:
        raise ConfigurationError(
            f"{files.place}: {files.authorities} holds no certificate: name the PEM file of the authorities"
        ) from error


def _load_own(context: ssl.SSLContext, place: str, certificate: Path, private_key: Path) -> None:
    mode = private_key.stat().st_mode
    if mode & _OTHERS:
        sentence = f"{place}: {private_key} may be read by others ({mode & 0o777:o}): chmod 600 {private_key}"
        raise ConfigurationError(sentence)

    def refuse() -> str:
        raise ConfigurationError(
            f"{place}: {private_key} asks for a pass phrase: write it without one (openssl pkey -in {private_key})"
        )

    try:
        context.load_cert_chain(certificate, private_key, refuse)
    except ssl.SSLError as error:
        raise ConfigurationError(f"{place}: {_misfit(certificate, private_key, error)}") from error


def _misfit(certificate: Path, private_key: Path, error: ssl.SSLError) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return f"{private_key} is not the key of {certificate}: name two files that were made together"
    if error.reason in {"EE_KEY_TOO_SMALL", "CA_MD_TOO_WEAK", "CA_KEY_TOO_SMALL"}:
        return f"{certificate} is too weak ({tls_words(error)}): have one made with RSA of 2048 bits or EC, and SHA-256"
    return f"{certificate} or {private_key} cannot be used: name a certificate and its private key, both in PEM form"


class Credentials:
    """One side's TLS, from files that may be replaced while we run: a new connection takes the newest that fit.

    Raises ConfigurationError when the first ones do not; when later ones do not, those before stay and the log says so.
    """

    def __init__(self, files: TlsFiles, make: Callable[[TlsFiles], ssl.SSLContext]) -> None:
        self._files = files
        self._make = make
        self._reading = threading.Lock()
        self._seen = _marks(files)
        self._context = make(files)

    def wrap_socket(
        self, connection: socket, *, server_side: bool = False, server_hostname: str | None = None
    ) -> ssl.SSLSocket:
        """As of SSLContext. Raises OSError when the handshake fails."""
        return self.newest().wrap_socket(connection, server_side=server_side, server_hostname=server_hostname)

    def newest(self) -> ssl.SSLContext:
        """The context of the newest files that fit."""
        with self._reading:
            marks = _marks(self._files)
            if marks != self._seen:
                self._seen = marks
                self._read_again()
            return self._context

    def _read_again(self) -> None:
        try:
            self._context = self._make(self._files)
        except (ConfigurationError, OSError) as error:
            structlog.get_logger().error("new certificates not taken", place=self._files.place, reason=str(error))
            return
        structlog.get_logger().info("new certificates taken", place=self._files.place)


def _marks(files: TlsFiles) -> list[tuple[int, ...]]:
    """What changes when a file does."""
    return [_mark(path) for path in files.paths]


def _mark(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_ino, found.st_size


def shown_certificate(connection: ssl.SSLSocket) -> ShownCertificate:
    """What the verified certificate of a peer says."""
    content = connection.getpeercert(binary_form=True) or b""
    try:
        said: dict[str, Any] = dict(connection.getpeercert() or {})
    except ValueError:  # a name that is no text
        said = {}
    subject = [attribute for attributes in said.get("subject", ()) for attribute in attributes]
    return ShownCertificate(
        tuple(value for kind, value in subject if kind == "commonName"),
        tuple(value for kind, value in said.get("subjectAltName", ()) if kind == "DNS"),
        hashlib.sha256(content).hexdigest(),
    )


class Call:
    """The TLS of one association of pynetdicom, which does not say why a connection failed; this does."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._secured: ssl.SSLSocket | None = None

    def wrap_socket(self, connection: socket, *, server_side: bool, server_hostname: str) -> ssl.SSLSocket:
        """As of SSLContext."""
        secured = self._credentials.wrap_socket(connection, server_side=server_side, server_hostname=server_hostname)
        self._secured = secured
        return secured

    @property
    def failure(self) -> OSError | None:
        """What ended the connection before there was an answer, where something did."""
        return self._secured.failure if isinstance(self._secured, RememberingSocket) else None
