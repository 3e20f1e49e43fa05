"""The rows of alerts, as delivery writes them: inside the transaction in which a mail fails.

Told of a mail that has failed for good are its sender, the owner of its document, the colleagues who follow that, and
whoever wants to know of every failure among the mails that they may read.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any, cast

from sqlalchemy import (
    ColumnElement,
    Connection,
    Insert,
    Select,
    Table,
    Update,
    bindparam,
    case,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.orm import InstrumentedAttribute, Session

from core import clock
from core.auth.models import Grant, Role, User
from core.auth.permissions import reaching
from core.documents.models import Document
from core.followers.models import Follower
from core.mail.outcomes import FailureKind
from modules.mail_config.models import MailServer
from modules.outbox.about import all_ids
from modules.outbox.models import ALERTS, MAILS, AlertPreference, Run
from modules.outbox.permissions import READ

MAX_WORDS = 500  # characters, as the column has
MANAGES_SERVERS = "mail_config.server.edit"  # who is told of a server of the house
MANAGES_MAILBOXES = "outbox.inbound.manage"  # who is told of a mailbox

INSERT_ALERT: Insert = insert(ALERTS)

# A mail that fails again takes the place of its former alerts: whoever has not looked yet looks once.
RETIRE_ALERTS: Update = (
    update(ALERTS)
    .where(ALERTS.c.mail_id == bindparam("mail"), ALERTS.c.inbound_id.is_(None), ALERTS.c.seen_at.is_(None))
    .values(seen_at=bindparam("now"))
)

_TOLD = ("failure_kind", "words", "created_at")


def insert_alerts(*conditions: ColumnElement[bool]) -> Insert:
    """Return the INSERT that tells everybody concerned of the mail `told_id`, by one statement.

    Its other parameters are `failure_kind`, `words` and `created_at`.

    Args:
        conditions: What must hold of the mail besides.
    """
    users = cast("Table", User.__table__)
    user = users.c.id
    owner, following = _owner(), _following()
    wants_all = select(AlertPreference.user_id).where(
        AlertPreference.user_id == user, AlertPreference.every_failure
    )
    reached = reaching(READ, user, owner=MAILS.c.submitted_by_id, company=MAILS.c.company_id)
    everything = wants_all.exists() & reached
    # Whoever has started a batch is told once, at its end, how many were not accepted.
    told_at_its_end = (
        select(Run.id)
        .where(Run.id == MAILS.c.run_id, Run.by_user_id == user, Run.ended_at.is_(None))
        .exists()
    )
    values = {name: bindparam(name, type_=ALERTS.c[name].type) for name in _TOLD}
    # A server's words may name a blind copy, which is not everybody's who may read the document.
    words = case((or_(user == MAILS.c.submitted_by_id, everything), values["words"]), else_=literal(""))
    concerned = (
        select(user, MAILS.c.id, *({**values, "words": words}.values()))
        .select_from(users.join(MAILS, MAILS.c.id == bindparam("told_id")))
        .where(
            users.c.active,
            MAILS.c.is_alert.is_(False),
            or_(
                or_(user == MAILS.c.submitted_by_id, user.in_(owner), user.in_(following)) & ~told_at_its_end,
                everything,
            ),
            *conditions,
        )
    )
    return insert(ALERTS).from_select(["user_id", "mail_id", *_TOLD], concerned)


def _owner() -> Select[int | None]:
    """Return the owners of the documents of a mail."""
    return select(Document.owner_id).where(_of_mail(Document.id))


def _following() -> Select[int | None]:
    """Return who follows a document of a mail."""
    return select(Follower.user_id).where(_of_mail(Follower.document_id), Follower.removed_at.is_(None))


def _of_mail(document_id: InstrumentedAttribute[int]) -> ColumnElement[bool]:
    return or_(document_id == MAILS.c.document_id, document_id.in_(all_ids()))


INSERT_ALERTS: Insert = insert_alerts()


def alert_values(mail_id: int, kind: FailureKind | None, words: str) -> dict[str, Any]:
    """Return the parameters of what `insert_alerts` returns."""
    return {
        "told_id": mail_id,
        "failure_kind": kind,
        "words": words[:MAX_WORDS],
        "created_at": clock.now(),
    }


def write_alerts(
    connection: Session | Connection, mail_id: int, kind: FailureKind | None, words: str
) -> None:
    """Tell everybody concerned that a mail has failed for good; of several failures unseen, the last stands."""
    values = alert_values(mail_id, kind, words)
    connection.execute(RETIRE_ALERTS, {"mail": mail_id, "now": values["created_at"]})
    connection.execute(INSERT_ALERTS, values)


def write_answer_alerts(
    connection: Session | Connection, mail_id: int, inbound_id: int, answered_by: str
) -> None:
    """Tell of an answer to a mail: its sender and, where they want it, the owner of its document and who follows that.

    Where the application has sent the mail, its owner is told in any case: nobody else would be.
    """
    user = User.id
    owner, following = user.in_(_owner()), user.in_(_following())
    wants = select(AlertPreference.user_id).where(AlertPreference.user_id == user, AlertPreference.answers)
    concerned = (
        select(
            user,
            MAILS.c.id,
            literal(inbound_id),
            literal(answered_by[:MAX_WORDS]),
            literal(clock.now(), ALERTS.c.created_at.type),
        )
        .select_from(cast("Table", User.__table__).join(MAILS, MAILS.c.id == mail_id))
        .where(
            User.active,
            MAILS.c.is_alert.is_(False),
            or_(
                user == MAILS.c.submitted_by_id,
                MAILS.c.submitted_by_id.is_(None) & owner,
                wants.exists() & (owner | following),
            ),
        )
    )
    columns = ["user_id", "mail_id", "inbound_id", "words", "created_at"]
    connection.execute(insert(ALERTS).from_select(columns, concerned))


def looks_after(server_id: int) -> ColumnElement[bool]:
    """Return the condition that a user looks after a server: its owner, or whoever may set up mail servers."""
    owner_id = select(MailServer.owner_id).where(MailServer.id == server_id).scalar_subquery()
    manages = User.roles.any(Role.grants.any(Grant.permission == MANAGES_SERVERS))
    # Nobody but its owner can do anything about an own server.
    return or_(User.id == owner_id, owner_id.is_(None) & manages)


def of_server(server_id: int, *, sent_folder: bool) -> ColumnElement[bool]:
    """Return the condition that an alert is about a server itself, or about the copies that it keeps."""
    return (ALERTS.c.server_id == server_id) & (ALERTS.c.sent_folder.is_(sent_folder))


def write_server_alerts(
    session: Session,
    server_id: int,
    kind: FailureKind | None,
    words: str,
    *,
    sent_folder: bool,
    told_since: dt.datetime | None = None,
) -> None:
    """Tell whoever looks after a server that it is paused, or that copies do not reach its Sent folder.

    Args:
        session: Of the transaction.
        server_id: The server.
        kind: Of the failure.
        words: Of the server.
        sent_folder: True for copies.
        told_since: Whoever was told of the same since then is not told again; None to tell everybody.
    """
    told = of_server(server_id, sent_folder=sent_folder)
    what = {"server_id": server_id, "mailbox_id": None, "sent_folder": sent_folder}
    _write(session, looks_after(server_id), told, what, kind, words, told_since)


def write_mailbox_alerts(
    session: Session, mailbox_id: int, kind: FailureKind, words: str, *, told_since: dt.datetime
) -> None:
    """Tell whoever may set up mailboxes that one can no longer be read, unless they were told of that since then."""
    manages = User.roles.any(Role.grants.any(Grant.permission == MANAGES_MAILBOXES))
    what = {"server_id": None, "mailbox_id": mailbox_id, "sent_folder": False}
    _write(session, manages, ALERTS.c.mailbox_id == mailbox_id, what, kind, words, told_since)


def settle_mailbox_alerts(session: Session, mailbox_id: int) -> None:
    """Let the bells be silent about a mailbox that can be read again, or is to be read no more."""
    session.execute(
        update(ALERTS)
        .where(ALERTS.c.mailbox_id == mailbox_id, ALERTS.c.seen_at.is_(None))
        .values(seen_at=clock.now())
    )


def _write(
    session: Session,
    concerned: ColumnElement[bool],
    told: ColumnElement[bool],
    what: dict[str, Any],
    kind: FailureKind | None,
    words: str,
    told_since: dt.datetime | None,
) -> None:
    """Tell those concerned of something other than a mail, but nobody whom such an alert has told since then."""
    users = select(User.id).where(User.active, concerned).order_by(User.id)
    if told_since is not None:
        told &= ALERTS.c.created_at >= told_since
        users = users.where(User.id.not_in(select(ALERTS.c.user_id).where(told)))
    values = {
        **what,
        "mail_id": None,
        "failure_kind": kind,
        "words": words[:MAX_WORDS],
        "created_at": clock.now(),
        "seen_at": None,
        "mailed_at": None,
    }
    if rows := [{**values, "user_id": user_id} for user_id in session.scalars(users)]:
        session.execute(INSERT_ALERT, rows)


def settle_server_alerts(session: Session, server_id: int, *, sent_folder: bool) -> None:
    """Let the bells be silent about a server that works again, or about copies that reach their folder again."""
    session.execute(
        update(ALERTS)
        .where(of_server(server_id, sent_folder=sent_folder), ALERTS.c.seen_at.is_(None))
        .values(seen_at=clock.now())
    )


def settle_alerts(connection: Session | Connection, mail_ids: Sequence[int]) -> None:
    """Let the bells be silent about mails that a person has just dealt with."""
    if mail_ids:
        connection.execute(
            update(ALERTS)
            .where(ALERTS.c.mail_id.in_(mail_ids), ALERTS.c.inbound_id.is_(None), ALERTS.c.seen_at.is_(None))
            .values(seen_at=clock.now())
        )
