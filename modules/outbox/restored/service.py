"""What waited when the data were restored, and what a person decides about it.

A mail that waits in a copy may have left after the copy was made. Those that a person lets go stay as they are and
leave at their time; of the others nobody knows, so they become uncertain, and a person can still send them one by one.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, func, select, update
from sqlalchemy.orm import Session, joinedload, selectinload

from core import clock
from core.auth.models import User
from core.db import db, transaction
from core.i18n import N_
from core.installation import service as installation
from core.installation.models import Sign
from core.installation.service import Hold
from core.jobs import enqueue
from core.kept import forget
from core.mail.outcomes import FailureKind, RecipientState
from modules.outbox.models import MAILS, RECIPIENTS, WAITS, OutgoingMail, Run, RunState
from modules.outbox.standstill import STANDSTILL
from modules.outbox.states import WAITING, MailState
from modules.outbox.transitions import moving, record

LISTED = 500
"""How many mails the page lists; the rest can be let go, or set aside, only together."""

RESTORED = N_(
    "The data were restored from a copy. Continue only if nothing of it has left since the copy was made."
)
"""Why a run is paused after a restore."""

KEPT_TO_ITSELF = "outbox_kept_to_itself"
"""The name of the answer of `kept_to_itself`, for whoever changes it; see `core.kept.forget`."""

BATCH = 500  # mails that one transaction sets aside


@dataclass(frozen=True, slots=True)
class Decided:
    """What was decided.

    Attributes:
        going: How many leave.
        aside: How many were set aside.
    """

    going: int
    aside: int


def _then(hold: Hold) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions that a mail waited when the restore was noticed: nothing was claimed since."""
    return WAITS, MAILS.c.submitted_at <= hold.since


def count(hold: Hold) -> int:
    """Return how many mails waited."""
    return int(db.session.scalar(select(func.count()).select_from(MAILS).where(*_then(hold))) or 0)


def listed(hold: Hold, limit: int = LISTED) -> list[OutgoingMail]:
    """Return the mails that waited, the newest first."""
    query: Select[OutgoingMail] = (
        select(OutgoingMail)
        .where(*_then(hold))
        .options(
            selectinload(OutgoingMail.recipients),
            joinedload(OutgoingMail.document),
            joinedload(OutgoingMail.submitted_by),
            joinedload(OutgoingMail.company),
        )
        .order_by(OutgoingMail.id.desc())
        .limit(limit)
    )
    return list(db.session.scalars(query))


def decide(going: Collection[int] | None, by: User | None) -> Decided | None:
    """Set aside the mails that waited, but for some, and let everything leave again.

    Args:
        going: The ids of those that leave, or None for all.
        by: Who decides, or None for the command line.

    Returns:
        What was decided, or None where somebody else has done so before.
    """
    hold = installation.hold()
    if hold is None:
        return None
    aside = 0
    if going is not None:
        last = 0
        while ids := _next(hold, last):
            aside += _set_aside([mail_id for mail_id in ids if mail_id not in going], by)
            last = ids[-1]
    left = count(hold)
    _pause_runs()
    installation.let_go()
    _go_on()
    return Decided(left, aside)


def declare_copy() -> bool:
    """Go on as a copy beside the real one: what waits, and all that is sent from now on, is captured.

    Returns:
        False where somebody else has decided before.
    """
    if installation.hold() is None:
        return False
    _pause_runs()
    installation.declare_copy()
    _go_on()
    return True


def _go_on() -> None:
    forget(STANDSTILL)
    forget(KEPT_TO_ITSELF)
    enqueue("outbox.sweep")
    db.session.expire_all()


def kept_to_itself() -> str | None:
    """Return why nothing leaves this installation: "held", "copy", or None where it does."""
    if installation.hold() is not None:
        return "held"
    return "copy" if installation.copy_since() is not None else None


def _pause_runs() -> None:
    """Pause the runs that were going on in the copy: what they had still to write may have left since."""
    with transaction() as session:
        session.execute(
            update(Run)
            .where(Run.state == RunState.RUNNING)
            .values(state=RunState.PAUSED, paused_why=RESTORED)
        )


def hold_back() -> None:
    """Let nothing leave, since a person says that a copy was restored: of the whole machine nobody else can tell.

    A copy that is the real one from now on is held first as well: what waits in it may have left by the other.
    """
    installation.hold_back(Sign.TOLD)
    forget(STANDSTILL)
    forget(KEPT_TO_ITSELF)


def _next(hold: Hold, last: int) -> list[int]:
    query = select(MAILS.c.id).where(*_then(hold), MAILS.c.id > last).order_by(MAILS.c.id).limit(BATCH)
    with transaction() as session:
        return list(session.scalars(query))


def _set_aside(mail_ids: Collection[int], by: User | None) -> int:
    """Make mails uncertain that may have left after the copy was made; return how many."""
    if not mail_ids:
        return 0
    done: list[int] = []
    with transaction() as session:
        for state in sorted(WAITING):
            ids = session.scalars(
                moving("doubt", MailState.UNCERTAIN)
                .where(MAILS.c.id.in_(mail_ids), MAILS.c.state == state)
                .values(
                    claim_token=None,
                    lease_until=None,
                    in_flight=False,
                    settled_at=clock.now(),
                    failure_kind=FailureKind.RESTORED,
                    failure_reason="",
                    waits_for_server=False,
                )
                .returning(MAILS.c.id)
            ).all()
            record(session, ids, "doubt", state, MailState.UNCERTAIN, by=by)
            done += ids
        _doubt_recipients(session, done)
    return len(done)


def _doubt_recipients(session: Session, mail_ids: Collection[int]) -> None:
    open_states = [RecipientState.PENDING, RecipientState.DEFERRED]
    session.execute(
        update(RECIPIENTS)
        .where(RECIPIENTS.c.mail_id.in_(mail_ids), RECIPIENTS.c.state.in_(open_states))
        .values(state=RecipientState.UNCERTAIN, failure_kind=FailureKind.RESTORED, settled_at=clock.now())
    )
