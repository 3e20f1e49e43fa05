"""A walk through every page of the house: what there is to open, and what pages lead and post to.

Rules that look for leaks need addresses of rows that are there, in the states in which something can be done with
them. The walk finds them as a person would: it opens every page as an administrator, with the ids that the
demonstration data holds, and follows what the pages link and post to.
"""

from __future__ import annotations

import itertools
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.exceptions import HTTPException
from werkzeug.routing import IntegerConverter, MapAdapter, RequestRedirect, Rule

from core.db import db
from core.documents.models import Document
from core.testing.conformance.house import administrator_of, changes_of_the_database

# So many documents of each kind are opened, and so many addresses of each page; a leak shows on any of them.
DOCUMENTS_OF_A_KIND = 3
ADDRESSES_OF_A_PAGE = 6
# A list is opened this often: as it is, and as its own links sort and filter it.
ADDRESSES_OF_A_LIST = 3
# Ids that are tried for everything else.
OTHER_IDS = range(1, 7)
_ENDS_THE_WALK = frozenset({"core.sign_out"})


@dataclass(frozen=True, slots=True)
class Post:
    """Something that a page lets a person do.

    Attributes:
        endpoint: What it is posted to.
        address: The same as an address.
        fields: What would be posted.
        page: The address of the page.
    """

    endpoint: str
    address: str
    fields: tuple[tuple[str, str], ...]
    page: str

    @property
    def as_query(self) -> str:
        """The address with what would be posted as its query."""
        return f"{self.address}?{urlencode(self.fields)}" if self.fields else self.address


@dataclass(slots=True)
class Tour:
    """What the walk has found.

    Attributes:
        pages: Addresses that answered the administrator, by endpoint.
        posts: What pages let a person do, by endpoint; and addresses that only scripts post to, without fields.
        refused: Sentences about forms that post where nothing takes a post.
        writes: Sentences about pages that have written to the database when they were asked for, by endpoint.
        failures: Sentences about pages that have failed, by endpoint.
    """

    pages: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    posts: dict[str, list[Post]] = field(default_factory=lambda: defaultdict(list))
    refused: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    writes: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    failures: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))


class Reader(HTMLParser):
    """Collects the addresses that a page leads to, and what it posts."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.links: list[str] = []
        self.posts: list[tuple[str | None, list[tuple[str, str]]]] = []
        self._fields: list[tuple[str, str]] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note where an element leads."""
        given = {name: value or "" for name, value in attrs}
        self.links += [given[name] for name in ("href", "hx-get") if given.get(name)]
        if given.get("hx-post"):
            self.posts.append((given["hx-post"], []))
        if tag == "form":
            self._fields = []
            if given.get("method", "get").lower() == "post":
                self.posts.append((given.get("action") or None, self._fields))
        elif self._fields is not None and given.get("name"):
            if tag == "input" and given.get("type") not in {"file", "submit"}:
                self._fields.append((given["name"], given.get("value", "")))
            elif tag == "button" and "value" in given:
                self._fields.append((given["name"], given["value"]))
        if given.get("formaction"):
            self.posts.append((given["formaction"], self._fields or []))

    def handle_endtag(self, tag: str) -> None:
        """Note the end of a form."""
        if tag == "form":
            self._fields = None


def read_page(text: str) -> Reader:
    """Return what a page leads and posts to."""
    reader = Reader()
    reader.feed(text)
    return reader


@dataclass(frozen=True, slots=True)
class Ids:
    """The ids that pages are asked with.

    Attributes:
        documents: Ids of documents by kind.
    """

    documents: Mapping[str, Sequence[int]]

    def values_of(self, rule: Rule) -> Iterator[dict[str, Any]]:
        """Return arguments for a page: every document, kind and small number, a few for each argument."""
        choices: list[Sequence[Any]] = []
        for name in sorted(rule.arguments):
            if name == "document_id":
                choices.append(self.documents_for(rule.endpoint))
            elif isinstance(rule._converters[name], IntegerConverter):
                choices.append(OTHER_IDS)
            else:
                choices.append(sorted(self.documents) if name == "kind" else ("en",))
        for values in itertools.islice(itertools.product(*choices), 5 * ADDRESSES_OF_A_PAGE):
            yield dict(zip(sorted(rule.arguments), values, strict=True))

    def documents_for(self, endpoint: str) -> list[int]:
        """Return ids of documents for a page: one of each kind in turn, those of the page's own module first.

        Only a few ids of each page are tried, and a page answers 404 to a document of a foreign kind anyway.
        """
        prefix = f"{endpoint.partition('.')[0]}."
        own = [ids for kind, ids in sorted(self.documents.items()) if kind.startswith(prefix)]
        foreign = [ids for kind, ids in sorted(self.documents.items()) if not kind.startswith(prefix)]
        return [*_in_turn(own), *_in_turn(foreign)]


def _in_turn(rows: Iterable[Sequence[int]]) -> Iterator[int]:
    """Yield the first of each row, then the second of each, and so on."""
    for column in itertools.zip_longest(*rows):
        yield from (number for number in column if number is not None)


def ids_of(app: Flask) -> Ids:
    """Return the ids to try in a house."""
    with app.app_context():
        documents = {
            kind: db.session.scalars(
                select(Document.id)
                .where(Document.kind == kind)
                .order_by(Document.id)
                .limit(DOCUMENTS_OF_A_KIND)
            ).all()
            for kind in app.extensions["envoi_registry"].kinds
        }
        db.session.remove()
    return Ids(documents)


