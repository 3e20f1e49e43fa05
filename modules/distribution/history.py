"""What went, when, how, to whom, by whom, and with which result: all ways of all documents in one list.

Emails and what was handed over otherwise are the outbox's rows, paper and the archive dispatches. Each page asks all
three by the key of the last line and takes the newest of what they give, so the millionth page costs what the first
does. A further way is a further source.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self, cast

from flask import url_for
from flask_babel import gettext, pgettext
from sqlalchemy import ColumnElement, func, literal, or_, select, text, tuple_
from sqlalchemy.orm import InstrumentedAttribute, joinedload, selectinload

from core.auth.models import User
from core.db import db
from core.documents.models import Document
from core.documents.service import kind_title, readable_by
from core.partners.models import Partner
from core.partners.service import customer_of
from core.web.formats import moment
from modules.distribution.dispatches import allowed
from modules.distribution.models import Dispatch, DispatchState, Way
from modules.distribution.words import DISPATCH_TITLES, DISPATCH_TONES, OTHERWISE
from modules.outbox import queries
from modules.outbox.about import further_documents
from modules.outbox.compose.draft import sendable_ids
from modules.outbox.models import HandOver, OutgoingMail
from modules.outbox.models import Way as HandOverWay
from modules.outbox.permissions import READ
from modules.outbox.states import STATE_TITLES, STATE_TONES

SIZE = 40
_HAND_OVER, _MAIL, _DISPATCH = 2, 1, 0
"""Which source comes first where two lines are of the same moment; by it their ids are compared among themselves."""

_OPEN = {DispatchState.DUE, DispatchState.ASKED}
_COUNTS, _TAKEN_BACK = HandOver.taken_back_at.is_(None), HandOver.taken_back_at.is_not(None)
RESULTS: dict[str, tuple[str, set[DispatchState], ColumnElement[bool] | None]] = {
    "done": ("outbox_mail.state = 'sent'", {DispatchState.DONE}, _COUNTS),
    "waiting": (
        "outbox_mail.state NOT IN ('canceled', 'failed', 'partial', 'sent', 'uncertain')",
        _OPEN,
        None,
    ),
    "failed": ("outbox_mail.state IN ('failed', 'partial', 'uncertain')", {DispatchState.HELD}, None),
    "stopped": ("outbox_mail.state = 'canceled'", {DispatchState.STOPPED}, _TAKEN_BACK),
}
"""The results that one asks for. Of emails word for word the conditions of the outbox's partial indexes, or SQLite
would look at every email for the few; the states of dispatches; of what was handed over, None where nothing is such."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the list is narrowed to.

    Attributes:
        since: The first moment, or None.
        until: The moment after the last, or None.
        kind: The kind of documents, or "".
        partner_id: The customer, or None.
        way: How it went: a way of a dispatch or of a hand-over, `OTHERWISE` for all of the latter, or "".
        result: A key of `RESULTS`, or "".
    """

    since: dt.datetime | None = None
    until: dt.datetime | None = None
    kind: str = ""
    partner_id: int | None = None
    way: str = ""
    result: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """A line's place in the list."""

    at: dt.datetime
    source: int
    id: int

    def __str__(self) -> str:
        return f"{self.at.isoformat()}~{self.source}~{self.id}"

    @classmethod
    def parse(cls, text: str) -> Place | None:
        """Return the place that a text names, or None where it names none."""
        parts = text[:80].split("~")
        try:
            at = dt.datetime.fromisoformat(parts[0])
            place = cls(at, int(parts[1]), int(parts[2]))
        except (ValueError, IndexError):
            return None
        return (
            place if at.tzinfo is not None and 0 <= place.id < 2**31 and place.source in {0, 1, 2} else None
        )


@dataclass(frozen=True, slots=True)
class Entry:
    """A line.

    Attributes:
        place: Where it stands.
        way: How it went.
        document: What, or None where it is gone.
        customer: Whose.
        to: To whom or where, in words.
        by: Who has sent it, or "".
        result: In words.
        tone: Of the badge: its tone and icon.
        detail: Why not, or a note, or "".
        url: The page of it, or "".
        dispatch: The row behind it, or None.
        hand_over: The row behind it, or None; so an email has neither.
        further: What the email carried besides.
    """

    place: Place
    way: Way | HandOverWay
    document: Document | None
    customer: str
    to: str
    by: str
    result: str
    tone: tuple[str, str]
    detail: str = ""
    url: str = ""
    dispatch: Dispatch | None = None
    hand_over: HandOver | None = None
    further: Sequence[Document] = ()

    @property
    def kind(self) -> str:
        """The kind of the document in words."""
        return str(gettext(kind_title(self.document.kind))) if self.document is not None else ""

    def each(self) -> Iterator[Self]:
        """Return a line for each document."""
        yield replace(self, further=())
        for document in self.further:
            yield replace(self, document=document, further=())


