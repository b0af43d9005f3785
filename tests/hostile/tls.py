"""An authority and its certificates, made for one test run, and a good peer's side of mutual TLS."""

import ssl
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.hostile.client import GOOD_ADDRESS, dial


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate and its key, as PEM files."""

    certificate: Path
    private_key: Path


class Authority:
    """A certificate authority that signs itself, and whoever asks."""

    def __init__(self, openssl: str, folder: Path) -> None:
        self._openssl, self._folder = openssl, folder
        self._own = _identity(folder, "authority")
        self._request(self._own, ["-subj", "/CN=authority", "-addext", "keyUsage=critical,keyCertSign,cRLSign"])

    def certified(self, name: str) -> Identity:
        """A certificate for a peer of 127.0.0.1."""
        identity = _identity(self._folder, name)
        alternative = f"subjectAltName=IP:127.0.0.1,DNS:{name.lower()}"
        signed = ["-CA", str(self._own.certificate), "-CAkey", str(self._own.private_key)]
        leaf = ["-addext", "basicConstraints=critical,CA:FALSE", "-addext", alternative]
        self._request(identity, ["-subj", f"/CN={name}", *signed, *leaf])
        return identity

    def settings(self, identity: Identity, port: int) -> dict[str, Any]:
        """The section `tls` of a receiver that is `identity` and trusts this authority alone."""
        return {
            "port": port,
            "certificate": str(identity.certificate),
            "private_key": str(identity.private_key),
            "authorities": str(self._own.certificate),
        }

    def dialler(self, port: int, identity: Identity) -> Callable[[], ssl.SSLSocket]:
        """A way to connect as `identity` to a server whose certificate is of this authority."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self._own.certificate)
        context.load_cert_chain(identity.certificate, identity.private_key)

        def connect() -> ssl.SSLSocket:
            plain = dial(port, GOOD_ADDRESS)
            try:
                return context.wrap_socket(plain, server_hostname="127.0.0.1")
            except OSError:
                plain.close()
                raise

        return connect

    def _request(self, identity: Identity, arguments: list[str]) -> None:
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout"]
        files = [str(identity.private_key), "-out", str(identity.certificate)]
        line = [self._openssl, "req", "-x509", "-days", "2", *key, *files, *arguments]
        subprocess.run(line, check=True, capture_output=True, timeout=60)
        identity.private_key.chmod(0o600)


def _identity(folder: Path, name: str) -> Identity:
    return Identity(folder / f"{name}.pem", folder / f"{name}.key")
