"""The translator's other half: from what a connection raises to what it means.

No library of mail is imported here: its exceptions are known by their names.
"""

from __future__ import annotations

import errno
import re
import socket
import ssl
from dataclasses import replace

from core.mail.advice import Advice
from core.mail.explanations import FailureKind
from core.mail.outcomes import Failure, Reply, Stage, printable
from core.mail.replies import explain_reply, explain_token

BEFORE_THE_MAIL = frozenset({Stage.CONNECT, Stage.HELLO, Stage.STARTTLS, Stage.AUTH})
"""Stages before any mail is named. A failure there is the server's: worth another try, whatever the code."""

_HUNG_UP = frozenset({errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED, errno.ENOTCONN, errno.ESHUTDOWN})
_NO_WAY = (
    ({errno.ECONNREFUSED}, Advice.PORT_CLOSED),
    (
        {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN, errno.EADDRNOTAVAIL},
        Advice.NETWORK_UNREACHABLE,
    ),
    ({errno.EACCES, errno.EPERM}, Advice.PORT_FILTERED),
)

# Reasons of OpenSSL's X509_verify_cert().
_CERTIFICATES = {
    9: Advice.CERTIFICATE_NOT_YET_VALID,
    10: Advice.CERTIFICATE_EXPIRED,
    62: Advice.CERTIFICATE_NAME,
    64: Advice.CERTIFICATE_NAME,
}

# The same in words, where the code was lost on the way.
_CERTIFICATE_WORDS = (
    (Advice.CERTIFICATE_NAME, ("mismatch", "not valid for")),
    (Advice.CERTIFICATE_NOT_YET_VALID, ("not yet valid",)),
    (Advice.CERTIFICATE_EXPIRED, ("has expired",)),
)

# Parts of the reasons that OpenSSL gives, of several versions.
_TLS_REASONS = (
    (Advice.WRONG_TLS_MODE, ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "UNKNOWN_PROTOCOL",
                             "PACKET_LENGTH_TOO_LONG", "NOT_SSL")),
    (Advice.CERTIFICATE_EXPIRED, ("CERTIFICATE_EXPIRED",)),
    (Advice.CERTIFICATE_NAME, ("UNRECOGNIZED_NAME",)),
    (Advice.CERTIFICATE_UNTRUSTED, ("UNKNOWN_CA", "CERTIFICATE_UNKNOWN", "CERTIFICATE_VERIFY_FAILED")),
    (Advice.TLS_TOO_OLD, ("PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL", "NO_PROTOCOLS", "NO_SHARED_CIPHER", "NO_CIPHER",
                          "HANDSHAKE_FAILURE", "DH_KEY_TOO_SMALL", "KEY_TOO_SMALL", "EE_KEY_TOO_SMALL",
                          "MD_TOO_WEAK", "LEGACY", "INSUFFICIENT_SECURITY", "NO_SUITABLE", "BAD_SIGNATURE",
                          "WRONG_SIGNATURE_TYPE", "INTERNAL_ERROR", "VERSION_TOO_LOW")),
)  # fmt: skip

_NOT_OFFERED = {
    Stage.STARTTLS: (FailureKind.TLS_FAILED, Advice.STARTTLS_NOT_OFFERED),
    Stage.AUTH: (FailureKind.AUTH_FAILED, Advice.AUTH_NOT_OFFERED),
}
_UNICODE = {
    True: (FailureKind.AUTH_FAILED, Advice.PASSWORD_NOT_ASCII),
    False: (FailureKind.HOST_NOT_FOUND, None),
}

# What is long and has no spaces may be a token or a password; it is never shown.
_SECRET = re.compile(r"[A-Za-z0-9+/_\-.~]{40,}={0,2}")


# What we write ourselves where a connection breaks: the name of the error, and its words.
_OURS = re.compile(r"[A-Za-z_]\w*(?:[Ee]rror|Exception|Disconnected|Timeout|Refused):")


def said_by_server(words: str) -> bool:
    """Return whether the words of a failure are the server's, and not those of the program that could not reach it."""
    return _OURS.match(words) is None


