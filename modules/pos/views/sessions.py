"""Sessions: opened with cash, closed with the count."""

from __future__ import annotations

from decimal import Decimal

from flask import abort, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import func, select

from core.auth.permissions import requires, signed_in_user
from core.db import db
from core.documents.models import Document
from core.errors import UserError
from core.i18n import gettext
from core.i18n import lazy_gettext as _l
from core.web.formats import money
from core.web.forms import submit
from core.web.listing import paginate
from modules.pos import queries
from modules.pos.forms import CashForm, OpeningForm
from modules.pos.models import Payment, Session, Ticket
from modules.pos.service.registers import (
    SessionOpenError,
    UnexplainedDifferenceError,
    cash_in,
    close_session,
    last_count,
    open_session,
)
from modules.pos.states import SessionState
from modules.pos.views.blueprint import blueprint

SHOWN = 100  # tickets on the page of a session; the list has the others


@blueprint.get("/sessions")
@requires(queries.READ)
def sessions() -> ResponseReturnValue:
    """List the sessions."""
    page = paginate(queries.sessions_for(signed_in_user()), queries.SESSIONS)
    return render_template("pos/sessions.html", page=page)


@blueprint.route("/registers/<int:register_id>/open", methods=["GET", "POST"])
@requires(queries.USE)
def session_open(register_id: int) -> ResponseReturnValue:
    """Open a register, and go on to its till."""
    user = signed_in_user()
    row = queries.register_for(user, register_id) or abort(404)
    form = OpeningForm(meta={"currency": row.company.currency})
    if not form.is_submitted():
        form.opening_cash.data = last_count(row.id)

    def open_it() -> None:
        try:
            open_session(row, form.opening_cash.data or Decimal(0), user)
        except SessionOpenError:
            flash(gettext("Somebody has opened it meanwhile."), "info")

    if submit(form, open_it):
        return redirect(url_for("pos.till", register_id=row.id))
    crumbs = [(gettext("Tills"), url_for("pos.registers"))]
    title = gettext("Open %(name)s", name=row.name)
    return render_template("core/form.html", form=form, title=title, crumbs=crumbs, verb=gettext("Open"))


@blueprint.get("/sessions/<int:session_id>")
@requires(queries.READ)
def session(session_id: int) -> ResponseReturnValue:
    """Show a session: its tickets with what became of their mails, its payments, its cash."""
    row = queries.session_for(signed_in_user(), session_id) or abort(404)
    return _show(row, CashForm(meta={"currency": row.currency}))


@blueprint.post("/sessions/<int:session_id>")
@requires(queries.USE)
def session_close(session_id: int) -> ResponseReturnValue:
    """Close a session with the cash that was counted."""
    user = signed_in_user()
    row = queries.session_for(user, session_id, queries.USE) or abort(404)
    form = CashForm(meta={"currency": row.currency})

    def close() -> None:
        try:
            close_session(row, form.counted_cash.data or Decimal(0), user, note=form.note.data or "")
        except UnexplainedDifferenceError as error:
            amount = money(error.difference, row.currency)
            raise UserError(
                _l(
                    "It differs by %(amount)s from what should be there. Count again, or say why.",
                    amount=amount,
                ),
                "note",
            ) from error

    if submit(form, close):
        flash(gettext("The till is closed."), "success")
        return redirect(url_for("pos.session", session_id=row.id))
    db.session.refresh(row)
    return _show(row, form), 422


def _show(row: Session, form: CashForm) -> str:
    own = select(Ticket.document_id).where(Ticket.session_id == row.id)
    payments = db.session.execute(
        select(Payment.name, Payment.kind, func.count(), func.sum(Payment.amount))
        .where(Payment.document_id.in_(own))
        .group_by(Payment.name, Payment.kind)
        .order_by(Payment.kind, Payment.name)
    ).all()
    documents = list(
        db.session.scalars(
            select(Document).where(Document.id.in_(own)).order_by(Document.id.desc()).limit(SHOWN + 1)
        )
    )
    count, total = db.session.execute(
        select(func.count(), func.sum(Document.total)).where(Document.id.in_(own))
    ).one()
    return render_template(
        "pos/session.html",
        session=row,
        form=form,
        payments=payments,
        documents=documents[:SHOWN],
        more=len(documents) > SHOWN,
        rows=queries.rows_of(documents[:SHOWN]),
        count=count,
        total=total or 0,
        cash=cash_in(row),
        change=db.session.scalar(select(func.sum(Ticket.change)).where(Ticket.session_id == row.id)) or 0,
        may_close=row.state is SessionState.OPEN and signed_in_user().can(queries.USE),
    )
