"""Lists: search, filter, sort, and pages by key.

A page is found by the key of its first or last row, never by counting rows, so the millionth page costs
what the first does, and rows that arrive meanwhile move nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, Generic, TypeVar

from flask import current_app, request, url_for
from itsdangerous import BadData, URLSafeSerializer
from sqlalchemy import ColumnElement, Select, and_, or_
from sqlalchemy.orm import InstrumentedAttribute, Session

from core.db import db

T = TypeVar("T")

PAGE_SIZE = 40
MAX_SEARCH_LENGTH = 200


@dataclass(frozen=True, slots=True)
class SortKey:
    """A way to sort.

    Attributes:
        name: As it stands in the address of the page.
        title: English, marked with `N_`.
        expression: What is sorted by; must never be NULL.
        value: Returns the value of the expression for a row.
        descending: The direction of the first click.
    """

    name: str
    title: str
    expression: ColumnElement[Any] | InstrumentedAttribute[Any]
    value: Callable[[Any], Any]
    descending: bool = False


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
class ListSpec:
    """How a list can be searched, filtered and sorted.

    Attributes:
        identity: The unique column that breaks ties.
        sorts: Ways to sort; the first is the default.
        filters: Filters, in the order in which they are shown.
        search: Returns the condition of a search text, or None when the list cannot be searched.
    """

    identity: Any
    sorts: Sequence[SortKey]
    filters: Sequence[Filter] = ()
    search: Callable[[str], ColumnElement[bool]] | None = None


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

    def url(self, **changes: Any) -> str:
        """Return the address of this list with some parameters changed; a change of None removes one."""
        parameters: dict[str, Any] = {
            **self.extra,
            "q": self.search or None,
            "f": list(self.active) or None,
            "sort": self.sort.name if self.sort is not self.spec.sorts[0] else None,
            "dir": None
            if self.descending == self.sort.descending
            else ("desc" if self.descending else "asc"),
            **changes,
        }
        endpoint = request.endpoint or ""
        return url_for(
            endpoint, **{**(request.view_args or {}), **{k: v for k, v in parameters.items() if v}}
        )

    def sort_url(self, name: str) -> str:
        """Return the address that sorts by a key, or turns the direction when it is in force already."""
        key = next(key for key in self.spec.sorts if key.name == name)
        down = not self.descending if key is self.sort else key.descending
        return self.url(sort=name, dir="desc" if down else "asc", after=None, before=None)

    def toggle_url(self, name: str) -> str:
        """Return the address with a filter turned on or off."""
        active = [other for other in self.active if other != name]
        return self.url(f=active if name in self.active else [*active, name], after=None, before=None)


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
    if descending:
        return or_(expression < value, and_(expression == value, identity < row_id))
    return or_(expression > value, and_(expression == value, identity > row_id))


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
    known = {entry.name for entry in spec.filters}
    active = tuple(dict.fromkeys(name for name in arguments.getlist("f") if name in known))
    chosen = bool(active)
    if not active and "f" not in arguments and "q" not in arguments and "all" not in arguments:
        active = tuple(default_filters)
    # PostgreSQL takes no NUL.
    search = arguments.get("q", "").replace("\0", "").strip()[:MAX_SEARCH_LENGTH]
    sort = next((key for key in spec.sorts if key.name == arguments.get("sort")), spec.sorts[0])
    descending = {"asc": False, "desc": True}.get(arguments.get("dir", ""), sort.descending)

    statement = narrow(statement, spec, search, active)
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
    page = ListPage(rows, spec, sort, descending, search, active, chosen, extra=extra or {})
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


def narrow(statement: Select[T], spec: ListSpec, search: str, filters: Sequence[str]) -> Select[T]:
    """Return the statement kept to what a search text and filters leave."""
    condition = filter_condition(spec, filters)
    if condition is not None:
        statement = statement.where(condition)
    if search and spec.search is not None:
        statement = statement.where(spec.search(search))
    return statement
