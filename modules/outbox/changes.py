"""What open pages are told of mails: each step of one is an event, written in the transaction of the step.

And of alerts, which are rows of their own; batches and actions on many mails say themselves how far they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import ColumnElement, Connection, select

from core.auth.models import User
from core.companies.service import companies_for
from core.contract import Scope
from core.live.changes import ChangeSource, Row
from core.live.states import RowStates, States
from modules.outbox.models import (
    ALERTS,
    EVENTS,
    MAILS,
    Alert,
    BulkRun,
    FurtherDocument,
    MailEvent,
    MailRecipient,
    Run,
)
from modules.outbox.permissions import READ


def mail(mail_id: int) -> str:
    """Return the topic of a mail: it changes its state, or something is done to it."""
    return f"m{mail_id}"


def document(document_id: int) -> str:
    """Return the topic of a document: a new mail carries it."""
    return f"d{document_id}"


def partner(partner_id: int) -> str:
    """Return the topic of a customer or contact: a new mail goes to it."""
    return f"p{partner_id}"


def run(run_id: int) -> str:
    """Return the topic of the mails of a run: one of them has changed its state."""
    return f"r{run_id}"


def alerts(user: User) -> str:
    """Return the topic of the alerts of a user, of the source `outbox.alert`: there is a new one."""
    return f"u{user.id}"


def new_mails(user: User) -> list[str]:
    """Return the topics of all new mails that a user may read."""
    scope = user.scope(READ)
    if scope is Scope.ALL:
        return ["n"]
    if scope is Scope.COMPANY:
        return [f"c{company.id}" for company in companies_for(user)]
    return [f"u{user.id}"] if scope is Scope.OWN else []


def _rows(connection: Connection, condition: ColumnElement[bool], limit: int) -> Sequence[Row]:
    found = connection.execute(
        select(
            EVENTS.c.id,
            EVENTS.c.mail_id,
            EVENTS.c.before,
            MAILS.c.document_id,
            MAILS.c.further_count,
            MAILS.c.company_id,
            MAILS.c.run_id,
            MAILS.c.submitted_by_id,
        )
        .join(MAILS, MAILS.c.id == EVENTS.c.mail_id)
        .where(condition)
        .order_by(EVENTS.c.id)
        .limit(limit)
    ).all()
    topics = {row.id: [mail(row.mail_id)] for row in found}
    new = {row.mail_id: topics[row.id] for row in found if row.before is None}
    for row in found:
        if row.run_id is not None:
            topics[row.id].append(run(row.run_id))
        if row.before is None:
            topics[row.id] += ["n", f"c{row.company_id}", f"u{row.submitted_by_id}"]
            if row.document_id is not None:
                topics[row.id].append(document(row.document_id))
    if new:
        several = [row.mail_id for row in found if row.mail_id in new and row.further_count]
        further = select(FurtherDocument.mail_id, FurtherDocument.document_id).where(
            FurtherDocument.mail_id.in_(several)
        )
        for mail_id, document_id in connection.execute(further) if several else ():
            if document_id is not None:
                new[mail_id].append(document(document_id))
        people = select(MailRecipient.mail_id, MailRecipient.partner_id).where(
            MailRecipient.mail_id.in_(list(new))
        )
        for mail_id, partner_id in connection.execute(people):
            if partner_id is not None:
                new[mail_id].append(partner(partner_id))
    return [(row.id, tuple(set(topics[row.id]))) for row in found]


def _new_alerts(connection: Connection, condition: ColumnElement[bool], limit: int) -> Sequence[Row]:
    found = select(ALERTS.c.id, ALERTS.c.user_id).where(condition).order_by(ALERTS.c.id).limit(limit)
    return [(number, (f"u{user_id}",)) for number, user_id in connection.execute(found)]


source = ChangeSource(MailEvent.id, _rows)
SOURCES: Mapping[str, ChangeSource] = {
    "outbox": source,
    "outbox.alert": ChangeSource(Alert.id, _new_alerts),
}
STATES: Mapping[str, States] = {
    "outbox.run": RowStates(
        Run.id, (Run.state, Run.not_before, Run.item_count, Run.acted_at, Run.touched_at, Run.ended_at)
    ),
    "outbox.bulk_run": RowStates(BulkRun.id, (BulkRun.last_id, BulkRun.touched_at, BulkRun.ended_at)),
}
