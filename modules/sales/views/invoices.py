"""Invoices and credit notes."""

from __future__ import annotations

from functools import partial

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from core.auth.permissions import requires, signed_in_user
from core.i18n import gettext
from core.web.record_form import record_form
from modules.sales import queries
from modules.sales.forms import InvoiceForm
from modules.sales.models import FrozenError, Invoice
from modules.sales.service import invoices as service
from modules.sales.service.lines import LineValues
from modules.sales.service.orders import invoice_of
from modules.sales.states import InvoiceState
from modules.sales.views.blueprint import blueprint
from modules.sales.views.editor import Editor, ask_about_former, company_of_form
from modules.sales.views.shared import seen_revision, shown_in_form, shown_on_page, typed_in_form


def _editable(document_id: int) -> Invoice:
    return queries.get_invoice(signed_in_user(), document_id, queries.EDIT) or abort(404)


def _page_of(invoice: Invoice) -> ResponseReturnValue:
    return redirect(url_for("sales.invoice", document_id=invoice.document_id))


def list_of(invoice: Invoice) -> tuple[str, str]:
    """Return title and address of the list that an invoice stands in, for the path."""
    if invoice.is_credit_note:
        return gettext("Credit notes"), url_for("sales.credit_notes")
    return gettext("Invoices"), url_for("sales.invoices")


@blueprint.get("/invoices/<int:document_id>")
@requires(queries.READ)
def invoice(document_id: int) -> ResponseReturnValue:
    """Show an invoice or a credit note."""
    user = signed_in_user()
    row = queries.get_invoice(user, document_id) or abort(404)
    return render_template(
        "sales/invoice.html",
        invoice=row,
        **shown_on_page(row),
        followed_by=invoice_of(row.order) if row.credited and row.order is not None else None,
        crumbs=[list_of(row)],
    )


def _values(form: InvoiceForm, lines: list[LineValues]) -> service.InvoiceValues:
    return service.InvoiceValues(
        due_date=form.due_date.data,
        **typed_in_form(form, lines),
    )


@blueprint.route("/invoices/new", methods=["GET", "POST"])
@requires(queries.EDIT)
def invoice_new() -> ResponseReturnValue:
    """Write an invoice without an order."""
    company = company_of_form()
    form = InvoiceForm(company_id=company.id)
    editor = Editor(form, company, None)
    made: list[Invoice] = []
    user = signed_in_user()
    if editor.submit(lambda lines: made.append(service.create_invoice(company, _values(form, lines), user))):
        return _page_of(made[0])
    return editor.page(gettext("New invoice"), [(gettext("Invoices"), url_for("sales.invoices"))])


def _form(row: Invoice, **how: None) -> InvoiceForm:
    document = row.document
    form = InvoiceForm(
        date=document.date if row.date_chosen else None,
        due_date=row.due_date,
        **shown_in_form(row),
        **how,
    )
    form.of_company(document.company_id)
    return form


@blueprint.route("/invoices/<int:document_id>/edit", methods=["GET", "POST"])
@requires(queries.EDIT)
def invoice_edit(document_id: int) -> ResponseReturnValue:
    """Change a draft."""
    row = _editable(document_id)
    document = row.document
    if request.method == "GET" and row.state is not InvoiceState.DRAFT:
        flash(
            str(FrozenError())
            if row.state is InvoiceState.POSTED
            else gettext("This document has been canceled."),
            "warning",
        )
        return _page_of(row)
    # The service locks the document and compares its revision.
    form = record_form(document, partial(_form, row), locked=())
    if row.reversed_id is None:
        ask_about_former(form, document)
    editor = Editor(form, document.company, document)
    user = signed_in_user()
    if editor.submit(
        lambda lines: service.change_invoice(
            row, _values(form, lines), user, seen_revision=form.seen_revision
        )
    ):
        return _page_of(row)
    crumbs = [list_of(row), (gettext("Draft"), url_for("sales.invoice", document_id=document_id))]
    return editor.page(gettext("Edit"), crumbs)


@blueprint.post("/invoices/<int:document_id>/post")
@requires(queries.EDIT)
def invoice_post(document_id: int) -> ResponseReturnValue:
    """Post a draft."""
    row = _editable(document_id)
    service.post(row, signed_in_user(), seen_revision=seen_revision())
    words = (
        gettext("Credit note %(number)s was issued.", number=row.document.number)
        if row.is_credit_note
        else gettext("Invoice %(number)s was issued.", number=row.document.number)
    )
    flash(words, "success")
    return _page_of(row)


@blueprint.post("/invoices/<int:document_id>/cancel")
@requires(queries.EDIT)
def invoice_cancel(document_id: int) -> ResponseReturnValue:
    """Cancel a draft."""
    row = _editable(document_id)
    service.cancel(row, seen_revision=seen_revision())
    flash(gettext("The draft was canceled. You can make it a draft again."))
    return _page_of(row)


@blueprint.post("/invoices/<int:document_id>/reopen")
@requires(queries.EDIT)
def invoice_reopen(document_id: int) -> ResponseReturnValue:
    """Make a draft again of a canceled one."""
    row = _editable(document_id)
    service.reopen(row, seen_revision=seen_revision())
    return _page_of(row)


@blueprint.post("/invoices/<int:document_id>/credit")
@requires(queries.EDIT)
def invoice_credit(document_id: int) -> ResponseReturnValue:
    """Make the draft credit note of a posted invoice."""
    row = _editable(document_id)
    note = service.create_credit_note(row, signed_in_user())
    flash(gettext("Check the draft: take out the lines that are not credited, then issue it."), "success")
    return _page_of(note)
