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

from flask import current_app, request, url_for
from itsdangerous import BadData, URLSafeSerializer
from sqlalchemy import ColumnElement, Select, and_, func, literal, or_, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session
from werkzeug.datastructures import MultiDict

from core.db import db
from core.web.formats import number

T = TypeVar("T")

PAGE_SIZE = 40
MAX_SEARCH_LENGTH = 200
MAX_VALUE_LENGTH = 100


@dataclass(frozen=True, slots=True)
class SortKey:
    """A way to sort.

    Attributes:
        name: As it stands in the address of the page.
        title: English, marked with `N_`.
        expression: What is sorted by; must never be NULL.
        value: Returns the value of the expression for a row.
        descending: The direction of the first click.
        within: Name of the filter that this order makes sense for; sorting so turns it on.
    """

    name: str
    title: str
    expression: ColumnElement[Any] | InstrumentedAttribute[Any]
    value: Callable[[Any], Any]
    descending: bool = False
    within: str = ""


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter that is on or off; filters of one group are joined by OR, groups by AND.

    Attributes:
        name: As it stands in the address of the page.
        title: English, marked with `N_`.
        condition: What it keeps.
        group: Name of its group.
    """

    name: str
    title: str
    condition: ColumnElement[bool]
    group: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """A value of a facet.

    Attributes:
        value: As it stands in the address of the page.
        title: What a person reads, translated.
    """

    value: str
    title: str


@dataclass(frozen=True, slots=True)
class Facet:
    """A property by whose value a list can be narrowed; one value of it holds at a time.

    Attributes:
        name: As it stands in the address of the page; must not be `q`, `f`, `all`, `sort`, `dir`, `after`,
            `before`.
        title: English, marked with `N_`.
        choices: Returns the values that are offered, in their order.
        condition: Returns what a value keeps, or None for a value that has no meaning: it is left out.
        label: Returns what a person reads for a value that is in force and not among the choices.
    """

    name: str
    title: str
    choices: Callable[[], Sequence[Choice]]
    condition: Callable[[str], ColumnElement[bool] | None]
    label: Callable[[str], str] = str


@dataclass(frozen=True, slots=True)
class Criteria:
    """What a list is narrowed to.

    Attributes:
        search: The search text.
        filters: Names of the filters in force.
        facets: The value in force of each facet that has one.
    """

    search: str = ""
    filters: tuple[str, ...] = ()
    facets: Mapping[str, str] = field(default_factory=dict)

    def without(self, facet: str) -> Criteria:
        """Return the same without a facet."""
        rest = {name: value for name, value in self.facets.items() if name != facet}
        return Criteria(self.search, self.filters, rest)


@dataclass(frozen=True, slots=True)
class ListSpec:
    """How a list can be searched, filtered and sorted.

    Attributes:
        identity: The unique column that breaks ties.
        sorts: Ways to sort; the first is the default.
        filters: Filters, in the order in which they are shown.
        search: Returns the condition of a search text, or None when the list cannot be searched.
        facets: Facets, in the order in which they are shown.
        one_of_group: True when of the filters of a group only one holds, so that choosing another replaces it.
        narrow: Replaces `narrow()` for a list that knows better which index leads.
    """

    identity: Any
    sorts: Sequence[SortKey]
    filters: Sequence[Filter] = ()
    search: Callable[[str], ColumnElement[bool]] | None = None
    facets: Sequence[Facet] = ()
    one_of_group: bool = False
    narrow: Callable[[Select[Any], Criteria, SortKey], Select[Any]] | None = None


@dataclass(frozen=True, slots=True)
class Count:
    """How many there are, counted up to a bound.

    Attributes:
        found: How many were found.
        exact: False when there are more.
    """

    found: int
    exact: bool = True

    def __str__(self) -> str:
        return number(self.found) if self.exact else f"{number(self.found)}+"


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
        """What the list is narrowed to."""
        return Criteria(self.search, self.active, self.facets)

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


def _signer(sort: SortKey) -> URLSafeSerializer:
    """Return what signs the tokens of this list in this order: a token of any other has no meaning here."""
    return URLSafeSerializer(current_app.secret_key or "", salt=f"page:{request.endpoint}:{sort.name}")


def _encode(sort: SortKey, value: Any, identity: int) -> str:
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


def facet_label(facet: Facet, value: str) -> str:
    """Return what a person reads for a value of a facet."""
    return next((entry.title for entry in facet.choices() if entry.value == value), facet.label(value))


def read_criteria(
    spec: ListSpec, arguments: MultiDict[str, str], default_filters: Sequence[str] = ()
) -> Criteria:
    """Return what the arguments of an address narrow a list to; what makes no sense is left out.

    Args:
        spec: How the list can be narrowed.
        arguments: Those of the address.
        default_filters: In force until the person touches the filters (parameter `all`).
    """
    known = {entry.name for entry in spec.filters}
    active = tuple(dict.fromkeys(name for name in arguments.getlist("f") if name in known))
    facets: dict[str, str] = {}
    for facet in spec.facets:
        value = arguments.get(facet.name, "").replace("\0", "")[:MAX_VALUE_LENGTH]
        if value and facet.condition(value) is not None:
            facets[facet.name] = value
    touched = facets or any(name in arguments for name in ("f", "q", "all"))
    if not active and not touched:
        active = tuple(default_filters)
    # PostgreSQL takes no NUL.
    search = arguments.get("q", "").replace("\0", "").strip()[:MAX_SEARCH_LENGTH]
    return Criteria(search, active, facets)


def count_up_to(statement: Select[Any], bound: int, session: Session | None = None) -> Count:
    """Count the rows of a statement, but no further than to a bound: a count costs what it counts."""
    counted = select(func.count()).select_from(statement.limit(bound + 1).subquery())
    found = (session or db.session()).scalar(counted) or 0
    return Count(min(found, bound), found <= bound)


def filter_condition(spec: ListSpec, names: Sequence[str]) -> ColumnElement[bool] | None:
    """Return the condition of some filters, or None for none: OR within a group, AND between groups."""
    groups: dict[str, list[ColumnElement[bool]]] = {}
    for entry in spec.filters:
        if entry.name in names:
            groups.setdefault(entry.group or entry.name, []).append(entry.condition)
    return and_(*(or_(*conditions) for conditions in groups.values())) if groups else None


def paginate(
    statement: Select[T],
    spec: ListSpec,
    *,
    default_filters: Sequence[str] = (),
    extra: Mapping[str, str] | None = None,
    session: Session | None = None,
    size: int = PAGE_SIZE,
) -> ListPage[T]:
    """Return the page that the address of the request asks for.

    Args:
        statement: Selects the rows that the user may see.
        spec: How the list can be searched, filtered and sorted.
        default_filters: In force until the person touches the filters (parameter `all`).
        extra: Parameters to carry along in the addresses.
        session: The session, or None for the current one.
        size: Rows on a page.
    """
    arguments = request.args
    criteria = read_criteria(spec, arguments, default_filters)
    sort = next((key for key in spec.sorts if key.name == arguments.get("sort")), spec.sorts[0])
    if sort.within and sort.within not in criteria.filters:
        sort = spec.sorts[0]
    descending = {"asc": False, "desc": True}.get(arguments.get("dir", ""), sort.descending)

    statement = (spec.narrow or partial(narrow, spec))(statement, criteria, sort)
    after = _decode(sort, arguments["after"]) if "after" in arguments else None
    before = _decode(sort, arguments["before"]) if "before" in arguments and after is None else None
    backwards = before is not None
    key = after or before
    towards_smaller = descending != backwards
    if key is not None:
        statement = statement.where(_beyond(sort, spec.identity, key, towards_smaller))
    order = (
        (sort.expression.desc(), spec.identity.desc())
        if towards_smaller
        else (sort.expression.asc(), spec.identity.asc())
    )
    rows = list((session or db.session()).scalars(statement.order_by(*order).limit(size + 1)).unique())
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


def narrow(spec: ListSpec, statement: Select[Any], criteria: Criteria, _sort: SortKey) -> Select[Any]:
    """Return the statement kept to what a search text, filters and facets leave."""
    condition = filter_condition(spec, criteria.filters)
    if condition is not None:
        statement = statement.where(condition)
    for facet in spec.facets:
        if facet.name in criteria.facets:
            kept = facet.condition(criteria.facets[facet.name])
            if kept is not None:
                statement = statement.where(kept)
    if criteria.search and spec.search is not None:
        statement = statement.where(spec.search(criteria.search))
    return statement
