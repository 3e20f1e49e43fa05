"""The badge of a document, of a mail: one state in words, for lists by a few queries for all their rows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from flask_babel import gettext, ngettext
from sqlalchemy import Select, Subquery, exists, func, inspect, or_, select
from sqlalchemy.orm import aliased

from core.db import db
from core.documents.models import Document
from core.i18n import lazy_gettext as _l
from core.i18n import lazy_pgettext
from core.mail.explanations import EXPLANATIONS
from core.mail.outcomes import FailureKind, RecipientState
from core.partners.models import Partner
from core.web.formats import harmless
from modules.outbox.about import pairs
from modules.outbox.models import (
    CAME_BACK,
    FurtherDocument,
    HandOver,
    MailRecipient,
    OutgoingMail,
    Way,
)
from modules.outbox.private_addresses import is_address_hash
from modules.outbox.queries import handed_over
from modules.outbox.states import (
    FAILED,
    RECIPIENT_TITLES,
    STATE_TITLES,
    STATE_TONES,
    WAITING,
    MailState,
)

WAY_TITLES = {
    Way.POST: _l("by post"),
    Way.COUNTER: _l("at the counter"),
    Way.PORTAL: _l("by a portal"),
    Way.TELEPHONE: _l("on the telephone"),
    Way.OTHER: lazy_pgettext("hand-over", "otherwise"),
}
"""How a document was handed over; the badge says it."""


@dataclass(frozen=True, slots=True)
class Badge:
    """The badge of a document: one state for all of its mails.

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
    reason: str = ""
    """Why it failed, in a few words, or ""."""


def came_back_among(mails: Iterable[OutgoingMail]) -> set[int]:
    """Return which of some mails have come back from a server behind the one that took them, by one query."""
    failed = [mail.id for mail in mails if mail.state in FAILED]
    if not failed:
        return set()
    return set(db.session.scalars(select(OutgoingMail.id).where(OutgoingMail.id.in_(failed), CAME_BACK)))


def _has_come_back(mail: OutgoingMail) -> bool:
    # Where its recipients are there already, nobody is asked.
    if "recipients" in inspect(mail).unloaded:
        return bool(came_back_among([mail]))
    return any(recipient.state is RecipientState.BOUNCED for recipient in mail.recipients)


def badge_of(mail: OutgoingMail | None, came_back: Collection[int] | None = None) -> Badge | None:
    """Return what a document shows whose latest mail this is; None for no mail.

    Args:
        mail: The mail.
        came_back: Ids of mails that have, see `came_back_among`, where somebody has asked about several.
    """
    if mail is None:
        return None
    return state_badge(
        mail.state,
        mail.accepted_count,
        mail.recipient_count,
        mail.failure_kind,
        captured=mail.captured,
        dismissed=mail.dismissed_at is not None,
        came_back=_has_come_back(mail) if came_back is None else mail.id in came_back,
    )


def state_badge(
    state: MailState,
    accepted: int,
    count: int,
    failure: FailureKind | None = None,
    *,
    captured: bool,
    dismissed: bool = False,
    came_back: bool = False,
) -> Badge:
    """Return the badge of a mail: its state, how many of its recipients have it, and why the others have not.

    What was accepted and has come back is told as such: it failed later, and elsewhere, than what was refused.
    """
    if captured and state is MailState.SENT:
        nobody = gettext("Kept in this installation, sent to nobody.")
        return Badge(gettext("captured"), "secondary", "inbox", False, title=nobody)
    tone, icon = STATE_TONES[state]
    bounced = came_back and state is MailState.FAILED
    word = str(RECIPIENT_TITLES[RecipientState.BOUNCED] if bounced else STATE_TITLES[state])
    some = gettext("%(accepted)s of %(count)s accepted", accepted=accepted, count=count)
    if state is MailState.PARTIAL or (state is MailState.DEFERRED and accepted):
        word = some
    why = str(EXPLANATIONS[failure].title) if failure is not None and state in FAILED else ""
    if came_back and why and state is MailState.PARTIAL:
        why = gettext("bounced: %(reason)s", reason=why)
    if dismissed:
        # What it says stays true; nobody has to look.
        tone, icon, some = "neutral", "archive", str(gettext("%(state)s, dismissed", state=word))
    return Badge(word, tone, icon, state in WAITING, title=some, reason=why)


def badges_for(document_ids: Sequence[int]) -> dict[int, Badge]:
    """Return the badge of each document that has mails or was handed over otherwise, by three queries.

    The latest mail speaks for the document, unless somebody whom an earlier one should have reached has not got it
    and no later mail goes to them: then the badge names who that is. A failure is not hidden by a mail to others.
    """
    if not document_ids:
        return {}
    documents = {"documents": list(document_ids)}
    rows = db.session.execute(_latest(), documents)
    badges: dict[int, Badge] = {}
    last: dict[int, int] = {}
    submitted: dict[int, dt.datetime] = {}
    for document_id, mail_id, state, accepted, count, failure, captured, at, dismissed_at, back in rows:
        if document_id is not None:
            dismissed = dismissed_at is not None
            badges[document_id] = state_badge(
                state, accepted, count, failure, captured=captured, dismissed=dismissed, came_back=back
            )
            last[document_id], submitted[document_id] = mail_id, at
    without: dict[int, list[_LeftOut]] = {}
    for person in map(_LeftOut._make, db.session.execute(left_out(), documents)):
        without.setdefault(person.document_id or 0, []).append(person)
    for document_id, people in without.items():
        if any(person.mail_id != last[document_id] for person in people):
            badges[document_id] = _left_out_badge(badges[document_id], people)
    for document_id, word in handed_over(document_ids).items():
        # Whoever has handed it over knew of the mails before; those after it speak for themselves.
        if document_id not in submitted or submitted[document_id] <= word.at:
            badges[document_id] = _hand_over_badge(word, badges.get(document_id))
    return badges


