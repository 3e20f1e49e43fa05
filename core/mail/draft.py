"""A mail as the composer knows it, before it becomes rows."""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from dataclasses import dataclass, field
from enum import StrEnum

from core.mail.addresses import Address

# Characters, with the ending: within what file systems take in most scripts.
MAX_FILE_NAME_LENGTH = 120
MAX_FILE_NAME_OCTETS = 240
"""In UTF-8: file systems take 255, and programs put " (2)" behind what is there already."""
LINK_MARK = "⟦link⟧"
"""Stands in a text for the link that only the recipient gets; see `MailDraft.link`."""
# What Windows, macOS or a shell would stumble over, and signs that turn the direction of text.
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f"*/:<>?\\|\u0085\u2028\u2029\u202a-\u202e\u2066-\u2069]')


class RecipientField(StrEnum):
    """The header field in which a recipient stands."""

    TO = "to"  # those who are meant to act
    CC = "cc"  # those who are to know
    BCC = "bcc"  # in the envelope only; never in a message that leaves


class Reason(StrEnum):
    """Why a recipient is there."""

    CUSTOMER = "customer"  # the document is theirs
    FOLLOWER = "follower"  # they follow the document
    BILLING = "billing"  # the customer's contact for invoices
    DELIVERY = "delivery"  # the customer's contact for deliveries
    MAIN = "main"  # the customer's main contact
    CONTACT = "contact"  # a contact of the customer, with no role of its own
    FUNCTION = "function"  # a contact with the function that the template names
    COLLEAGUE = "colleague"  # somebody who signs in here
    FIXED = "fixed"  # an address that stands in the template
    ANSWERED = "answered"  # they have written what this mail answers
    TYPED = "typed"  # a person has typed it


class Priority(StrEnum):
    """How urgent a mail is called."""

    LOW = "low"  # may be read later
    NORMAL = "normal"  # no header says anything
    HIGH = "high"  # many programs show an exclamation mark


class Purpose(StrEnum):
    """What a mail is for: it decides whose address and which server it leaves by."""

    SINGLE = "single"  # a person has written it
    BATCH = "batch"  # one of many that leave together
    RECEIPT = "receipt"  # of the till
    ALERT = "alert"  # the application tells its own users of something


@dataclass(frozen=True, slots=True)
class DraftRecipient:
    """Somebody the mail goes to.

    Attributes:
        address: The mailbox.
        field: To, Cc or Bcc.
        reason: Why it is there.
        reason_detail: Who added a follower, the function of a contact, the template that names an address.
        partner_id: The partner it belongs to, where there is one.
    """

    address: Address
    field: RecipientField = RecipientField.TO
    reason: Reason = Reason.TYPED
    reason_detail: str = ""
    partner_id: int | None = None


@dataclass(frozen=True, slots=True)
class DraftAttachment:
    """A file that goes with the mail; its bytes are in the store already.

    Attributes:
        name: File name, safe for a header and a file system.
        media_type: For example `application/pdf`.
        sha256: Hexadecimal; the address in the store.
        size: In bytes.
        content_id: By which the text shows it as a picture (RFC 2392), or "" for a file beside the text.
    """

    name: str
    media_type: str
    sha256: str
    size: int
    content_id: str = ""


@dataclass(frozen=True, slots=True)
class DraftDocument:
    """A document that a mail carries beside the one that it is about.

    Attributes:
        document_id: The document.
        revision: The revision that the person has seen.
        pdf_name: File name of its PDF.
        pdf: Its PDF where it was made already, of the same revision; else it is made when the mail leaves.
    """

    document_id: int
    revision: int
    pdf_name: str
    pdf: DraftAttachment | None = None


@dataclass(slots=True)
class MailDraft:
    """A mail that is being written, before it is stored.

    Attributes:
        document_id: The document it is about, or None.
        document_revision: The revision of the document that the person has seen.
        company_id: The company that sends.
        language: Language of the text, `en` or `fr`.
        subject: One line.
        body_html: The text as HTML.
        recipients: To whom, in order.
        attachments: Files beside the generated PDF.
        pdf_name: File name of the generated PDF, or "" for none.
        pdf: The generated PDF where it was made already, of the same revision; it is what the person has seen.
        further: The documents that it carries beside the one it is about, each with its PDF.
        zip_name: File name of the zip file in which the PDFs leave together, or "" for each as a file of its own.
        template_id: The template it was made from, or None.
        reply_to: Where answers go, or None.
        without_address: Names of followers that have no address.
        keep_days: How long contents are kept after the mail has settled, or None for the setting.
        priority: How urgent it is called.
        delivery_receipt: True to ask the servers on the way for a notification of success (RFC 3461).
        read_receipt: True to ask the reader's program for a notification (RFC 8098).
        private: True where the addresses are used and not kept: a walk-in's receipt.
        link: What stands for `LINK_MARK` in the message that leaves, and nowhere else; "" for none.
        link_expires_at: Until when the link is good, after which the mail is of no use.
        purpose: What it is for.
        answers_id: The message that came in which it answers, or None.
        promotional: True for what advertises: it goes to one recipient, who has opted in, and says how to opt out.
    """

    document_id: int | None
    document_revision: int
    company_id: int
    language: str
    subject: str
    body_html: str
    recipients: list[DraftRecipient] = field(default_factory=list)
    attachments: list[DraftAttachment] = field(default_factory=list)
    pdf_name: str = ""
    pdf: DraftAttachment | None = None
    further: list[DraftDocument] = field(default_factory=list)
    zip_name: str = ""
    template_id: int | None = None
    reply_to: Address | None = None
    without_address: list[str] = field(default_factory=list)
    keep_days: int | None = None
    priority: Priority = Priority.NORMAL
    delivery_receipt: bool = False
    read_receipt: bool = False
    private: bool = False
    link: str = ""
    link_expires_at: dt.datetime | None = None
    purpose: Purpose = Purpose.SINGLE
    answers_id: int | None = None
    promotional: bool = False


def safe_file_name(name: str, fallback: str = "file", *, may_be_path: bool = False) -> str:
    """Return a file name without separators, control characters, bidi overrides or reserved characters.

    It can be stored by every file system, and the extension survives shortening.

    Args:
        name: What it is made of. "Café/Bar" is the name of a company, and no path.
        fallback: What it is where nothing is left.
        may_be_path: True for what another program has named: only the last part of a path is kept.
    """
    name = unicodedata.normalize("NFC", name).replace("\\", "/")
    name = name.rsplit("/", 1)[-1] if may_be_path else name.replace("/", "-")
    name = _FORBIDDEN.sub("_", name).strip(" .")
    if not _fits(name):
        stem, dot, extension = name.rpartition(".")
        ending = f".{extension}" if dot and len(extension) <= 10 else ""
        stem = (stem if ending else name)[:MAX_FILE_NAME_LENGTH]
        while not _fits(stem + ending):
            stem = stem[:-1]
        name = stem + ending
    return name or fallback


def _fits(name: str) -> bool:
    return len(name) <= MAX_FILE_NAME_LENGTH and len(name.encode("utf-8", "replace")) <= MAX_FILE_NAME_OCTETS
