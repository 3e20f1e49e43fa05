"""The only place where a mail changes its state; every change is recorded with who and when.

One mail at a time goes by `move`, many that have to be looked at by `Steps`; many at once by `moving`, which builds the
UPDATE, and `record`. An attribute guard refuses any other way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from sqlalchemy import Connection, Insert, Update, bindparam, event, insert, literal, or_, select, update
from sqlalchemy.orm import Session, object_session, selectinload

from core import clock
from core.auth.models import User
from core.db import db
from core.pulse import process_name
from modules.outbox.models import EVENTS, MAILS, MailEvent, OutgoingMail
from modules.outbox.states import TRANSITIONS, IllegalTransitionError, MailState, check_transition

MAX_DETAIL_LENGTH = 500  # characters, as the column has

_actor: ContextVar[str] = ContextVar("outbox_actor", default="")
_moving: ContextVar[bool] = ContextVar("outbox_moving", default=False)


def actor() -> str:
    """Return what acts, where no person does: named by `acting_as`, else the process."""
    # Host and number lead support to the line of the log.
    return _actor.get() or process_name()


@contextmanager
def acting_as(name: str) -> Iterator[None]:
    """Name what acts while a block runs, for the record of transitions."""
    token = _actor.set(name[:80])
    try:
        yield
    finally:
        _actor.reset(token)


@event.listens_for(OutgoingMail.state, "set", active_history=True)
def _guard(mail: OutgoingMail, value: MailState, old: object, _initiator: Any) -> None:
    """Refuse to change the state of a mail otherwise than by `move`."""
    # A state without its event would leave a gap in the record that nobody could explain later.
    if isinstance(old, MailState) and value != old and not _moving.get():
        raise IllegalTransitionError(f"Mail {mail.id}: from {old} to {value} only by transitions.move().")


def move(
    mail: OutgoingMail, verb: str, after: MailState, by: User | None = None, *, detail: str = ""
) -> MailState:
    """Change the state of a mail by a verb, and record it.

    Args:
        mail: The mail, locked by the running transaction.
        verb: Key of `states.TRANSITIONS`.
        after: The state it leads to.
        by: The person who does it, or None for the process.
        detail: What else the record should say.

    Returns:
        The state before.

    Raises:
        IllegalTransitionError: The verb does not lead from the mail's state to that one; nothing is changed.
    """
    before = _lead(mail, verb, after)
    note(mail, verb, by, before=before, detail=detail)
    return before


class Steps:
    """One verb done to many mails, recorded by one statement.

    Args:
        verb: Key of `states.TRANSITIONS`.
        by: The person who does it, or None for the process.
        detail: What else the record should say.
    """

    def __init__(self, verb: str, by: User | None = None, *, detail: str = "") -> None:
        self._verb = verb
        self._said = {"by_user_id": by.id if by else None, "actor": "" if by else actor(), "detail": detail}
        self._done: list[tuple[OutgoingMail, MailState]] = []

    @property
    def ids(self) -> list[int]:
        """The mails whose state was changed."""
        return [mail.id for mail, _before in self._done]

    def move(self, mail: OutgoingMail, after: MailState) -> None:
        """Change the state of a mail, which is locked by the running transaction.

        Raises:
            IllegalTransitionError: The verb does not lead from the mail's state to that one; nothing is changed.
        """
        self._done.append((mail, _lead(mail, self._verb, after)))

    def write(self, session: Session) -> None:
        """Write the mails and the record of what was done to them."""
        session.flush()
        # Objects would be written one by one: SQLite gives back no ids of many in their order.
        rows = [
            {**event_values(mail.id, self._verb, before, mail.state), **self._said}
            for mail, before in self._done
        ]
        if rows:
            session.execute(INSERT_EVENT, rows)
        for mail, _before in self._done:
            session.expire(mail, ["events"])


def _lead(mail: OutgoingMail, verb: str, after: MailState) -> MailState:
    before = mail.state
    check_transition(verb, before, after)
    # Of this thread and task only: another one's assignments are refused meanwhile.
    token = _moving.set(True)
    try:
        mail.state = after
    finally:
        _moving.reset(token)
    return before


def note(
    mail: OutgoingMail, verb: str, by: User | None = None, *, before: MailState | None, detail: str = ""
) -> None:
    """Record what was done to a mail, which is in its new state already."""
    # By the event's side: appending to the mail's list would load it first.
    step = MailEvent(
        mail=mail,
        at=clock.now(),
        verb=verb,
        before=before,
        after=mail.state,
        by_user_id=by.id if by else None,
        actor="" if by else actor(),
        detail=detail[:MAX_DETAIL_LENGTH],
    )
    session = object_session(mail)
    if session is not None:
        session.add(step)


def moving(verb: str, after: MailState) -> Update:
    """Return the UPDATE that leads mails by a verb to a state, kept to those that the verb may start from.

    Raises:
        IllegalTransitionError: The verb does not lead to that state.
    """
    sources, targets = TRANSITIONS[verb]
    if after not in targets:
        raise IllegalTransitionError(f"{verb} does not lead to {after}.")
    known = sorted(source for source in sources if source is not None)
    return update(MAILS).where(MAILS.c.state.in_(known)).values(state=after)


def moving_by_parameter(verb: str) -> Update:
    """Return the same UPDATE with the new state as the parameter `state`; the caller checks the transition."""
    sources, _targets = TRANSITIONS[verb]
    known = sorted(source for source in sources if source is not None)
    # No IN: a prepared statement has one form.
    return update(MAILS).where(or_(*(MAILS.c.state == one for one in known))).values(state=bindparam("state"))


INSERT_EVENT: Insert = insert(EVENTS)


def event_values(
    mail_id: int, verb: str, before: MailState | None, after: MailState, detail: str = ""
) -> dict[str, Any]:
    """Return the parameters of `INSERT_EVENT` for a step that no person has done."""
    return {
        "mail_id": mail_id,
        "at": clock.now(),
        "verb": verb,
        "before": before,
        "after": after,
        "by_user_id": None,
        "actor": actor(),
        "detail": detail[:MAX_DETAIL_LENGTH],
    }


def record(
    session: Session | Connection,
    mail_ids: Sequence[int],
    verb: str,
    before: MailState,
    after: MailState,
    *,
    by: User | None = None,
    detail: str = "",
) -> None:
    """Record one step of many mails, inside the running transaction.

    Raises:
        IllegalTransitionError: The verb does not lead from one to the other.
    """
    check_transition(verb, before, after)
    if mail_ids:
        values = event_values(0, verb, before, after, detail)
        if by is not None:
            values |= {"by_user_id": by.id, "actor": ""}
        session.execute(INSERT_EVENT, [{**values, "mail_id": mail_id} for mail_id in mail_ids])


def record_claim(session: Session | Connection, token: str) -> None:
    """Record that the mails of a claim were claimed, in one statement."""
    check_transition("claim", MailState.QUEUED, MailState.SENDING)
    values = event_values(0, "claim", MailState.QUEUED, MailState.SENDING)
    columns = ["mail_id", "at", "verb", "before", "after", "actor", "detail"]
    session.execute(
        insert(EVENTS).from_select(
            columns,
            select(MAILS.c.id, *(literal(values[name], EVENTS.c[name].type) for name in columns[1:])).where(
                MAILS.c.claim_token == token
            ),
        )
    )


def locked_mails(mail_ids: Sequence[int]) -> list[OutgoingMail]:
    """Return mails for a change with their recipients, as they are now.

    In one order, so that two people cannot block each other, and with as many statements for many mails as for one.
    """
    return list(
        db.session.scalars(
            select(OutgoingMail)
            .where(OutgoingMail.id.in_(mail_ids))
            .order_by(OutgoingMail.id)
            .with_for_update(of=OutgoingMail)
            .options(selectinload(OutgoingMail.recipients))
            .execution_options(populate_existing=True)
        )
    )
