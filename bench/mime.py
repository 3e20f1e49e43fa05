"""`python -m bench.mime`: what it costs to put a mail into octets, by ours and by the standard library's classes.

One mail, as most are: a text of a page, its HTML, a PDF of 35 kB, a customer with an accent in the name. Everybody
starts from the same addresses, texts and bytes, keeps boundaries and date fixed, and writes CRLF; CPU time, in turns,
the best of several. Trust the ratios.
"""

from __future__ import annotations

import argparse
import gc
import os
import time
from collections.abc import Callable
from email import policy
from email.charset import QP, Charset
from email.generator import BytesGenerator
from email.header import Header
from email.headerregistry import Address as HeaderAddress
from email.message import EmailMessage, Message
from email.mime.application import MIMEApplication
from email.mime.multipart import MIMEMultipart
from email.mime.nonmultipart import MIMENonMultipart
from email.utils import encode_rfc2231, formataddr, formatdate
from io import BytesIO

from core.mail.addresses import Address
from core.mail.fields import header_address, header_field, header_text
from modules.mail_config.message import MailMessage, attachment, base64_lines

PDF = b"%PDF-1.7\n" + os.urandom(35_000)
TEXT = "Bonjour Amélie,\n\nvoici votre facture, à régler sous 30 jours.\n\n" * 20
HTML = "<p>Bonjour Amélie,</p><p>voici votre <b>facture</b>, à régler sous 30 jours.</p>" * 20
BOUNDARIES = ("=_outer", "=_inner")
_LEGACY = policy.compat32.clone(linesep="\r\n")
_QUOTED = Charset("utf-8")
_QUOTED.body_encoding = QP


def mail(number: int = 0) -> MailMessage:
    """Return a mail to a customer of its own, since what is written for one is remembered for the next."""
    return MailMessage(
        message_id=f"<{number}@mail.company.example>",
        timestamp=1_700_000_000.0,
        sender=Address("ventes@company.example", "Société Dupont"),
        to=[Address(f"client{number}@example.com", f"Amélie Durand {number}")],
        cc=[Address("comptabilite@example.com", "Accounts, payable")],
        reply_to=Address("oliver@company.example", "Oliver Smith"),
        subject=f"Société Dupont : facture INV/2026/{number:05}",
        text=TEXT,
        html=HTML,
        attachments=[attachment(f"Facture n° {number}.pdf", "application/pdf", PDF)],
    )


def ours(made: MailMessage) -> bytes:
    """As Envoi does it."""
    return made.as_bytes()


def modern(made: MailMessage) -> bytes:
    """`EmailMessage` with the policy for SMTP: what the documentation of Python recommends."""

    def people(*addresses: Address) -> list[HeaderAddress]:
        return [HeaderAddress(one.display_name, addr_spec=one.addr_spec) for one in addresses]

    message = EmailMessage(policy.SMTP)
    message["Date"] = formatdate(made.date)
    message["From"] = people(made.from_address)
    if made.reply_to_address:
        message["Reply-To"] = people(made.reply_to_address)
    message["To"] = people(*made.to_addresses)
    if made.cc_addresses:
        message["Cc"] = people(*made.cc_addresses)
    message["Subject"] = made.subject
    message["Message-ID"] = made.msgId
    message.set_content(made.body, cte="quoted-printable")
    message.add_alternative(made.alts["html"], subtype="html", cte="quoted-printable")
    for file in made.attachments:
        main, _, sub = file.content_type.partition("/")
        message.add_attachment(file.data, maintype=main, subtype=sub, filename=file.filename)
    for part, boundary in zip((message, next(message.iter_parts())), BOUNDARIES, strict=True):
        part.set_boundary(boundary)
    for part in message.walk():
        if part is not message:
            del part["MIME-Version"]  # of the whole only
    return message.as_bytes()


def _legacy_text(text: str, subtype: str) -> Message:
    part = MIMENonMultipart("text", subtype, charset="utf-8")
    part.set_payload(text.replace("\n", "\r\n"), charset=_QUOTED)
    return part


