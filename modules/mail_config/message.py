"""The message itself, built by Flask-Mail."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from email import policy
from email.header import Header
from email.message import Message as EmailMessage
from email.mime.base import MIMEBase
from email.utils import formatdate

from flask_mail import Attachment, Message

from core.mail.addresses import Address, ascii_addr_spec, needs_smtputf8, one_line
from core.mail.draft import safe_file_name

# The classic policy: all our headers are ASCII by now, and the newer one parses each of them anew at every
# look, which doubles the cost of a message.
_CRLF = policy.compat32.clone(linesep="\r\n", max_line_length=78)
# A display name that needs no quotes: atoms and blanks (RFC 5322 §3.2.3).
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~ ]+")
_CRLF_UTF8 = policy.SMTPUTF8.clone(max_line_length=78)


class MailMessage(Message):
    """Flask-Mail's message, made the same on every build: order of addresses, boundaries, date, Message-ID.

    A mail that is sent again must be the same mail, octet for octet.
    """

    def __init__(
        self,
        *,
        message_id: str,
        timestamp: float,
        sender: Address,
        to: Sequence[Address],
        cc: Sequence[Address] = (),
        reply_to: Address | None = None,
        subject: str,
        text: str,
        html: str,
        attachments: Sequence[Attachment] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(
            subject=one_line(subject),
            recipients=[address.addr_spec for address in to],
            cc=[address.addr_spec for address in cc],
            body=text,
            html=html,
            sender=sender.addr_spec,
            attachments=list(attachments),
            date=timestamp,
            extra_headers=headers,
        )
        self.msgId = message_id
        self.from_address = sender
        self.to_addresses = tuple(to)
        self.cc_addresses = tuple(cc)
        self.reply_to_address = reply_to

    def _message(self) -> MIMEBase:
        # Flask-Mail joins the addresses of a set, in the order of their hashes: name them anew.
        recipients, copies, self.recipients, self.cc = self.recipients, self.cc, [], []
        sender, self.sender = self.sender, "envoi@invalid"
        try:
            message = super()._message()
        finally:
            self.recipients, self.cc, self.sender = recipients, copies, sender
        addresses = [self.from_address, *self.to_addresses, *self.cc_addresses]
        addresses += [self.reply_to_address] if self.reply_to_address else []
        utf8 = any(needs_smtputf8(address.addr_spec) for address in addresses)
        message.policy = _CRLF_UTF8 if utf8 else _CRLF
        message.replace_header("From", header_address(self.from_address))
        del message["To"]
        if self.to_addresses:
            message["To"] = ", ".join(header_address(address) for address in self.to_addresses)
        elif not self.cc_addresses:
            # Everybody is in Bcc; RFC 5322 wants no empty To.
            message["To"] = "undisclosed-recipients:;"
        if self.cc_addresses:
            message["Cc"] = ", ".join(header_address(address) for address in self.cc_addresses)
        if self.reply_to_address:
            message["Reply-To"] = header_address(self.reply_to_address)
        # The zone of the machine is nobody's business, and it changes twice a year.
        message.replace_header("Date", formatdate(self.date, localtime=False, usegmt=False))
        _fix_boundaries(message, hashlib.sha256(self.msgId.encode()).hexdigest()[:24])
        return message


def header_address(address: Address) -> str:
    """Return an address for a header field (RFC 5322 §3.4), the name encoded by RFC 2047 where it must be."""
    spec = address.addr_spec if needs_smtputf8(address.addr_spec) else ascii_addr_spec(address.addr_spec)
    name = one_line(address.display_name)
    if not name:
        return spec
    if name.isascii():
        quoted = name.replace("\\", "\\\\").replace('"', '\\"')
        return f"{name} <{spec}>" if _ATOMS.fullmatch(name) else f'"{quoted}" <{spec}>'
    return f"{Header(name, 'utf-8', maxlinelen=200).encode()} <{spec}>"


def _fix_boundaries(message: EmailMessage, mark: str) -> None:
    for number, part in enumerate(part for part in message.walk() if part.is_multipart()):
        part.set_boundary(f"=_envoi_{mark}_{number}")


def attachment(name: str, media_type: str, data: bytes) -> Attachment:
    """Return a file for a message; its name cannot break out of its header, nor leave the folder it is saved to."""
    main, slash, sub = media_type.partition("/")
    plain = main.isalnum() and slash and sub.replace("-", "").replace(".", "").replace("+", "").isalnum()
    # An attached message or multipart would be taken apart by the MIME classes.
    usable = plain and main not in {"message", "multipart"}
    return Attachment(safe_file_name(name), media_type if usable else "application/octet-stream", data)
