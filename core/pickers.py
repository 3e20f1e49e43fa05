"""Fields of forms that find a customer, a product or a colleague while somebody types.

One line in a form is enough: `partner_id = PartnerField(_l("Customer"), required())`. Its data is the id of the row,
its `row` the row itself. The page needs no script of its own.
"""

from __future__ import annotations

from typing import Any

from flask import url_for
from flask_babel import gettext
from sqlalchemy import select

from core.auth.models import User, user_company
from core.auth.permissions import signed_in_user
from core.auth.service import companies_of
from core.companies.service import current_company
from core.db import db
from core.partners.models import Partner
from core.products.models import Product
from core.products.service import product_label
from core.web.search_field import SearchField


class PartnerField(SearchField):
    """A customer; customers are everybody's, so there is no reach.

    Args:
        contacts: True where a contact of a customer, or a delivery address, can be chosen as well.
    """

    def __init__(
        self, label: Any = None, validators: Any = None, *, contacts: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(label, validators, **kwargs)
        self.contacts = contacts

    def find(self, number: int) -> Partner | None:
        """Return a partner by id."""
        return db.session.get(Partner, number)

    def label_of(self, row: Partner) -> str:
        """Return the name."""
        return row.name

    def address(self) -> str:
        """Return the search among customers."""
        return url_for("core.people", only="partners" if self.contacts else "customers")

    def missing(self) -> str:
        """Return the sentence about a customer who is gone."""
        return str(gettext("This customer does not exist any more."))

    def why_not(self, row: Partner) -> str:
        """Refuse an archived customer and, where customers are wanted, a contact."""
        if not row.active:
            return str(gettext("%(name)s is archived. Choose another customer.", name=row.name))
        if row.parent_id is not None and not self.contacts:
            return str(gettext("%(name)s is a contact. Choose a customer.", name=row.name))
        return ""


class _OfCompany(SearchField):
    """A row that a company has.

    Attributes:
        company_id: The company; unless a view sets it, the one that the user works for at the moment.
    """

    company_id: int | None = None

    def company(self) -> int:
        """Return the company whose rows can be chosen; 0, which none has, where the user does not work for it."""
        user = signed_in_user()
        wanted = self.company_id if self.company_id is not None else current_company(user).id
        return wanted if wanted in companies_of(user) else 0


class ProductField(_OfCompany):
    """A product that a company sells."""

    def find(self, number: int) -> Product | None:
        """Return a product of the company by id."""
        theirs = Product.company_id.is_(None) | (Product.company_id == self.company())
        return db.session.scalar(select(Product).where(Product.id == number, theirs))

    def label_of(self, row: Product) -> str:
        """Return code and name."""
        return product_label(row)

    def address(self) -> str:
        """Return the search among the products of the company."""
        return url_for("core.pick_products", company_id=self.company())

    def missing(self) -> str:
        """Return the sentence about a product that is gone."""
        return str(gettext("This product does not exist any more. Choose another."))

    def why_not(self, row: Product) -> str:
        """Refuse an archived product."""
        return (
            "" if row.active else str(gettext("%(name)s is archived. Choose another product.", name=row.name))
        )


class UserField(_OfCompany):
    """A colleague who works for a company."""

    def find(self, number: int) -> User | None:
        """Return a colleague by id."""
        works = select(user_company.c.user_id).where(user_company.c.company_id == self.company())
        return db.session.scalar(select(User).where(User.id == number, User.id.in_(works)))

    def label_of(self, row: User) -> str:
        """Return the name."""
        return row.name

    def address(self) -> str:
        """Return the search among the colleagues of the company."""
        return url_for("core.pick_users", company_id=self.company())

    def missing(self) -> str:
        """Return the sentence about somebody who is gone."""
        return str(gettext("This colleague does not work for the company any more. Choose another."))

    def why_not(self, row: User) -> str:
        """Refuse somebody who was deactivated."""
        return (
            ""
            if row.active
            else str(gettext("%(name)s is deactivated. Choose another colleague.", name=row.name))
        )
