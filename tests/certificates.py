"""An authority and its certificates, made for one test run."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
Extensions = list[tuple[x509.ExtensionType, bool]]  # and whether it is critical
HERE = ("localhost", "127.0.0.1")


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate and its key, as PEM files."""

    certificate: Path
    private_key: Path

    @property
    def sha256(self) -> str:
        """The fingerprint of the certificate."""
        content = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        return content.fingerprint(hashes.SHA256()).hex()

    def replace_with(self, other: "Identity") -> None:
        """Put the content of another's files in the place of these."""
        self.private_key.write_bytes(other.private_key.read_bytes())
        self.certificate.write_bytes(other.certificate.read_bytes())


class Authority:
    """A certificate authority that signs itself, and whoever asks."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        self._key = _new_key("ec")
        self._name = _named(name)
        self.certificate = folder / f"{name}.pem"
        self._write(self.certificate, self._unsigned(self._name, self._key, (-30, 3650)), _OF_AN_AUTHORITY)

    def certified(
        self,
        name: str,
        *,
        hosts: tuple[str, ...] = HERE,
        days: tuple[float, float] = (-1, 90),
        key: str = "ec",
        file: str = "",
    ) -> Identity:
        """A certificate with `name` as its common name, for hosts, good between two days from now."""
        stem = file or name
        identity = Identity(self._folder / f"{stem}.pem", self._folder / f"{stem}.key")
        private_key = _new_key(key)
        alternative = x509.SubjectAlternativeName([_general(host) for host in hosts])
        unsigned = self._unsigned(_named(name), private_key, days)
        self._write(identity.certificate, unsigned, [(alternative, False), *_OF_A_PEER])
        content = private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        identity.private_key.write_bytes(content)
        identity.private_key.chmod(0o600)
        return identity

    def settings(self, identity: Identity, port: int) -> dict[str, Any]:
        """The section `tls` of a receiver that is `identity` and trusts this authority alone."""
        return {"port": port, **self.client_settings(identity)}

    def client_settings(self, identity: Identity) -> dict[str, str]:
        """The section `tls` of a destination that this authority vouches for, called by `identity`."""
        return {
            "certificate": str(identity.certificate),
            "private_key": str(identity.private_key),
            "authorities": str(self.certificate),
        }

    def context(self, identity: Identity | None) -> ssl.SSLContext:
        """A client's, as `identity` or as nobody, towards servers of this authority."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.certificate)
        if identity:
            context.load_cert_chain(identity.certificate, identity.private_key)
        return context

    def _unsigned(self, subject: x509.Name, key: PrivateKey, days: tuple[float, float]) -> x509.CertificateBuilder:
        first, last = (datetime.now(UTC) + timedelta(days=day) for day in days)
        return x509.CertificateBuilder(self._name, subject, key.public_key(), x509.random_serial_number(), first, last)

    def _write(self, path: Path, builder: x509.CertificateBuilder, extensions: Extensions) -> None:
        for extension, is_critical in extensions:
            builder = builder.add_extension(extension, is_critical)
        path.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))


_SIGNS = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
_OF_AN_AUTHORITY: Extensions = [(x509.BasicConstraints(True, None), True), (_SIGNS, True)]
_BOTH_SIDES = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
_OF_A_PEER: Extensions = [(x509.BasicConstraints(False, None), True), (_BOTH_SIDES, False)]


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _new_key(kind: str) -> PrivateKey:
    if kind == "ec":
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(65537, {"rsa": 2048, "weak rsa": 1024}[kind])
