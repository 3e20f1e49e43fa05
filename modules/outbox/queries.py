"""What pages read: lists, badges, panels."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from flask_babel import gettext
from sqlalchemy import ColumnElement, Select, exists, func, or_, select
from sqlalchemy.orm import joinedload, selectinload

from core import clock
from core.auth.models import User
from core.auth.permissions import within_reach
from core.db import db
from core.documents.models import Document
from core.i18n import N_
from core.web.listing import Filter, ListSpec, SortKey
from modules.outbox.models import MailRecipient, OutgoingMail
from modules.outbox.states import FAILED, STATE_TITLES, STATE_TONES, WAITING, MailState


@dataclass(frozen=True, slots=True)
class Badge:
    """What a document shows about its mails.

    Attributes:
        word: In words, translated.
        tone: As the badge macro knows it.
        icon: Name of the icon.
        waiting: True while it will change by itself.
        title: More words on hover.
    """

    word: str
    tone: str
    icon: str
    waiting: bool
    title: str = ""


def reach(user: User, permission: str) -> ColumnElement[bool]:
    """Return the condition that keeps a query to the mails that a permission of the user reaches."""
    return within_reach(user, permission, owner=OutgoingMail.submitted_by_id, company=OutgoingMail.company_id)


def mail_for(user: User, mail_id: int, permission: str = "outbox.mail.read") -> OutgoingMail | None:
    """Return a mail within the user's reach, or None."""
    return db.session.scalar(select(OutgoingMail).where(OutgoingMail.id == mail_id, reach(user, permission)))


def reachable_ids(user: User, mail_ids: Iterable[int], permission: str) -> list[int]:
    """Return those of the ids that a permission of the user reaches."""
    return list(
        db.session.scalars(
            select(OutgoingMail.id).where(OutgoingMail.id.in_(list(mail_ids)), reach(user, permission))
        )
    )


def _search(text: str) -> ColumnElement[bool]:
    return or_(
        OutgoingMail.subject.icontains(text, autoescape=True),
        OutgoingMail.message_id.contains(text, autoescape=True),
        exists(
            select(MailRecipient.id).where(
                MailRecipient.mail_id == OutgoingMail.id,
                or_(
                    MailRecipient.addr_spec.icontains(text, autoescape=True),
                    MailRecipient.display_name.icontains(text, autoescape=True),
                ),
            )
        ),
        exists(
            select(Document.id).where(
                Document.id == OutgoingMail.document_id, Document.number.icontains(text, autoescape=True)
            )
        ),
    )


def mail_list(user: User) -> ListSpec:
    """Return how the outbox can be searched, filtered and sorted."""
    today = dt.datetime.combine(clock.today(), dt.time(), dt.UTC)
    return ListSpec(
        identity=OutgoingMail.id,
        sorts=(
            SortKey("sent", N_("Submitted"), OutgoingMail.id, lambda row: row.id, descending=True),
            SortKey("subject", N_("Subject"), OutgoingMail.subject, lambda row: row.subject),
        ),
        filters=(
            Filter("failed", N_("Failed"), OutgoingMail.state.in_(sorted(FAILED)), "state"),
            Filter("waiting", N_("Waiting"), OutgoingMail.state.in_(sorted(WAITING)), "state"),
            Filter("uncertain", N_("Uncertain"), OutgoingMail.state == MailState.UNCERTAIN, "state"),
            Filter("sent", N_("Sent"), OutgoingMail.state == MailState.SENT, "state"),
            Filter("today", N_("Today"), OutgoingMail.submitted_at >= today, "time"),
            Filter("mine", N_("Mine"), OutgoingMail.submitted_by_id == user.id, "who"),
        ),
        search=_search,
    )


def mails_within(user: User) -> Select[OutgoingMail]:
    """Return the mails that the user may read, with what a list shows of them."""
    return (
        select(OutgoingMail)
        .where(reach(user, "outbox.mail.read"))
        .options(
            selectinload(OutgoingMail.recipients),
            joinedload(OutgoingMail.document),
            joinedload(OutgoingMail.submitted_by),
            joinedload(OutgoingMail.company),
        )
    )


def failed_count(user: User) -> int:
    """Return how many of the user's own mails have failed and wait for somebody to act."""
    count = db.session.scalar(
        select(func.count())
        .select_from(OutgoingMail)
        .where(OutgoingMail.submitted_by_id == user.id, OutgoingMail.state.in_(sorted(FAILED)))
    )
    return int(count or 0)


def document_mails(document_id: int, user: User, limit: int = 20) -> list[OutgoingMail]:
    """Return the newest mails about a document that the user may read, with their recipients."""
    return list(
        db.session.scalars(
            select(OutgoingMail)
            .where(OutgoingMail.document_id == document_id, reach(user, "outbox.mail.read"))
            .options(selectinload(OutgoingMail.recipients), joinedload(OutgoingMail.submitted_by))
            .order_by(OutgoingMail.id.desc())
            .limit(limit)
        )
    )


def partner_mails(partner_ids: Sequence[int], user: User, limit: int = 20) -> list[OutgoingMail]:
    """Return the newest mails to a customer or its contacts that the user may read."""
    return list(
        db.session.scalars(
            select(OutgoingMail)
            .where(
                OutgoingMail.id.in_(
                    select(MailRecipient.mail_id).where(MailRecipient.partner_id.in_(partner_ids))
                ),
                reach(user, "outbox.mail.read"),
            )
            .options(selectinload(OutgoingMail.recipients), joinedload(OutgoingMail.document))
            .order_by(OutgoingMail.id.desc())
            .limit(limit)
        )
    )


def badge_of(mail: OutgoingMail | None) -> Badge | None:
    """Return what a document shows whose latest mail this is; None for no mail."""
    if mail is None:
        return None
    return state_badge(mail.state, mail.accepted_count, mail.recipient_count)


def state_badge(state: MailState, accepted: int, count: int) -> Badge:
    """Return the badge of a mail: its state, and how many of its recipients have it."""
    tone, icon = STATE_TONES[state]
    word = str(STATE_TITLES[state])
    some = gettext("%(accepted)s of %(count)s accepted", accepted=accepted, count=count)
    if state is MailState.PARTIAL or (state is MailState.DEFERRED and accepted):
        word = some
    return Badge(word, tone, icon, state in WAITING, title=some)


def badges_for(document_ids: Sequence[int]) -> dict[int, Badge]:
    """Return the badge of each document that has mails, by one query."""
    if not document_ids:
        return {}
    latest = (
        select(func.max(OutgoingMail.id))
        .where(OutgoingMail.document_id.in_(document_ids), OutgoingMail.state != MailState.CANCELED)
        .group_by(OutgoingMail.document_id)
    )
    rows = db.session.execute(
        select(
            OutgoingMail.document_id,
            OutgoingMail.state,
            OutgoingMail.accepted_count,
            OutgoingMail.recipient_count,
        ).where(OutgoingMail.id.in_(latest))
    )
    return {
        document_id: state_badge(state, accepted, count)
        for document_id, state, accepted, count in rows
        if document_id is not None
    }
