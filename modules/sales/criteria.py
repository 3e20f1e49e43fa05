"""Criteria for lists of customers: who has bought what and when, and who has not for a long time."""

from __future__ import annotations

from typing import Any

from flask_babel import format_date, gettext
from flask_wtf import FlaskForm
from sqlalchemy import ColumnElement, Select, and_, exists, or_, select
from wtforms import BooleanField, DateField

from core.auth.models import User
from core.auth.permissions import within_reach
from core.db import db
from core.documents.models import Document
from core.i18n import lazy_gettext as _l
from core.partners.lists.criteria import Criterion, Values, day_of
from core.partners.lists.own_criteria import PeriodForm, period_words
from core.partners.models import Partner
from core.pickers import ProductField
from core.products.models import Product
from core.products.service import product_label
from core.web.forms import required
from modules.sales.models import Invoice, Line
from modules.sales.queries import READ
from modules.sales.states import INVOICE, ORDER, InvoiceState


class BoughtForm(PeriodForm):
    """What was bought, and when."""

    product_id = ProductField(_l("Product"), description=_l("Empty: anything"))


class NoOrderForm(FlaskForm):  # type: ignore[misc]
    """Since when nothing was ordered."""

    day = DateField(_l("Since"), required())
    customers = BooleanField(_l("Only who has ordered before"), default=True)


def _buyers(user: User) -> Select[Any]:
    """Return the customers or contacts whom orders and issued invoices in the reach of a user name."""
    issued = exists().where(Invoice.document_id == Document.id, Invoice.state == InvoiceState.POSTED)
    return select(Document.partner_id).where(
        Document.partner_id.is_not(None),
        # A quotation that was confirmed is an order; one that is canceled is neither.
        or_(Document.kind == ORDER, and_(Document.kind == INVOICE, issued)),
        within_reach(user, READ, owner=Document.owner_id, company=Document.company_id),
    )


def _among(buyers: Select[Any]) -> ColumnElement[bool]:
    """Return the condition for customers who are among some buyers, themselves or by one of their contacts."""
    named = buyers.subquery()
    contact = Partner.__table__.alias()
    customers = (
        select(contact.c.parent_id)
        .join(named, named.c.partner_id == contact.c.id)
        .where(contact.c.parent_id.is_not(None))
    )
    return or_(Partner.id.in_(select(named.c.partner_id)), Partner.id.in_(customers))


def _bought(values: Values, user: User) -> ColumnElement[bool]:
    buyers = _buyers(user)
    first, last = day_of(values, "first"), day_of(values, "last")
    if first:
        buyers = buyers.where(Document.date >= first)
    if last:
        buyers = buyers.where(Document.date <= last)
    if values["product_id"]:
        lines = select(Line.document_id).where(Line.product_id == values["product_id"])
        buyers = buyers.where(Document.id.in_(lines))
    return _among(buyers)


def _bought_words(values: Values) -> str:
    product = db.session.get(Product, values["product_id"]) if values["product_id"] else None
    if values["product_id"]:
        what = product_label(product) if product is not None else gettext("a product that is gone")
    else:
        what = gettext("anything")
    when = period_words(values)
    return f"{what}, {when}" if when else str(what)


bought = Criterion(BoughtForm, _bought, _bought_words)


def _no_order(values: Values, user: User) -> ColumnElement[bool]:
    day = day_of(values, "day")
    buyers = _buyers(user)
    since = ~_among(buyers.where(Document.date >= day))
    return and_(since, _among(buyers.where(Document.date < day))) if values["customers"] else since


def _no_order_words(values: Values) -> str:
    day = day_of(values, "day")
    assert day is not None  # noqa: S101 (the form demands it)
    return str(format_date(day, "medium"))


no_order_since = Criterion(NoOrderForm, _no_order, _no_order_words)
