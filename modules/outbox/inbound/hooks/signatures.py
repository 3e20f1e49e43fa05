"""Whether a request really comes from a relay: each provider proves it in its own way. No I/O.

SendGrid signs (ECDSA), so do SES (by SNS, RSA) and Mailgun (HMAC, of a token that is good once). Postmark and Brevo
sign nothing: they send the password that they were told, and are believed for that and for the secret address.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import hmac
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Protocol
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from core import clock

OLDEST = dt.timedelta(hours=26)
"""How old a signature may be: providers that reach nobody try again for a day. Within it, each event counts once."""
AHEAD = dt.timedelta(minutes=5)
"""By which the clock of a provider may be ahead of ours."""

_SNS_HOST = re.compile(r"sns\.[a-z]{2}(?:-[a-z]{1,10}){1,3}-[0-9]{1,2}\.amazonaws\.com(?:\.cn)?")
_SNS_SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": (
        *("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    ),
}
_SNS_HASHES: Mapping[str, hashes.HashAlgorithm] = {
    "1": hashes.SHA1(),  # noqa: S303 (what SNS signs by where it was not told otherwise; AWS writes what is signed)
    "2": hashes.SHA256(),
}


class Headers(Protocol):
    """The fields of the head of a request, by name in any case."""

    def get(self, key: str, default: str, /) -> str:
        """Return the value of a field."""


class Refusal(StrEnum):
    """Why a request was refused."""

    FORGED = "forged"  # no signature or password, or a wrong one
    TOO_OLD = "too_old"  # signed too long ago: somebody may have kept it
    MALFORMED = "malformed"  # not what this provider sends
    OTHER = "other"  # of another topic: meant for another installation


class HookRefusedError(Exception):
    """A request is not believed.

    Attributes:
        refusal: Why.
    """

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.value)
        self.refusal = refusal


def check_sendgrid(headers: Headers, body: bytes, key: str, now: dt.datetime) -> None:
    """Check the signature of SendGrid: ECDSA over the timestamp and the body.

    https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features

    Raises:
        HookRefusedError: It is none of the key's, or too old.
    """
    stamp = headers.get("X-Twilio-Email-Event-Webhook-Timestamp", "")
    signature = headers.get("X-Twilio-Email-Event-Webhook-Signature", "")
    try:
        sendgrid_key(key).verify(
            base64.b64decode(signature, validate=True), stamp.encode() + body, ec.ECDSA(hashes.SHA256())
        )
    except (InvalidSignature, ValueError) as error:
        raise HookRefusedError(Refusal.FORGED) from error
    _check_age(stamp, now)


def sendgrid_key(text: str) -> ec.EllipticCurvePublicKey:
    """Return the verification key that SendGrid shows: DER in base64.

    Raises:
        ValueError: It is none.
    """
    lines = "".join(line for line in text.split() if "-" not in line)
    key = load_der_public_key(base64.b64decode(lines, validate=True))
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise ValueError("This is no key of an elliptic curve.")  # noqa: TRY004 (the text is wrong, not its type)
    return key


def check_mailgun(told: Mapping[str, Any], key: str, now: dt.datetime) -> str:
    """Check the signature of Mailgun: an HMAC over timestamp and token, which is good once.

    https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks

    Returns:
        The token. The body is not signed: whoever remembers the token leaves nobody to change it.

    Raises:
        HookRefusedError: It is none of the key's, or too old.
    """
    signed = told.get("signature")
    stamp, token, signature = (
        str(signed.get(name, "")) if isinstance(signed, dict) else ""
        for name in ("timestamp", "token", "signature")
    )
    expected = hmac.new(key.encode(), f"{stamp}{token}".encode(), hashlib.sha256).hexdigest()
    if not token or not _same(signature.lower(), expected):
        raise HookRefusedError(Refusal.FORGED)
    _check_age(stamp, now)
    return token


def check_basic(headers: Headers, secret: str) -> None:
    """Check user and password of Basic authentication (RFC 7617), as Postmark sends them.

    Raises:
        HookRefusedError: They are missing or wrong.
    """
    scheme, _blank, given = headers.get("Authorization", "").partition(" ")
    try:
        plain = base64.b64decode(given.strip(), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        plain = ""
    if scheme.lower() != "basic" or not _same(plain, secret):
        raise HookRefusedError(Refusal.FORGED)


def check_bearer(headers: Headers, secret: str) -> None:
    """Check the token (RFC 6750) that Brevo sends.

    Raises:
        HookRefusedError: It is missing or wrong.
    """
    scheme, _blank, given = headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not _same(given.strip(), secret):
        raise HookRefusedError(Refusal.FORGED)


def check_sns_envelope(told: Mapping[str, Any], topic: str, now: dt.datetime) -> str:
    """Check what SNS says of itself, before its certificate is asked for.

    Returns:
        Where the certificate is.

    Raises:
        HookRefusedError: It is another's topic, is too old, or names a certificate that is not Amazon's.
    """
    if told.get("Type") not in _SNS_SIGNED or str(told.get("SignatureVersion")) not in _SNS_HASHES:
        raise HookRefusedError(Refusal.MALFORMED)
    if told.get("TopicArn") != topic:
        raise HookRefusedError(Refusal.OTHER)
    url = str(told.get("SigningCertURL", ""))
    if not is_of_sns(url) or not urlsplit(url).path.endswith(".pem"):
        raise HookRefusedError(Refusal.FORGED)
    try:
        _check_moment(clock.in_utc(dt.datetime.fromisoformat(str(told.get("Timestamp")))), now)
    except (ValueError, OverflowError) as error:
        raise HookRefusedError(Refusal.MALFORMED) from error
    return url


def is_of_sns(url: str) -> bool:
    """Return True for an address of Amazon SNS: who asks another would let anybody sign, or be led into the house."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    plain = parts.netloc.lower() == host  # neither a user nor a port
    return parts.scheme == "https" and plain and port is None and _SNS_HOST.fullmatch(host) is not None


def check_sns_signature(told: Mapping[str, Any], certificate: bytes) -> None:
    """Check the signature of SNS.

    https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html

    Raises:
        HookRefusedError: It is none of the certificate's.
    """
    fields = _SNS_SIGNED[str(told["Type"])]
    signed = "".join(f"{name}\n{told[name]}\n" for name in fields if name in told)
    try:
        key = x509.load_pem_x509_certificate(certificate).public_key()
        if not isinstance(key, rsa.RSAPublicKey):
            raise HookRefusedError(Refusal.FORGED)
        key.verify(
            base64.b64decode(str(told.get("Signature", "")), validate=True),
            signed.encode(),
            padding.PKCS1v15(),
            _SNS_HASHES[str(told["SignatureVersion"])],
        )
    except (InvalidSignature, ValueError) as error:
        raise HookRefusedError(Refusal.FORGED) from error


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))


def _check_age(stamp: str, now: dt.datetime) -> None:
    try:
        at = dt.datetime.fromtimestamp(int(stamp), dt.UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise HookRefusedError(Refusal.MALFORMED) from error
    _check_moment(at, now)


def _check_moment(at: dt.datetime, now: dt.datetime) -> None:
    if not now - OLDEST <= at <= now + AHEAD:
        raise HookRefusedError(Refusal.TOO_OLD)
