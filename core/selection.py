"""What is selected in a list: some rows by their ids, or all that match what the list is narrowed to.

A list is declared by its module (`core.contract.SelectableList`); whoever contributes an action on its rows reads the
selection here and knows neither the module nor its tables. What matches is asked anew, with the reach of who acts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar
from urllib.parse import parse_qsl

from flask import abort, redirect, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import Select, select
from werkzeug.datastructures import MultiDict

from core.auth.models import User
from core.contract import SelectableList
from core.db import db
from core.documents.models import Document
from core.matching import found_in
from core.registry import current_registry, resolve_function
from core.spreadsheets import Cell, Column
from core.web.criteria import narrow
from core.web.listing import Count, ListSpec, SortKey, count_up_to, read_criteria, read_order

T = TypeVar("T")

MAX_SELECTED = 5000
"""Rows that are selected one by one; more are chosen by what they match."""
MAX_CRITERIA = 2000
"""Characters of the query by which a list is narrowed and sorted."""
MOST_COUNTED = 10_000
"""So far rows are counted; beyond, it says "10,000+"."""
MOST_ELSEWHERE = 20
"""Rows that are counted in the neighboring lists."""
MOST_NUMBERED = 500
"""Documents, the newest, among which a number is looked for in the neighboring lists."""
CHUNK = 500
"""Rows that are read at once."""


@dataclass(frozen=True, slots=True)
class ListSource(Generic[T]):
    """Where the rows of a list come from, and what they say as a table.

    Attributes:
        statement: Selects the rows that the user may read.
        spec: How the list is narrowed and sorted.
        columns: Of the table, their titles translated.
        cells: Returns the cells of some rows, one sequence a row, by a fixed number of queries.
        default_filters: As for `core.web.listing.paginate`.
    """

    statement: Select[T]
    spec: ListSpec
    columns: Sequence[Column]
    cells: Callable[[Sequence[T]], Iterable[Sequence[Cell]]]
    default_filters: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Selection:
    """What a person has selected in a list.

    Attributes:
        of: The list.
        ids: The rows that were chosen one by one; None for all that match.
        arguments: What the list was narrowed to and sorted by.
    """

    of: SelectableList
    ids: tuple[int, ...] | None
    arguments: MultiDict[str, str] = field(default_factory=MultiDict)

    def source(self, user: User) -> ListSource[Any]:
        """Return where the rows come from, for a user."""
        return _source(self.of, user)

    def row_ids(self, user: User, limit: int | None = None) -> list[int]:
        """Return the ids of the rows that the user may read, in the order of the list; abort with 404 if it is none.

        Args:
            user: Who acts.
            limit: How many at most, or None.
        """
        source = self.source(user)
        identity = source.spec.identity
        statement, sort, descending = _narrowed(source, self.arguments)
        if self.ids is not None:
            # By the rows alone: what a row no longer matches it may still be selected by.
            statement = source.statement.where(identity.in_(self.ids))
        order = (sort.expression.desc(), identity.desc()) if descending else (sort.expression, identity.asc())
        found = statement.with_only_columns(identity, maintain_column_froms=True).order_by(*order)
        ids = list(db.session.scalars(found.limit(limit) if limit is not None else found))
        if self.ids and not ids:
            abort(404)  # as a page of one of them would answer
        return ids

    def cells(self, user: User) -> Iterator[Sequence[Cell]]:
        """Return the rows as those of a table, in the order of the list, some hundreds read at once."""
        source = self.source(user)
        return self._read(source, self.row_ids(user))

    def _read(self, source: ListSource[Any], ids: Sequence[int]) -> Iterator[Sequence[Cell]]:
        identity = source.spec.identity
        for start in range(0, len(ids), CHUNK):
            some = ids[start : start + CHUNK]
            # Whoever reads them has been asked about already. What the statement asks as well, such as the kind of a
            # document, has an index that SQLite would rather read through for each of these hundreds.
            shown = source.statement if source.spec.shown is None else source.spec.shown
            rows = db.session.scalars(shown.where(identity.in_(some))).unique()
            by_id = {getattr(row, identity.key): row for row in rows}
            yield from source.cells([by_id[one] for one in some if one in by_id])


def _source(declared: SelectableList, user: User) -> ListSource[Any]:
    source: ListSource[Any] = resolve_function(declared.source)(user)
    return source


def list_or_404(name: str, user: User, of: str = "") -> SelectableList:
    """Return a list that a user may open; abort with 404 where there is none, or its rows are others than `of`."""
    declared = current_registry().lists.get(name)
    if declared is None or not user.can(declared.permission) or (of and declared.of != of):
        abort(404)
    return declared


def read_selection(declared: SelectableList) -> Selection:
    """Return what the form around a list has posted: `id` for each row, or `all`; and `criteria`, the list's query."""
    arguments = MultiDict(parse_qsl(request.form.get("criteria", "")[:MAX_CRITERIA]))
    if "all" in request.form:
        return Selection(declared, None, arguments)
    return Selection(declared, tuple(posted_ids()), arguments)


