"""The lists of quotations, orders, invoices and credit notes."""

from __future__ import annotations

from flask import render_template, request
from flask.typing import ResponseReturnValue

from core.auth.permissions import requires, signed_in_user
from core.i18n import gettext
from core.web.listing import paginate
from modules.sales import queries
from modules.sales.states import CREDIT_NOTE, INVOICE, INVOICE_KINDS, ORDER, QUOTATION
from modules.sales.views.blueprint import blueprint


def _list(kind: str, title: str) -> ResponseReturnValue:
    user = signed_in_user()
    page = paginate(queries.documents(user, kind), queries.list_spec(user, kind))
    return render_template(
        "sales/documents.html",
        page=page,
        title=title,
        kind=kind,
        endpoint="sales.invoice" if kind in INVOICE_KINDS else "sales.order",
        list_name=request.endpoint,
        rows=queries.states_of(kind, page.rows),
        invoiced=queries.invoiced(page.rows) if kind == ORDER else set(),
    )


@blueprint.get("/quotations")
@requires(queries.READ)
def quotations() -> ResponseReturnValue:
    """List quotations."""
    return _list(QUOTATION, gettext("Quotations"))


@blueprint.get("/orders")
@requires(queries.READ)
def orders() -> ResponseReturnValue:
    """List orders."""
    return _list(ORDER, gettext("Orders"))


@blueprint.get("/invoices")
@requires(queries.READ)
def invoices() -> ResponseReturnValue:
    """List invoices."""
    return _list(INVOICE, gettext("Invoices"))


@blueprint.get("/credit-notes")
@requires(queries.READ)
def credit_notes() -> ResponseReturnValue:
    """List credit notes."""
    return _list(CREDIT_NOTE, gettext("Credit notes"))
