"""Nobody sees or changes a row that their permissions do not reach: of another company, or a colleague's own.

Two people are tried in a copy of the demonstration, both with every permission there is. The stranger works for a
company of their own and has each permission with the reach `company` (`own` where there is none, `all` where it has no
other). The colleague works for every company, but where a permission can be narrowed to `own`, has it so, and may not
read documents that are a whole company's: whoever reads a document may read what belongs to it. Nothing in the
demonstration is theirs, so they must find nothing of it: not in a list, and not by an address that names a row.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import ColumnElement, func, not_, or_, select, true, update
from werkzeug.routing import MapAdapter, Rule

from core.auth.models import User
from core.auth.permissions import PUBLIC, declared_permission
from core.auth.service import save_role, save_user
from core.companies.models import Company
from core.companies.service import save_company
from core.contract import Module, Permission, Scope
from core.db import db, transaction
from core.documents.models import Document
from core.documents.service import readable_by
from core.partners.models import Partner
from core.partners.reach import reachable
from core.registry import Registry
from core.testing.applications import make_app
from core.testing.conformance.house import browser_of, changes_of_the_database, fail_if, rules_of
from core.testing.conformance.posted_ids import ForeignIds
from core.testing.conformance.tour import ADDRESSES_OF_A_PAGE, Post, Tour, read_page
from core.testing.fixtures import test_settings

# Arguments of addresses that name no row.
_NO_ROW = frozenset({"kind", "language", "provider"})
STRANGERS_COMPANY = "Elsewhere"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody to whom nothing of the demonstration belongs.

    Attributes:
        title: Who that is, in a sentence.
        client: A browser in which they are signed in.
        permissions: The permissions whose pages are looked at, or None for every page.
        documents: Id and number of each document that they may not read.
        companies: Names of companies that they must not read anywhere.
        own: The companies that they work for.
        partners: The customers and contacts whom they reach.
    """

    title: str
    client: FlaskClient
    permissions: frozenset[str] | None
    documents: Mapping[int, str]
    companies: tuple[str, ...] = ()
    own: frozenset[int] = frozenset()
    partners: frozenset[int] = frozenset()


@dataclass(slots=True)
class Leaks:
    """What the people have found, a sentence each, by endpoint."""

    rows: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    lists: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    ids: Mapping[str, list[str]] = field(default_factory=dict)


def names_a_row(rule: Rule) -> bool:
    """Return True when the address of a page says which row it is about."""
    return bool(set(rule.arguments) - _NO_ROW)


def shared_with_all(registry: Registry) -> Mapping[str, str]:
    """Return what the modules declare as shared by all companies, permissions and endpoints, with the reasons."""
    return {name: reason for module in registry.modules for name, reason in module.shared.items()}


def narrowest(permission: Permission, wanted: Scope) -> Scope:
    """Return the wanted reach of a permission, or the next one that it can have."""
    for scope in (wanted, *permission.scopes):
        if scope in permission.scopes:
            return scope
    return Scope.ALL


