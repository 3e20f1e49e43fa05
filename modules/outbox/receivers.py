"""Mails that others ask for without anybody composing: a receipt at the till, a link by which to choose a password."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

from flask import Flask
from flask_babel import gettext
from sqlalchemy import select

from core.auth.models import User
from core.companies.models import Company
from core.db import db
from core.documents.distribution import wish_for
from core.documents.models import Document
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.mail.addresses import Address
from core.mail.draft import DraftRecipient, MailDraft, Purpose, Reason, RecipientField
from modules.outbox.alerts.service import can_send, company_that_can_send
from modules.outbox.compose.draft import draft_for
from modules.outbox.compose.recipients import default_recipients, recognize
from modules.outbox.models import OutgoingMail
from modules.outbox.permissions import READ
from modules.outbox.queries import reach
from modules.outbox.service import submit
from modules.outbox.standstill import hindrance


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
        UserError: Nobody would get it, the customer wants paper and nobody has typed an address, the template is
            broken, or the document cannot be sent.
    """
    wish = wish_for(document) if not addresses else None
    if wish is not None and wish.paper_only:
        raise UserError(_l("The customer wants this on paper: it was not mailed."))
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
    receipt = replace(draft, private=private, purpose=Purpose.RECEIPT)
    return submit(receipt, by, hold_dead=True).id


def captured_mails_asked(_app: Flask, *, user: User, message_ids: list[str]) -> set[str]:
    """Answer `core.signals.captured_mails_asked`; what held a link is its recipient's alone."""
    if not user.can(READ):
        return set()
    query = select(OutgoingMail.message_id).where(
        OutgoingMail.message_id.in_(message_ids), OutgoingMail.link_expires_at.is_(None), reach(user, READ)
    )
    return set(db.session.scalars(query))


def account_mail_wanted(
    _app: Flask,
    *,
    user: User | None,
    subject: str,
    body_html: str,
    link: str,
    expires_at: dt.datetime | None,
    by: User | None,
) -> str:
    """Write the mail that `core.signals.account_mail_wanted` asks for, and return why it does not leave now, or ""."""
    company = company_that_can_send(user) or _any_that_can_send()
    if company is None:
        return str(gettext("No mail server works at this moment."))
    if user is not None:
        submit(
            MailDraft(
                document_id=None,
                document_revision=0,
                company_id=company.id,
                language=user.language,
                subject=subject,
                body_html=body_html,
                recipients=[DraftRecipient(Address(user.login, user.name), reason=Reason.COLLEAGUE)],
                link=link,
                link_expires_at=expires_at,
                purpose=Purpose.ALERT,
            ),
            by,
        )
    found = hindrance()
    return found.title if found is not None else ""


def _any_that_can_send() -> Company | None:
    """Return any company that can send, so that the answer does not depend on who asks for a link."""
    companies = db.session.scalars(
        select(Company).where(Company.active, Company.email != "").order_by(Company.id)
    )
    return next((company for company in companies if can_send(company)), None)