def page(
    asked: Asked, user: User, after: Place | None = None, size: int = SIZE
) -> tuple[list[Entry], Place | None]:
    """Return the lines after a place, newest first, and where the next page begins, or None.

    Args:
        asked: What the list is narrowed to.
        user: Who reads: nothing else than they may.
        after: The last line of the page before.
        size: Lines on a page.
    """
    found = [
        *_mails(asked, user, after, size),
        *_dispatches(asked, user, after, size),
        *_hand_overs(asked, user, after, size),
    ]
    found.sort(key=lambda entry: (entry.place.at, entry.place.source, entry.place.id), reverse=True)
    return found[:size], found[size - 1].place if len(found) > size else None


def all_of(asked: Asked, user: User, most: int) -> Iterator[Entry]:
    """Return the lines of all pages, up to so many."""
    after: Place | None = None
    for _ in range(0, most, 500):
        entries, after = page(asked, user, after, 500)
        yield from entries
        if after is None:
            return


def sendable(entries: Iterable[Entry], user: User) -> set[int]:
    """Return the ids of those documents of some lines that the user may send, and say that they were handed over."""
    return sendable_ids({one.document.id for one in entries if one.document is not None}, user)


def distributable(entries: Iterable[Entry], user: User) -> set[int]:
    """Return the ids of those documents of some lines that the user may print and archive."""
    ids = {one.document.id for one in entries if one.document is not None}
    return set(db.session.scalars(select(Document.id).where(Document.id.in_(ids), allowed(user))))


def _window(
    at: ColumnElement[dt.datetime],
    identity: InstrumentedAttribute[int],
    source: int,
    asked: Asked,
    after: Place | None,
) -> list[ColumnElement[bool]]:
    """Return the conditions of the period and of the place in the list."""
    conditions: list[ColumnElement[bool]] = []
    if asked.since is not None:
        conditions.append(at >= asked.since)
    if asked.until is not None:
        conditions.append(at < asked.until)
    if after is None:
        return conditions
    if after.source == source:
        # As one comparison of rows: an index over both finds its place at once.
        there = tuple_(literal(after.at, at.type), literal(after.id, identity.type))
        return [*conditions, tuple_(at, identity) < there]
    return [*conditions, at <= after.at if source < after.source else at < after.at]


def _readable(document_id: InstrumentedAttribute[int | None], user: User) -> ColumnElement[bool]:
    """Return the condition that the document may be read; whoever may read it may open its emails.

    Asked for each line: an OR with other reasons, or a list of ids, would lead the database away from the order.
    """
    return select(Document.id).where(Document.id == document_id, readable_by(user)).exists()


def _is_of(document_id: InstrumentedAttribute[int | None], partner_id: int) -> ColumnElement[bool]:
    people = select(Partner.id).where(or_(Partner.id == partner_id, Partner.parent_id == partner_id))
    return document_id.in_(select(Document.id).where(Document.partner_id.in_(people)))


def _order(at: InstrumentedAttribute[dt.datetime], asked: Asked) -> ColumnElement[dt.datetime]:
    if asked.partner_id is None:
        return at.expression
    # What is computed has no index: the few of a customer are found by their documents, then sorted.
    return func.coalesce(at, at)


def _mails(asked: Asked, user: User, after: Place | None, size: int) -> Iterator[Entry]:
    if asked.way not in {"", Way.MAIL} or not user.can(READ):
        return
    at = _order(OutgoingMail.submitted_at, asked)
    conditions = _window(at, OutgoingMail.id, _MAIL, asked, after)
    if asked.kind:
        conditions.append(OutgoingMail.document_kind == asked.kind)
    if asked.partner_id is not None:
        conditions.append(_is_of(OutgoingMail.document_id, asked.partner_id))
    if asked.result in RESULTS:
        conditions.append(cast("ColumnElement[bool]", text(RESULTS[asked.result][0])))
    query = (
        select(OutgoingMail)
        .where(_readable(OutgoingMail.document_id, user), *conditions)
        .order_by(at.desc(), OutgoingMail.id.desc())
        .limit(size + 1)
        .options(
            selectinload(OutgoingMail.recipients),
            joinedload(OutgoingMail.document),
            joinedload(OutgoingMail.submitted_by),
        )
    )
    rows = list(db.session.scalars(query).unique())
    people = queries.visible_recipients(rows, user)
    further = further_documents(rows, user)
    for row in rows:
        # An address that is used and not kept has no words left.
        to = ", ".join(one.display_name or one.addr_spec for one in people[row.id][:3] if not row.private)
        yield Entry(
            Place(row.submitted_at, _MAIL, row.id),
            Way.MAIL,
            row.document,
            _customer(row.document),
            to,
            _name(row.submitted_by),
            str(STATE_TITLES[row.state]),
            STATE_TONES[row.state],
            url=url_for("outbox.mail", mail_id=row.id),
            further=further.get(row.id, ()),
        )


