"""Many documents as one PDF: chosen, made by a worker, kept for a while, marked as printed and taken back.

Pages of two documents are never mixed: each follows the other whole, and where both sides are printed each begins a
sheet. First comes the list of what is in it. A worker that dies leaves a row that says so; another makes the PDF anew.
"""

from __future__ import annotations

import datetime as dt
import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from flask import current_app, render_template
from flask_babel import force_locale, gettext
from pypdf import PdfReader, PdfWriter
from sqlalchemy import Select, or_, select, update

from core import clock
from core.auth.models import User
from core.companies.service import locale_of_user
from core.db import db, end_reading, transaction
from core.documents.models import Document
from core.documents.pdf import RenderError, html_to_pdf, render_document
from core.documents.service import behavior_of
from core.errors import UserError
from core.files import FileStore
from core.i18n import lazy_gettext as _l
from core.jobs import enqueue_after_commit, lost
from core.partners.models import Partner
from core.partners.service import customer_of
from modules.distribution import dispatches
from modules.distribution.models import Dispatch, DispatchState, Print, PrintOrder, PrintState, Way

logger = logging.getLogger(__name__)

MOST = 2000
"""Documents of one print: some 100 MB of memory for each thousand while it is made."""
TOLD_EACH = 20
"""After so many documents the row says how far it is."""
LOST_AFTER = dt.timedelta(minutes=2)
"""A print that nobody has touched for so long has lost its worker."""
KEEP = dt.timedelta(days=30)
"""So long PDFs are kept; made anew, they say what the documents say then."""


def store() -> FileStore:
    """Return where the PDFs are kept."""
    found: FileStore = current_app.extensions["envoi_files"]
    return found


def waiting(user: User) -> Select[Document]:
    """Return the statement of the documents that wait to be printed and that the user may distribute."""
    rows = select(Dispatch.document_id).where(
        Dispatch.way == Way.PAPER, Dispatch.state == DispatchState.DUE, Dispatch.due_at <= clock.now()
    )
    return select(Document).where(Document.id.in_(rows), dispatches.allowed(user))


def print_for(user: User, print_id: int) -> Print | None:
    """Return a print of the user's own, or None."""
    return db.session.scalar(select(Print).where(Print.id == print_id, Print.by_user_id == user.id))


def choose(ids: Sequence[int], by: User) -> Print:
    """Make a print of documents, in their order; those that cannot go out yet are left out.

    Raises:
        UserError: None of them may or can be printed, or they are too many for one PDF.
    """
    if len(ids) > MOST:
        raise UserError(
            _l("One PDF holds %(most)s documents at most. Select fewer, or narrow the list.", most=MOST)
        )
    allowed = select(Document).where(Document.id.in_(ids), dispatches.allowed(by))
    rows = {
        row.id: row
        for row in db.session.scalars(allowed).unique()
        if behavior_of(row).why_not_sendable(row) is None
    }
    if not rows:
        raise UserError(_l("None of these documents can be printed to be sent: issue or confirm them first."))
    with transaction() as session:
        dispatches.want(rows.values(), Way.PAPER, by)
        made = Print(by_user_id=by.id, total=len(rows))
        session.add(made)
        session.flush()
        for position, number in enumerate([one for one in ids if one in rows], 1):
            session.execute(
                update(Dispatch)
                .where(
                    Dispatch.document_id == number,
                    Dispatch.way == Way.PAPER,
                    Dispatch.state == DispatchState.DUE,
                )
                .values(print_id=made.id, position=position, pages=0)
            )
    return made


def make(row: Print, order: PrintOrder, *, double_sided: bool) -> None:
    """Let a worker make the PDF; made anew where there is one.

    Raises:
        UserError: It was marked as printed.
    """
    with transaction() as session:
        locked = session.get_one(Print, row.id, with_for_update=True, populate_existing=True)
        if locked.printed_at is not None:
            raise UserError(_l("This was printed. Take that back first."))
        locked.sorted_by, locked.double_sided = order, double_sided
        locked.state, locked.made, locked.touched_at = PrintState.MAKING, 0, clock.now()
        enqueue_after_commit("distribution.print", locked.id)


# -- what a worker does -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the cover list."""

    number: str
    customer: str
    postcode: str
    city: str
    pages: int


def run(print_id: int) -> None:
    """Make the PDF of a print; runs as a job."""
    row = db.session.get(Print, print_id, populate_existing=True)
    if row is None or row.state is not PrintState.MAKING:
        return
    user = row.by_user
    with force_locale(locale_of_user(user) if user is not None else "en"):
        try:
            _make(row)
        except Exception:
            # Told on its page; without it, it would be asked for again and again.
            logger.exception("The print %s could not be made.", print_id)
            db.session.rollback()
            _say(print_id, state=PrintState.FAILED)


