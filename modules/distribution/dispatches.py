"""What goes by itself or since a person wants it: written down, stopped, decided, and done once when it is due.

A document that is issued leaves rows here in the same transaction; a job looks for those that are due. A mail is
written in the transaction that says that its row is done. A file of the archive is noted before it appears. So a worker
may die at any moment, and nothing goes twice.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterable

from flask_babel import force_locale, gettext
from sqlalchemy import ColumnElement, select, update

from core import clock
from core.auth.models import User
from core.auth.permissions import within_reach
from core.companies.service import locale_of_user
from core.db import db, end_reading, transaction
from core.documents.models import Document
from core.documents.pdf import RenderError, render_document
from core.documents.service import behavior_of, readable_by
from core.errors import ConcurrentChangeError, UserError
from core.i18n import lazy_gettext as _l
from core.installation import service as installation
from core.jobs import enqueue_after_commit
from core.partners.service import customer_of
from core.registry import current_registry
from modules.distribution import archive, sent_files
from modules.distribution.decisions import decision_for
from modules.distribution.models import Dispatch, DispatchState, Rule, Way
from modules.distribution.permissions import DISTRIBUTE
from modules.outbox import service as outbox
from modules.outbox.models import HeldReason, Run, RunItem
from modules.outbox.runs.drafting import draft_of, facts_of, sent_as_they_are
from modules.outbox.runs.held import HeldError
from modules.outbox.runs.words import REASON_TITLES

logger = logging.getLogger(__name__)

OPEN = (DispatchState.ASKED, DispatchState.DUE, DispatchState.HELD)
"""States in which a person can stop it, or let it go."""
AT_ONCE = 200
"""Documents that one turn of the job lets go."""
LEASE = dt.timedelta(minutes=5)
"""For so long a worker has a document to itself; one that died leaves it to others then."""


def issued(document: Document, *, by: User | None) -> None:
    """Write down what goes by itself: the receiver of `core.signals.document_issued`."""
    decision = decision_for(document)
    rule = decision.rule
    if rule is None or not rule.automatic:
        return
    now = clock.now()
    with transaction() as session:
        # Issued once more, after it was canceled: what waited since then says what it no longer does.
        session.execute(
            update(Dispatch)
            .where(
                Dispatch.document_id == document.id,
                Dispatch.automatic,
                Dispatch.state.in_([DispatchState.ASKED, DispatchState.DUE]),
            )
            .values(state=DispatchState.STOPPED, at=now)
        )
        for way in decision.ways:
            session.add(
                _row(
                    document,
                    way,
                    by,
                    rule=rule,
                    automatic=True,
                    state=DispatchState.ASKED if rule.ask_first else DispatchState.DUE,
                    due_at=None if rule.ask_first else now + dt.timedelta(minutes=rule.grace_minutes),
                )
            )


def _row(
    document: Document,
    way: Way,
    by: User | None,
    *,
    rule: Rule | None = None,
    automatic: bool = False,
    state: DispatchState = DispatchState.DUE,
    due_at: dt.datetime | None = None,
) -> Dispatch:
    return Dispatch(
        document_id=document.id,
        company_id=document.company_id,
        partner_id=customer_of(document.partner).id if document.partner is not None else None,
        kind=document.kind,
        revision=document.revision,
        way=way,
        state=state,
        automatic=automatic,
        rule_id=rule.id if rule is not None else None,
        by_user_id=by.id if by is not None else None,
        due_at=due_at,
    )


# -- who may ------------------------------------------------------------------------------------------------


def allowed(user: User) -> ColumnElement[bool]:
    """Return the condition that keeps a query over `Document` to those that the user may distribute."""
    within = within_reach(user, DISTRIBUTE, owner=Document.owner_id, company=Document.company_id)
    return within & readable_by(user)


def dispatch_for(user: User, dispatch_id: int) -> Dispatch | None:
    """Return a row whose document the user may distribute, or None."""
    return db.session.scalar(
        select(Dispatch)
        .join(Document, Document.id == Dispatch.document_id)
        .where(Dispatch.id == dispatch_id, allowed(user))
    )


def dispatches_of(document: Document) -> list[Dispatch]:
    """Return what goes or has gone of a document, newest first."""
    query = select(Dispatch).where(Dispatch.document_id == document.id).order_by(Dispatch.id.desc()).limit(20)
    return list(db.session.scalars(query))


# -- what a person wants ------------------------------------------------------------------------------------


def want(documents: Iterable[Document], way: Way, by: User) -> int:
    """Print documents, or archive them, since a person wants it; return how many were not waiting for it already."""
    rows = list(documents)
    waiting = select(Dispatch.document_id).where(
        Dispatch.document_id.in_([row.id for row in rows]),
        Dispatch.way == way,
        Dispatch.state.in_(OPEN),
        Dispatch.attachment_id.is_(None),
    )
    with transaction() as session:
        there = set(session.scalars(waiting))
        now = clock.now()
        made = [_row(row, way, by, due_at=now) for row in rows if row.id not in there]
        session.add_all(made)
        # What a rule would do later, or holds, is wanted now.
        session.execute(
            update(Dispatch)
            .where(Dispatch.document_id.in_(there), Dispatch.way == way, Dispatch.state.in_(OPEN))
            .values(state=DispatchState.DUE, due_at=now, at=now, detail="", by_user_id=by.id)
        )
        enqueue_after_commit("distribution.go")
    return len(made)


def stop(dispatch: Dispatch, by: User) -> None:
    """Stop what has not gone.

    Raises:
        UserError: It has gone, or was stopped, meanwhile.
    """
    _decide(dispatch, by, DispatchState.STOPPED)


def let_go(dispatch: Dispatch, by: User) -> None:
    """Let go what waits for a person, for its moment, or was held.

    Raises:
        UserError: It has gone, or was stopped, meanwhile.
    """
    _decide(dispatch, by, DispatchState.DUE)


def _decide(dispatch: Dispatch, by: User, state: DispatchState) -> None:
    with transaction() as session:
        row = session.get_one(Dispatch, dispatch.id, with_for_update=True, populate_existing=True)
        if row.state not in OPEN:
            raise UserError(_l("This has gone, or was stopped, meanwhile."))
        row.state, row.at, row.detail, row.by_user_id = state, clock.now(), "", by.id
        if state is DispatchState.DUE:
            row.due_at = clock.now()
            enqueue_after_commit("distribution.go")


# -- what is due --------------------------------------------------------------------------------------------


def go() -> None:
    """Let go what is due; runs as a job. Paper waits for whoever prints."""
    if installation.verify() is not None:
        return _ask_restored()
    sent_files.note_sent()
    due = (
        select(Dispatch.id)
        .where(
            Dispatch.state == DispatchState.DUE,
            Dispatch.way.in_([Way.MAIL, Way.ARCHIVE]),
            Dispatch.due_at <= clock.now(),
        )
        .order_by(Dispatch.due_at)
        .limit(AT_ONCE)
    )
    ids = list(db.session.scalars(due))
    end_reading()
    for number in ids:
        row = _claimed(number)
        if row is None:
            continue
        user = row.by_user
        with force_locale(locale_of_user(user) if user is not None else "en"):
            why = _why_not(row)
            if why:
                _end(number, DispatchState.HELD, why)
            elif row.way is Way.MAIL:
                _mail(row)
            else:
                _archive(row)
        end_reading()
    return None


def _ask_restored() -> None:
    """Let a person decide about each: in a restored copy stands as due what may have gone long ago."""
    with transaction() as session:
        session.execute(
            update(Dispatch)
            .where(Dispatch.state == DispatchState.DUE, Dispatch.way.in_([Way.MAIL, Way.ARCHIVE]))
            .values(
                state=DispatchState.ASKED,
                due_at=None,
                at=clock.now(),
                detail=gettext("The database was restored from a copy: this may have gone already."),
            )
        )


def _claimed(dispatch_id: int) -> Dispatch | None:
    """Return a row that is due, which nobody else takes until the lease ends; None where somebody has it."""
    with transaction() as session:
        row = session.get(Dispatch, dispatch_id, with_for_update=True, populate_existing=True)
        now = clock.now()
        if row is None or row.state is not DispatchState.DUE or row.due_at is None or row.due_at > now:
            return None
        row.due_at = now + LEASE
    return row


def _end(dispatch_id: int, state: DispatchState, detail: str = "", path: str = "") -> None:
    with transaction() as session:
        row = session.get_one(Dispatch, dispatch_id, with_for_update=True, populate_existing=True)
        if row.state is DispatchState.DUE:
            row.state, row.at, row.detail = state, clock.now(), detail[:500]
            row.path = path or row.path


def _why_not(row: Dispatch) -> str:
    """Return why a row cannot be done as things are now, or ""."""
    document = row.document
    if document is None or document.kind not in current_registry().kinds:
        return str(gettext("The document is no longer there."))
    if row.attachment_id is not None:
        return ""  # it was sent: what becomes of document and customer does not change that
    customer = customer_of(document.partner) if document.partner is not None else None
    if customer is not None and not customer.active:
        return str(gettext("%(name)s is archived.", name=customer.name))
    unsendable = behavior_of(document).why_not_sendable(document)
    return str(unsendable) if unsendable is not None else ""


def _mail(row: Dispatch) -> None:
    """Write the mail of a row as a run would, in the transaction that says so."""
    user = row.by_user
    if user is None or not user.active:
        return _end(row.id, DispatchState.HELD, gettext("Whoever has issued it may not send any more."))
    item = RunItem(document_id=row.document_id, anyway=False)
    try:
        draft, _destination = draft_of(item, facts_of([item], user), Run(), user)
    except HeldError as error:
        return _hold(row.id, error)
    try:
        with transaction() as session:
            locked = session.get_one(Dispatch, row.id, with_for_update=True, populate_existing=True)
            if locked.state is not DispatchState.DUE:
                return None
            # A person who sends it at this moment waits here, or is waited for.
            document = session.get_one(
                Document, draft.document_id, with_for_update={"key_share": True, "of": Document}
            )
            if sent_as_they_are({document.id: document}):
                raise HeldError(HeldReason.SENT_BEFORE)
            mail = outbox.write_mail(draft, user, hold_dead=True)
            locked.mail_id, locked.state, locked.at = mail.id, DispatchState.DONE, clock.now()
            outbox.enqueue_delivery([mail.id])
    except HeldError as error:
        _hold(row.id, error)
    except ConcurrentChangeError:
        logger.info("Document %s has changed meanwhile; it goes with the next turn.", row.document_id)
        with transaction() as session:
            session.get_one(Dispatch, row.id).due_at = clock.now()
    except UserError as error:
        _end(row.id, DispatchState.HELD, str(error.message))
    return None


def _hold(dispatch_id: int, error: HeldError) -> None:
    # What a person has sent meanwhile need not be decided by anybody.
    state = DispatchState.STOPPED if error.reason is HeldReason.SENT_BEFORE else DispatchState.HELD
    title = str(REASON_TITLES[error.reason])
    _end(dispatch_id, state, f"{title}: {error.detail}" if error.detail else title)


def _archive(row: Dispatch) -> None:
    """Write the file of a row, unless it appeared before a crash."""
    document = row.document
    if document is None:
        return None
    if archive.is_there(row.path, row.sha256):
        return _end(row.id, DispatchState.DONE)
    rule, file = row.rule or decision_for(document).rule, row.attachment
    try:
        data = render_document(document) if file is None else sent_files.octets_of(file)
        with force_locale(document.company.language):
            folder, name = archive.path_of(
                document,
                rule.archive_folder if rule else "",
                rule.archive_name if rule else "",
                usual=file.name.removesuffix(".pdf") if file is not None else "",
            )
        end_reading()
        path = archive.store(folder, name, data, lambda path, sha256: _note(row.id, path, sha256))
    except archive.AwayError as error:
        if file is None:
            return _end(row.id, DispatchState.HELD, str(error))
        # Nobody waits for it: it goes by itself once the archive is back.
        with transaction() as session:
            again = session.get_one(Dispatch, row.id)
            again.due_at, again.detail = clock.now() + sent_files.AGAIN, str(error)[:500]
    except (archive.ArchiveError, UserError, RenderError) as error:
        _end(row.id, DispatchState.HELD, str(error))
    else:
        _end(row.id, DispatchState.DONE, path=path)
    return None


def _note(dispatch_id: int, path: str, sha256: str) -> None:
    with transaction() as session:
        row = session.get_one(Dispatch, dispatch_id)
        row.path, row.sha256 = path, sha256