def _hand_over_badge(word: HandOver, mails: Badge | None) -> Badge:
    title = str(gettext("Handed over otherwise"))
    way = title if word.way is Way.OTHER else str(WAY_TITLES[word.way])
    return Badge(way, "success", "mailbox", mails.waiting if mails else False, title=title)


class _LeftOut(NamedTuple):
    """Somebody whom a mail about a document should have reached, and no later one goes to."""

    document_id: int | None
    mail_id: int
    addr_spec: str
    state: RecipientState
    failure: FailureKind | None
    name: str | None
    is_customer: bool

    @property
    def who(self) -> str:
        """Who it is, in words."""
        if self.is_customer:
            return str(gettext("customer"))
        if is_address_hash(self.addr_spec):
            return str(gettext("walk-in"))
        return harmless(self.name or self.addr_spec)


def _left_out_badge(latest: Badge, people: Sequence[_LeftOut]) -> Badge:
    tone, icon = STATE_TONES[MailState.FAILED]
    each = [f"{person.who}: {RECIPIENT_TITLES[person.state]}" for person in people]
    count = len(each)
    word = each[0] if count == 1 else ngettext("%(num)d has not got it", "%(num)d have not got it", count)
    why = next((str(EXPLANATIONS[person.failure].title) for person in people if person.failure), "")
    return Badge(str(word), tone, icon, latest.waiting, title=", ".join(each), reason=why)


# Both are put together once: lists ask with each page, and doing so costs more than the answer.
@cache
def _latest() -> Select[
    int | None, int, MailState, int, int, FailureKind | None, bool, dt.datetime, dt.datetime | None, bool
]:
    """Return what finds the latest mail about each of some documents."""
    # An answer to what somebody wrote says nothing about who has got the document.
    of = pairs(OutgoingMail.state != MailState.CANCELED, OutgoingMail.answers_id.is_(None))
    latest = (
        select(of.c.document_id, func.max(of.c.mail_id).label("mail_id"))
        .group_by(of.c.document_id)
        .subquery()
    )
    return select(
        latest.c.document_id,
        OutgoingMail.id,
        OutgoingMail.state,
        OutgoingMail.accepted_count,
        OutgoingMail.recipient_count,
        OutgoingMail.failure_kind,
        OutgoingMail.captured,
        OutgoingMail.submitted_at,
        OutgoingMail.dismissed_at,
        (OutgoingMail.state.in_(sorted(FAILED)) & CAME_BACK).label("came_back"),
    ).join(latest, latest.c.mail_id == OutgoingMail.id)


def missed(failed: Subquery) -> Select[int | None, int]:
    """Return the document and mail of each recipient of failed mails who has not got them, and gets no later one.

    Args:
        failed: Mails that have failed, of `modules.outbox.about.pairs` or its like.
    """
    later, again, carried = aliased(OutgoingMail), aliased(MailRecipient), aliased(FurtherDocument)
    to_the_same = (
        later.id > failed.c.mail_id,
        later.state != MailState.CANCELED,
        later.answers_id.is_(None),
        again.mail_id == later.id,
        or_(
            again.partner_id == MailRecipient.partner_id,
            func.lower(again.addr_spec) == func.lower(MailRecipient.addr_spec),
        ),
    )
    has_a_later_one = or_(
        exists().where(later.document_id == failed.c.document_id, *to_the_same),
        exists().where(
            carried.document_id == failed.c.document_id, later.id == carried.mail_id, *to_the_same
        ),
    )
    return (
        select(failed.c.document_id, failed.c.mail_id)
        .select_from(failed)
        .join(MailRecipient, MailRecipient.mail_id == failed.c.mail_id)
        .where(MailRecipient.state != RecipientState.ACCEPTED, ~has_a_later_one)
    )


@cache
def left_out() -> Select[int | None, int, str, RecipientState, FailureKind | None, str, bool]:
    """Return what finds the recipients of failed mails about `DOCUMENTS` whom they have `missed`, and who those are."""
    failed = pairs(OutgoingMail.state.in_(sorted(FAILED)), OutgoingMail.dismissed_at.is_(None))
    return (
        missed(failed)
        .add_columns(
            MailRecipient.addr_spec,
            MailRecipient.state,
            MailRecipient.failure_kind,
            Partner.name,
            (MailRecipient.partner_id == Document.partner_id).is_(True),
        )
        .join(Document, Document.id == failed.c.document_id)
        .outerjoin(Partner, Partner.id == MailRecipient.partner_id)
        .order_by(failed.c.mail_id, MailRecipient.position)
    )
