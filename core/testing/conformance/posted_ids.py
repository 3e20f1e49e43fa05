"""An id inside a posted form is refused where it names what is another company's, and is answered without a name.

A clerk, who works for one company of the demonstration and has every permission with the reach `company`, opens each
page with a form, and posts it as it is but for one field that names a row: there stands a row of another company. No
row may refer to it then, and no answer may name it. A field names a row when it is called like a foreign key: with
whatever stands before a dot or hyphen, and with or without `_id` at its end.
"""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlsplit

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Column, Table, func, inspect, select

from core.auth.models import User, user_company
from core.auth.permissions import declared_permission
from core.auth.service import save_role, save_user
from core.companies.models import Company
from core.companies.service import save_company
from core.contract import Scope
from core.db import Base, db
from core.documents.models import Document
from core.partners.service import save_contact, save_partner
from core.products.service import save_product, save_tax
from core.registry import Registry
from core.testing.conformance.house import browser_of, changes_of_the_database
from core.testing.conformance.tour import Tour

NAME = "Unmentionable"  # what the rows of the other company are called, as far as the suite makes them
FORMS_OF_A_PAGE = 2  # a form is the same for every row
_PASSWORD = "a password of nobody"


@dataclass(frozen=True, slots=True)
class Form:
    """A form as it stands on a page.

    Attributes:
        action: Where it posts to.
        fields: Names and values, as a browser would post them; required fields that are empty have a value.
    """

    action: str
    fields: list[tuple[str, str]]


class _Forms(HTMLParser):
    """Collects the forms of a page that post."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.page = page
        self.forms: list[Form] = []
        self._form: Form | None = None
        self._select = ""
        self._chosen: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a form, and what stands in it."""
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            posts = given.get("method", "get").lower() == "post"
            self._form = Form(given.get("action") or self.page, []) if posts else None
            if self._form is not None:
                self.forms.append(self._form)
        if self._form is None:
            return
        name, kind = given.get("name", ""), given.get("type", "text")
        if tag == "input" and name and kind not in {"file", "submit"}:
            if kind not in {"checkbox", "radio"} or "checked" in given:
                usual = "1" if "required" in given and kind in {"text", "number"} else ""
                self._form.fields.append((name, given.get("value") or usual))
        elif tag == "textarea" and name:
            self._form.fields.append((name, ""))
        elif tag == "select":
            self._select, self._chosen = name, None
        elif tag == "option" and self._select and (self._chosen is None or "selected" in given):
            self._chosen = given.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        """Note the end of a form, or what is chosen."""
        if tag == "form":
            self._form = None
        elif tag == "select" and self._select:
            if self._form is not None:
                self._form.fields.append((self._select, self._chosen or ""))
            self._select = ""


def _keys() -> Mapping[str, set[Table]]:
    """Return the tables that are referred to, by the names of the foreign keys that do."""
    found: dict[str, set[Table]] = defaultdict(set)
    for table in Base.metadata.tables.values():
        for key in table.foreign_keys:
            found[key.parent.name].add(key.column.table)
    return found


