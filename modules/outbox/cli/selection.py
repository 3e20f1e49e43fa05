"""Which mails a command of the outbox is about: options, and walking through all of them in chunks."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import click
from sqlalchemy import ColumnElement, func, select

from core import clock
from core.companies.models import Company
from core.db import db
from core.errors import EnvoiError
from core.mail.outcomes import FailureKind
from modules.mail_config.models import MailServer
from modules.outbox.models import OutgoingMail
from modules.outbox.search_index import matching
from modules.outbox.states import FAILED, WAITING, MailState

CHUNK = 500
"""How many mails one transaction changes."""

Command = TypeVar("Command", bound=Callable[..., Any])
_AGO = re.compile(r"(\d{1,5})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True, slots=True)
class Selection:
    """Which mails are meant; nothing given means all.

    Attributes:
        states: In one of these states; none for any.
        conditions: What else must hold.
    """

    states: frozenset[MailState] = frozenset()
    conditions: list[ColumnElement[bool]] = field(default_factory=list)

    @property
    def everything(self) -> bool:
        """True when nothing was given."""
        return not self.states and not self.conditions

    def where(self, default: frozenset[MailState] = frozenset()) -> list[ColumnElement[bool]]:
        """Return the conditions; `default` are the states where none were given."""
        states = self.states or default
        return [*([OutgoingMail.state.in_(sorted(states))] if states else []), *self.conditions]

    def chunks(self, default: frozenset[MailState]) -> Iterator[list[int]]:
        """Walk through the ids of the mails, oldest first; those submitted meanwhile are left out.

        Each chunk is asked for after the one before was worked on, so it sees what has become of its mails.
        """
        upper = db.session.scalar(select(func.max(OutgoingMail.id))) or 0
        last = 0
        while True:
            ids = list(
                db.session.scalars(
                    select(OutgoingMail.id)
                    .where(OutgoingMail.id > last, OutgoingMail.id <= upper, *self.where(default))
                    .order_by(OutgoingMail.id)
                    .limit(CHUNK)
                )
            )
            if not ids:
                return
            last = ids[-1]
            yield ids


def selection_options(command: Command) -> Command:
    """Give a command the options that say which mails it is about."""
    options = (
        click.option(
            "--state",
            "states",
            multiple=True,
            type=click.Choice([state.value for state in MailState]),
            help="Only in this state; may be repeated.",
        ),
        click.option("--failed", is_flag=True, help="Only failed, partial and uncertain ones."),
        click.option("--waiting", is_flag=True, help="Only those that are still to leave."),
        click.option(
            "--kind",
            "kinds",
            multiple=True,
            type=click.Choice(sorted(kind.value for kind in FailureKind)),
            metavar="KIND",
            help="Only with this kind of failure, as `envoi outbox reasons` names it; may be repeated.",
        ),
        click.option("--server", default="", help="Only by the mail server of this name."),
        click.option("--company", default="", help="Only from the company of this name."),
        click.option(
            "--search", default="", help="Only with these words: address, subject, number, Message-ID."
        ),
        click.option(
            "--since", default="", help="Only submitted since: 2026-03-01, 2026-03-01T12:00, 90m, 24h or 7d."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def read_selection(given: dict[str, Any]) -> Selection:
    """Return the selection that the options of `selection_options` make.

    Raises:
        EnvoiError: No server or company has that name, or the time is none.
    """
    states = {MailState(value) for value in given["states"]}
    states |= FAILED if given["failed"] else frozenset()
    states |= WAITING if given["waiting"] else frozenset()
    conditions: list[ColumnElement[bool]] = []
    if given["kinds"]:
        conditions.append(OutgoingMail.failure_kind.in_([FailureKind(kind) for kind in given["kinds"]]))
    if given["server"]:
        ids = list(db.session.scalars(select(MailServer.id).where(MailServer.name == given["server"])))
        conditions.append(OutgoingMail.server_id.in_(_known(ids, "mail server", given["server"])))
    if given["company"]:
        ids = list(db.session.scalars(select(Company.id).where(Company.name == given["company"])))
        conditions.append(OutgoingMail.company_id.in_(_known(ids, "company", given["company"])))
    if given["since"]:
        conditions.append(OutgoingMail.submitted_at >= read_time(given["since"]))
    searched = matching(given["search"]) if given["search"] else None
    if searched is not None:
        conditions.append(searched)
    return Selection(frozenset(states), conditions)


def _known(ids: list[int], what: str, name: str) -> list[int]:
    if not ids:
        raise EnvoiError(f"There is no {what} named “{name}”.")
    return ids


def read_time(text: str) -> dt.datetime:
    """Return the time that was typed: a day or a moment (in UTC unless it says otherwise), or how long ago.

    Raises:
        EnvoiError: It is neither.
    """
    ago = _AGO.fullmatch(text.strip())
    if ago is not None:
        return clock.now() - dt.timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        return clock.in_utc(dt.datetime.fromisoformat(text.strip()))
    except (ValueError, OverflowError) as error:
        raise EnvoiError(
            f"“{text[:40]}” is no time: write 2026-03-01, 2026-03-01T12:00, 90m, 24h or 7d."
        ) from error
