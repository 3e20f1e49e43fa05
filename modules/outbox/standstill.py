"""Why mails do not leave at this moment, whatever their own state says: told by pages, the bell and `envoi check`."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum

from flask_babel import gettext, ngettext
from sqlalchemy import ColumnElement, Select, func, select, union_all

from core import clock
from core.db import db
from core.installation import service as installation
from core.kept import kept
from core.pulse import Part, pulse
from core.web.formats import moment
from modules.outbox.models import MAILS, WAITS
from modules.outbox.states import MailState

LATE = dt.timedelta(seconds=20)
"""A mail that should have left so long ago tells that something is wrong where nobody was ever seen alive."""

STUCK = dt.timedelta(minutes=5)
"""The same where everybody seems to be alive."""

MOST_COUNTED = 1000  # beyond it says "1000+"
KEPT_SECONDS = 2.0  # as the pulse, by which it is found
STANDSTILL = "outbox_standstill"
"""The name of the answer of `standstill`, for whoever changes it; see `core.kept.forget`."""
_DUE = sorted({MailState.SCHEDULED, MailState.QUEUED, MailState.DEFERRED})


class Cause(StrEnum):
    """Why nothing leaves."""

    HELD = "held"  # after a restore, until a person says go
    QUEUE_AWAY = "queue_away"
    NO_WORKER = "no_worker"
    STUCK = "stuck"  # all seem to be alive, and yet nobody takes what is due
    NO_SCHEDULER = "no_scheduler"  # things leave, a little later: workers do its work


@dataclass(frozen=True, slots=True)
class Standstill:
    """Why mails do not leave.

    Attributes:
        cause: Why.
        since: Since when, as far as anybody knows.
        late: How many should have left, or where they are held, how many wait; counted up to `MOST_COUNTED` + 1.
    """

    cause: Cause
    since: dt.datetime | None
    late: int

    @property
    def title(self) -> str:
        """What is wrong, in one sentence."""
        match self.cause:
            case Cause.HELD:
                return str(gettext("Emails are held: the data were restored from a copy."))
            case Cause.QUEUE_AWAY:
                return str(gettext("Emails do not leave: the queue (Redis) cannot be reached."))
            case Cause.NO_WORKER:
                return str(gettext("Emails do not leave: no sending process is running."))
            case Cause.STUCK:
                return str(gettext("Emails do not leave: nobody takes them from the queue."))
            case Cause.NO_SCHEDULER:
                return str(gettext("The scheduler is not running; the sending processes do its work."))

    @property
    def advice(self) -> str:
        """What to do, for whoever looks after the installation."""
        match self.cause:
            case Cause.HELD:
                return str(gettext("An administrator decides under “After a restore” which of them leave."))
            case Cause.QUEUE_AWAY:
                return str(gettext("Start Redis, or check ENVOI_REDIS_URL."))
            case Cause.NO_WORKER:
                return str(gettext("Start a sending process: “envoi worker”."))
            case Cause.STUCK:
                return str(gettext("Look into the log of the sending processes, and start them again."))
            case Cause.NO_SCHEDULER:
                return str(gettext("Start it: “envoi scheduler”."))

    @property
    def sentence(self) -> str:
        """What is wrong and who acts, for whoever waits for a mail."""
        if self.cause is Cause.HELD:
            return f"{self.title} {self.advice}"
        facts = self.facts if self.late else ""
        act = gettext("An administrator has to act; nothing is lost meanwhile.")
        return " ".join(filter(None, [self.title, facts, act]))

    @property
    def facts(self) -> str:
        """Since when, and how many wait; "" where neither is known."""
        words = []
        if self.since is not None:
            words.append(gettext("Since %(when)s.", when=moment(self.since)))
        if self.late > MOST_COUNTED:
            words.append(gettext("More than %(num)d emails are waiting.", num=MOST_COUNTED))
        elif self.late:
            words.append(ngettext("%(num)d email is waiting.", "%(num)d emails are waiting.", self.late))
        return " ".join(words)

    @property
    def stops(self) -> bool:
        """True where nothing leaves at all."""
        return self.cause is not Cause.NO_SCHEDULER


def standstill() -> Standstill | None:
    """Return why mails do not leave, or None; the answer is kept for a moment, since every page with the bell asks.

    An installation that was never started, and has nothing to send, stands still for no reason worth telling.
    """
    return kept(STANDSTILL, lambda _before: (_find(), KEPT_SECONDS))


def hindrance() -> Standstill | None:
    """Return what keeps a mail from leaving that would leave now, however short it has waited, or None."""
    found = standstill()
    if found is not None:
        return found if found.stops else None
    now = pulse()
    if now.away_since is not None:
        return Standstill(Cause.QUEUE_AWAY, now.away_since, 0)
    return Standstill(Cause.NO_WORKER, None, 0) if Part.WORKER not in now.alive else None


def _find() -> Standstill | None:
    held = installation.hold()
    if held is not None:
        # Whether it is due or not: nothing of it leaves at its time.
        return Standstill(Cause.HELD, held.since, _count(WAITS))
    late, oldest = _late()
    now = pulse()
    overdue = oldest is not None and oldest < clock.now() - LATE
    if now.away_since is not None:
        return Standstill(Cause.QUEUE_AWAY, _first(now.away_since, oldest), late) if overdue else None
    for part, cause in ((Part.WORKER, Cause.NO_WORKER), (Part.SCHEDULER, Cause.NO_SCHEDULER)):
        if part not in now.alive and (overdue or part in now.seen):
            # Where nobody remembers it alive, the mail that has waited longest tells at least something.
            return Standstill(cause, now.seen.get(part) or oldest, late)
    if oldest is not None and oldest < clock.now() - STUCK:
        return Standstill(Cause.STUCK, oldest, late)
    return None


def _first(one: dt.datetime, other: dt.datetime | None) -> dt.datetime:
    return min(one, other) if other is not None else one


def oldest_due() -> Select[dt.datetime | None]:
    """Select when the mail was, or is, to leave that is to leave first."""
    # A state at a time: the index then has the first of each at hand.
    firsts = union_all(
        *(
            select(func.min(MAILS.c.next_attempt_at).label("due")).where(WAITS, MAILS.c.state == state)
            for state in _DUE
        )
    ).subquery()
    return select(func.min(firsts.c.due))


def _late() -> tuple[int, dt.datetime | None]:
    """Return how many mails should have left, and since when the first of them.

    The sweep moves the time of a queued mail on each time it asks for it: where it runs, the queue is only long.
    """
    now = clock.now()
    oldest = db.session.scalar(oldest_due())
    if oldest is None or oldest > now:
        return 0, None
    return _count(WAITS, MAILS.c.state.in_(_DUE), MAILS.c.next_attempt_at <= now), oldest


def _count(*conditions: ColumnElement[bool]) -> int:
    some = select(MAILS.c.id).where(*conditions).limit(MOST_COUNTED + 1).subquery()
    return int(db.session.scalar(select(func.count()).select_from(some)) or 0)


def problems(_sender: object) -> list[str]:
    """Answer `envoi check`."""
    found = standstill()
    return [" ".join(filter(None, [found.title, found.facts, found.advice]))] if found is not None else []
