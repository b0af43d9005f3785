"""Why a TLS handshake failed, in words for whoever configures it (X509_verify_cert_error_string; RFC 8446 6.2)."""

import ssl

_EXPIRED, _NOT_YET_VALID, _REVOKED = 10, 9, 23
_UNKNOWN_AUTHORITY = {2, 18, 19, 20, 21}
_OTHER_NAME = {62, 64}  # host name, IP address

_BY_ALERT = {  # what the peer says of us, by the end of OpenSSL's name for it
    "ALERT_CERTIFICATE_EXPIRED": "it says that our certificate has expired",
    "ALERT_UNKNOWN_CA": "it does not know the authority of our certificate",
    "ALERT_CERTIFICATE_REQUIRED": "it asks for a certificate of ours",
    "ALERT_CERTIFICATE_REVOKED": "it says that our certificate is revoked",
    "ALERT_CERTIFICATE_UNKNOWN": "it does not accept our certificate",
    "ALERT_BAD_CERTIFICATE": "it does not accept our certificate",
    "ALERT_UNSUPPORTED_CERTIFICATE": "it does not accept certificates of the kind of ours",
    "ALERT_ACCESS_DENIED": "it does not let our certificate in",
    "ALERT_PROTOCOL_VERSION": "it does not speak our versions of TLS",
    "ALERT_HANDSHAKE_FAILURE": "it accepts nothing of what TLS offers, or asks for a certificate of ours",
    "UNSUPPORTED_PROTOCOL": "it does not speak our versions of TLS",
    "WRONG_VERSION_NUMBER": "it does not speak TLS on this port",
    "PACKET_LENGTH_TOO_LONG": "it does not speak TLS on this port",
    "RECORD_LAYER_FAILURE": "it does not speak TLS on this port",
}


def sentence(error: Exception, host: str) -> str:
    """What was wrong, to stand behind the name of the peer."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate {_of_certificate(error, host)}"
    return of_alert(error) or f"TLS failed ({getattr(error, 'reason', None) or error})"


def of_alert(error: Exception) -> str:
    """What a peer that ended TLS said of it; empty when it said nothing that a configuration can cure."""
    reason = str(getattr(error, "reason", None) or "")
    return next((words for name, words in _BY_ALERT.items() if reason.endswith(name)), "")


def _of_certificate(error: ssl.SSLCertVerificationError, host: str) -> str:
    code = error.verify_code
    if code in _UNKNOWN_AUTHORITY:
        return "is of an authority that is not trusted here"
    if code in _OTHER_NAME:
        return f"is not for the host name {host}"
    words = {_EXPIRED: "has expired", _NOT_YET_VALID: "is not valid yet", _REVOKED: "is revoked"}
    return words.get(code, f"was refused ({error.verify_message})")
