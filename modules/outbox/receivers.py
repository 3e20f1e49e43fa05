"""Mails that another module asks for: a receipt at the till, without anybody composing."""

from __future__ import annotations

from dataclasses import replace

from core.auth.models import User
from core.documents.models import Document
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.mail.addresses import Address
from core.mail.draft import DraftRecipient, RecipientField
from modules.outbox.compose.draft import draft_for
from modules.outbox.compose.recipients import default_recipients, recognize
from modules.outbox.service import submit


def mail_wanted(
    document: Document,
    *,
    addresses: tuple[Address, ...],
    by: User | None,
    private: bool,
    keep_days: int | None,
) -> int:
    """Write the mail that `core.signals.document_mail_wanted` asks for, and return its id.

    Raises:
        UserError: Nobody would get it, the template is broken, or the document cannot be sent.
    """
    draft = draft_for(document, None, by)
    if addresses:
        wanted = [(address, RecipientField.TO) for address in addresses]
        draft.recipients = (
            [DraftRecipient(address) for address in addresses]
            if private
            else recognize(wanted, document, default_recipients(document, None, by), by)
        )
    if not draft.recipients:
        raise UserError(_l("There is nobody to send it to."))
    if keep_days is not None:
        draft = replace(draft, keep_days=keep_days)
    return submit(replace(draft, private=private), by).id
