"""Lists: search, filter, facets, sort, and pages by key.

A page is found by the key of its first or last row, never by counting rows, so the millionth page costs
what the first does, and rows that arrive meanwhile move nothing. What is counted is counted up to a bound.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from functools import partial
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

from flask import current_app, request, url_for
from itsdangerous import BadData, URLSafeSerializer
from sqlalchemy import ColumnElement, Select, literal, tuple_
from sqlalchemy.orm import Session
from werkzeug.datastructures import MultiDict

from core.db import db
from core.web.criteria import (
    MAX_SEARCH_LENGTH,
    Choice,
    Count,
    Criteria,
    Facet,
    Filter,
    ListSpec,
    Narrowed,
    SortKey,
    count_up_to,
    facet_label,
    narrow,
    read_criteria,
)

__all__ = [
    "MAX_SEARCH_LENGTH",
    "PAGE_SIZE",
    "Chip",
    "Choice",
    "Count",
    "Criteria",
    "Facet",
    "Filter",
    "ListPage",
    "ListSpec",
    "Narrowed",
    "SortKey",
    "count_up_to",
    "neighbor",
    "paginate",
    "read_criteria",
    "read_order",
]

T = TypeVar("T")

PAGE_SIZE = 40  # rows: about two screens


@dataclass(frozen=True, slots=True)
class Chip:
    """A facet in force, as the control line shows it.

    Attributes:
        title: Of the facet, in English.
        label: Of its value, translated.
        url: Leads to the list without it.
    """

    title: str
    label: str
    url: str


@dataclass(slots=True)
class ListPage(Generic[T]):
    """One page of a list.

    Attributes:
        rows: The rows.
        spec: The list it belongs to.
        sort: The sort key in force.
        descending: Its direction.
        search: The search text.
        active: Names of the filters in force.
        chosen: True when a person has chosen them.
        next_token: Leads to the next page, or None.
        previous_token: Leads to the page before, or None.
        facets: The value in force of each facet that has one.
        endpoint: The page that the addresses lead to, "" for the one that is asked for.
    """

    rows: list[T]
    spec: ListSpec
    sort: SortKey
    descending: bool
    search: str
    active: tuple[str, ...]
    chosen: bool = False
    next_token: str | None = None
    previous_token: str | None = None
    extra: Mapping[str, str] = field(default_factory=dict)
    facets: Mapping[str, str] = field(default_factory=dict)
    endpoint: str = ""

    @property
    def criteria(self) -> Criteria:
        """The criteria in force, for the template."""
        return Criteria(self.search, self.active, self.facets)

    @property
    def query(self) -> str:
        """What the list is narrowed to and sorted by, as the query of an address; without a place in it."""
        # With `all`, or the default filters would narrow what a person has widened.
        return urlsplit(self.url(all=1 if not self.active else None)).query

    def url(self, **changes: Any) -> str:
        """Return the address of this list with some parameters changed; a change of None removes one."""
        parameters: dict[str, Any] = {
            **self.extra,
            **self.facets,
            "q": self.search or None,
            "f": list(self.active) or None,
            "sort": self.sort.name if self.sort is not self.spec.sorts[0] else None,
            "dir": None
            if self.descending == self.sort.descending
            else ("desc" if self.descending else "asc"),
            **changes,
        }
        endpoint = self.endpoint or request.endpoint or ""
        return url_for(
            endpoint, **{**(request.view_args or {}), **{k: v for k, v in parameters.items() if v}}
        )

    def sort_url(self, name: str) -> str:
        """Return the address that sorts by a key, or turns the direction when it is in force already."""
        key = next(key for key in self.spec.sorts if key.name == name)
        down = not self.descending if key is self.sort else key.descending
        filters = self._with_filter(key.within) if key.within else list(self.active)
        return self.url(f=filters or None, sort=name, dir="desc" if down else "asc", after=None, before=None)

    def toggle_url(self, name: str) -> str:
        """Return the address with a filter turned on or off; with the last one off, none holds any more."""
        if name not in self.active:
            return self.url(f=self._with_filter(name), after=None, before=None)
        rest = [other for other in self.active if other != name]
        return self.url(f=rest or None, all=None if rest else 1, after=None, before=None)

    def choose_url(self, facet: str, value: str | None) -> str:
        """Return the address with another value of a facet, or with none."""
        return self.url(**{facet: value}, after=None, before=None)

    def clear_url(self) -> str:
        """Return the address of the whole list."""
        return self.url(q=None, f=None, all=1, **dict.fromkeys(self.facets))

    def chips(self) -> list[Chip]:
        """Return the facets in force."""
        return [
            Chip(
                facet.title,
                facet_label(facet, self.facets[facet.name]),
                self.choose_url(facet.name, None),
            )
            for facet in self.spec.facets
            if facet.name in self.facets
        ]

    def _with_filter(self, name: str) -> list[str]:
        """Return the filters in force and one more, in the place of its group where only one may hold."""
        groups = {entry.name: entry.group or entry.name for entry in self.spec.filters}
        kept = [
            other
            for other in self.active
            if other != name and not (self.spec.one_of_group and groups[other] == groups[name])
        ]
        return [*kept, name]


# Signed, since a value from the address goes into a comparison of the database, with the type of its column.
def _signer(sort: SortKey) -> URLSafeSerializer:
    """Return what signs the tokens of this list in this order: a token of any other has no meaning here."""
    return URLSafeSerializer(current_app.secret_key or "", salt=f"page:{request.endpoint}:{sort.name}")


def _encode(sort: SortKey, value: Any, identity: int) -> str:
    """Return the signed token of a row: the value it is sorted by, with its type, and its id."""
    if isinstance(value, Decimal):
        value = ["d", str(value)]
    elif isinstance(value, dt.datetime):
        value = ["t", value.isoformat()]
    elif isinstance(value, dt.date):
        value = ["a", value.isoformat()]
    elif isinstance(value, StrEnum):
        value = ["v", value.value]
    else:
        value = ["v", value]
    return str(_signer(sort).dumps([*value, identity]))


_DECODERS: dict[str, Callable[[Any], Any]] = {
    "d": Decimal,
    "t": dt.datetime.fromisoformat,
    "a": dt.date.fromisoformat,
    "v": lambda value: value,
}


def _decode(sort: SortKey, token: str) -> tuple[Any, int] | None:
    """Return the key in a token, or None when somebody has typed into the address."""
    try:
        kind, value, identity = _signer(sort).loads(token)
    except BadData:
        return None
    return _DECODERS[kind](value), identity


def _beyond(sort: SortKey, identity: Any, key: tuple[Any, int], descending: bool) -> ColumnElement[bool]:
    value, row_id = key
    expression = sort.expression
    # As one comparison of rows: an index over both finds its place at once, which it does not for an OR.
    here = tuple_(expression, identity)
    there = tuple_(literal(value, expression.type), literal(row_id, identity.type))
    return here < there if descending else here > there


def read_order(spec: ListSpec, arguments: MultiDict[str, str], criteria: Criteria) -> tuple[SortKey, bool]:
    """Return by what the arguments of an address sort a list, and whether the highest comes first."""
    sort = next((key for key in spec.sorts if key.name == arguments.get("sort")), spec.sorts[0])
    # An order that has an index only within a filter; without it the whole table would be sorted.
    if sort.within and sort.within not in criteria.filters:
        sort = spec.sorts[0]
    return sort, {"asc": False, "desc": True}.get(arguments.get("dir", ""), sort.descending)


def neighbor(
    statement: Select[T], spec: ListSpec, arguments: MultiDict[str, str], row: Any, *, before: bool
) -> int | None:
    """Return the id of the row before or after one, in a list as an address has narrowed and sorted it; None for none.

    Args:
        statement: Selects the rows that the user may see.
        spec: How the list can be searched, filtered and sorted.
        arguments: Those of the address of the list.
        row: The row; it need not match any more.
        before: True for the one before.
    """
    criteria = read_criteria(spec, arguments)
    sort, descending = read_order(spec, arguments, criteria)
    narrowed = (spec.narrow or partial(narrow, spec))(statement, criteria, sort)
    smaller = descending != before
    key = (sort.value(row), getattr(row, spec.identity.key))
    expression = narrowed.in_order_of(sort.expression)
    order = (expression.desc(), spec.identity.desc()) if smaller else (expression.asc(), spec.identity.asc())
    found = narrowed.statement.where(_beyond(sort, spec.identity, key, smaller)).order_by(*order).limit(1)
    return db.session.scalar(found.with_only_columns(spec.identity, maintain_column_froms=True))


def _rows(spec: ListSpec, found: Select[T], session: Session) -> list[T]:
    """Return the rows that a statement finds, in its order, with all that the list shows of them."""
    if spec.shown is None:
        return list(session.scalars(found).unique())
    # By two statements: as one, PostgreSQL joins all that is shown to every row of the table before it looks which
    # are wanted, as soon as there are more tables than it puts in order (join_collapse_limit).
    ids = session.scalars(found.with_only_columns(spec.identity, maintain_column_froms=True)).all()
    rows = session.scalars(spec.shown.where(spec.identity.in_(ids))).unique()
    there = {getattr(row, spec.identity.key): row for row in rows}
    return [there[identity] for identity in ids if identity in there]


def paginate(
    statement: Select[T],
    spec: ListSpec,
    *,
    default_filters: Sequence[str] = (),
    extra: Mapping[str, str] | None = None,
    session: Session | None = None,
    size: int = PAGE_SIZE,
    arguments: MultiDict[str, str] | None = None,
) -> ListPage[T]:
    """Return the page that the address of the request asks for.

    Args:
        statement: Selects the rows that the user may see.
        spec: How the list can be searched, filtered and sorted.
        default_filters: In force until the person touches the filters (parameter `all`).
        extra: Parameters to carry along in the addresses.
        session: The session, or None for the current one.
        size: Rows on a page.
        arguments: In place of those of the address, for a page with several lists, of which it turns one.
    """
    arguments = request.args if arguments is None else arguments
    criteria = read_criteria(spec, arguments, default_filters)
    sort, descending = read_order(spec, arguments, criteria)
    narrowed = (spec.narrow or partial(narrow, spec))(statement, criteria, sort)
    statement, expression = narrowed.statement, narrowed.in_order_of(sort.expression)
    after = _decode(sort, arguments["after"]) if "after" in arguments else None
    before = _decode(sort, arguments["before"]) if "before" in arguments and after is None else None
    backwards = before is not None
    key = after or before
    towards_smaller = descending != backwards
    if key is not None:
        statement = statement.where(_beyond(sort, spec.identity, key, towards_smaller))
    order = (
        (expression.desc(), spec.identity.desc())
        if towards_smaller
        else (expression.asc(), spec.identity.asc())
    )
    # One more than fits tells whether there is a next page, without counting.
    rows = _rows(spec, statement.order_by(*order).limit(size + 1), session or db.session())
    more = len(rows) > size
    rows = rows[:size]
    if backwards:
        rows.reverse()
    page = ListPage(
        rows,
        spec,
        sort,
        descending,
        criteria.search,
        criteria.filters,
        chosen=bool(criteria.facets) or any(name in criteria.filters for name in arguments.getlist("f")),
        extra=extra or {},
        facets=criteria.facets,
    )
    if rows:
        identity_name = spec.identity.key
        if more or backwards:
            page.next_token = _encode(sort, sort.value(rows[-1]), getattr(rows[-1], identity_name))
        if (more and backwards) or after is not None:
            page.previous_token = _encode(sort, sort.value(rows[0]), getattr(rows[0], identity_name))
    elif after is not None:
        # What was there has gone meanwhile; the way back stays.
        page.previous_token = arguments["after"]
    elif backwards:
        page.next_token = arguments["before"]
    return page