class Walk:
    """Walks through a house as an administrator.

    Args:
        app: The house.
        client: The browser of the administrator.
        within: What the names of the pages that are looked at begin with; "" for all pages.
    """

    def __init__(self, app: Flask, client: FlaskClient, *within: str) -> None:
        self.within = within or ("",)
        self.app = app
        self.client = client
        self.tour = Tour()
        self.adapter: MapAdapter = app.url_map.bind("localhost")
        self._seen: set[str] = set()
        self._posted: set[tuple[str, tuple[tuple[str, str], ...]]] = set()
        self._asked: dict[str, int] = defaultdict(int)
        self._todo: deque[str] = deque()
        self._limits = {
            rule.endpoint: ADDRESSES_OF_A_PAGE if rule.arguments else ADDRESSES_OF_A_LIST
            for rule in app.url_map.iter_rules()
        }

    def walk(self) -> Tour:
        """Open everything, and return what there is."""
        ids = ids_of(self.app)
        rules = [rule for rule in self.app.url_map.iter_rules() if not rule.endpoint.endswith("static")]
        rules = [rule for rule in rules if rule.endpoint.startswith(self.within)]
        for rule in sorted(rules, key=lambda rule: (len(rule.arguments), rule.rule)):
            for values in ids.values_of(rule):
                address = self.adapter.build(rule.endpoint, values)
                if "GET" in (rule.methods or ()):
                    self._todo.append(address)
                else:
                    self._note(Post(rule.endpoint, address, (), ""))
        while self._todo:
            self._open(self._todo.popleft())
        self._ask_for_what_is_posted()
        return self.tour

    def endpoint_of(self, address: str, method: str) -> str | None:
        """Return what an address leads to by a method, or None."""
        try:
            endpoint, _values = self.adapter.match(urlsplit(address).path, method)
        except (HTTPException, RequestRedirect):
            return None
        return str(endpoint)

    def _open(self, address: str) -> None:
        endpoint = self.endpoint_of(address, "GET") if address.startswith("/") else None
        if (
            endpoint is None
            or not endpoint.startswith(self.within)
            or address in self._seen
            or endpoint.endswith("static")
            or self._asked[endpoint] >= 5 * ADDRESSES_OF_A_PAGE
            or len(self.tour.pages[endpoint]) >= self._limits[endpoint]
        ):
            return
        self._seen.add(address)
        self._asked[endpoint] += 1
        answer = self._ask(endpoint, address)
        if answer is None or answer.status_code >= 400:
            return
        self.tour.pages[endpoint].append(address)
        if answer.mimetype == "text/html":
            page = read_page(answer.text)
            self._todo.extend(link.partition("#")[0] for link in page.links)
            for target, fields in page.posts:
                self._note_post(target or address, fields, address, endpoint)

    def _ask(self, endpoint: str, address: str) -> Any:
        with changes_of_the_database() as changes:
            try:
                answer = self.client.get(address)
            except Exception as error:  # noqa: BLE001 (in testing mode, whatever a page raises comes here)
                self.tour.failures[endpoint].append(
                    f"The page {endpoint} fails at {address}: {type(error).__name__}: {error}"
                )
                answer = None
        self.tour.writes[endpoint] += [
            f"Asking for {address} ({endpoint}) changes the database: {change}." for change in changes
        ]
        return answer

    def _note_post(self, target: str, fields: list[tuple[str, str]], page: str, shown_by: str) -> None:
        endpoint = self.endpoint_of(target, "POST")
        if endpoint is None:
            if target.startswith("/"):
                led_to = self.endpoint_of(target, "GET")
                self.tour.refused[led_to or shown_by].append(
                    f"A form on {page} posts to {target} ({led_to or 'nothing'}), which does not take POST."
                )
            return
        if endpoint not in _ENDS_THE_WALK and endpoint.startswith(self.within):
            self._note(Post(endpoint, target, tuple(fields), page))

    def _note(self, post: Post) -> None:
        known = (post.address, post.fields)
        if known not in self._posted:
            self._posted.add(known)
            self.tour.posts[post.endpoint].append(post)

    def _ask_for_what_is_posted(self) -> None:
        """Ask by GET for what pages post, with the same values: where GET is taken, nothing may be written."""
        for posts in list(self.tour.posts.values()):
            for post in posts[: 4 * ADDRESSES_OF_A_PAGE]:
                if post.page and self.endpoint_of(post.address, "GET") == post.endpoint:
                    self._ask(post.endpoint, post.as_query)


@pytest.fixture(scope="session")
def tour(demonstration: Flask, request: pytest.FixtureRequest) -> Tour:
    """What there is to open and to do in the demonstration, on the pages of the modules that are tested."""
    return Walk(demonstration, administrator_of(demonstration), *_looked_at(demonstration, request)).walk()


def _looked_at(app: Flask, request: pytest.FixtureRequest) -> Iterator[str]:
    """Yield what the names of the pages begin with that matter to the tests of this run; nothing where all do."""
    suites: list[Any] = [getattr(item, "cls", None) for item in request.session.items]
    names = {str(suite.module_name) for suite in suites if hasattr(suite, "module_name")}
    modules = {module.name: module for module in app.extensions["envoi_registry"].modules}
    if not names <= modules.keys():
        return
    yield from (f"{name}." for name in sorted(names))
    if any(modules[name].slots for name in names):
        yield "core."  # what a module puts into the pages of others is seen there