class Search:
    """Lets people look for what is not theirs."""

    def __init__(self, app: Flask, tour: Tour) -> None:
        self.app = app
        self.tour = tour
        self.registry: Registry = app.extensions["envoi_registry"]
        self.leaks = Leaks()
        self._people: list[Person] = []
        self.shared = shared_with_all(self.registry)
        self.rules = {rule.endpoint: rule for rule in app.url_map.iter_rules()}
        with app.app_context():
            self.permissions = {name: declared_permission(name) for name in self.rules}
            db.session.remove()
        self.adapter: MapAdapter = app.url_map.bind("localhost")
        self.hidden = {
            address
            for endpoint, addresses in tour.pages.items()
            if names_a_row(self.rules[endpoint]) and not self._is_shared(endpoint)
            for address in addresses
        }

    def people(self) -> list[Person]:
        """Make the people, and return them."""
        known = self.registry.permissions.values()
        with self.app.app_context():
            companies = {company.name: company.id for company in db.session.scalars(select(Company))}
            _keep_customers(min(companies.values()))
            elsewhere = save_company(
                None,
                {
                    "name": STRANGERS_COMPANY,
                    "email": "a@elsewhere.example.com",
                    "currency": "EUR",
                    "language": "en",
                },
            )
            stranger = self._user("stranger", Scope.COMPANY, [elsewhere.id])
            colleague = self._user("colleague", Scope.OWN, [*companies.values()])
            people = [
                Person(
                    "a user of another company",
                    browser_of(self.app, stranger.get_id()),
                    None,
                    _documents(true()),
                    companies=tuple(companies),
                    own=frozenset({elsewhere.id}),
                    partners=_partners(stranger),
                ),
                Person(
                    "a colleague who reaches only what is their own",
                    browser_of(self.app, colleague.get_id()),
                    frozenset(permission.name for permission in known if Scope.OWN in permission.scopes),
                    _documents(not_(readable_by(colleague))),
                    own=frozenset(companies.values()),
                    partners=_partners(colleague),
                ),
            ]
            db.session.remove()
        return people

    def _user(self, name: str, scope: Scope, companies: Iterable[int]) -> User:
        grants = {p.name: narrowest(p, scope) for p in self.registry.permissions.values()}
        for kind in self.registry.kinds.values():
            if scope is Scope.OWN and grants.get(kind.read) is not Scope.OWN:
                grants.pop(kind.read, None)
        role = save_role(None, code=f"conformance_{name}", name=name.title(), grants=grants)
        return save_user(
            None,
            login=f"{name}@elsewhere.example.com",
            name=name.title(),
            roles=[role.code],
            company_ids=list(companies),
            password="a password of nobody",
        )

    def _is_shared(self, endpoint: str) -> bool:
        return endpoint in self.shared or self.permissions[endpoint] in self.shared

    def search(self, endpoints: Collection[str] | None = None) -> Leaks:
        """Let everybody look everywhere, or on some pages, and return what they have found."""
        self._people = self._people or self.people()
        for person in self._people:
            for endpoint, rule in self.rules.items():
                if endpoints is not None and endpoint not in endpoints:
                    continue
                permission = self.permissions[endpoint]
                if permission in {None, PUBLIC} or endpoint.endswith("static"):
                    continue
                if person.permissions is not None and permission not in person.permissions:
                    continue
                addresses = self.tour.pages.get(endpoint, ())
                if names_a_row(rule) and not self._is_shared(endpoint):
                    self._ask_for_rows(person, endpoint)
                    addresses = [one for one in addresses if not self._is_foreign(person, one, "GET")]
                self._read_lists(person, endpoint, addresses)
        return self.leaks

    def _ask_for_rows(self, person: Person, endpoint: str) -> None:
        for address in self.tour.pages.get(endpoint, ()):
            if self._is_foreign(person, address, "GET"):
                self._expect_nothing(person, endpoint, "GET", address, ())
        # What is the person's own takes no place among the few that are tried.
        posts = self.tour.posts.get(endpoint, ())
        for post in different(post for post in posts if self._is_foreign(person, post.address, "POST")):
            self._expect_nothing(person, endpoint, "POST", post.address, post.fields)

    def _is_foreign(self, person: Person, address: str, method: str) -> bool:
        """Return True when an address names something that is not a person's."""
        _endpoint, values = self.adapter.match(urlsplit(address).path, method)
        named = values.keys() - _NO_ROW
        if values.get("company_id") in person.own:
            named -= {"company_id"}
        if values.get("partner_id", values.get("parent_id")) in person.partners:
            named -= {"partner_id", "parent_id"}
        return bool(named) and values.get("document_id") in {None, *person.documents}

    def _expect_nothing(
        self, person: Person, endpoint: str, method: str, address: str, fields: Iterable[tuple[str, str]]
    ) -> None:
        with changes_of_the_database() as changes:
            try:
                status: Any = person.client.open(address, method=method, data=dict(fields)).status_code
            except Exception as error:  # noqa: BLE001 (in testing mode, whatever a page raises comes here)
                status = f"{type(error).__name__}: {error}"
        if status != 404:
            self.leaks.rows[endpoint].append(
                f"The page {endpoint} answers {person.title} with {status} to {method} {address}; it must be 404."
            )
        self.leaks.rows[endpoint] += [
            f"{method} {address} ({endpoint}) by {person.title} changes the database: {change}."
            for change in changes
        ]

    def _read_lists(self, person: Person, endpoint: str, addresses: Iterable[str]) -> None:
        found = self.leaks.lists[endpoint]
        for address in addresses:
            try:
                answer = person.client.get(address)
            except Exception as error:  # noqa: BLE001 (as above)
                found.append(f"The page {endpoint} fails for {person.title} at {address}: {error!r}")
                continue
            if answer.status_code != 200 or answer.mimetype not in {"text/html", "application/json"}:
                continue
            text = answer.text
            shown = sorted({n for n in person.documents.values() if n and n in text and n not in address})
            if not self._is_shared(endpoint):
                shown += [name for name in person.companies if name in text]
            links = self.hidden.intersection(read_page(text).links)
            shown += sorted(link for link in links if self._is_foreign(person, link, "GET"))
            found += [
                f"The page {endpoint} shows {person.title} “{what}” at {address}, which is not theirs."
                for what in shown[:3]
            ]


def _partners(user: User) -> frozenset[int]:
    return frozenset(db.session.scalars(select(Partner.id).where(reachable(user))))


