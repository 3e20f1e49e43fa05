"""The verbs of imports: read a file, compare its rows, import them, undo it.

The rows stand in the database, with how far the import is, so that it survives a crash, a lost queue and a closed page:
each step takes the next rows in one transaction with the row it has come to. No row is taken twice.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Sequence
from typing import Any

from flask_babel import force_locale, gettext
from sqlalchemy import delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core import clock
from core.auth.models import User
from core.companies.service import locale_of_user
from core.db import db, end_reading, transaction
from core.errors import EnvoiError, UserError
from core.i18n import lazy_gettext as _l
from core.imports.models import Import, ImportRow, ImportState, Undone, Verdict
from core.imports.reading import read_sheet
from core.imports.subject import NEW_LABELS, by_name, guess, subject_of
from core.jobs import enqueue, enqueue_after_commit, lost

logger = logging.getLogger(__name__)

STEP = 100
"""How many rows one transaction takes: a second at most."""
AT_ONCE = 200
"""So many rows are done while the person waits; more by a worker."""
STEPS_A_JOB = 50
"""After so many steps other jobs pass."""
LOST_AFTER = dt.timedelta(seconds=60)
"""An import that nobody has touched for so long has lost its job."""
KEPT_FOR = dt.timedelta(days=30)
"""How long an import can be looked at and undone; then its rows are deleted, which are people's data."""

_WORKING = (ImportState.CHECKING, ImportState.IMPORTING, ImportState.UNDOING)
_NEXT = {
    ImportState.CHECKING: ImportState.CHECKED,
    ImportState.IMPORTING: ImportState.DONE,
    ImportState.UNDOING: ImportState.UNDONE,
}


def read_file(
    subject: str,
    data: bytes,
    file_name: str,
    by: User,
    *,
    company_id: int | None = None,
    owner_id: int | None = None,
) -> Import:
    """Read a file, keep its rows, and guess what its columns are, or remember what they were in such a file.

    Args:
        subject: What is imported, a name of `core.imports.subject`.
        data: The file.
        file_name: Its name.
        by: Who imports.
        company_id: Whose new ones are.
        owner_id: Who alone sees them, of customers.

    Raises:
        UserError: It is no table, or too large.
    """
    sheet = read_sheet(data)
    header = [title[:100] for title in sheet.header]
    former = db.session.scalar(
        select(Import)
        .where(Import.by_user_id == by.id, Import.subject == subject, Import.state != ImportState.READING)
        .order_by(Import.id.desc())
        .limit(1)
    )
    same = former is not None and former.header == header
    kind = subject_of(subject)
    mapping = former.mapping if same and former is not None else guess(kind, header)
    usual = next((way for way in kind.ways if way in mapping), kind.ways[0])
    row = Import(
        subject=subject,
        by_user_id=by.id,
        file_name=file_name[-160:],
        form=sheet.form,
        header=header,
        mapping=mapping,
        match_by=former.match_by if same and former is not None else usual,
        total=len(sheet.rows),
        company_id=company_id,
        owner_id=owner_id,
    )
    with transaction() as session:
        session.add(row)
    # In pieces: nobody else waits for fifty thousand rows.
    for first in range(0, len(sheet.rows), 2000):
        some = sheet.rows[first : first + 2000]
        with transaction() as session:
            session.execute(
                insert(ImportRow),
                [{**_BLANK, "import_id": row.id, "line": line, "cells": cells} for line, cells in some],
            )
    with transaction():
        row.state = ImportState.MAPPING
    return row


_BLANK: dict[str, Any] = {
    "key": "", "name": "", "number": "", "verdict": Verdict.UNKNOWN, "field": "", "problem": "", "before": {},
    "after": {}, "applied": False, "undone": Undone.NOT,
}  # fmt: skip


def import_of(user: User, import_id: int, subject: str) -> Import | None:
    """Return an import of the user, or None."""
    return db.session.scalar(
        select(Import).where(Import.id == import_id, Import.by_user_id == user.id, Import.subject == subject)
    )


def imports_of(user: User, subject: str) -> list[Import]:
    """Return the last imports of the user, the newest first."""
    return list(
        db.session.scalars(
            select(Import)
            .where(
                Import.by_user_id == user.id, Import.subject == subject, Import.state != ImportState.READING
            )
            .order_by(Import.id.desc())
            .limit(20)
        )
    )