class ForeignIds:
    """Posts the forms of a house with ids of another company; the house is changed by it.

    Args:
        app: The house.
        tour: What pages offer in it.
        shared: Endpoints and permissions that are declared as shared by all companies.
    """

    def __init__(self, app: Flask, tour: Tour, shared: Collection[str]) -> None:
        self.app = app
        self.tour = tour
        self.shared = shared
        self.found: dict[str, list[str]] = defaultdict(list)
        self._keys = _keys()
        with app.app_context():
            self._client = self._clerk()
            self._foreign = self._make_foreign()
            self._permissions = {name: declared_permission(name) for name in tour.posts}
            db.session.remove()

    def _clerk(self) -> FlaskClient:
        """Return the browser of who works for the company with the most documents."""
        registry: Registry = self.app.extensions["envoi_registry"]
        count = func.count(Document.id)
        (self._company,) = db.session.scalars(
            select(Document.company_id).group_by(Document.company_id).order_by(count.desc()).limit(1)
        ).all()
        grants = {
            permission.name: Scope.COMPANY if Scope.COMPANY in permission.scopes else permission.scopes[0]
            for permission in registry.permissions.values()
        }
        role = save_role(None, code="conformance_clerk", name="Clerk", grants=grants)
        clerk = save_user(
            None,
            login="clerk@elsewhere.example.com",
            name="Clerk",
            roles=[role.code],
            company_ids=[self._company],
            password=_PASSWORD,
        )
        return browser_of(self.app, clerk.get_id())

    def _make_foreign(self) -> Mapping[Table, list[int]]:
        """Make rows of another company; return ids of what is not the clerk's, by table."""
        company = save_company(None, {"name": f"{NAME} Ltd", "currency": "EUR", "language": "en"})
        customer = save_partner(None, {"name": f"{NAME} SA", "company_id": company.id})
        save_contact(customer, f"{NAME} Anna", "")
        tax = save_tax(None, {"name": f"{NAME} tax", "rate": Decimal(1), "company_id": company.id})
        save_product(None, {"name": f"{NAME} product", "tax_id": tax.id, "company_id": company.id})
        save_user(
            None,
            login="unmentionable@elsewhere.example.com",
            name=f"{NAME} Stranger",
            roles=[],
            company_ids=[company.id],
            password=_PASSWORD,
        )
        colleagues = select(user_company.c.user_id).where(user_company.c.company_id == self._company)
        strangers = select(User.id).where(User.id.not_in(colleagues), User.name.startswith(NAME))
        foreign: dict[Table, list[int]] = {
            User.metadata.tables["core_user"]: list(db.session.scalars(strangers)),
            Company.metadata.tables["core_company"]: [company.id],
        }
        present = set(inspect(db.engine).get_table_names())
        for tables in self._keys.values():
            for table in tables:
                if table.name in present and table not in foreign and "company_id" in table.c:
                    last = select(table.c[_key_of(table).name]).where(
                        table.c.company_id.is_not(None), table.c.company_id != self._company
                    )
                    foreign[table] = list(db.session.scalars(last.order_by(_key_of(table).desc()).limit(2)))
        return foreign

    def search(self, endpoints: Collection[str] | None = None) -> Mapping[str, list[str]]:
        """Post every form, or those of some endpoints, and return what was found, a sentence each, by endpoint."""
        for endpoint, posts in self.tour.posts.items():
            if endpoints is not None and endpoint not in endpoints:
                continue
            if endpoint in self.shared or self._permissions[endpoint] in self.shared:
                continue
            forms = self._forms_of([post.page for post in posts if post.page], endpoint)
            for page, form in itertools.islice(forms, FORMS_OF_A_PAGE):
                self._try(endpoint, page, form)
        return self.found

    def _forms_of(self, pages: Collection[str], endpoint: str) -> Iterator[tuple[str, Form]]:
        """Yield the forms of pages, as the clerk sees them, that post to an endpoint and name rows."""
        adapter = self.app.url_map.bind("localhost")
        for page in dict.fromkeys(pages):
            answer = self._client.get(page)
            if answer.status_code != 200 or answer.mimetype != "text/html":
                continue
            reader = _Forms(page)
            reader.feed(answer.text)
            for form in reader.forms:
                target = urlsplit(form.action).path
                if adapter.test(target, "POST") and adapter.match(target, "POST")[0] == endpoint:
                    yield page, form

    def _tables_of(self, field: str) -> set[Table]:
        name = re.split(r"[.\-]", field)[-1]
        return self._keys.get(name, set()) | self._keys.get(f"{name}_id", set())

    def _try(self, endpoint: str, page: str, form: Form) -> None:
        for place, (name, _value) in enumerate(form.fields):
            for table in self._tables_of(name):
                for number in self._foreign.get(table, ()):
                    fields = [*form.fields]
                    fields[place] = (name, str(number))
                    self._post(endpoint, page, form.action, fields, name, table, number)

    def _post(
        self,
        endpoint: str,
        page: str,
        action: str,
        fields: list[tuple[str, str]],
        name: str,
        table: Table,
        number: int,
    ) -> None:
        before = self._references(table, number)
        data: dict[str, list[str]] = defaultdict(list)
        for field, value in fields:
            data[field].append(value)
        said = f"The form of {page} ({endpoint}), posted with {name}={number}, a {table.name} of another company,"
        with changes_of_the_database():
            try:
                answer: Any = self._client.post(action, data=data)
            except Exception as error:  # noqa: BLE001 (in testing mode, whatever a page raises comes here)
                self.found[endpoint].append(f"{said} fails: {type(error).__name__}: {error}.")
                return
        if NAME in answer.text:
            self.found[endpoint].append(f"{said} is answered with its name.")
        grown = [
            column for column, count in self._references(table, number).items() if count > before[column]
        ]
        self.found[endpoint] += [f"{said} is taken: {column} refers to it now." for column in grown]

    def _references(self, table: Table, number: int) -> Mapping[str, int]:
        """Return how many rows refer to a row, by the columns that may."""
        with self.app.app_context():
            present = set(inspect(db.engine).get_table_names())
            columns: list[Column[Any]] = [
                key.parent
                for other in Base.metadata.tables.values()
                if other.name in present
                for key in other.foreign_keys
                if key.column.table is table
            ]
            counts = {
                str(column): db.session.scalar(select(func.count()).where(column == number)) or 0
                for column in columns
            }
            db.session.remove()
        return counts


def _key_of(table: Table) -> Column[Any]:
    return next(iter(table.primary_key.columns))