def _legacy_fields(made: MailMessage, message: Message) -> None:
    def people(*addresses: Address) -> str:
        return ", ".join(formataddr((one.display_name, one.addr_spec)) for one in addresses)

    message["Date"] = formatdate(made.date)
    message["From"] = people(made.from_address)
    if made.reply_to_address:
        message["Reply-To"] = people(made.reply_to_address)
    message["To"] = people(*made.to_addresses)
    if made.cc_addresses:
        message["Cc"] = people(*made.cc_addresses)
    message["Subject"] = Header(made.subject or "", "utf-8", header_name="Subject")
    message["Message-ID"] = made.msgId


def _legacy(made: MailMessage, file_part: Callable[[bytes, str], Message]) -> bytes:
    outer = MIMEMultipart("mixed", BOUNDARIES[0], policy=_LEGACY)
    inner = MIMEMultipart("alternative", BOUNDARIES[1], policy=_LEGACY)
    _legacy_fields(made, outer)
    parts: list[Message] = [
        inner,
        _legacy_text(made.body or "", "plain"),
        _legacy_text(made.alts["html"], "html"),
    ]
    inner.attach(parts[1])
    inner.attach(parts[2])
    outer.attach(inner)
    for file in made.attachments:
        part = file_part(file.data, file.content_type.partition("/")[2])
        part.add_header("Content-Disposition", "attachment", filename=("utf-8", "", file.filename))
        outer.attach(part)
        parts.append(part)
    for part in parts:
        del part["MIME-Version"]  # of the whole only
    written = BytesIO()
    BytesGenerator(written, mangle_from_=False, policy=_LEGACY).flatten(outer)
    return written.getvalue()


def legacy(made: MailMessage) -> bytes:
    """`MIMEMultipart` with fixed boundaries, the file encoded by `MIMEApplication`."""
    return _legacy(made, MIMEApplication)


def legacy_encoded(made: MailMessage) -> bytes:
    """The same with a payload that our own base64 has written: the least that the classes can cost."""

    def file_part(data: bytes, subtype: str) -> Message:
        part = MIMENonMultipart("application", subtype)
        part["Content-Transfer-Encoding"] = "base64"
        part.set_payload(base64_lines(data).decode("ascii"))
        return part

    return _legacy(made, file_part)


def ours_fields(made: MailMessage) -> bytes:
    """Only the addresses, the subject and the file's name, as Envoi writes them, with nothing remembered."""
    write = header_address.__wrapped__
    people = [made.from_address, *made.to_addresses, *made.cc_addresses]
    fields = [header_field("To", write(one)) for one in people]
    fields.append(header_field("Subject", header_text(made.subject or "")))
    fields += [header_field("Content-Disposition", file.disposition) for file in made.attachments]
    return "\r\n".join(fields).encode()


def email_fields(made: MailMessage) -> bytes:
    """The same fields by the functions of `email`."""
    people = [made.from_address, *made.to_addresses, *made.cc_addresses]
    fields = [f"To: {formataddr((one.display_name, one.addr_spec))}" for one in people]
    fields.append(
        f"Subject: {Header(made.subject or '', 'utf-8', header_name='Subject').encode(linesep=chr(10))}"
    )
    fields += [
        f"Content-Disposition: attachment; filename*={encode_rfc2231(file.filename or '', 'utf-8')}"
        for file in made.attachments
    ]
    return "\r\n".join(fields).encode()


WHOLE = (ours, modern, legacy, legacy_encoded)
FIELDS = (ours_fields, email_fields)


def cpu_ms(build: Callable[[MailMessage], bytes], mails: list[MailMessage]) -> float:
    """Return the CPU time for one mail, in milliseconds."""
    gc.collect()
    begun = time.process_time()
    for made in mails:
        build(made)
    return (time.process_time() - begun) * 1000 / len(mails)


def main() -> None:
    """Print a line for each way to write a mail, and for each way to write its fields."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mails", type=int, default=300)
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    mails = [mail(number) for number in range(options.mails)]
    for builders in (WHOLE, FIELDS):
        turns = [[cpu_ms(build, mails) for build in builders] for _turn in range(options.turns)]
        best = [min(several) for several in zip(*turns, strict=True)]
        print(f"{'':20}{'CPU ms a mail':>14}{'to ours':>10}{'octets':>10}")
        for build, spent in zip(builders, best, strict=True):
            print(f"{build.__name__:20}{spent:>14.3f}{spent / best[0]:>10.1f}{len(build(mails[0])):>10,}")


if __name__ == "__main__":
    main()