def counts(of: Import) -> dict[Verdict, int]:
    """Return how many rows have which verdict."""
    rows = db.session.execute(
        select(ImportRow.verdict, func.count())
        .where(ImportRow.import_id == of.id)
        .group_by(ImportRow.verdict)
    )
    return {verdict: count for verdict, count in rows}  # noqa: C416 (rows are not pairs for mypy)


def counts_of_undone(of: Import) -> dict[Undone, int]:
    """Return how many rows were taken back, and how many kept."""
    rows = db.session.execute(
        select(ImportRow.undone, func.count())
        .where(ImportRow.import_id == of.id, ImportRow.applied)
        .group_by(ImportRow.undone)
    )
    return {undone: count for undone, count in rows}  # noqa: C416


def check(of: Import, mapping: Sequence[str], match_by: str, *, make_labels: bool = False) -> None:
    """Compare the rows with what there is, by what the columns are.

    Raises:
        UserError: A column is named twice, what rows are matched by has none, or the import has gone on meanwhile.
    """
    kind = subject_of(of.subject)
    columns = by_name(kind)
    names = [name for name in mapping if name]
    if len(mapping) != len(of.header) or any(name not in columns for name in names):
        raise UserError(_l("The columns are not those of this file. Read it again."))
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UserError(
            _l("“%(title)s” is chosen for two columns.", title=gettext(columns[twice].title)), "mapping"
        )
    if match_by not in names or match_by not in kind.ways:
        raise UserError(
            _l(
                "Rows cannot be matched by “%(title)s”: no column is one.",
                title=gettext(columns[match_by].title),
            ),
            "match_by",
        )

    def set_up(session: Session, row: Import) -> None:
        row.mapping, row.match_by, row.make_labels = list(mapping), match_by, make_labels
        session.execute(
            update(ImportRow)
            .where(ImportRow.import_id == row.id)
            .values(verdict=Verdict.UNKNOWN, problem="", field="", key="", name="", number="")
        )

    _begin(of, {ImportState.MAPPING, ImportState.CHECKED}, ImportState.CHECKING, set_up)


def start(of: Import) -> None:
    """Import the rows that were looked at.

    Raises:
        UserError: The import has gone on meanwhile.
    """
    _begin(of, {ImportState.CHECKED}, ImportState.IMPORTING)


def back_to_columns(of: Import) -> None:
    """Let the person say anew what the columns are.

    Raises:
        UserError: The import has gone on meanwhile.
    """
    with transaction() as session:
        _demand(session, of, {ImportState.CHECKED}).state = ImportState.MAPPING


def undo(of: Import) -> None:
    """Take everything back that the import has done; rows that were changed since are kept, and told.

    Raises:
        UserError: There is nothing to undo.
    """
    _begin(of, {ImportState.DONE, ImportState.FAILED}, ImportState.UNDOING)


def discard(of: Import) -> None:
    """Delete an import that has done nothing.

    Raises:
        UserError: It has.
    """
    with transaction() as session:
        states = {ImportState.MAPPING, ImportState.CHECKING, ImportState.CHECKED}
        session.delete(_demand(session, of, states))


def _begin(of: Import, before: set[ImportState], state: ImportState, set_up: Any = None) -> None:
    with transaction() as session:
        row = _demand(session, of, before)
        if set_up is not None:
            set_up(session, row)
        row.state, row.done, row.last_id, row.touched_at = state, 0, 0, clock.now()
        few = row.total <= AT_ONCE
        if not few:
            enqueue_after_commit("core.import_rows", row.id)
    if few:
        while step(of.id):
            pass


def _demand(session: Session, of: Import, states: set[ImportState]) -> Import:
    """Return an import as it is now, locked, once it is sure that it is in one of some states."""
    row = _locked(session, of.id)
    if row is None or row.state not in states:
        raise UserError(_l("This import has gone on meanwhile. Look at it again."))
    return row


def _locked(session: Session, import_id: int) -> Import | None:
    return session.get(Import, import_id, with_for_update={"of": Import}, populate_existing=True)


# ------------------------------------------------------------------------------------------------------------ steps


def work(import_id: int) -> None:
    """Go on with an import until it is done or has had its turn; runs as a job."""
    for _ in range(STEPS_A_JOB):
        if not step(import_id):
            return
    enqueue("core.import_rows", import_id)


