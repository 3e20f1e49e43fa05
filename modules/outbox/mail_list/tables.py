"""The list of the outbox as a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from flask_babel import gettext
from sqlalchemy.orm import selectinload

from core.auth.models import User
from core.selection import ListSource
from core.spreadsheets import Cell, Column, Format
from modules.outbox.mail_list.filters import mail_list, rows
from modules.outbox.mail_list.rows import lines_of
from modules.outbox.models import OutgoingMail
from modules.outbox.queries import readable, visible_recipients


def mails(user: User) -> ListSource[OutgoingMail]:
    """Return the list of the mails that a user may open."""
    columns = [
        Column(gettext("State")),
        Column(gettext("Subject"), width=40),
        Column(gettext("Recipients"), width=40),
        Column(gettext("Document"), width=20),
        Column(gettext("Sender"), width=24),
        Column(gettext("Company"), width=24),
        Column(gettext("Reason"), width=40),
        Column(gettext("Attempts"), Format.NUMBER),
        Column(gettext("Next try"), Format.MOMENT),
        Column(gettext("Sent on"), Format.MOMENT),
    ]
    shown = rows().options(selectinload(OutgoingMail.recipients))
    spec = replace(mail_list(user), shown=shown)
    return ListSource(shown.where(readable(user)), spec, columns, partial(_cells, user))


def _cells(user: User, some: Sequence[OutgoingMail]) -> Iterator[Sequence[Cell]]:
    people = visible_recipients(some, user)
    for line in lines_of(some, user):
        mail = line.mail
        yield [
            line.badge.word,
            mail.subject,
            ", ".join(person.addr_spec for person in people.get(mail.id, ())),
            mail.document.number if mail.document is not None else "",
            mail.submitted_by.name if mail.submitted_by is not None else "",
            mail.company.name,
            line.reason,
            mail.attempts,
            line.next_at,
            mail.submitted_at,
        ]
