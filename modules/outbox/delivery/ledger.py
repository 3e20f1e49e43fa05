"""What a worker writes down about the mails of its claim: in flight, settled, frozen.

Every statement here names the claim it belongs to, so a worker that was stopped past its lease finds that its mail is
no longer its own, and repeating a statement does no harm. They are compiled once and travel together
(`core.db.prepared`): a commit for each mail is what the promise of the outbox costs.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, exists, insert, literal, or_, select, update

from core import clock
from core.db.prepared import Batch, Count, Prepared
from modules.outbox.alert_rows import RETIRE_ALERTS, alert_values, insert_alerts
from modules.outbox.copy_rows import insert_wanted
from modules.outbox.delivery.claims import lease
from modules.outbox.delivery.settlement import Settlement
from modules.outbox.models import (
    ATTACHMENTS,
    ATTEMPTS,
    EVENTS,
    MAILS,
    RECIPIENTS,
    SENT_COPIES,
    MailAttachment,
    OutgoingMail,
)
from modules.outbox.states import FAILED, MailState, check_transition
from modules.outbox.transitions import actor, moving_by_parameter


def _values(*names: str) -> dict[str, Any]:
    return {name: bindparam(name) for name in names}


# The columns that say how the mail leaves; fixed with the mark, for every later attempt.
_FROM = (
    *("server_id", "captured"),
    *("sender_name", "sender_address", "reply_to_name", "reply_to_address", "reply_tagged"),
)
_FLYING = ("lease_until", "message_sha256", *_FROM)
# What an outcome changes in the row of the mail.
_SENT = (
    "attempts",
    "accepted_count",
    "failure_kind",
    "failure_reason",
    "failure_also",
    "failure_advice",
    "settled_at",
    "slot_at",
    "slot_server_id",
    "waits_for_server",
)
# And of one that is not sent. The From is among it: a mail that waits has none in flight yet.
_SETTLED = (*_SENT, *_FROM, "next_attempt_at")
# What an outcome changes in the row of a recipient.
_SERVED = (
    "state",
    "failure_kind",
    "reply_code",
    "enhanced_code",
    "diagnostic",
    "failure_also",
    "failure_advice",
    "settled_at",
)
# The columns of the record of an attempt.
_TRIED = (
    "mail_id",
    "server_name",
    "started_at",
    "ended_at",
    "outcome",
    "failure_kind",
    "summary",
    "transcript",
)

# Only while the claim holds: a worker that was stopped past its lease must not send what another holds by now.
_SET_IN_FLIGHT = Prepared(
    update(MAILS)
    .where(
        MAILS.c.id == bindparam("mail_id"),
        MAILS.c.claim_token == bindparam("token"),
        MAILS.c.state == MailState.SENDING,
    )
    .values(in_flight=True, **_values(*_FLYING)),
    "mail_id",
    "token",
    *_FLYING,
)
# The claim still holds the mail, or the sweep has called it uncertain meanwhile and left the token for this case.
_HELD = (
    MAILS.c.id == bindparam("held_id"),
    MAILS.c.claim_token == bindparam("token"),
    or_(MAILS.c.state == MailState.SENDING, MAILS.c.state == MailState.UNCERTAIN),
)
_RECORD_SETTLED = Prepared(
    # First, since it locks the mail; it also knows the state before, which may be uncertain by now.
    insert(EVENTS).from_select(
        ["mail_id", "at", "verb", "before", "after", "actor", "detail"],
        select(
            MAILS.c.id,
            bindparam("at", type_=EVENTS.c.at.type),
            literal("settle", EVENTS.c.verb.type),
            MAILS.c.state,
            bindparam("state", type_=EVENTS.c.after.type),
            bindparam("actor", type_=EVENTS.c.actor.type),
            bindparam("detail", type_=EVENTS.c.detail.type),
        )
        .where(*_HELD)
        .with_for_update(),
    ),
    "held_id",
    "token",
    "at",
    "state",
    "actor",
    "detail",
)
# The mail is asked for again in each statement: they travel together, and the first may have changed nothing.
_SETTLE_RECIPIENT = Prepared(
    update(RECIPIENTS)
    .where(RECIPIENTS.c.id == bindparam("recipient_id"), exists(select(MAILS.c.id).where(*_HELD)))
    .values(**_values(*_SERVED)),
    "recipient_id",
    "held_id",
    "token",
    *_SERVED,
)
# In the transaction of the failure, or a crash between the two would leave a failure that nobody is told of.
_INSERT_ALERTS = Prepared(
    insert_alerts(*_HELD), "told_id", "held_id", "token", "failure_kind", "words", "created_at"
)
_RETIRE_ALERTS = Prepared(
    RETIRE_ALERTS.where(exists(select(MAILS.c.id).where(*_HELD))), "mail", "now", "held_id", "token"
)


def _settle_mail(*names: str) -> Prepared:
    statement = (
        moving_by_parameter("settle")
        .where(*_HELD[:2])
        .values(in_flight=False, claim_token=None, lease_until=None, **_values(*names))
    )
    return Prepared(statement, "held_id", "token", "state", *names)


_SETTLE_MAIL = _settle_mail(*_SETTLED)
# A mail that is sent was in flight just now, so its From stands there. SQLite writes each index anew that has one of
# the columns, and looks the server up, whether their values are others or not.
_SETTLE_SENT = _settle_mail(*_SENT)
_INSERT_ATTEMPT = Prepared(
    # What a worker that was only stopped has to tell must not bring back what was erased meanwhile. And once, though a
    # commit of which nobody knows whether it succeeded is repeated.
    insert(ATTEMPTS).from_select(
        list(_TRIED),
        select(*(bindparam(name, type_=ATTEMPTS.c[name].type) for name in _TRIED)).where(
            exists(
                select(MAILS.c.id).where(
                    MAILS.c.id == bindparam("mail_id"), MAILS.c.contents_erased_at.is_(None)
                )
            ),
            ~exists(
                select(ATTEMPTS.c.id).where(
                    ATTEMPTS.c.mail_id == bindparam("mail_id"),
                    ATTEMPTS.c.started_at == bindparam("started_at", type_=ATTEMPTS.c.started_at.type),
                )
            ),
        ),
    ),
    *_TRIED,
)
# With the outcome, so that a crash forgets no copy.
_WANT_COPY = Prepared(
    insert_wanted(bindparam("copy_server_id"), bindparam("now", type_=SENT_COPIES.c.wanted_at.type), *_HELD),
    "copy_server_id",
    "now",
    "held_id",
    "token",
)
_WRITE_FROZEN = Prepared(
    update(ATTACHMENTS)
    .where(ATTACHMENTS.c.id == bindparam("attachment_id"))
    .values(**_values("sha256", "size")),
    "attachment_id",
    "sha256",
    "size",
)


def set_in_flight(batch: Batch, mail: OutgoingMail, token: str) -> Count:
    """Record, inside a transaction of the ledger, that the message goes out now.

    Returns:
        Nothing once it is committed, when the claim is no longer this worker's; then the message must not go out.
    """
    return batch.run(
        _SET_IN_FLIGHT,
        {
            "mail_id": mail.id,
            "token": token,
            "lease_until": clock.now() + lease(),
            "message_sha256": mail.message_sha256,
            **_sender(mail),
        },
    )


def _sender(mail: OutgoingMail) -> dict[str, Any]:
    return {name: getattr(mail, name) for name in _FROM}


def write_settlement(
    batch: Batch,
    mail: OutgoingMail,
    token: str,
    settlement: Settlement,
    *,
    server_name: str,
    started_at: dt.datetime,
    transcript: Sequence[str],
    copy_server_id: int | None = None,
) -> Count:
    """Write, inside a transaction of the ledger, what an attempt has found.

    A worker that was stopped past its lease, and goes on, knows more than the sweep did: it settles an uncertain
    mail too, unless a person has decided meanwhile.

    Args:
        batch: The statements of the transaction.
        mail: The mail.
        token: Of the claim.
        settlement: What has become of it.
        server_name: The server that was asked, or "".
        started_at: When the attempt began.
        transcript: The dialogue.
        copy_server_id: The server whose Sent folder gets a copy, since it has just accepted the mail; or None.

    Returns:
        Nothing once it is committed, when the mail was taken away meanwhile; the attempt is recorded anyway.

    Raises:
        IllegalTransitionError: The settlement leads to a state that no attempt can lead to.
    """
    check_transition("settle", MailState.SENDING, settlement.state)
    now = clock.now()
    settled_at = None if settlement.state is MailState.DEFERRED else now
    held = {"held_id": mail.id, "token": token}
    batch.run(
        _RECORD_SETTLED,
        {**held, "at": now, "state": settlement.state, "actor": actor(), "detail": settlement.remark},
    )
    for outcome in settlement.results:
        batch.run(
            _SETTLE_RECIPIENT,
            {
                **held,
                "recipient_id": outcome.recipient_id,
                "state": outcome.state,
                "failure_kind": outcome.failure_kind,
                "reply_code": outcome.reply_code,
                "enhanced_code": outcome.enhanced_code,
                "diagnostic": outcome.diagnostic,
                "failure_also": outcome.also,
                "failure_advice": outcome.advice,
                "settled_at": settled_at,
            },
        )
    if settlement.state in FAILED:
        alert = alert_values(mail.id, settlement.failure_kind, settlement.failure_reason)
        batch.run(_RETIRE_ALERTS, {"mail": mail.id, "now": now, **held})
        batch.run(_INSERT_ALERTS, {**alert, **held})
    if copy_server_id is not None:
        batch.run(_WANT_COPY, {"copy_server_id": copy_server_id, "now": now, **held})
    if settlement.tried:
        batch.run(
            _INSERT_ATTEMPT,
            {
                "mail_id": mail.id,
                "server_name": server_name,
                "started_at": started_at,
                "ended_at": now,
                "outcome": settlement.state,
                "failure_kind": settlement.failure_kind,
                "summary": settlement.failure_reason,
                "transcript": "\n".join(transcript),
            },
        )
    changes = {
        **held,
        "state": settlement.state,
        "attempts": settlement.attempts,
        "accepted_count": settlement.accepted_count,
        "failure_kind": settlement.failure_kind,
        "failure_reason": settlement.failure_reason,
        "failure_also": settlement.failure_also,
        "failure_advice": settlement.failure_advice,
        "settled_at": settled_at,
        "slot_at": mail.slot_at,
        "slot_server_id": mail.slot_server_id,
        "waits_for_server": settlement.waits_for_server,
    }
    if settlement.state is MailState.SENT and settlement.tried:
        return batch.run(_SETTLE_SENT, changes)
    next_attempt_at = settlement.next_attempt_at or mail.next_attempt_at
    return batch.run(_SETTLE_MAIL, {**changes, **_sender(mail), "next_attempt_at": next_attempt_at})


def write_frozen(batch: Batch, attachment: MailAttachment) -> None:
    """Write, inside a transaction of the ledger, where the rendered PDF is kept."""
    batch.run(
        _WRITE_FROZEN,
        {"attachment_id": attachment.id, "sha256": attachment.sha256, "size": attachment.size},
    )
