"""From rows to the message that leaves."""

from __future__ import annotations

from flask import current_app

from core.files import FileMissingError, FileStore
from core.mail.addresses import Address
from core.mail.draft import RecipientField
from modules.mail_config.message import MailMessage, attachment
from modules.outbox.bodies import page
from modules.outbox.models import OutgoingMail


def file_store() -> FileStore:
    """Return the store that holds attachments."""
    store: FileStore = current_app.extensions["envoi_files"]
    return store


def build_message(mail: OutgoingMail) -> bytes:
    """Return the message of a mail, the same octets each time.

    The headers name everybody in To and Cc, also those who have got it already: it is the same message.

    Raises:
        FileMissingError: An attachment is not in the store, or has never been frozen.
    """
    store = file_store()
    files = []
    for row in mail.attachments:
        if not row.sha256:
            raise FileMissingError(f"{row.name} was never made.")
        files.append(attachment(row.name, row.media_type, store.get(row.sha256)))
    by_field: dict[RecipientField, list[Address]] = {field: [] for field in RecipientField}
    for recipient in mail.recipients:
        by_field[recipient.field].append(recipient.address)
    message = MailMessage(
        message_id=mail.message_id,
        timestamp=mail.submitted_at.timestamp(),
        sender=Address(mail.sender_address, mail.sender_name),
        to=by_field[RecipientField.TO],
        cc=by_field[RecipientField.CC],
        reply_to=Address(mail.reply_to_address, mail.reply_to_name) if mail.reply_to_address else None,
        subject=mail.subject,
        text=mail.body_text,
        html=page(mail.body_html, mail.language),
        attachments=files,
        headers={"Content-Language": mail.language},
    )
    return message.as_bytes()
