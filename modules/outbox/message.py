"""From rows to the message that leaves."""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from flask import current_app
from flask_mail import Attachment
from markupsafe import Markup

from core import clock
from core.files import FileMissingError, FileStore
from core.mail.addresses import Address
from core.mail.draft import LINK_MARK, DraftAttachment, MailDraft, RecipientField
from core.vault import decrypt
from modules.mail_config.message import MailMessage, attachment, base64_lines
from modules.mail_config.servers.return_path import tagged
from modules.outbox.html_body import clean_html, page, plain_text
from modules.outbox.models import MailAttachment, OutgoingMail
from modules.outbox.private_addresses import address_of
from modules.outbox.return_tokens import TokenUse, make_token
from modules.outbox.unsubscribe_links import unsubscribe_fields, unsubscribe_line


def file_store() -> FileStore:
    """Return the store that holds attachments."""
    store: FileStore = current_app.extensions["envoi_files"]
    return store


StoredFile = MailAttachment | DraftAttachment


MOST_COMMON_OCTETS = 32 * 1024 * 1024
"""So much is kept of files that several messages have; what comes then is read for each of them."""


class CommonFiles:
    """The files of many messages: one that several of them have is read and encoded once.

    A thousand customers get the same brochure. What one message alone has is not kept: nobody asks for it again.
    """

    def __init__(self) -> None:
        self._messages: Counter[str] = Counter()
        self._kept: dict[str, tuple[bytes, bytes]] = {}
        self._octets = 0

    def expect(self, mails: Iterable[OutgoingMail]) -> None:
        """Know of more messages."""
        for mail in mails:
            self._messages.update({file.sha256 for file in mail.attachments})

    def get(self, file: StoredFile) -> Attachment:
        """Return a file for a message.

        Raises:
            FileMissingError: It is not in the store.
            StoreAwayError: The store cannot be reached.
        """
        if self._messages[file.sha256] < 2:
            return _from_store(file)
        found = self._kept.get(file.sha256)
        if found is None:
            data = file_store().get(file.sha256)
            found = data, base64_lines(data)
            octets = self._octets + sum(map(len, found))
            if octets <= MOST_COMMON_OCTETS:
                self._octets, self._kept[file.sha256] = octets, found
        data, encoded = found
        return attachment(file.name, file.media_type, data, file.content_id, encoded=encoded)


def build_message(
    mail: OutgoingMail,
    *,
    with_link: bool = False,
    return_address: str = "",
    for_sender: bool = False,
    file_of: Callable[[StoredFile], Attachment] | None = None,
) -> bytes:
    """Return the message of a mail, the same octets each time.

    The headers name everybody in To and Cc, also those who have got it already: it is the same message.

    Args:
        mail: The mail.
        with_link: True for the recipient alone, who gets the link for which a mark stands in the text.
        return_address: Where messages come back to that name this mail, or "" where nobody reads them.
        for_sender: True for the copy in the sender's own Sent folder: it names those in Bcc as well, as mail programs
            keep it, and nothing in it stands for one recipient alone.
        file_of: Gets its files, `CommonFiles.get` where others have them as well; None for the store.

    Raises:
        FileMissingError: An attachment is not in the store, or has never been frozen.
        UserError: The link was encrypted under another `ENVOI_SECRET_KEY`.
    """
    link = decrypt(mail.encrypted_link) if with_link and mail.encrypted_link is not None else LINK_MARK
    html_link = Markup('<a href="{0}">{0}</a>').format(link) if link != LINK_MARK else LINK_MARK
    for row in mail.attachments:
        if not row.sha256:
            raise FileMissingError(f"{row.name} was never made.")
    zipped = [row for row in mail.attachments if row.generated] if mail.zip_name else []
    get = file_of or _from_store
    files = [get(row) for row in mail.attachments if row not in zipped]
    if zipped:
        files.insert(0, zip_of(mail.zip_name, [get(row) for row in zipped]))
    # All recipients, also on a resend to one: the message must be the same, and its head says who else got it.
    people = _by_field((recipient.field, address_of(recipient)) for recipient in mail.recipients)
    sender = Address(mail.sender_address, mail.sender_name)
    reply_to = _answers_to(mail, sender, tagged_too=not for_sender)
    # Whoever looks at a mail of others must not opt out in their place: only the recipient gets the link.
    line_html, line_text = unsubscribe_line(mail) if with_link else ("", "")
    fields = unsubscribe_fields(mail, return_address) if with_link else {}
    message = MailMessage(
        message_id=mail.message_id,
        # Not the time of the attempt: the octets would differ, and readers sort by when it was written.
        timestamp=mail.submitted_at.timestamp(),
        sender=sender,
        to=people[RecipientField.TO],
        cc=people[RecipientField.CC],
        bcc=people[RecipientField.BCC] if for_sender else [],
        reply_to=reply_to,
        read_receipt_to=_read_receipt_to(mail.read_receipt, sender, reply_to),
        priority=mail.priority,
        subject=mail.subject,
        text=mail.body_text.replace(LINK_MARK, link) + line_text,
        html=page(mail.body_html.replace(LINK_MARK, html_link) + line_html, mail.language),
        attachments=files,
        headers=_headers(mail),
        structured=fields,
    )
    return message.as_bytes()