def step(import_id: int) -> bool:
    """Take the next rows of an import; return True when there may be more."""
    try:
        with transaction() as session:
            of = _locked(session, import_id)
            if of is None or of.state not in _WORKING:
                return False
            user = session.get_one(User, of.by_user_id)
            kind = subject_of(of.subject)
            if not user.active or user.scope(kind.permission) is None:
                of.state = ImportState.FAILED
                return False
            rows = _next_rows(session, of)
            with kind.acting(user), force_locale(locale_of_user(user)), session.no_autoflush:
                for row in rows:
                    _VERBS[of.state](session, row, of, user)
                    session.flush()
            of.done, of.touched_at = of.done + len(rows), clock.now()
            if rows:
                of.last_id = rows[-1].id
            if len(rows) < STEP:
                of.state, of.last_id = _NEXT[of.state], 0
                return False
            return True
    except EnvoiError:
        # The step was rolled back, those before it stand. Trying it again and again would help nobody.
        logger.exception("Import %d failed.", import_id)
        with transaction() as session:
            session.get_one(Import, import_id).state = ImportState.FAILED
        return False
    finally:
        end_reading()


def _next_rows(session: Session, of: Import) -> list[ImportRow]:
    rows = select(ImportRow).where(ImportRow.import_id == of.id).limit(STEP)
    if of.state is ImportState.UNDOING:  # backwards: contacts before the customers that were made for them
        rows = rows.where(ImportRow.applied, ImportRow.undone == Undone.NOT)
        if of.last_id:
            rows = rows.where(ImportRow.id < of.last_id)
        return list(session.scalars(rows.order_by(ImportRow.id.desc())))
    if of.state is ImportState.IMPORTING:
        rows = rows.where(ImportRow.verdict.in_((Verdict.NEW, Verdict.CHANGES)), ~ImportRow.applied)
    return list(session.scalars(rows.where(ImportRow.id > of.last_id).order_by(ImportRow.id)))


def _look(session: Session, row: ImportRow, of: Import, user: User) -> None:
    kind = subject_of(of.subject)
    found = kind.judge(row, of, user)
    row.key, row.name, row.number = found.key[:300], found.name, found.number
    row.verdict, row.field, row.problem = found.verdict, found.field[:32], str(found.problem)[:400]
    setattr(row, kind.row_column, found.entity.id if found.entity is not None else None)
    row.before, row.after = found.before, found.after
    _ = session


def _apply(session: Session, row: ImportRow, of: Import, user: User) -> None:
    # Looked at anew: what it was compared with may have changed since.
    kind = subject_of(of.subject)
    found = kind.judge(row, of, user)
    row.verdict, row.field, row.problem = found.verdict, found.field[:32], str(found.problem)[:400]
    row.before, row.after = found.before, {k: v for k, v in found.after.items() if k != NEW_LABELS}
    if found.verdict in {Verdict.NEW, Verdict.CHANGES}:
        entity = kind.save(found.entity, found.values)
        session.flush()
        setattr(row, kind.row_column, entity.id)
        row.applied = True
        row.after = kind.stored(entity, list(row.after))


def _take_back(session: Session, row: ImportRow, of: Import, user: User) -> None:
    kind = subject_of(of.subject)
    entity = session.get(kind.model, row.entity_id) if row.entity_id is not None else None
    problem: object = ""
    if entity is None:
        row.undone = Undone.TAKEN_BACK  # somebody has deleted it
        return
    if kind.is_gone(entity) or kind.stored(entity, list(row.after)) != row.after:
        problem = _l("Changed since the import.")
    elif row.verdict is Verdict.NEW and kind.is_used(entity):
        problem = _l("Used since the import, by a document, an email or a contact.")
    elif row.verdict is Verdict.NEW:
        try:
            with session.begin_nested():
                session.delete(entity)
        except IntegrityError:
            problem = _l("Used since the import, by a document, an email or a contact.")
    else:
        kind.restore(entity, row.before)
        session.flush()
    row.undone, row.problem = (Undone.KEPT, str(problem)) if problem else (Undone.TAKEN_BACK, "")
    _ = of, user


_VERBS = {
    ImportState.CHECKING: _look,
    ImportState.IMPORTING: _apply,
    ImportState.UNDOING: _take_back,
}


def sweep() -> None:
    """Ask again for imports that nobody works on any more, and delete what is over; runs as a periodic job."""
    now = clock.now()
    with transaction() as session:
        left = select(Import).where(Import.state.in_(_WORKING), lost(Import.touched_at, LOST_AFTER))
        for row in session.scalars(left).all():
            row.touched_at = now
            enqueue_after_commit("core.import_rows", row.id)
        over = or_(
            Import.at < now - KEPT_FOR,
            (Import.state == ImportState.READING) & (Import.at < now - dt.timedelta(hours=1)),
        )
        session.execute(delete(Import).where(over, Import.state.not_in(_WORKING)))
    end_reading()
