"""What a customer of a mailing would get: to look at, and as a test."""

from __future__ import annotations

from dataclasses import replace

from flask_babel import gettext

from core.auth.models import User
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.mail.addresses import Address, normalize
from core.mail.draft import DraftRecipient, MailDraft, Purpose, Reason
from modules.outbox import service
from modules.outbox.limits import MAX_SUBJECT_LENGTH
from modules.outbox.models import OutgoingMail, Run, RunItem
from modules.outbox.runs.drafting import draft_of, facts_of
from modules.outbox.runs.held import HeldError


def send_test(run: Run, item: RunItem, by: User) -> OutgoingMail:
    """Send what a customer of a mailing would get to the person who asks, and to nobody else.

    Raises:
        UserError: There is no mail to this customer.
    """
    draft = preview(run, item, by)
    draft.subject = str(gettext("[Test] %(subject)s", subject=draft.subject))[:MAX_SUBJECT_LENGTH]
    draft.recipients = [DraftRecipient(Address(normalize(by.login), by.name), reason=Reason.COLLEAGUE)]
    # The link to unsubscribe is the customer's: nobody else gets it.
    return service.submit(replace(draft, promotional=False, purpose=Purpose.SINGLE), by)


def preview(run: Run, item: RunItem, user: User) -> MailDraft:
    """Return the mail that a customer of a mailing would get.

    Raises:
        UserError: There is none.
    """
    sender = run.by_user or user
    try:
        return draft_of(item, facts_of([item], sender), run, sender)[0]
    except HeldError as held:
        raise UserError(held.detail or _l("There is no email to this customer.")) from held
