"""Tickets: the list, one ticket, its refund."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from decimal import Decimal

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from core.auth.models import User
from core.auth.permissions import requires, signed_in_user
from core.documents.following import follower_panel
from core.errors import UserError
from core.i18n import gettext
from core.numbers import read_decimal
from core.web.formats import money, number
from core.web.listing import paginate
from modules.pos import queries
from modules.pos.models import Register, Ticket
from modules.pos.service.cashiers import cashiers_of, take_over
from modules.pos.service.registers import methods_of, open_session_of
from modules.pos.service.returns import amounts_for, refundable
from modules.pos.service.ticket_totals import totals_of
from modules.pos.service.tickets import change_format, refund
from modules.pos.states import FORMAT_TITLES, ReceiptFormat
from modules.pos.views.blueprint import blueprint
from modules.pos.views.shift import cashiers_at


@blueprint.get("/tickets")
@requires(queries.READ)
def tickets() -> ResponseReturnValue:
    """List the tickets."""
    user = signed_in_user()
    page = paginate(queries.tickets_for(user), queries.ticket_spec(user))
    return render_template("pos/tickets.html", page=page, rows=queries.rows_of(page.rows))


def _ticket(document_id: int, permission: str = queries.READ) -> Ticket:
    return queries.ticket_for(signed_in_user(), document_id, permission) or abort(404)


@blueprint.get("/tickets/<int:document_id>")
@requires(queries.READ)
def ticket(document_id: int) -> ResponseReturnValue:
    """Show a ticket."""
    row = _ticket(document_id)
    document, lines = row.document, row.lines
    left = refundable(row)
    return render_template(
        "pos/ticket.html",
        ticket=row,
        document=document,
        lines=lines,
        payments=row.payments,
        totals=totals_of(row),
        formats=FORMAT_TITLES,
        panel=follower_panel(document),
        may_refund=not row.is_refund and any(left.values()) and signed_in_user().can(queries.USE),
        crumbs=[(gettext("Receipts"), url_for("pos.tickets"))],
    )


@blueprint.post("/tickets/<int:document_id>/format")
@requires(queries.USE)
def ticket_format(document_id: int) -> ResponseReturnValue:
    """Print a ticket on other paper from now on, and show it so."""
    row = _ticket(document_id, queries.USE)
    try:
        change_format(row, ReceiptFormat(request.form.get("format", "")))
    except ValueError:
        abort(400)
    return redirect(url_for("core.document_pdf", document_id=document_id))


@blueprint.route("/tickets/<int:document_id>/refund", methods=["GET", "POST"])
@requires(queries.USE)
def ticket_refund(document_id: int) -> ResponseReturnValue:
    """Take goods of a ticket back."""
    row = _ticket(document_id, queries.USE)
    user, left = signed_in_user(), refundable(row)
    registers = [
        register
        for register in queries.registers_for(user)
        if register.company_id == row.document.company_id and open_session_of(register.id) is not None
    ]
    methods = methods_of(row.document.company_id)
    shifts = cashiers_at(registers)
    errors: dict[str, str] = {}
    typed = _typed(row)
    if request.method == "GET" and "everything" in request.args:
        typed = {line.id: number(left[line.id]) if left[line.id] else "" for line in row.lines}
    quantities = _quantities(typed, errors)
    if request.method == "POST":
        register = next((r for r in registers if str(r.id) == request.form.get("register")), None)
        method = next((m for m in methods if str(m.id) == request.form.get("method")), None)
        if errors or register is None or method is None:
            flash(gettext("Please correct the marked fields."), "danger")
        else:
            try:
                cashier = _cashier(register, shifts.get(register.id, user))
                made = refund(row, quantities, register, method, cashier, request.form.get("token", "")[:36])
            except UserError as error:
                if error.field == "pin":
                    errors["pin"] = str(error.message)
                flash(str(error.message), "danger")
            else:
                flash(gettext("%(number)s takes it back.", number=made.document.number), "success")
                return redirect(url_for("pos.ticket", document_id=made.document_id))
    at = next((register for register in registers if register.id == row.register_id), None)
    page = render_template(
        "pos/refund.html",
        ticket=row,
        document=row.document,
        left=left,
        registers=registers,
        methods=methods,
        paid_by=max(row.payments, key=lambda payment: payment.amount).method_id if row.payments else None,
        cashiers=_cashiers(user, registers),
        known=[shifts.get(at.id, user).id if at is not None else user.id],
        chosen=request.form.get("cashier", str(shifts.get(at.id, user).id if at is not None else user.id)),
        typed=typed,
        comes_to=_comes_to(row, left, quantities),
        errors=errors,
        token=request.form.get("token") or str(uuid.uuid4()),
        crumbs=[
            (gettext("Receipts"), url_for("pos.tickets")),
            (row.document.number, url_for("pos.ticket", document_id=document_id)),
        ],
    )
    return page, 422 if request.method == "POST" else 200


@blueprint.post("/tickets/<int:document_id>/refund/sum")
@requires(queries.USE)
def ticket_refund_sum(document_id: int) -> ResponseReturnValue:
    """Say what the quantities that stand in the form come to, while somebody types."""
    row = _ticket(document_id, queries.USE)
    return _comes_to(row, refundable(row), _quantities(_typed(row), {}))


def _typed(ticket: Ticket) -> dict[int, str]:
    """Return what stands in the field of each line."""
    return {line.id: request.form.get(f"line-{line.id}", "").strip() for line in ticket.lines}


def _comes_to(ticket: Ticket, left: Mapping[int | None, Decimal], quantities: Mapping[int, Decimal]) -> str:
    """Return what goes back for quantities of the lines, or a dash where that many cannot be taken back."""
    if any(quantity > left[line] for line, quantity in quantities.items()):
        return "–"
    return money(sum(amounts_for(ticket, quantities).values(), Decimal(0)), ticket.document.currency)


def _quantities(typed: Mapping[int, str], errors: dict[str, str]) -> dict[int, Decimal]:
    """Return what was typed for each line; what is no quantity is added to the errors, and is none."""
    quantities: dict[int, Decimal] = {}
    for line, text in typed.items():
        try:
            quantity = read_decimal(text, 3) if text else Decimal(0)
            if quantity < 0:
                raise ValueError(gettext("A quantity of 0 or more is needed."))
        except ValueError as error:
            errors[f"line-{line}"] = str(error)
        else:
            quantities[line] = quantity
    return quantities


def _cashiers(user: User, registers: Sequence[Register]) -> list[User]:
    """Return those who may take goods back here: the person signed in, then whoever has a PIN."""
    others = cashiers_of(registers[0]) if registers else []
    return [user, *(one for one in others if one.id != user.id)]


def _cashier(register: Register, there: User) -> User:
    """Return who takes goods back: whoever sells at the register, or who proves by a PIN to stand there.

    Raises:
        UserError: The PIN is wrong.
    """
    wanted = request.form.get("cashier", str(there.id))
    if wanted == str(there.id):
        return there
    number = int(wanted) if wanted.isascii() and wanted.isdigit() else 0
    return take_over(register, number, request.form.get("pin", ""))[0]
