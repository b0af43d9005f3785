"""TLS contexts: what they allow, and what is said when a file does not fit."""

import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from structlog.testing import capture_logs

from service.core.errors import ConfigurationError
from service.edge.tls import Credentials, TlsFiles, client_context, server_context
from tests.certificates import Authority, Identity

BOTH_SIDES = pytest.mark.parametrize("make", [server_context, client_context])
Make = Callable[[TlsFiles], ssl.SSLContext]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def own(authority: Authority) -> Identity:
    return authority.certified("ISOCENTER")


@pytest.fixture
def files(authority: Authority, own: Identity) -> TlsFiles:
    return TlsFiles("receiving.tls", authority.certificate, own.certificate, own.private_key)


@BOTH_SIDES
def test_only_suites_with_forward_secrecy_and_authenticated_encryption_are_allowed(make: Make, files: TlsFiles) -> None:
    context = make(files)
    suites = context.get_ciphers()
    assert {suite["aead"] for suite in suites} == {True}
    assert {suite["kea"] for suite in suites} == {"kx-ecdhe", "kx-dhe", "kx-any"}  # any: those of TLS 1.3
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert context.options & ssl.OP_NO_COMPRESSION
    assert context.cert_store_stats()["x509"] == 1


def test_the_client_checks_host_names(files: TlsFiles) -> None:
    assert client_context(files).check_hostname


def lose(files: TlsFiles) -> None:
    assert files.private_key
    files.private_key.unlink()


def open_up(files: TlsFiles) -> None:
    assert files.private_key
    files.private_key.chmod(0o604)


def swap(files: TlsFiles) -> None:
    assert files.private_key
    other = Authority(files.private_key.parent, "other").certified("OTHER")
    files.private_key.write_bytes(other.private_key.read_bytes())


def protect(files: TlsFiles) -> None:
    assert files.private_key
    key = load_pem_private_key(files.private_key.read_bytes(), None)
    protection = BestAvailableEncryption(b"secret")
    files.private_key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection))


def damage(files: TlsFiles) -> None:
    assert files.certificate
    files.certificate.write_text("no certificate")


def empty(files: TlsFiles) -> None:
    files.authorities.write_text("")


@BOTH_SIDES
@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        pytest.param(lose, r"ISOCENTER\.key cannot be read \(No such file or directory\): name a file", id="absent"),
        pytest.param(open_up, r"ISOCENTER\.key may be read by others \(604\): chmod 600", id="readable by others"),
        pytest.param(swap, r"ISOCENTER\.key is not the key of .*ISOCENTER\.pem: name two files", id="another's key"),
        pytest.param(protect, r"ISOCENTER\.key asks for a pass phrase: write it without", id="a pass phrase"),
        pytest.param(damage, r"ISOCENTER\.pem or .* cannot be used: name a certificate", id="no PEM"),
        pytest.param(empty, r"authority\.pem holds no certificate: name the PEM file", id="no authority"),
    ],
)
def test_a_file_that_does_not_fit_is_named_with_the_cure(
    make: Make, files: TlsFiles, spoil: Callable[[TlsFiles], None], sentence: str
) -> None:
    spoil(files)
    with pytest.raises(ConfigurationError, match=f"^receiving.tls: .*{sentence}"):
        make(files)


def test_a_key_of_1024_bits_is_too_weak(authority: Authority) -> None:
    weak = authority.certified("WEAK", key="weak rsa")
    with pytest.raises(ConfigurationError, match=r"WEAK\.pem is too weak \(ee key too small\): have one made with RSA"):
        server_context(TlsFiles("receiving.tls", authority.certificate, weak.certificate, weak.private_key))


def test_an_expired_certificate_of_ours_is_no_reason_to_stay_away(authority: Authority) -> None:
    own = authority.certified("ISOCENTER", days=(-9, -1))
    server_context(TlsFiles("receiving.tls", authority.certificate, own.certificate, own.private_key))


def test_files_are_read_again_only_once_they_have_changed(files: TlsFiles) -> None:
    made: list[ssl.SSLContext] = []

    def make(files: TlsFiles) -> ssl.SSLContext:
        made.append(server_context(files))
        return made[-1]

    credentials = Credentials(files, make)
    with capture_logs() as events:
        assert [credentials.newest() for _ in range(3)] == made * 3
        swap(files)
        assert [credentials.newest() for _ in range(3)] == made * 3
    assert [(event["event"], event["log_level"]) for event in events] == [("new certificates not taken", "error")]
