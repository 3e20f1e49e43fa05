"""The PDFs of emails that were accepted, kept in the archive: the very octets that were sent, once each.

The outbox writes a line for each step of a mail; those since the last turn are looked through, so nothing is asked of
whoever delivers, and an archive that is away costs no email anything.
"""

from __future__ import annotations

import datetime as dt
import logging

from flask_babel import force_locale, gettext, ngettext
from sqlalchemy import and_, case, func, or_, select, update

from core import clock
from core.db import db, end_reading, transaction
from core.documents.models import Document
from core.files import FileMissingError, StoreAwayError
from core.partners.service import customer_of
from modules.distribution import archive
from modules.distribution.decisions import decisions_for
from modules.distribution.models import Dispatch, DispatchState, Rule, Way
from modules.outbox.message import file_store
from modules.outbox.models import FurtherDocument, MailAttachment, MailEvent, OutgoingMail
from modules.outbox.states import MailState

logger = logging.getLogger(__name__)

AT_ONCE = 500
"""Emails that one turn takes."""
_OPEN = dt.timedelta(minutes=2)
"""For so long a line may be written after one with a higher number: transactions end in any order."""
AGAIN = dt.timedelta(minutes=10)
"""After so long a file is tried again that could not be written."""
FORGOTTEN_AT_ONCE = 500


def newest_step() -> int:
    """Return the number of the last step of any email; what is sent from now on comes behind it."""
    return db.session.scalar(select(func.max(MailEvent.id))) or 0


def note_sent() -> int:
    """Write down which PDFs of emails go to the archive, since their documents' rules want it; return how many."""
    rules = select(Rule.archive_sent_after).where(Rule.active, Rule.archive_sent)
    marks = [mark for mark in db.session.scalars(rules) if mark is not None]
    if not marks:
        return 0
    steps = db.session.execute(
        select(MailEvent.id, MailEvent.mail_id, MailEvent.at)
        .where(MailEvent.id > min(marks), MailEvent.after.in_([MailState.SENT, MailState.PARTIAL]))
        .order_by(MailEvent.id)
        .limit(AT_ONCE)
    ).all()
    rows = _wanted({step.mail_id: step.id for step in steps})
    # What is newer may have lower numbers beside it that are not committed yet: it is looked through once more.
    closed = db.session.scalar(
        select(func.max(MailEvent.id)).where(MailEvent.id > min(marks), MailEvent.at <= clock.now() - _OPEN)
    )
    if closed is not None and len(steps) == AT_ONCE:
        closed = min(closed, steps[-1].id)
    end_reading()
    if rows or closed is not None:
        with transaction() as session:
            session.add_all(rows)
            session.execute(
                update(Rule)
                .where(Rule.archive_sent, Rule.archive_sent_after < (closed or 0))
                .values(archive_sent_after=closed)
            )
    return len(rows)


def _wanted(steps: dict[int, int]) -> list[Dispatch]:
    """Return a row for each PDF of some emails that goes to the archive and does not yet.

    Args:
        steps: By the id of an email, the step by which it was accepted.
    """
    if not steps:
        return []
    known = select(Dispatch.id).where(Dispatch.attachment_id == MailAttachment.id).exists()
    # Of a mail about several documents, each PDF has the position of its document.
    own = or_(OutgoingMail.further_count == 0, MailAttachment.position == 0)
    about = case((own, OutgoingMail.document_id), else_=FurtherDocument.document_id)
    revision = case((own, OutgoingMail.document_revision), else_=FurtherDocument.document_revision)
    found = db.session.execute(
        select(MailAttachment, OutgoingMail, Document, revision)
        .join(OutgoingMail, OutgoingMail.id == MailAttachment.mail_id)
        .outerjoin(
            FurtherDocument,
            and_(
                FurtherDocument.mail_id == OutgoingMail.id,
                FurtherDocument.position == MailAttachment.position,
            ),
        )
        .join(Document, Document.id == about)
        .where(
            OutgoingMail.id.in_(steps),
            # A walk-in's receipt is not kept anywhere.
            OutgoingMail.private.is_(False),
            MailAttachment.generated,
            MailAttachment.sha256 != "",
            ~known,
        )
    ).all()
    decisions = decisions_for([document for _file, _mail, document, _revision in found])
    rows = []
    for file, mail, document, sent in found:
        rule = decisions[document.id].rule
        if rule is None or not rule.archive_sent or steps[mail.id] <= (rule.archive_sent_after or 0):
            continue
        rows.append(
            Dispatch(
                document_id=document.id,
                company_id=document.company_id,
                partner_id=customer_of(document.partner).id if document.partner is not None else None,
                kind=document.kind,
                revision=sent,
                way=Way.ARCHIVE,
                state=DispatchState.DUE,
                rule_id=rule.id,
                by_user_id=mail.submitted_by_id,
                due_at=clock.now(),
                attachment_id=file.id,
            )
        )
    return rows


def octets_of(file: MailAttachment) -> bytes:
    """Return a PDF as it was sent.

    Raises:
        ArchiveError: It is kept no longer.
    """
    try:
        return file_store().get(file.sha256)
    except FileMissingError as error:
        raise archive.ArchiveError(gettext("This file is gone from the store.")) from error
    except StoreAwayError as error:
        raise archive.ArchiveError(str(error)) from error


def forget_old() -> int:
    """Delete from the archive what its rule keeps no longer, unless somebody has changed the file; return how many."""
    rules = db.session.scalars(select(Rule).where(Rule.archive_keep_days.is_not(None))).all()
    return sum(_forget(rule) for rule in rules)


def _forget(rule: Rule) -> int:
    days = rule.archive_keep_days or 0
    old = (
        select(Dispatch.id, Dispatch.path, Dispatch.sha256)
        .where(
            Dispatch.rule_id == rule.id,
            Dispatch.way == Way.ARCHIVE,
            Dispatch.state == DispatchState.DONE,
            Dispatch.path != "",
            Dispatch.at < clock.now() - dt.timedelta(days=days),
        )
        .limit(FORGOTTEN_AT_ONCE)
    )
    rows = [(row.id, row.path, row.sha256) for row in db.session.execute(old)]
    if not rows or archive.problem():
        return 0
    with force_locale(rule.company.language):
        gone = ngettext(
            "Deleted from the archive after %(num)d day.",
            "Deleted from the archive after %(num)d days.",
            days,
        )
        changed = gettext("Somebody has changed or moved this file: it was not deleted.")
    end_reading()
    for number, path, sha256 in rows:
        deleted = archive.remove(path, sha256)
        with transaction() as session:
            session.execute(
                update(Dispatch)
                .where(Dispatch.id == number)
                .values(path="", detail=gone if deleted else changed)
            )
    return len(rows)
