"""Fields of forms that find a customer, a product or a colleague while somebody types, or say which company it is for.

One line in a form is enough: `partner_id = PartnerField(_l("Customer"), required())`. Its data is the id of the row,
its `row` the row itself. The page needs no script of its own.
"""

from __future__ import annotations

from typing import Any

from flask import url_for
from flask_babel import gettext
from sqlalchemy import select
from wtforms import SelectChoice, SelectField

from core.auth.models import User, user_company
from core.auth.permissions import signed_in_user
from core.auth.service import companies_of
from core.companies.models import Company
from core.companies.service import companies_for, current_company
from core.db import db
from core.partners.models import Partner
from core.partners.reach import partner_for
from core.products.models import Product
from core.products.service import of_company, product_label
from core.web.search_field import SearchField


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


class PartnerField(_OfCompany):
    """A customer whom the user reaches, and who is not another company's.

    The one that the form was opened with is found in any case: a document goes on naming its customer.

    Args:
        contacts: True where a contact of a customer, or a delivery address, can be chosen as well.
        of_company: False where the customers of every company of the user can be chosen.
    """

    def __init__(
        self,
        label: Any = None,
        validators: Any = None,
        *,
        contacts: bool = False,
        of_company: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(label, validators, **kwargs)
        self.contacts = contacts
        self.of_company = of_company

    def _company_or_none(self) -> int | None:
        return self.company() if self.of_company else None

    def find(self, number: int) -> Partner | None:
        """Return a partner by id."""
        if number == self.object_data:
            return db.session.get(Partner, number)
        return partner_for(signed_in_user(), number, company_id=self._company_or_none())

    def label_of(self, row: Partner) -> str:
        """Return the name."""
        return row.name

    def address(self) -> str:
        """Return the search among customers."""
        only = "partners" if self.contacts else "customers"
        return url_for("core.people", only=only, company_id=self._company_or_none())

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


class ProductField(_OfCompany):
    """A product that a company sells."""

    def find(self, number: int) -> Product | None:
        """Return a product of the company by id."""
        theirs = of_company(Product, self.company())
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


def _number(value: object) -> int | None:
    return int(str(value or 0)) or None


class CompanyField(SelectField):  # type: ignore[misc]
    """The company that a row of the configuration is for, by its id; None where it is for all.

    Archived companies are not offered, but for the one that the form was opened with: saving would take it away.

    Args:
        everybody: False where a row is always one company's.
    """

    def __init__(
        self, label: Any = None, validators: Any = None, *, everybody: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(label, validators, coerce=_number, choices=self._offered, **kwargs)
        self.type = "SelectField"  # how the macros show it
        self.everybody = everybody

    def _offered(self) -> list[SelectChoice]:
        offered = Company.active | (Company.id == _number(self.object_data))
        rows = db.session.execute(select(Company.id, Company.name).where(offered).order_by(Company.name))
        return [
            *([SelectChoice("", gettext("All companies"))] if self.everybody else []),
            *(SelectChoice(str(number), name) for number, name in rows),
        ]


class ReachField(SelectField):  # type: ignore[misc]
    """Whose a row of a shared table is: everybody's, a company's or somebody's own.

    Its data is a text; `columns` are what is stored, `said` is what is stored as a text. A view calls `offer`.
    """

    def __init__(self, label: Any = None, validators: Any = None, **kwargs: Any) -> None:
        super().__init__(label, validators, choices=(), **kwargs)
        self.type = "SelectField"  # how the macros show it

    @staticmethod
    def text_of(*, company_id: int | None, owner_id: int | None) -> str:
        """Return what is stored as the text of the field."""
        if company_id is not None:
            return f"company-{company_id}"
        return f"user-{owner_id}" if owner_id is not None else "all"

    @property
    def columns(self) -> dict[str, int | None]:
        """What is stored: `company_id` and `owner_id`, one of them at most."""
        kind, _, number = str(self.data or "all").partition("-")
        return {
            "company_id": int(number) if kind == "company" else None,
            "owner_id": int(number) if kind == "user" else None,
        }

    def offer(self, user: User, *, everybody: bool = True, present: User | None = None) -> None:
        """Set what can be chosen: everybody, each company of the user, the user alone, and who keeps it now.

        Args:
            user: Who chooses.
            everybody: False to leave out all companies.
            present: Who keeps the row now, or None.
        """
        companies = [(f"company-{row.id}", row.name) for row in companies_for(user)]
        keepers = {user.id: gettext("Only me")}
        if present is not None and present.id != user.id:
            keepers[present.id] = gettext("Only %(name)s", name=present.name)
        self.choices = [
            *([("all", gettext("All companies"))] if everybody else []),
            *companies,
            *((f"user-{number}", title) for number, title in keepers.items()),
        ]

    def keep(self, company: Company | None) -> None:
        """Offer the company that a row has now, where the user does not work there."""
        if company is not None and f"company-{company.id}" not in dict(self.choices):
            self.choices.append((f"company-{company.id}", company.name))
