"""*Distribute*: what is selected in a list, each document by its own rule: in a batch, on paper, to the archive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from flask_babel import gettext
from sqlalchemy import select

from core.auth.models import User
from core.db import db
from core.documents.models import Document
from core.documents.service import behavior_of
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.selection import Selection
from modules.distribution import dispatches
from modules.distribution.decisions import decisions_for
from modules.distribution.models import Way
from modules.distribution.rule import Decision
from modules.outbox.models import Run
from modules.outbox.runs import service as runs

MOST = 2000
"""Documents that are distributed at once."""
CHUNK = 200


@dataclass(slots=True)
class Plan:
    """How selected documents would go.

    Attributes:
        by_way: The documents of each way, in the order of the list.
        decisions: What the rules say of each, by id.
        left_out: Documents that do not go, each with why.
    """

    by_way: dict[Way, list[Document]] = field(default_factory=lambda: {way: [] for way in Way})
    decisions: dict[int, Decision] = field(default_factory=dict)
    left_out: list[tuple[Document, str]] = field(default_factory=list)

    @property
    def documents(self) -> list[Document]:
        """Those that go, each once."""
        return list({row.id: row for rows in self.by_way.values() for row in rows}.values())


def plan(selection: Selection, user: User) -> Plan:
    """Return how what is selected would go; without a rule, by email.

    Raises:
        UserError: Nothing is selected, or too much.
    """
    ids = selection.row_ids(user, MOST + 1)
    if not ids:
        raise UserError(_l("Select at least one line first."))
    if len(ids) > MOST:
        raise UserError(_l("%(most)s documents at once at most. Select fewer.", most=MOST))
    made = Plan()
    for start in range(0, len(ids), CHUNK):
        _add(made, ids[start : start + CHUNK], user)
    return made


def _add(made: Plan, ids: Sequence[int], user: User) -> None:
    query = select(Document).where(Document.id.in_(ids), dispatches.allowed(user))
    rows = {row.id: row for row in db.session.scalars(query).unique()}
    decisions = decisions_for(list(rows.values()))
    made.decisions |= decisions
    for number in ids:
        row = rows.get(number)
        if row is None:
            continue
        unsendable = behavior_of(row).why_not_sendable(row)
        decision = decisions[number]
        if unsendable is not None:
            made.left_out.append((row, str(unsendable)))
            continue
        ways = decision.ways if decision.rule is not None else (Way.MAIL,)
        for way in ways:
            if way is Way.ARCHIVE and decision.problems:
                made.left_out.append((row, f"{gettext('Archive')}: {decision.problems[-1]}"))
            else:
                made.by_way[way].append(row)


def start(selection: Selection, by: User) -> tuple[Plan, Run | None]:
    """Let everything go on its way, and return what was planned and the batch of the emails, where there are any.

    The batch is looked through and waits for *Start*, as any other. Paper waits to be printed.

    Raises:
        UserError: As for `plan`.
    """
    made = plan(selection, by)
    for way in (Way.PAPER, Way.ARCHIVE):
        dispatches.want(made.by_way[way], way, by)
    mails = tuple(row.id for row in made.by_way[Way.MAIL])
    run = runs.prepare(Selection(selection.of, mails, selection.arguments), by) if mails else None
    return made, run