def _headers(mail: OutgoingMail) -> dict[str, str]:
    """Return the further fields of a message: its language, its thread, and that no person has written it."""
    fields = {"Content-Language": mail.language}
    if mail.in_reply_to:
        fields |= {"In-Reply-To": mail.in_reply_to, "References": mail.reference_ids}
    if mail.submitted_by_id is None:
        # RFC 3834 §5: no program answers it by itself, so that nothing goes to and fro.
        fields["Auto-Submitted"] = "auto-generated"
    return fields


def _answers_to(mail: OutgoingMail, sender: Address, *, tagged_too: bool) -> Address | None:
    """Return where answers go, with a token where the mailbox that they come to takes one; None for the From."""
    reply_to = Address(mail.reply_to_address, mail.reply_to_name) if mail.reply_to_address else None
    if not mail.reply_tagged or not tagged_too:
        return reply_to
    whose = reply_to or sender
    return Address(tagged(whose.addr_spec, make_token(mail.id, use=TokenUse.REPLY_TO)), whose.display_name)


def written_message(draft: MailDraft, sender: Address, message_id: str) -> bytes:
    """Return the message of a draft without files that goes past the queue; it is no row of the outbox."""
    body = clean_html(draft.body_html)
    message = MailMessage(
        message_id=message_id,
        timestamp=clock.now().timestamp(),
        sender=sender,
        to=[recipient.address for recipient in draft.recipients],
        subject=draft.subject,
        text=plain_text(body),
        html=page(body, draft.language),
        headers={"Content-Language": draft.language},
    )
    return message.as_bytes()


def unsent_message(draft: MailDraft, sender: Address, reply_to: Address | None, pdf: bytes | None) -> bytes:
    """Return a draft as a message that the person's own mail program opens to be sent from there.

    It names those in Bcc, and has no Message-ID: that is for the program which sends it.

    Args:
        draft: What the composer holds.
        sender: From, as the route says.
        reply_to: Where answers go, as the route says, or None.
        pdf: The document's PDF, or None for the one that the draft names, if any.

    Raises:
        FileMissingError: An attachment is not in the store.
    """
    made = [_from_store(one.pdf) for one in draft.further if one.pdf is not None]
    if pdf is not None:
        made.insert(0, attachment(draft.pdf_name or "document.pdf", "application/pdf", pdf))
    elif draft.pdf is not None:
        made.insert(0, _from_store(draft.pdf))
    if draft.zip_name and draft.further:
        made = [zip_of(draft.zip_name, made)]
    files = [*made, *(_from_store(file) for file in draft.attachments)]
    people = _by_field((recipient.field, recipient.address) for recipient in draft.recipients)
    body = clean_html(draft.body_html)
    message = MailMessage(
        message_id="",
        timestamp=clock.now().timestamp(),
        sender=sender,
        to=people[RecipientField.TO],
        cc=people[RecipientField.CC],
        bcc=people[RecipientField.BCC],
        reply_to=reply_to,
        read_receipt_to=_read_receipt_to(draft.read_receipt, sender, reply_to),
        priority=draft.priority,
        subject=draft.subject,
        text=plain_text(body),
        html=page(body, draft.language),
        attachments=files,
        # Outlook opens such a file as a draft to be sent, not as a mail that came.
        headers={"Content-Language": draft.language, "X-Unsent": "1"},
    )
    return message.as_bytes()


def zip_of(name: str, files: Sequence[Attachment]) -> Attachment:
    """Return files as one zip file: the same octets each time, whatever the library and the clock.

    They are stored and not packed: a PDF is packed already, and another version of zlib would pack it otherwise.
    """
    written = io.BytesIO()
    taken: set[str] = set()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_STORED) as archive:
        for file in files:
            entry = zipfile.ZipInfo(_free_name(file.filename or "document.pdf", taken))
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            archive.writestr(entry, file.data)
    return attachment(name, "application/zip", written.getvalue())


def _free_name(name: str, taken: set[str]) -> str:
    """Return a name that no file of a folder has yet, whatever its letters' case, and take it."""
    stem, dot, ending = name.rpartition(".")
    number, free = 1, name
    while free.casefold() in taken:
        number += 1
        free = f"{stem} ({number}){dot}{ending}" if dot else f"{name} ({number})"
    taken.add(free.casefold())
    return free


def _read_receipt_to(wanted: bool, sender: Address, reply_to: Address | None) -> Address | None:
    return (reply_to or sender) if wanted else None


def _by_field(
    recipients: Iterable[tuple[RecipientField, Address]],
) -> dict[RecipientField, list[Address]]:
    found: dict[RecipientField, list[Address]] = {field: [] for field in RecipientField}
    for field, address in recipients:
        found[field].append(address)
    return found


def _from_store(file: StoredFile) -> Attachment:
    return attachment(file.name, file.media_type, file_store().get(file.sha256), file.content_id)
