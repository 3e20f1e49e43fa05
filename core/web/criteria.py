"""Search, filters, facets and sorting of a list: those that a list declares, and those that a request has chosen.

`core.web.listing` makes pages of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session
from werkzeug.datastructures import MultiDict

from core.db import db
from core.web.formats import number

MAX_SEARCH_LENGTH = 200  # characters; they stand in the address of the page
MAX_VALUE_LENGTH = 100  # of a facet's value in the address


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
        condition: What it keeps; it is asked of one row after the other.
        group: Name of its group.
        among: Returns what selects the identities of rows, by an index, all that it keeps among them: where those are
            few, the list begins there, and does not walk past all the others.
    """

    name: str
    title: str
    condition: ColumnElement[bool]
    group: str = ""
    among: Callable[[], Select[Any]] | None = None


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
    """The search, filters and facets that a request has chosen.

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
class Narrowed:
    """A statement that was narrowed.

    Attributes:
        statement: The statement.
        few: True when it leaves so few rows that they are sorted, rather than found by walking an index that
            has their order: both databases like to walk, and would look at nearly all rows of the table.
    """

    statement: Select[Any]
    few: bool = False

    def in_order_of(self, expression: Any) -> ColumnElement[Any]:
        """Return what to sort by, so that an index is walked only where that is quick."""
        # What is computed has no index.
        ordered: ColumnElement[Any] = func.coalesce(expression, expression) if self.few else expression
        return ordered


@dataclass(frozen=True, slots=True)
class ListSpec:
    """The search, filters, facets and orders that a list declares.

    Attributes:
        identity: The unique column that breaks ties.
        sorts: Ways to sort; the first is the default.
        filters: Filters, in the order in which they are shown.
        search: Returns the condition of a search text, or None when the list cannot be searched.
        facets: Facets, in the order in which they are shown.
        one_of_group: True when of the filters of a group only one holds, so that choosing another replaces it.
        narrow: Replaces `narrow()` for a list that knows better which index leads.
        shown: Selects rows with all that a list shows of them, kept to nothing; the rows of a page are looked up in it
            by the ids that were found. None to read the rows as they are found, which costs more where they have
            to be sorted: whole rows are, with all that is joined to them.
    """

    identity: Any
    sorts: Sequence[SortKey]
    filters: Sequence[Filter] = ()
    search: Callable[[str], ColumnElement[bool]] | None = None
    facets: Sequence[Facet] = ()
    one_of_group: bool = False
    narrow: Callable[[Select[Any], Criteria, SortKey], Narrowed] | None = None
    shown: Select[Any] | None = None


@dataclass(frozen=True, slots=True)
class Count:
    """A number of rows, counted up to a bound.

    Attributes:
        found: How many were found.
        exact: False when there are more.
    """

    found: int
    exact: bool = True

    def __str__(self) -> str:
        return number(self.found) if self.exact else f"{number(self.found)}+"


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


def filter_condition(spec: ListSpec, names: Sequence[str]) -> ColumnElement[bool] | None:
    """Return the condition of some filters, or None for none: OR within a group, AND between groups."""
    groups: dict[str, list[ColumnElement[bool]]] = {}
    for entry in spec.filters:
        if entry.name in names:
            groups.setdefault(entry.group or entry.name, []).append(entry.condition)
    return and_(*(or_(*conditions) for conditions in groups.values())) if groups else None


FEW = 1000
"""So many rows are sorted sooner than they are met in a list that is in order already."""


def narrow(spec: ListSpec, statement: Select[Any], criteria: Criteria, _sort: SortKey) -> Narrowed:
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
    few = _fewest(spec, criteria.filters)
    return Narrowed(statement) if few is None else Narrowed(statement.where(spec.identity.in_(few)), few=True)


def _fewest(spec: ListSpec, names: Sequence[str]) -> Select[Any] | None:
    """Return among which rows a list finds all that its filters keep, where those are few; else None."""
    chosen = [entry for entry in spec.filters if entry.name in names]
    groups = Counter(entry.group or entry.name for entry in chosen)
    # Those that another one of its group has beside it keep more.
    alone = [entry.among for entry in chosen if groups[entry.group or entry.name] == 1]
    known = [among() for among in alone if among is not None]
    if not known:
        return None
    counts = [
        select(func.count()).select_from(among.limit(FEW + 1).subquery()).scalar_subquery() for among in known
    ]
    found, least = min(enumerate(db.session.execute(select(*counts)).one()), key=itemgetter(1))
    return known[found] if least <= FEW else None


def count_up_to(statement: Select[Any], bound: int, session: Session | None = None) -> Count:
    """Count the rows of a statement, but no further than to a bound: a count costs what it counts."""
    counted = select(func.count()).select_from(statement.limit(bound + 1).subquery())
    found = (session or db.session()).scalar(counted) or 0
    return Count(min(found, bound), found <= bound)
