"""What a connection raises, and what it means."""

from __future__ import annotations

import errno
import smtplib
import socket
import ssl

import pytest

from core.mail.exceptions import explain_exception, said_by_server
from core.mail.outcomes import Actor, Advice, FailureKind, Stage

K, S = FailureKind, Stage


def os_error(number: int) -> OSError:
    return OSError(number, "no")


def tls(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}] no (_ssl.c:1006)")
    error.reason = reason
    return error


def certificate(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, f"reason {code}"
    return error


def timed_out_reply() -> smtplib.SMTPServerDisconnected:
    try:
        try:
            raise TimeoutError("timed out")
        except OSError as error:
            raise smtplib.SMTPServerDisconnected("Connection unexpectedly closed: timed out") from error
    except smtplib.SMTPServerDisconnected as error:
        return error


@pytest.mark.parametrize(
    ("error", "stage", "kind", "advice"),
    [
        (socket.gaierror(socket.EAI_NONAME, "unknown"), S.CONNECT, K.HOST_NOT_FOUND, None),
        (socket.gaierror(socket.EAI_AGAIN, "later"), S.CONNECT, K.HOST_NOT_FOUND, "dns_unavailable"),
        (UnicodeError("label empty"), S.CONNECT, K.HOST_NOT_FOUND, None),
        (ConnectionRefusedError(errno.ECONNREFUSED, "no"), S.CONNECT, K.CONNECT_FAILED, "port_closed"),
        (os_error(errno.ENETUNREACH), S.CONNECT, K.CONNECT_FAILED, "network_unreachable"),
        (os_error(errno.EHOSTUNREACH), S.CONNECT, K.CONNECT_FAILED, "network_unreachable"),
        (PermissionError(errno.EACCES, "no"), S.CONNECT, K.CONNECT_FAILED, "port_filtered"),
        (ConnectionResetError(errno.ECONNRESET, "reset"), S.CONNECT, K.CONNECT_FAILED, None),
        (ConnectionResetError(errno.ECONNRESET, "reset"), S.STARTTLS, K.TLS_FAILED, None),
        (BrokenPipeError(errno.EPIPE, "broken"), S.BODY, K.SERVER_ERROR, None),
        (TimeoutError("timed out"), S.CONNECT, K.TIMEOUT, "port_filtered"),
        (TimeoutError("_ssl.c:989: The handshake operation timed out"), S.CONNECT, K.TIMEOUT, None),
        (timed_out_reply(), S.CONNECT, K.TIMEOUT, None),
        (timed_out_reply(), S.RCPT, K.TIMEOUT, None),
        (FileNotFoundError(errno.ENOENT, "no", "/ca.pem"), S.CONNECT, K.TLS_FAILED, "ca_file"),
        (tls("WRONG_VERSION_NUMBER"), S.CONNECT, K.TLS_FAILED, "wrong_tls_mode"),
        (tls("RECORD_LAYER_FAILURE"), S.CONNECT, K.TLS_FAILED, "wrong_tls_mode"),
        (tls("SSLV3_ALERT_HANDSHAKE_FAILURE"), S.STARTTLS, K.TLS_FAILED, "tls_too_old"),
        (tls("TLSV1_ALERT_PROTOCOL_VERSION"), S.CONNECT, K.TLS_FAILED, "tls_too_old"),
        (tls("UNSUPPORTED_PROTOCOL"), S.CONNECT, K.TLS_FAILED, "tls_too_old"),
        (tls("DH_KEY_TOO_SMALL"), S.CONNECT, K.TLS_FAILED, "tls_too_old"),
        (tls("TLSV1_ALERT_UNKNOWN_CA"), S.CONNECT, K.TLS_FAILED, "certificate_untrusted"),
        (ssl.SSLEOFError(8, "EOF occurred in violation of protocol"), S.CONNECT, K.TLS_FAILED, None),
        (ssl.SSLZeroReturnError(6, "TLS/SSL connection has been closed"), S.STARTTLS, K.TLS_FAILED, None),
        (certificate(10), S.CONNECT, K.TLS_FAILED, "certificate_expired"),
        (
            ssl.SSLCertVerificationError(
                1, "certificate verify failed: Hostname mismatch, certificate is not valid for 'x'."
            ),
            S.CONNECT,
            K.TLS_FAILED,
            "certificate_name",
        ),
        (
            ssl.SSLCertVerificationError(1, "certificate verify failed: certificate has expired"),
            S.CONNECT,
            K.TLS_FAILED,
            "certificate_expired",
        ),
        (tls("TLSV1_UNRECOGNIZED_NAME"), S.CONNECT, K.TLS_FAILED, "certificate_name"),
        (
            RuntimeError("AADSTS90072: User account does not exist in tenant"),
            S.AUTH,
            K.AUTH_FAILED,
            "credentials",
        ),
        (RuntimeError("invalid_scope"), S.AUTH, K.AUTH_FAILED, "consent_missing"),
        (certificate(9), S.CONNECT, K.TLS_FAILED, "certificate_not_yet_valid"),
        (certificate(62), S.CONNECT, K.TLS_FAILED, "certificate_name"),
        (certificate(64), S.CONNECT, K.TLS_FAILED, "certificate_name"),
        (certificate(18), S.CONNECT, K.TLS_FAILED, "certificate_untrusted"),
        (certificate(19), S.CONNECT, K.TLS_FAILED, "certificate_untrusted"),
        (certificate(20), S.CONNECT, K.TLS_FAILED, "certificate_untrusted"),
        (smtplib.SMTPServerDisconnected("closed"), S.CONNECT, K.CONNECT_FAILED, None),
        (smtplib.SMTPServerDisconnected("closed"), S.STARTTLS, K.TLS_FAILED, None),
        (smtplib.SMTPServerDisconnected("closed"), S.DATA, K.SERVER_ERROR, None),
        (smtplib.SMTPConnectError(421, b"4.3.2 no"), S.CONNECT, K.SERVER_ERROR, None),
        (
            smtplib.SMTPConnectError(554, b"5.7.1 blocked using zen.spamhaus.org"),
            S.CONNECT,
            K.SPAM_SUSPECTED,
            "block_list",
        ),
        (smtplib.SMTPHeloError(501, b"5.5.4 Invalid HELO name"), S.HELLO, K.SPAM_SUSPECTED, "helo_name"),
        (smtplib.SMTPNotSupportedError("STARTTLS"), S.STARTTLS, K.TLS_FAILED, "starttls_not_offered"),
        (smtplib.SMTPNotSupportedError("AUTH"), S.AUTH, K.AUTH_FAILED, "auth_not_offered"),
        (smtplib.SMTPNotSupportedError("SMTPUTF8"), S.MAIL, K.SERVER_ERROR, None),
        (
            smtplib.SMTPException("No suitable authentication method found."),
            S.AUTH,
            K.AUTH_FAILED,
            "auth_mechanism",
        ),
        (smtplib.SMTPAuthenticationError(535, b"5.7.8 no"), S.AUTH, K.AUTH_FAILED, "credentials"),
        (smtplib.SMTPAuthenticationError(454, b"4.7.0 later"), S.AUTH, K.AUTH_FAILED, "auth_temporary"),
        (
            smtplib.SMTPAuthenticationError(334, b"eyJzdGF0dXMiOiI0MDAiLCJzY2hlbWVzIjoiQmVhcmVyIn0="),
            S.AUTH,
            K.AUTH_FAILED,
            "token_expired",
        ),
        (
            RuntimeError('{"error": "invalid_grant", "error_description": "Bad Request"}'),
            S.AUTH,
            K.AUTH_FAILED,
            "token_expired",
        ),
        (
            RuntimeError("invalid_grant: Token has been expired or revoked."),
            S.AUTH,
            K.AUTH_FAILED,
            "token_revoked",
        ),
        (RuntimeError('{"error": "invalid_client"}'), S.AUTH, K.AUTH_FAILED, "client_secret"),
        (RuntimeError("unauthorized_client"), S.AUTH, K.AUTH_FAILED, "client_secret"),
        (
            RuntimeError("AADSTS50076: you must use multi-factor authentication"),
            S.AUTH,
            K.AUTH_FAILED,
            "mfa_required",
        ),
        (RuntimeError("AADSTS50126: Invalid username or password"), S.AUTH, K.AUTH_FAILED, "credentials"),
        (
            RuntimeError("AADSTS700082: The refresh token has expired due to inactivity."),
            S.AUTH,
            K.AUTH_FAILED,
            "token_expired",
        ),
        (
            RuntimeError("AADSTS70008: The provided grant is expired or revoked"),
            S.AUTH,
            K.AUTH_FAILED,
            "token_expired",
        ),
        (
            RuntimeError("AADSTS7000215: Invalid client secret provided"),
            S.AUTH,
            K.AUTH_FAILED,
            "client_secret",
        ),
        (
            RuntimeError("AADSTS7000222: The provided client secret keys are expired"),
            S.AUTH,
            K.AUTH_FAILED,
            "client_secret",
        ),
        (
            RuntimeError("AADSTS53003: Access has been blocked by Conditional Access"),
            S.AUTH,
            K.AUTH_FAILED,
            "conditional_access",
        ),
        (RuntimeError("AADSTS65001: The user has not consented"), S.AUTH, K.AUTH_FAILED, "consent_missing"),
        (RuntimeError("AADSTS50057: The user account is disabled"), S.AUTH, K.AUTH_FAILED, "account_blocked"),
        (RuntimeError("AADSTS50055: The password is expired"), S.AUTH, K.AUTH_FAILED, "password_expired"),
        (UnicodeEncodeError("ascii", "clé", 2, 3, "no"), S.AUTH, K.AUTH_FAILED, "password_not_ascii"),
        (ValueError("?"), S.MAIL, K.SERVER_ERROR, None),
    ],
    ids=lambda value: ascii(str(value)[:40]),
)
def test_an_exception_means_a_kind_of_failure(
    error: BaseException, stage: Stage, kind: FailureKind, advice: str | None
) -> None:
    failure = explain_exception(error, stage)
    assert (failure.kind, failure.advice) == (kind, Advice(advice) if advice else None)
    assert failure.temporary
    assert failure.diagnostic
    assert failure.actor in Actor


def test_no_secret_is_shown() -> None:
    token = "ya29." + "Ab9_-" * 20
    shown = explain_exception(RuntimeError(f"invalid_grant for {token}"), Stage.AUTH).diagnostic
    assert token not in shown
    assert "invalid_grant" in shown
    shown = explain_exception(UnicodeEncodeError("ascii", "clé", 2, 3, "no"), Stage.AUTH).diagnostic
    assert "é" not in shown


def test_a_refusal_of_the_mail_itself_keeps_its_permanence() -> None:
    assert not explain_exception(smtplib.SMTPDataError(554, b"5.7.1 spam"), Stage.BODY).temporary
    assert explain_exception(smtplib.SMTPAuthenticationError(535, b"5.7.8 no"), Stage.AUTH).temporary


@pytest.mark.parametrize(
    ("words", "server"),
    [
        ("550 5.1.1 no such mailbox", True),
        ("Error: too much mail from 192.0.2.1", True),
        ("", True),
        ("SMTPServerDisconnected: Connection unexpectedly closed", False),
        ("ConnectionRefusedError: [Errno 111] Connection refused", False),
        ("gaierror: [Errno -2] Name or service not known", False),
        ("TimeoutError: timed out", False),
    ],
)
def test_what_the_program_noticed_is_not_called_the_words_of_the_server(words: str, server: bool) -> None:
    assert said_by_server(words) is server
