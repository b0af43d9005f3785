"""Why TLS failed: what pynetdicom does not pass on, in words for people, and what follows for a call."""

import ssl
from typing import Any

from service.core.errors import Unreached
from service.core.outbox import Trouble

_UNKNOWN_AUTHORITY = "if it is the right one, add its authority to the file of authorities"
_OTHER_HOST = "configure the host by a name that its certificate has"
_CURES = {  # by X509_V_ERR
    9: "see whether the clocks agree",
    10: "it has to be renewed there",
    18: _UNKNOWN_AUTHORITY,
    19: _UNKNOWN_AUTHORITY,
    20: _UNKNOWN_AUTHORITY,
    21: _UNKNOWN_AUTHORITY,
    62: _OTHER_HOST,
    64: _OTHER_HOST,
}
_NOT_TLS = {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"}
_MAY_PASS = {"TLSV1_ALERT_INTERNAL_ERROR", "TLSV1_ALERT_USER_CANCELLED"}


class RememberingSocket(ssl.SSLSocket):
    """Keeps why it failed, and closes then, which pynetdicom leaves to the garbage collector.

    Under TLS 1.3 a peer that refuses our certificate says so in place of its first answer.
    """

    failure: OSError | None = None

    def connect(self, addr: Any) -> None:
        """As before."""
        try:
            super().connect(addr)
        except OSError as error:
            self._fail(error)
            raise

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """As before."""
        try:
            return super().recv(buflen, flags)
        except ssl.SSLError as error:  # no other: it is also called before there is a connection
            self._fail(error)
            raise

    def _fail(self, error: OSError) -> None:
        self.failure = error
        self.close()


def unreached(peer: object, error: OSError) -> Unreached:
    """The error of a call with TLS that failed: trouble of configuration unless it may pass by itself."""
    if isinstance(error, ConnectionResetError | BrokenPipeError | ssl.SSLEOFError):
        sentence = f"{peer} closed the connection within the TLS handshake: see whether this is its port for TLS"
        return Unreached(Trouble.NETWORK, sentence)
    if not isinstance(error, ssl.SSLError) or not error.reason or error.reason in _MAY_PASS:
        return Unreached(Trouble.NETWORK, f"{peer} is not reachable: {tls_words(error)}")
    return Unreached(Trouble.CONFIGURATION, f"{peer} {_what_to_change(error)}")


def _what_to_change(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        cure = _CURES.get(error.verify_code, "see its certificate")
        return f"shows a certificate that we refuse: {tls_words(error)}; {cure}"
    if error.reason in _NOT_TLS:
        return "does not speak TLS: name its port for TLS, or take tls out"
    if "_ALERT_" in error.reason:
        return f"refuses our certificate or version of TLS: {tls_words(error)}"
    return f"has no TLS in common with us: {tls_words(error)}"


def tls_words(error: OSError) -> str:
    """What went wrong, for people; an alert is what the other side says of us (RFC 8446 6.2)."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message.rstrip(".")
    if isinstance(error, ssl.SSLError) and error.reason:
        alert = error.reason.partition("_ALERT_")[2]
        return (f"alert {alert}" if alert else error.reason).lower().replace("_", " ")
    return error.strerror or type(error).__name__
