"""Quotations and orders."""

from __future__ import annotations

from functools import partial

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from core.auth.permissions import requires, signed_in_user
from core.i18n import gettext
from core.web.record_form import record_form
from modules.sales import queries
from modules.sales.forms import QuotationForm
from modules.sales.models import Order
from modules.sales.service import invoices as invoice_service
from modules.sales.service import orders as service
from modules.sales.service.lines import LineValues
from modules.sales.states import ORDER, OrderState
from modules.sales.views.blueprint import blueprint
from modules.sales.views.editor import Editor, ask_about_former, company_of_form
from modules.sales.views.shared import seen_revision, shown_in_form, shown_on_page, typed_in_form


def _editable(document_id: int) -> Order:
    return queries.get_order(signed_in_user(), document_id, queries.EDIT) or abort(404)


def _page_of(order: Order) -> ResponseReturnValue:
    return redirect(url_for("sales.order", document_id=order.document_id))


def list_of(order: Order) -> tuple[str, str]:
    """Return title and address of the list that an order stands in, for the path."""
    if order.document.kind == ORDER:
        return gettext("Orders"), url_for("sales.orders")
    return gettext("Quotations"), url_for("sales.quotations")


@blueprint.get("/orders/<int:document_id>")
@requires(queries.READ)
def order(document_id: int) -> ResponseReturnValue:
    """Show a quotation or an order."""
    user = signed_in_user()
    row = queries.get_order(user, document_id) or abort(404)
    return render_template(
        "sales/order.html",
        order=row,
        invoice=service.invoice_of(row),
        **shown_on_page(row),
        crumbs=[list_of(row)],
    )


def _values(form: QuotationForm, lines: list[LineValues]) -> service.QuotationValues:
    return service.QuotationValues(
        validity_date=form.validity_date.data,
        delivery_date=form.delivery_date.data,
        **typed_in_form(form, lines),
    )


@blueprint.route("/quotations/new", methods=["GET", "POST"])
@requires(queries.EDIT)
def quotation_new() -> ResponseReturnValue:
    """Write a quotation."""
    company = company_of_form()
    today = company.today
    form = QuotationForm(date=today, validity_date=today + service.VALID_FOR, company_id=company.id)
    if request.method == "GET":
        form.partner_id.data = request.args.get("partner_id", type=int)
    editor = Editor(form, company, None)
    made: list[Order] = []
    user = signed_in_user()
    if editor.submit(
        lambda lines: made.append(service.create_quotation(company, _values(form, lines), user))
    ):
        return _page_of(made[0])
    return editor.page(gettext("New quotation"), [(gettext("Quotations"), url_for("sales.quotations"))])


def _form(row: Order, **how: None) -> QuotationForm:
    document = row.document
    form = QuotationForm(
        date=document.date,
        validity_date=row.validity_date,
        delivery_date=row.delivery_date,
        **shown_in_form(row),
        **how,
    )
    form.of_company(document.company_id)
    return form


@blueprint.route("/orders/<int:document_id>/edit", methods=["GET", "POST"])
@requires(queries.EDIT)
def order_edit(document_id: int) -> ResponseReturnValue:
    """Change a quotation."""
    row = _editable(document_id)
    document = row.document
    if request.method == "GET" and row.state is not OrderState.QUOTATION:
        flash(
            gettext("Only a quotation can be edited. Cancel the order and make it a quotation again."),
            "warning",
        )
        return _page_of(row)
    # The service locks the document and compares its revision.
    form = record_form(document, partial(_form, row), locked=())
    ask_about_former(form, document)
    editor = Editor(form, document.company, document)
    user = signed_in_user()
    if editor.submit(
        lambda lines: service.change_quotation(
            row, _values(form, lines), user, seen_revision=form.seen_revision
        )
    ):
        return _page_of(row)
    crumbs = [list_of(row), (document.number, url_for("sales.order", document_id=document_id))]
    return editor.page(gettext("Edit"), crumbs)


@blueprint.post("/orders/<int:document_id>/confirm")
@requires(queries.EDIT)
def order_confirm(document_id: int) -> ResponseReturnValue:
    """Make an order of a quotation."""
    row = _editable(document_id)
    service.confirm(row, signed_in_user(), seen_revision=seen_revision())
    flash(gettext("%(number)s is an order now.", number=row.document.number), "success")
    return _page_of(row)


@blueprint.post("/orders/<int:document_id>/cancel")
@requires(queries.EDIT)
def order_cancel(document_id: int) -> ResponseReturnValue:
    """Cancel a quotation or an order."""
    row = _editable(document_id)
    service.cancel(row, seen_revision=seen_revision())
    flash(gettext("%(number)s was canceled. You can make it a quotation again.", number=row.document.number))
    return _page_of(row)


@blueprint.post("/orders/<int:document_id>/reopen")
@requires(queries.EDIT)
def order_reopen(document_id: int) -> ResponseReturnValue:
    """Make a quotation again of what was canceled."""
    row = _editable(document_id)
    service.reopen(row, seen_revision=seen_revision())
    return _page_of(row)


@blueprint.post("/orders/<int:document_id>/duplicate")
@requires(queries.EDIT)
def order_duplicate(document_id: int) -> ResponseReturnValue:
    """Make a new quotation like this one."""
    row = _editable(document_id)
    copy = service.duplicate(row, signed_in_user())
    flash(
        gettext("This is a copy of %(number)s, with a number of its own.", number=row.document.number),
        "success",
    )
    return _page_of(copy)


@blueprint.post("/orders/<int:document_id>/invoice")
@requires(queries.EDIT)
def order_invoice(document_id: int) -> ResponseReturnValue:
    """Make the draft invoice of an order."""
    row = _editable(document_id)
    invoice = invoice_service.invoice_order(row, signed_in_user(), seen_revision=seen_revision())
    flash(gettext("Check the draft, then issue it."), "success")
    return redirect(url_for("sales.invoice", document_id=invoice.document_id))