def _keep_customers(company_id: int) -> None:
    """Make the customers of the demonstration, which are everybody's, those of one of its companies.

    One stays everybody's, with its contacts: what modules put into its page is looked at.
    """
    with transaction() as session:
        first = session.scalar(select(func.min(Partner.id)).where(Partner.parent_id.is_(None)))
        kept = or_(Partner.id == first, Partner.parent_id == first)
        ids = list(session.scalars(select(Partner.id).where(kept)))
        for of in (Partner.parent_id.is_(None), Partner.parent_id.is_not(None)):
            everybody = (of, Partner.company_id.is_(None), Partner.owner_id.is_(None), Partner.id.not_in(ids))
            session.execute(update(Partner).where(*everybody).values(company_id=company_id))


def _documents(condition: ColumnElement[bool]) -> Mapping[int, str]:
    rows = db.session.execute(select(Document.id, Document.number).where(condition))
    return {row.id: row.number for row in rows}


def different(posts: Iterable[Post]) -> list[Post]:
    """Return a few posts to different addresses: those that pages offer first, each with what the page would post."""
    by_address: dict[str, Post] = {}
    for post in sorted(posts, key=lambda post: not post.page):
        by_address.setdefault(post.address, post)
    return list(by_address.values())[: 2 * ADDRESSES_OF_A_PAGE]


@pytest.fixture(scope="session")
def leaks(demonstration: Flask, tour: Tour, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Leaks]:
    """What people find that is not theirs, in a copy of the demonstration: it may be changed."""
    folder = tmp_path_factory.mktemp("copy") / "data"
    with demonstration.app_context():
        db.engine.dispose()
    settings = demonstration.extensions["envoi_settings"]
    shutil.copytree(settings.data_dir, folder)
    copy = make_app(test_settings(folder, modules=settings.modules))
    copy.config["WTF_CSRF_ENABLED"] = False
    # Nearly every answer is this one, and the page that people see costs more than asking.
    copy.register_error_handler(404, lambda _error: ("", 404))
    found = Search(copy, tour).search()
    found.ids = ForeignIds(copy, tour, shared_with_all(copy.extensions["envoi_registry"])).search()
    yield found
    with copy.app_context():
        db.engine.dispose()


class ReachRules:
    """What keeps the rows of one company from the people of another, and one's own from colleagues."""

    def test_what_is_shared_is_declared_with_a_reason(self, module: Module, demonstration: Flask) -> None:
        """What a module declares as shared by all companies exists, has a reason, and is no document's page."""
        names = {rule.endpoint for rule in rules_of(demonstration, module)}
        permissions = {permission.name: permission for permission in module.permissions}
        kinds = {kind.endpoint: kind.name for kind in module.document_kinds}
        kinds |= {kind.read: kind.name for kind in module.document_kinds}
        problems = []
        for name, reason in module.shared.items():
            if name not in names and name not in permissions:
                problems.append(f"{module.name} shares {name}, which is no page and no permission of it.")
            if name in permissions and permissions[name].scopes != (Scope.ALL,):
                problems.append(
                    f"{module.name} shares all pages of {name}, which can be narrowed to a company: name the pages."
                )
            if name in kinds:
                problems.append(f"{module.name} shares {name}, but a {kinds[name]} belongs to its company.")
            if not reason.strip():
                problems.append(f"{module.name} shares {name} without a reason.")
        fail_if(problems)

    def test_addresses_of_rows_are_closed_to_whom_they_do_not_reach(
        self, module: Module, demonstration: Flask, leaks: Leaks
    ) -> None:
        """Whoever names a row of another company, or of a colleague, gets 404, and nothing is written."""
        fail_if([s for rule in rules_of(demonstration, module) for s in _once(leaks.rows, rule)])

    def test_lists_show_nothing_to_whom_it_does_not_reach(
        self, module: Module, demonstration: Flask, leaks: Leaks
    ) -> None:
        """No list, panel or search shows a number, an address or a company that is not of whoever looks."""
        # What a module puts into the pages of others is seen there.
        rules = demonstration.url_map.iter_rules() if module.slots else rules_of(demonstration, module)
        fail_if([sentence for rule in rules for sentence in _once(leaks.lists, rule)])

    def test_an_id_in_a_form_names_nothing_of_another_company(
        self, module: Module, demonstration: Flask, leaks: Leaks
    ) -> None:
        """Whoever posts the id of what is another company's is refused, without its name; see `posted_ids`."""
        fail_if([s for rule in rules_of(demonstration, module) for s in _once(leaks.ids, rule)])


def _once(found: Mapping[str, list[str]], rule: Rule, at_most: int = 4) -> list[str]:
    """Return the first sentences about a page: one hole shows at many addresses."""
    return list(dict.fromkeys(found.get(rule.endpoint, ())))[:at_most]
