"""Messages that come back about mails of ours, as servers write them."""

from __future__ import annotations

from email.message import EmailMessage

from modules.outbox.models import OutgoingMail

UNKNOWN = ("5.1.1", "550 5.1.1 User unknown")
GIVEN_UP = ("4.4.7", "450 4.4.7 Message expired: connection refused")


def report(
    mail: OutgoingMail | None,
    *about: tuple[str, str],
    to: str = "sales@maison.example.com",
    said: tuple[str, str] = UNKNOWN,
    number: int = 1,
    message_id: str | None = None,
    envelope_id: str = "",
    more: str = "",
) -> bytes:
    """Return a report as RFC 3464 has it.

    Args:
        mail: The mail whose head is returned, or None for a report that returns none.
        about: The recipients, each with the action.
        to: The address that it comes to.
        said: Status and diagnosis.
        number: Of the report, which is its Message-ID.
        message_id: Of the returned head, where it is not that of the mail.
        envelope_id: ENVID, or "".
        more: Further fields of each recipient.
    """
    status, diagnosis = said
    groups = "".join(
        f"\nFinal-Recipient: rfc822; {address}\nAction: {action}\n"
        f"Status: {status if action in ('failed', 'delayed') else '2.0.0'}\n"
        + (f"Diagnostic-Code: smtp; {diagnosis}\n" if action in ("failed", "delayed") else "")
        + more
        for address, action in about
    )
    returned = ""
    if mail is not None or message_id is not None:
        people = ", ".join(recipient.addr_spec for recipient in mail.recipients) if mail else "x@y.example"
        returned = (
            "--=_part\nContent-Type: text/rfc822-headers\n\nFrom: Maison <sales@maison.example.com>\n"
            f"To: {people}\nMessage-ID: {message_id or (mail.message_id if mail else '')}\nSubject: s\n\n"
        )
    return (
        f"Return-Path: <>\nDelivered-To: {to}\nFrom: Mail Delivery System <MAILER-DAEMON@mx.far.example>\n"
        f"To: {to}\nSubject: Delivery Status Notification\nMessage-ID: <report.{number}@mx.far.example>\n"
        "Date: Mon, 30 Nov 2026 08:00:00 +0100\nMIME-Version: 1.0\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="=_part"\n\n'
        "--=_part\nContent-Type: text/plain\n\nThis is the mail system.\n\n"
        "--=_part\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.far.example\n"
        + (f"Original-Envelope-Id: {envelope_id}\n" if envelope_id else "")
        + f"{groups}\n{returned}--=_part--\n"
    ).encode()


def says_nothing(to: str) -> bytes:
    """Return a bounce that names neither the message nor anybody."""
    return (
        f"Return-Path: <>\nDelivered-To: {to}\nFrom: Mail Delivery Subsystem <MAILER-DAEMON@mx.far.example>\n"
        f"To: {to}\nSubject: Returned mail: see transcript for details\nMessage-ID: <nothing.1@mx.far.example>\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="=_part"\n\n'
        "--=_part\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.far.example\n\n"
        "Final-Recipient: rfc822; somebody.else@forwarded.example\nAction: failed\nStatus: 5.1.1\n\n--=_part--\n"
    ).encode()


def read_receipt(mail: OutgoingMail, reader: str) -> bytes:
    """Return a read receipt (RFC 8098)."""
    return (
        f"From: {reader}\nTo: sales@maison.example.com\nSubject: Read: a subject\nMessage-ID: <read.1@far.example>\n"
        'Content-Type: multipart/report; report-type=disposition-notification; boundary="=_part"\n\n'
        "--=_part\nContent-Type: text/plain\n\nRead.\n\n"
        "--=_part\nContent-Type: message/disposition-notification\n\n"
        f"Final-Recipient: rfc822; {reader}\nOriginal-Message-ID: {mail.message_id}\n"
        "Disposition: manual-action/MDN-sent-manually; displayed\n\n--=_part--\n"
    ).encode()


def answer(
    mail: OutgoingMail | None,
    text: str = "Yes, please.",
    *,
    sender: str = "Ann <ann@far.example>",
    to: str = "sales@maison.example.com",
    number: int = 1,
    html: str = "",
    file: tuple[str, bytes] | None = None,
    more: str = "",
) -> bytes:
    """Return what somebody answers.

    Args:
        mail: The mail that it names, or None for one that names none.
        text: In plain text; "" for none.
        sender: From.
        to: Where it goes.
        number: Of the answer, which is its Message-ID.
        html: Beside the text, or "".
        file: Name and octets of a file that is attached.
        more: Further fields of the head.
    """
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, to, "Re: A subject"
    message["Message-ID"] = f"<answer.{number}@far.example>"
    if mail is not None:
        message["In-Reply-To"] = message["References"] = mail.message_id
    if text or not html:
        message.set_content(text)
    if html:
        message.add_alternative(html, subtype="html") if text else message.set_content(html, subtype="html")
    if file is not None:
        message.add_attachment(file[1], maintype="application", subtype="pdf", filename=file[0])
    return more.encode() + message.as_bytes()
