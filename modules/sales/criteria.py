"""Criteria for lists of customers: who has bought what and when, and who has not for a long time."""

from __future__ import annotations

import datetime as dt

from flask_babel import gettext
from flask_wtf import FlaskForm
from sqlalchemy import ColumnElement, and_, func, not_, or_, select, union_all
from sqlalchemy.orm import aliased
from wtforms import BooleanField, DateField

from core.auth.models import User
from core.auth.permissions import within_reach
from core.db import db
from core.documents.models import Document
from core.i18n import format_date
from core.i18n import lazy_gettext as _l
from core.partners.lists.criteria import Criterion, Values, day_of, id_of
from core.partners.lists.own_criteria import PeriodForm, period_words
from core.partners.models import Partner
from core.pickers import ProductField
from core.products.models import Product
from core.products.service import product_label
from core.web.forms import required
from modules.sales.models import Invoice, Line, Order
from modules.sales.queries import READ
from modules.sales.states import INVOICE, ORDER, InvoiceState, OrderState


class BoughtForm(PeriodForm):
    """What was bought, and when."""

    product_id = ProductField(_l("Product"), description=_l("Empty: anything"))


class NoOrderForm(FlaskForm):  # type: ignore[misc]
    """Since when nothing was ordered."""

    day = DateField(_l("Since"), required())
    customers = BooleanField(_l("Only who has ordered before"), default=True)


def _buyers(user: User, *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return the condition for customers whom orders and issued invoices name, themselves or by one of their contacts.

    Args:
        user: Who asks; documents out of their reach count for nothing.
        conditions: What else holds of the documents, over `Document`.
    """
    # What was confirmed or issued is nearly all: what was not is the shorter list, and an index has it. What was only
    # offered is of another kind.
    not_ordered = select(Order.document_id).where(Order.state == OrderState.CANCELED)
    not_issued = select(Invoice.document_id).where(
        Invoice.state.in_([InvoiceState.DRAFT, InvoiceState.CANCELED])
    )
    # Nobody is 0. Computed, so that SQLite does not walk all documents by the index of their partners for the sake of
    # DISTINCT, where the index of kind and date has what is asked for.
    partner_id = func.coalesce(Document.partner_id, 0)
    named = [
        select(partner_id)
        .where(
            Document.kind == kind,
            Document.id.not_in(idle),
            within_reach(user, READ, owner=Document.owner_id, company=Document.company_id),
            *conditions,
        )
        # However many orders there are: PostgreSQL keeps what it expects to fit into its memory, and no more.
        .distinct()
        for kind, idle in ((ORDER, not_ordered), (INVOICE, not_issued))
    ]
    buyers = union_all(*named)
    contact = aliased(Partner)
    # Where nobody has bought by a contact, they are not looked for twice: what is computed leads to no row.
    of_contact = func.coalesce(contact.id, 0).in_(buyers)
    customers = select(contact.parent_id).where(contact.parent_id.is_not(None), of_contact)
    return or_(Partner.id.in_(buyers), Partner.id.in_(customers))


def _bought(values: Values, user: User) -> ColumnElement[bool]:
    first, last = day_of(values, "first"), day_of(values, "last")
    conditions: list[ColumnElement[bool]] = []
    if first:
        conditions.append(Document.date >= first)
    if last:
        conditions.append(Document.date <= last)
    product_id = id_of(values, "product_id")
    if product_id:
        lines = select(Line.document_id).where(Line.product_id == product_id)
        conditions.append(Document.id.in_(lines))
    return _buyers(user, *conditions)


def _bought_words(values: Values) -> str:
    product_id = id_of(values, "product_id")
    if product_id:
        product = db.session.get(Product, product_id)
        what = product_label(product) if product is not None else gettext("a product that is gone")
    else:
        what = gettext("anything")
    when = period_words(values)
    return f"{what}, {when}" if when else str(what)


bought = Criterion(BoughtForm, _bought, _bought_words)


def _no_order(values: Values, user: User) -> ColumnElement[bool]:
    day = _since(values)
    since = not_(_buyers(user, Document.date >= day))
    return and_(since, _buyers(user, Document.date < day)) if values["customers"] else since


def _since(values: Values) -> dt.date:
    day = day_of(values, "day")
    if day is None:
        raise ValueError("no day")  # the form demands it
    return day


def _no_order_words(values: Values) -> str:
    return str(format_date(_since(values), "medium"))


no_order_since = Criterion(NoOrderForm, _no_order, _no_order_words)