def _make(row: Print) -> None:
    writer, lines = PdfWriter(), list[Line]()
    held: dict[int, str] = {}
    pages: dict[int, int] = {}
    rows = _in_order(row)
    blank = int(row.double_sided)
    for count, (number, document) in enumerate(rows, 1):
        try:
            reader = PdfReader(io.BytesIO(render_document(document)))
        except (RenderError, UserError) as error:
            held[number] = str(error)
            continue
        writer.append(reader, outline_item=document.number)
        pages[number] = len(reader.pages)
        if blank and len(reader.pages) % 2:
            writer.add_blank_page()
        lines.append(_line(document, len(reader.pages)))
        if count % TOLD_EACH == 0:
            end_reading()
            _say(row.id, made=count)
    end_reading()
    if lines:
        cover = PdfReader(io.BytesIO(html_to_pdf(_cover(row, lines))))
        writer.merge(0, cover, outline_item=gettext("List"))
        if blank and len(cover.pages) % 2:
            writer.insert_blank_page(index=len(cover.pages))
    out = io.BytesIO()
    writer.write(out)
    _finish(row.id, store().put(out.getvalue()) if lines else "", len(writer.pages), pages, held)


def _in_order(row: Print) -> list[tuple[int, Document]]:
    """Return the documents of a print in its order, each with the id of its dispatch."""
    query = (
        select(Dispatch)
        .where(Dispatch.print_id == row.id, Dispatch.state == DispatchState.DUE)
        .order_by(Dispatch.position)
    )
    found = [(one.id, one.document) for one in db.session.scalars(query) if one.document is not None]
    if row.sorted_by is PrintOrder.POSTCODE:
        found.sort(key=lambda pair: _place(pair[1].partner))  # stable: within one place as in the list
    return found


def _place(partner: Partner | None) -> tuple[str, str]:
    return (partner.country, partner.zip_code.replace(" ", "").upper()) if partner is not None else ("", "")


def _line(document: Document, pages: int) -> Line:
    partner = document.partner
    name = customer_of(partner).name if partner is not None else ""
    return Line(
        document.number, name, partner.zip_code if partner else "", partner.city if partner else "", pages
    )


def _cover(row: Print, lines: Sequence[Line]) -> str:
    return render_template("distribution/pdf/cover.html", row=row, lines=lines, now=clock.now())


def _say(print_id: int, **values: object) -> None:
    with transaction() as session:
        session.execute(
            update(Print)
            .where(Print.id == print_id, Print.state == PrintState.MAKING)
            .values(touched_at=clock.now(), **values)
        )


def _finish(print_id: int, sha256: str, count: int, pages: dict[int, int], held: dict[int, str]) -> None:
    with transaction() as session:
        row = session.get_one(Print, print_id, with_for_update=True, populate_existing=True)
        if row.state is not PrintState.MAKING:
            return
        row.state = PrintState.READY if sha256 else PrintState.FAILED
        row.sha256, row.pages, row.made, row.touched_at = sha256, count, len(pages), clock.now()
        for one in session.scalars(select(Dispatch).where(Dispatch.print_id == print_id)):
            one.pages = pages.get(one.id, 0)
            if one.id in held and one.state is DispatchState.DUE:
                one.state, one.detail, one.at = DispatchState.HELD, held[one.id][:500], clock.now()


def resume_lost() -> None:
    """Ask again for prints whose worker has died."""
    left = select(Print).where(Print.state == PrintState.MAKING, lost(Print.touched_at, LOST_AFTER)).limit(20)
    with transaction() as session:
        for row in session.scalars(left):
            row.touched_at = clock.now()
            enqueue_after_commit("distribution.print", row.id)


def forget_old() -> None:
    """Let go of PDFs that are older than `KEEP`, and of prints that nobody has made.

    The store forgets a day later what nothing refers to.
    """
    old = Print.touched_at < clock.now() - KEEP
    with transaction() as session:
        rows = list(
            session.scalars(
                select(Print).where(old, or_(Print.sha256 != "", Print.state == PrintState.CHOSEN)).limit(200)
            )
        )
        for row in rows:
            row.sha256, row.state = "", PrintState.FAILED


# -- printed ------------------------------------------------------------------------------------------------


def mark(row: Print, by: User) -> int:
    """Mark what is in a PDF as printed, and return how many documents that are.

    Raises:
        UserError: The PDF is not ready, or was marked already.
    """
    with transaction() as session:
        locked = session.get_one(Print, row.id, with_for_update=True, populate_existing=True)
        if locked.state is not PrintState.READY or locked.printed_at is not None:
            raise UserError(_l("This is not ready, or was marked as printed already."))
        locked.printed_at = clock.now()
        return _turn(locked, DispatchState.DUE, DispatchState.DONE, by)


def take_back(row: Print, by: User) -> int:
    """Take it back that something was printed: it waits again; return how many documents that are."""
    with transaction() as session:
        locked = session.get_one(Print, row.id, with_for_update=True, populate_existing=True)
        locked.printed_at = None
        return _turn(locked, DispatchState.DONE, DispatchState.DUE, by)


def _turn(row: Print, before: DispatchState, after: DispatchState, by: User) -> int:
    with transaction() as session:
        found = session.scalars(
            select(Dispatch)
            .where(Dispatch.print_id == row.id, Dispatch.state == before, Dispatch.pages > 0)
            .with_for_update()
        ).all()
        for one in found:
            one.state, one.at, one.by_user_id = after, clock.now(), by.id
    return len(found)