def _customer(document: Document | None) -> str:
    if document is None or document.partner is None:
        return ""
    return customer_of(document.partner).name


def _dispatches(asked: Asked, user: User, after: Place | None, size: int) -> Iterator[Entry]:
    if asked.way and asked.way not in set(Way):
        return
    conditions = _window(Dispatch.at.expression, Dispatch.id, _DISPATCH, asked, after)
    # An email that was written is a line of its own.
    conditions.append(or_(Dispatch.way != Way.MAIL, Dispatch.state != DispatchState.DONE))
    if asked.way:
        conditions.append(Dispatch.way == Way(asked.way))
    if asked.kind:
        conditions.append(Dispatch.kind == asked.kind)
    if asked.partner_id is not None:
        conditions.append(Dispatch.partner_id == asked.partner_id)
    if asked.result in RESULTS:
        conditions.append(Dispatch.state.in_(sorted(RESULTS[asked.result][1])))
    query = (
        select(Dispatch)
        .where(_readable(Dispatch.document_id, user), *conditions)
        .order_by(Dispatch.at.desc(), Dispatch.id.desc())
        .limit(size + 1)
        .options(joinedload(Dispatch.document), joinedload(Dispatch.by_user))
    )
    for row in db.session.scalars(query).unique():
        yield Entry(
            Place(row.at, _DISPATCH, row.id),
            row.way,
            row.document,
            _customer(row.document),
            row.path if row.state is DispatchState.DONE else "",
            _name(row.by_user),
            str(DISPATCH_TITLES[row.state]),
            DISPATCH_TONES[row.state],
            row.detail,
            url_for("distribution.document", document_id=row.document_id),
            row,
        )


def _name(user: User | None) -> str:
    return user.name if user is not None else ""


def _hand_overs(asked: Asked, user: User, after: Place | None, size: int) -> Iterator[Entry]:
    ways: set[StrEnum] = set(HandOverWay)
    if asked.way not in {"", OTHERWISE, *ways} or not user.can(READ):
        return
    at = _order(HandOver.at, asked)
    conditions = _window(at, HandOver.id, _HAND_OVER, asked, after)
    if asked.way in ways:
        conditions.append(HandOver.way == HandOverWay(asked.way))
    if asked.kind:
        of_kind = select(Document.id).where(Document.id == HandOver.document_id, Document.kind == asked.kind)
        conditions.append(of_kind.exists())
    if asked.partner_id is not None:
        conditions.append(_is_of(HandOver.document_id, asked.partner_id))
    if asked.result in RESULTS:
        result = RESULTS[asked.result][2]
        if result is None:
            return
        conditions.append(result)
    query = (
        select(HandOver)
        .where(_readable(HandOver.document_id, user), *conditions)
        .order_by(at.desc(), HandOver.id.desc())
        .limit(size + 1)
        .options(
            joinedload(HandOver.document), joinedload(HandOver.by_user), joinedload(HandOver.taken_back_by)
        )
    )
    for row in db.session.scalars(query).unique():
        taken_back = row.taken_back_at is not None
        state = DispatchState.STOPPED if taken_back else DispatchState.DONE
        yield Entry(
            Place(row.at, _HAND_OVER, row.id),
            row.way,
            row.document,
            _customer(row.document),
            "",
            _name(row.by_user),
            pgettext("hand-over", "taken back") if taken_back else str(DISPATCH_TITLES[state]),
            DISPATCH_TONES[state],
            _in_words(row),
            url_for("core.document", document_id=row.document_id),
            hand_over=row,
        )


def _in_words(row: HandOver) -> str:
    """Return the note, and who has taken it back and when."""
    words = [row.note]
    if row.taken_back_at is not None:
        who, when = _name(row.taken_back_by), moment(row.taken_back_at)
        words.append(
            gettext("Taken back by %(name)s, %(when)s", name=who, when=when)
            if who
            else gettext("Taken back, %(when)s", when=when)
        )
    return " · ".join(word for word in words if word)
