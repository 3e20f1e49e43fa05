"""What has come back about the recipients of a mail, in sentences: what it says, and what it does not prove."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask_babel import format_timedelta, gettext
from sqlalchemy import select

from core.db import db
from core.i18n import format_date
from core.i18n import lazy_gettext as _l
from core.mail.bounces.model import Action, Nature
from core.mail.bounces.sentences import bounce_title
from core.mail.outcomes import RecipientState
from modules.outbox.blueprint import blueprint
from modules.outbox.models import InboundMessage, MailRecipient, OutgoingMail, RecipientNotice, Verdict

MAX_SHOWN = 500  # notices that one page reads; the newest

_RECEIPTS: Mapping[Action, tuple[Any, str]] = {
    Action.DELIVERED: (
        _l("Delivered to the mailbox, says its server. It does not prove that it was read."),
        "check2-all",
    ),
    Action.RELAYED: (
        _l("Passed on to a server that sends no delivery receipts. Nothing more will be known."),
        "arrow-right",
    ),
    Action.EXPANDED: (
        _l(
            "Passed on to several addresses, such as the members of a list. Who of them gets it is not known."
        ),
        "people",
    ),
    Action.DISPLAYED: (
        _l("Displayed in an email program, says a read receipt. It does not prove who has read it."),
        "eye",
    ),
    Action.DELETED: (_l("Deleted in an email program without having been displayed."), "trash"),
    Action.PROCESSED: (_l("Handled by a program; it does not prove that a person has seen it."), "gear"),
    Action.DECLINED: (_l("The reader’s program sends no read receipt."), "eye-slash"),
    Action.COMPLAINED: (_l("Reported as unwanted by the recipient."), "flag"),
}


blueprint.app_template_global("bounce_title")(bounce_title)


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that has come back about a recipient."""

    text: str
    icon: str
    at: dt.datetime
    tone: str = ""


def came_back(mail: OutgoingMail) -> dict[int, list[Line]]:
    """Return what has come back about each recipient, oldest first, by the id of the recipient."""
    notices = db.session.scalars(
        select(RecipientNotice)
        .join(InboundMessage, InboundMessage.id == RecipientNotice.inbound_id)
        .where(InboundMessage.mail_id == mail.id, InboundMessage.verdict == Verdict.COUNTED)
        .order_by(RecipientNotice.id.desc())
        .limit(MAX_SHOWN)
    ).all()
    people = {recipient.id: recipient for recipient in mail.recipients}
    lines: dict[int, list[Line]] = {}
    for notice in reversed(notices):
        if notice.recipient_id in people:
            recipient = people[notice.recipient_id]
            lines.setdefault(recipient.id, []).append(_line(notice, recipient))
    answers = db.session.scalars(
        select(InboundMessage)
        .where(InboundMessage.mail_id == mail.id, InboundMessage.verdict == Verdict.ANSWER)
        .order_by(InboundMessage.id.desc())
        .limit(MAX_SHOWN)
    ).all()
    for answer in reversed(answers):
        if answer.answered_by_id in people:
            lines.setdefault(answer.answered_by_id, []).append(_answered(answer))
    return lines


def _answered(answer: InboundMessage) -> Line:
    if answer.nature is not Nature.AUTO_REPLY:
        kept = answer.answer is not None
        words = gettext("Answered.") if kept else gettext("Answered. The answer lies in the mailbox.")
        icon = "chat-left-text"
    elif answer.back_on is not None:
        day = format_date(answer.back_on, "full")
        words, icon = gettext("Away, says an automatic answer: back on %(day)s.", day=day), "calendar-x"
    else:
        words, icon = gettext("An automatic answer came, such as an out-of-office message."), "calendar-x"
    return Line(str(words), icon, answer.received_at)


def _line(notice: RecipientNotice, recipient: MailRecipient) -> Line:
    if notice.action is Action.FAILED:
        return Line(_bounced(notice, recipient), "reply-fill", notice.at, "danger")
    if notice.action is Action.DELAYED:
        return Line(_delayed(notice), "clock-history", notice.at)
    text, icon = _RECEIPTS[notice.action]
    return Line(str(text), icon, notice.at)


def _bounced(notice: RecipientNotice, recipient: MailRecipient) -> str:
    accepted_at = recipient.settled_at
    if accepted_at is not None and notice.at > accepted_at and recipient.state is RecipientState.BOUNCED:
        after = format_timedelta(notice.at - accepted_at)
        said = gettext("Came back %(time)s after it was accepted.", time=after)
    else:
        said = gettext("Came back after it was accepted.")
    if notice.permanent is False:
        given_up = gettext("A server has tried for long and given up; the address may be right.")
        said = f"{said} {given_up}"
    return str(said)


def _delayed(notice: RecipientNotice) -> str:
    if notice.retry_until is None:
        return str(gettext("Delayed: a server still tries. Nothing is lost."))
    day = format_date(notice.retry_until, "full")
    return str(gettext("Delayed: a server still tries until %(day)s. Nothing is lost.", day=day))
