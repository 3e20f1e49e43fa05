"""The composer for an answer to a message that came in: who gets it, its subject, and what it quotes."""

from __future__ import annotations

import re

from babel.dates import get_timezone
from flask_babel import force_locale, gettext
from markupsafe import Markup, escape

from core.auth.models import User
from core.companies.service import locale_of_user
from core.db import db
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.mail.addresses import Address
from core.mail.draft import DraftRecipient, MailDraft, Reason
from core.mail.quotes import split_quoted
from core.web.formats import moment
from modules.outbox.access import mail_or_404
from modules.outbox.compose.draft import may_copy, signature_of
from modules.outbox.compose.recipients import Proposal
from modules.outbox.limits import MAX_SUBJECT_LENGTH
from modules.outbox.models import InboundMessage, OutgoingMail

MAX_QUOTED = 20_000  # characters of the answer that are repeated below ours
# "Re:" of the common languages, also counted or repeated: "RE[2]: AW: TR :"
_PREFIXES = re.compile(
    r"(?:(?:re|aw|antw|sv|rif|rép|tr|fwd?|wg)(?:\[\d{1,3}\])?\s?:\s*){1,20}", re.IGNORECASE
)


def answerable(inbound_id: int, user: User) -> tuple[InboundMessage, OutgoingMail] | None:
    """Return a message that came in with the mail that it answers, where the user may answer it; else None."""
    inbound = db.session.get(InboundMessage, inbound_id)
    if inbound is None or inbound.answer is None or inbound.mail_id is None:
        return None
    mail = mail_or_404(inbound.mail_id)
    return (inbound, mail) if may_copy(mail, user) and inbound.answer.sender else None


def frame_of_answer(inbound: InboundMessage, mail: OutgoingMail) -> MailDraft:
    """Return an empty answer: of the company and about the document of the mail, without its PDF."""
    return MailDraft(
        document_id=mail.document_id,
        document_revision=0,
        company_id=mail.company_id,
        language=mail.language,
        subject="",
        body_html="",
        keep_days=mail.keep_days,
        answers_id=inbound.id,
    )


def answer_to(inbound: InboundMessage, mail: OutgoingMail, user: User) -> MailDraft:
    """Return the answer as the composer opens with it.

    Raises:
        UserError: What it answers is no longer kept.
    """
    answer = inbound.answer
    if answer is None or not answer.sender:
        raise UserError(_l("The message that this answers is no longer kept."))
    draft = frame_of_answer(inbound, mail)
    draft.subject = f"Re: {_PREFIXES.sub('', answer.subject or mail.subject, count=1)}"[:MAX_SUBJECT_LENGTH]
    draft.recipients = who_answered(inbound, mail).recipients
    written, _quoted = split_quoted(answer.body_text)
    with force_locale(locale_of_user(user) if user.language == mail.language else mail.language):
        said = gettext(
            "On %(when)s, %(name)s wrote:",
            when=moment(inbound.received_at, get_timezone(user.timezone)),
            name=answer.sender_name or answer.sender,
        )
    lines = Markup("<br>").join(escape(line) for line in written[:MAX_QUOTED].split("\n"))
    quotation = Markup("<p>{}</p><blockquote>{}</blockquote>").format(said, lines)
    draft.body_html = f"<p><br></p>{signature_of(user)}{quotation}"
    return draft


def who_answered(inbound: InboundMessage, mail: OutgoingMail) -> Proposal:
    """Return who gets an answer by default: Reply-To says where it is to go (RFC 5322 §3.6.2), else From."""
    answer = inbound.answer
    if answer is None:
        return Proposal()
    partner_id = next((row.partner_id for row in mail.recipients if row.id == inbound.answered_by_id), None)
    to = Address(answer.reply_to or answer.sender, answer.sender_name)
    return Proposal([DraftRecipient(to, reason=Reason.ANSWERED, partner_id=partner_id)])
