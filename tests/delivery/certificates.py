"""Certificates made in memory, right and wrong ones, and the contexts of both sides of TLS."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True, slots=True)
class Authority:
    """Who signs certificates."""

    name: x509.Name
    key: ec.EllipticCurvePrivateKey
    file: Path


def authority(folder: Path, name: str) -> Authority:
    """An authority whose own certificate lies in a folder."""
    key, subject = ec.generate_private_key(ec.SECP256R1()), _named(name)
    constraints = x509.BasicConstraints(ca=True, path_length=None)
    signed = _described(subject, subject, key, 0).add_extension(constraints, critical=True).sign(key, hashes.SHA256())
    file = folder / f"{name}.pem"
    file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    return Authority(subject, key, file)


def certified(folder: Path, by: Authority, name: str, address: str = "127.0.0.1", ended_days_ago: int = 0) -> Path:
    """A certificate for an address, with its key in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))])
    described = _described(_named(name), by.name, key, ended_days_ago).add_extension(names, critical=False)
    file = folder / f"{name}.pem"
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    secret = key.private_bytes(encoding, form, serialization.NoEncryption())
    file.write_bytes(described.sign(by.key, hashes.SHA256()).public_bytes(encoding) + secret)
    return file


def server(certificate: Path, authorities: Path | None = None) -> ssl.SSLContext:
    """The context of a server, which asks for certificates of the authorities if any are named."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    if authorities:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(authorities)
    return context


def client(authorities: Path, certificate: Path | None = None) -> ssl.SSLContext:
    """The context of a client, with a certificate of its own if it is named."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(authorities)
    if certificate:
        context.load_cert_chain(certificate)
    return context


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _described(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, ended_days_ago: int
) -> x509.CertificateBuilder:
    ends = datetime.now(UTC) + timedelta(days=-ended_days_ago if ended_days_ago else 1)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(ends - timedelta(days=3))
        .not_valid_after(ends)
    )