def explain_exception(error: BaseException, stage: Stage) -> Failure:
    """Translate what a connection raises into a failure.

    Whatever fails before a mail is spoken about is worth another try; it counts against the server.
    """
    names = {kind.__name__ for kind in type(error).__mro__}
    if "SMTPResponseException" in names:
        reply = Reply.parse(getattr(error, "smtp_code", 0), getattr(error, "smtp_error", b""))
        failure = explain_reply(reply, stage)
        return replace(failure, temporary=True) if stage in BEFORE_THE_MAIL else failure
    kind, advice = _read(error, names, stage)
    words = f"{type(error).__name__}: {error}"
    if isinstance(error, UnicodeError) and stage is Stage.AUTH:
        # Its own words would show a character of the password.
        words = "User name and password may only hold ASCII characters for this sign-in."
    elif isinstance(error, ssl.SSLCertVerificationError):
        words = f"{type(error).__name__}: {getattr(error, 'verify_message', '') or error}"
    return Failure(kind, temporary=True, detail=printable(_SECRET.sub("…", words)), advice=advice)


def _read(error: BaseException, names: set[str], stage: Stage) -> tuple[FailureKind, Advice | None]:
    if isinstance(error, UnicodeError):
        # At the connection: a name that cannot be one, such as with an empty label.
        return _UNICODE[stage is Stage.AUTH]
    if isinstance(error, ssl.SSLError):
        return FailureKind.TLS_FAILED, _read_tls(error)
    # smtplib reports a reply that never came as a disconnection, and keeps the truth in the context.
    if isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError):
        return FailureKind.TIMEOUT, _read_timeout(error, stage)
    if "SMTPException" in names:
        return _read_smtp(error, names, stage)
    if isinstance(error, OSError):
        return _read_os(error, stage)
    # Whatever asks for a token may raise what it likes.
    token = explain_token(str(error))
    kind = FailureKind.AUTH_FAILED if token is not None or stage is Stage.AUTH else FailureKind.SERVER_ERROR
    return kind, token.advice if token is not None else None


def _read_timeout(error: BaseException, stage: Stage) -> Advice | None:
    never_answered = (
        stage is Stage.CONNECT and isinstance(error, TimeoutError) and "handshake" not in str(error)
    )
    return Advice.PORT_FILTERED if never_answered else None


def _read_smtp(error: BaseException, names: set[str], stage: Stage) -> tuple[FailureKind, Advice | None]:
    if "SMTPNotSupportedError" in names:
        return _NOT_OFFERED.get(stage, (FailureKind.SERVER_ERROR, None))
    if "EndlessReplyError" in names:
        return FailureKind.SERVER_ERROR, None
    if "SMTPServerDisconnected" in names:
        return _hung_up(stage), None
    if stage is Stage.AUTH:
        # "No suitable authentication method found."
        token = explain_token(str(error))
        return FailureKind.AUTH_FAILED, token.advice if token is not None else Advice.AUTH_MECHANISM
    return FailureKind.SERVER_ERROR, None


def _read_tls(error: ssl.SSLError) -> Advice | None:
    if isinstance(error, ssl.SSLCertVerificationError):
        code, words = getattr(error, "verify_code", 0), str(error).lower()
        by_words = (advice for advice, parts in _CERTIFICATE_WORDS if any(part in words for part in parts))
        return _CERTIFICATES.get(code) or next(by_words, Advice.CERTIFICATE_UNTRUSTED)
    reason = f"{getattr(error, 'reason', '')} {error}".upper()
    return next((advice for advice, parts in _TLS_REASONS if any(part in reason for part in parts)), None)


def _hung_up(stage: Stage) -> FailureKind:
    if stage is Stage.CONNECT:
        return FailureKind.CONNECT_FAILED
    return FailureKind.TLS_FAILED if stage is Stage.STARTTLS else FailureKind.SERVER_ERROR


def _read_os(error: OSError, stage: Stage) -> tuple[FailureKind, Advice | None]:
    if isinstance(error, socket.gaierror):
        passing = error.errno in {socket.EAI_AGAIN, socket.EAI_FAIL}
        return FailureKind.HOST_NOT_FOUND, Advice.DNS_UNAVAILABLE if passing else None
    if error.filename:
        return FailureKind.TLS_FAILED, Advice.CA_FILE
    if error.errno in _HUNG_UP:
        return _hung_up(stage), None
    advices = (code_advice for codes, code_advice in _NO_WAY if error.errno in codes)
    return FailureKind.CONNECT_FAILED, next(advices, None)
