"""The certificate of a mail server, in the words that an administrator compares."""

from __future__ import annotations

import contextlib
import datetime as dt
import smtplib
import ssl
from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import NameOID

from modules.mail_config.models import Encryption
from modules.mail_config.transports.addresses import addresses_of
from modules.mail_config.transports.base import ServerAccess
from modules.mail_config.transports.wire import PatientSMTP, PatientSMTPS

MOST_NAMES = 20  # some certificates of providers have a hundred


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a certificate says of itself.

    Attributes:
        names: For which hosts it is.
        issuer: Who has issued it.
        not_before: From when it is valid.
        not_after: Until when.
        self_signed: True where it vouches for itself.
    """

    names: tuple[str, ...]
    issuer: str
    not_before: dt.datetime
    not_after: dt.datetime
    self_signed: bool

    def __str__(self) -> str:
        names = ", ".join(self.names) or "–"
        return f"{names} · {self.not_before:%Y-%m-%d} – {self.not_after:%Y-%m-%d} · {self.issuer}"


def read_certificate(der: bytes) -> Certificate:
    """Return what a certificate says.

    Raises:
        ValueError: It cannot be read.
    """
    found = x509.load_der_x509_certificate(der)
    names: list[str] = []
    with contextlib.suppress(x509.ExtensionNotFound):
        extension = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = [
            *extension.get_values_for_type(x509.DNSName),
            *map(str, extension.get_values_for_type(x509.IPAddress)),
        ]
    if not names:
        names = [str(one.value) for one in found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    return Certificate(
        tuple(names[:MOST_NAMES]),
        _name(found.issuer),
        found.not_valid_before_utc,
        found.not_valid_after_utc,
        found.issuer == found.subject,
    )


def _name(name: x509.Name) -> str:
    for oid in (NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME):
        found = name.get_attributes_for_oid(oid)
        if found:
            return str(found[0].value)
    return name.rfc4514_string()


def certificate_shown_by(access: ServerAccess) -> Certificate | None:
    """Return the certificate that a server shows, trusted or not; None where it shows none.

    For a test that has failed because of it: nothing is said over this connection, and nobody signs in.
    """
    # Not verified: it is read to be shown to a person, and the connection ends at once.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    host: PatientSMTP = PatientSMTP(timeout=access.timeout)
    if access.encryption is Encryption.TLS:
        secure = PatientSMTPS(timeout=access.timeout, context=context)
        secure.before_tls = lambda: None
        host = secure
    try:
        host.addresses = addresses_of(
            access.host, access.port, allow_local=access.allow_local, only_public=access.only_public
        )
        host._host = access.host  # type: ignore[attr-defined]
        host.connect(access.host, access.port)
        if access.encryption is Encryption.STARTTLS:
            host.starttls(context=context)
        der = host.sock.getpeercert(binary_form=True) if isinstance(host.sock, ssl.SSLSocket) else None
        return read_certificate(der) if der else None
    except (OSError, smtplib.SMTPException, ValueError):
        return None
    finally:
        host.close()
