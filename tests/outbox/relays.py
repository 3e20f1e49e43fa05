"""What relays post to web hooks, signed as they sign it; made after their documentation."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import json
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from core import clock
from modules.outbox.inbound.hooks.service import save_hook
from modules.outbox.models import RelayHook, RelayProvider

TOPIC = "arn:aws:sns:eu-west-1:123456789012:bounces"
CERTIFICATE_URL = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123.pem"
BASIC = "envoi:a-long-password"
TOKEN = "a-long-token-of-brevo"
SIGNING_KEY = "key-0123456789abcdef"

Post = tuple[bytes, dict[str, str]]


@cache
def sendgrid_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@cache
def sns_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@cache
def sns_certificate() -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(name, name, sns_key().public_key(), 1, now, now + dt.timedelta(days=1))
    return builder.sign(sns_key(), hashes.SHA256()).public_bytes(Encoding.PEM)


def hook_of(provider: RelayProvider) -> RelayHook:
    """Return a web hook of a provider."""
    public = sendgrid_key().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    secret = {
        RelayProvider.SENDGRID: base64.b64encode(public).decode(),
        RelayProvider.MAILGUN: SIGNING_KEY,
        RelayProvider.POSTMARK: BASIC,
        RelayProvider.BREVO: TOKEN,
        RelayProvider.SES: TOPIC,
    }[provider]
    return save_hook(None, {"name": provider.value, "provider": provider.value, "active": True}, secret)


def seconds(ago: int = 0) -> int:
    return int(clock.now().timestamp()) - ago


def sendgrid(events: Any, *, ago: int = 0) -> Post:
    """Return what SendGrid posts."""
    body, stamp = json.dumps(events).encode(), str(seconds(ago))
    signature = sendgrid_key().sign(stamp.encode() + body, ec.ECDSA(hashes.SHA256()))
    return body, {
        "X-Twilio-Email-Event-Webhook-Timestamp": stamp,
        "X-Twilio-Email-Event-Webhook-Signature": base64.b64encode(signature).decode(),
    }


def mailgun(event: Any, *, token: str = "t" * 50, ago: int = 0) -> Post:
    """Return what Mailgun posts."""
    stamp = str(seconds(ago))
    signature = hmac.new(SIGNING_KEY.encode(), f"{stamp}{token}".encode(), hashlib.sha256).hexdigest()
    told = {
        "signature": {"timestamp": stamp, "token": token, "signature": signature},
        "event-data": event,
    }
    return json.dumps(told).encode(), {}


def postmark(event: Any) -> Post:
    """Return what Postmark posts."""
    return json.dumps(event).encode(), {"Authorization": f"Basic {base64.b64encode(BASIC.encode()).decode()}"}


def brevo(event: Any) -> Post:
    """Return what Brevo posts."""
    return json.dumps(event).encode(), {"Authorization": f"Bearer {TOKEN}"}


def ses(message: Any, *, version: str = "2", ago: int = 0, **changes: Any) -> Post:
    """Return what SNS posts for SES."""
    at = (clock.now() - dt.timedelta(seconds=ago)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    told = {
        "Type": "Notification",
        "MessageId": "0f1e2d3c",
        "TopicArn": TOPIC,
        "Message": json.dumps(message),
        "Timestamp": at,
        "SignatureVersion": version,
        "SigningCertURL": CERTIFICATE_URL,
        **changes,
    }
    names = ["Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    if told["Type"] == "Notification":
        names = [name for name in names if name not in {"SubscribeURL", "Token"}]
    signed = "".join(f"{name}\n{told[name]}\n" for name in names if name in told).encode()
    by = hashes.SHA1() if version == "1" else hashes.SHA256()  # noqa: S303 (as SNS does)
    told["Signature"] = base64.b64encode(sns_key().sign(signed, padding.PKCS1v15(), by)).decode()
    return json.dumps(told).encode(), {"Content-Type": "text/plain; charset=UTF-8"}


def bounce(provider: RelayProvider, message_id: str, address: str, *, key: str = "e1", ago: int = 0) -> Post:
    """Return how a provider tells that an address does not exist."""
    named, at = message_id.strip("<>"), seconds(ago)
    iso = dt.datetime.fromtimestamp(at, dt.UTC).isoformat()
    said = "550 5.1.1 <x>: User unknown"
    match provider:
        case RelayProvider.SENDGRID:
            return sendgrid(
                [
                    {
                        "email": address,
                        "timestamp": at,
                        "envoi_mail": named,
                        "event": "bounce",
                        "sg_event_id": key,
                        "reason": said,
                        "status": "5.1.1",
                        "type": "bounce",
                    }
                ],
                ago=ago,
            )
        case RelayProvider.MAILGUN:
            return mailgun(
                {
                    "event": "failed",
                    "severity": "permanent",
                    "id": key,
                    "timestamp": float(at),
                    "recipient": address,
                    "reason": "bounce",
                    "delivery-status": {"code": 550, "message": said.removeprefix("550 ")},
                    "message": {"headers": {"message-id": named}},
                },
                token=f"token of {key}",
                ago=ago,
            )
        case RelayProvider.POSTMARK:
            return postmark(
                {
                    "RecordType": "Bounce",
                    "ID": key,
                    "Type": "HardBounce",
                    "Email": address,
                    "BouncedAt": iso,
                    "Details": f"smtp;{said}",
                    "Description": "The server was unable to deliver your message.",
                    "Metadata": {"envoi_mail": named},
                }
            )
        case RelayProvider.BREVO:
            return brevo(
                {
                    "event": "hard_bounce",
                    "email": address,
                    "id": 26224,
                    "ts_event": at,
                    "message-id": message_id,
                    "reason": said,
                }
            )
        case RelayProvider.SES:
            return ses(
                {
                    "notificationType": "Bounce",
                    "mail": {
                        "messageId": "0101",
                        "destination": [address],
                        "commonHeaders": {"messageId": message_id},
                    },
                    "bounce": {
                        "bounceType": "Permanent",
                        "bounceSubType": "General",
                        "bouncedRecipients": [
                            {
                                "emailAddress": address,
                                "action": "failed",
                                "status": "5.1.1",
                                "diagnosticCode": f"smtp; {said}",
                            }
                        ],
                    },
                },
                ago=ago,
                MessageId=key,
            )