def back_to(declared: SelectableList) -> ResponseReturnValue:
    """Lead back to a list as it was narrowed when something was posted from it."""
    query = request.form.get("criteria", "")[:MAX_CRITERIA]
    return redirect(url_for(declared.name) + (f"?{query}" if query else ""))


def posted_ids() -> list[int]:
    """Return the ids that were posted, each once; what is no id of a row is left out."""
    texts = request.form.getlist("id")[:MAX_SELECTED]
    ids = (int(text) for text in texts if text.isascii() and text.isdigit() and len(text) < 11)
    return list(dict.fromkeys(number for number in ids if number < 2**31))


def count_matching(declared: SelectableList, user: User, arguments: MultiDict[str, str]) -> Count:
    """Return how many rows of a list match."""
    source = _source(declared, user)
    statement, _sort, _descending = _narrowed(source, arguments)
    ids = statement.with_only_columns(source.spec.identity, maintain_column_froms=True)
    return count_up_to(ids, MOST_COUNTED)


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Rows of another list in which a search would have found something.

    Attributes:
        title: Of the list, in English.
        count: How many.
        url: Leads there.
    """

    title: str
    count: Count
    url: str


def found_elsewhere(user: User, endpoint: str, search: str) -> list[Elsewhere]:
    """Return the lists that have documents of a number, where a list has none that was searched for it.

    Args:
        user: Who looks.
        endpoint: Of the list that was searched, which is told first where its filters have hidden the rows.
        search: What was typed.
    """
    # Most that finds nothing is a name; only what may be a number is worth to look through all documents.
    if not any(letter.isdigit() for letter in search):
        return []
    numbered = select(Document.id).where(found_in(search, Document.number)).order_by(Document.id.desc())
    ids = list(db.session.scalars(numbered.limit(MOST_NUMBERED)))
    found = []
    lists = current_registry().lists.values()
    for declared in sorted(lists, key=lambda one: one.name != endpoint) if ids else ():
        if declared.of != "document" or not user.can(declared.permission):
            continue
        source = _source(declared, user)
        identity = source.spec.identity
        rows = source.statement.where(identity.in_(ids))
        count = count_up_to(rows.with_only_columns(identity, maintain_column_froms=True), MOST_ELSEWHERE)
        if count.found:
            # `all`, or filters that hold by default would narrow it.
            found.append(Elsewhere(declared.title, count, url_for(declared.name, q=search, all=1)))
    return found


def _narrowed(source: ListSource[Any], arguments: MultiDict[str, str]) -> tuple[Select[Any], SortKey, bool]:
    """Return the rows that match, by what they are sorted, and whether the highest comes first."""
    criteria = read_criteria(source.spec, arguments, source.default_filters)
    sort, descending = read_order(source.spec, arguments, criteria)
    narrowed = (source.spec.narrow or partial(narrow, source.spec))(source.statement, criteria, sort)
    return narrowed.statement, sort, descending
