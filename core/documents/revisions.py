"""A document's revision, raised by itself when what the document says changes.

What belongs to a document: its header, and every row of the module that declares its kind whose foreign key leads to
the header, directly or over other such rows, by ownership: the key is part of the primary key, or says ON DELETE
CASCADE or RESTRICT. Rows of other modules (followers, mails) refer to a document without being part of it.

Seen are rows that a session of `core.db` inserts, changes or deletes, and `session.execute(update(…))`, `delete(…)`
and `insert(…)`, by model or table. Not seen are SQL as text, INSERT … SELECT, `bulk_*_mappings`, and what the database
does by itself (ON DELETE SET NULL); there a service calls `core.documents.service.touch`.

A column that says nothing of the document, such as a note about its printing, is marked by `info={"content": False}`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

from sqlalchemy import (
    Column,
    ColumnElement,
    ForeignKey,
    Select,
    Table,
    event,
    inspect,
    select,
    tuple_,
    update,
)
from sqlalchemy.orm import InstanceState, Mapper, ORMExecuteState, Session, SessionTransaction, UOWTransaction
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.orm.util import identity_key

from core import clock
from core.contract import Module
from core.db import Base, db
from core.documents.models import Document
from core.registry import current_registry

_COUNTED = "envoi_revisions"
_HEADER = cast("Table", Document.__table__)
_NOT_CONTENT = frozenset({"revision", "created_at", "updated_at"})
_AT_ONCE = 500  # SQLite takes a bounded number of parameters


@dataclass(frozen=True, slots=True)
class Path:
    """A way from a table to the header.

    Attributes:
        column: The foreign key that a row of the table begins with.
        lookups: For each step whose key is not the document's id already: the column that is referred to, and the
            key that goes on from there.
    """

    column: Column[Any]
    lookups: tuple[tuple[Column[Any], Column[Any]], ...] = ()

    def documents(self, start: Select[Any]) -> Select[Any]:
        """Return the query for the documents of the rows that a query for `column` finds."""
        query = start
        for referred, following in self.lookups:
            query = select(following).where(referred.in_(query))
        return query.distinct()

    def leading_to(self, document_id: int) -> ColumnElement[bool]:
        """Return the condition of the rows that belong to a document."""
        if not self.lookups:
            return self.column == document_id
        (referred, following), *others = reversed(self.lookups)
        query = select(referred).where(following == document_id)
        for referred, following in others:
            query = select(referred).where(following.in_(query))
        return self.column.in_(query)


@cache
def paths(table: Table) -> tuple[Path, ...]:
    """Return every way by which rows of a table are owned by a document."""
    return tuple(_paths(table, frozenset()))


def _paths(table: Table, passed: frozenset[Table]) -> Iterator[Path]:
    for key in sorted(table.foreign_keys, key=lambda key: key.parent.name):
        if not _owns(key):
            continue
        referred = key.column
        if referred.table is _HEADER:
            yield Path(key.parent)
        elif referred.table is not table and referred.table not in passed:
            for rest in _paths(referred.table, passed | {table}):
                step = () if rest.column is referred else ((referred, rest.column),)
                yield Path(key.parent, (*step, *rest.lookups))


def _owns(key: ForeignKey) -> bool:
    alone = key.constraint is not None and len(key.constraint.elements) == 1
    return alone and (key.parent.primary_key or (key.ondelete or "").upper() in {"CASCADE", "RESTRICT"})


def owner_of(table_name: str) -> Module | None:
    """Return the enabled module whose name begins the name of a table; of two, the one with the longer name."""
    owners = [module for module in current_registry().modules if table_name.startswith(f"{module.name}_")]
    return max(owners, key=lambda module: len(module.name), default=None)


def kinds_owning(table: Table) -> frozenset[str]:
    """Return the kinds of documents that a row of a table can be part of; none where it is part of no document."""
    module = owner_of(table.name) if paths(table) else None
    return frozenset(kind.name for kind in module.document_kinds) if module is not None else frozenset()


@dataclass(frozen=True, slots=True)
class _Mapped:
    """What is known of a model: its table's ways to a header, and the attributes that are content."""

    ways: tuple[tuple[str, Path, Table], ...]
    content: frozenset[str]


@cache
def _mapped(mapper: Mapper[Any]) -> _Mapped:
    tables = [table for table in mapper.tables if isinstance(table, Table)]
    ways = tuple(
        (mapper.get_property_by_column(path.column).key, path, table)
        for table in tables
        for path in paths(table)
        if mapper.columns.contains_column(path.column)
    )
    content = frozenset(
        attribute.key
        for attribute in mapper.column_attrs
        if all(
            isinstance(column, Column) and column.info.get("content", True) for column in attribute.columns
        )
    )
    return _Mapped(ways, content)


def _changed(state: InstanceState[Any], names: Iterable[str]) -> bool:
    return any(state.attrs[name].history.has_changes() for name in names if name in state.committed_state)


def _keys(state: InstanceState[Any], name: str) -> Iterable[Any]:
    """Return what a key is and, where it changes, was."""
    if name not in state.committed_state:
        keys: Iterable[Any] = (state.dict[name],)
    else:
        keys = state.attrs[name].history.sum()
    return (key for key in keys if key is not None)


def counted(session: Session) -> dict[int, int]:
    """Return the documents that are new or were counted in the running transaction, with their revision before it."""
    return cast("dict[int, int]", session.info.setdefault(_COUNTED, {}))


def count(session: Session, documents: Iterable[int], kinds: Iterable[str] | None = None) -> None:
    """Raise the revision of documents, each once in a transaction.

    Args:
        session: The session that writes.
        documents: Their ids.
        kinds: The kinds they must have, or None for any.
    """
    known = counted(session)
    todo = sorted(set(documents) - known.keys())
    now = clock.now()
    for start in range(0, len(todo), _AT_ONCE):
        raised = (
            update(_HEADER)
            .where(_HEADER.c.id.in_(todo[start : start + _AT_ONCE]))
            .values(revision=_HEADER.c.revision + 1, updated_at=now)
            .returning(_HEADER.c.id, _HEADER.c.revision)
        )
        if kinds is not None:
            raised = raised.where(_HEADER.c.kind.in_(sorted(kinds)))
        for number, revision in session.connection().execute(raised):
            known[number] = revision - 1
            document = session.identity_map.get(identity_key(Document, number))
            if document is not None:
                set_committed_value(document, "revision", revision)
                set_committed_value(document, "updated_at", now)


@event.listens_for(db.session, "before_flush")
def _load_keys(session: Session, _context: UOWTransaction, _instances: Any) -> None:
    """Load the keys of what changes: of a deleted row they could not be asked any more."""
    for row in (*session.dirty, *session.deleted):
        state = inspect(row)
        for name, _path, _table in _mapped(state.mapper).ways:
            if name not in state.dict:
                getattr(row, name)


@event.listens_for(db.session, "after_flush")
def _count_rows(session: Session, _context: UOWTransaction) -> None:
    """Count the documents whose rows were written; keys that were not known before the flush are known now."""
    headers: set[int] = set()
    begun: dict[tuple[Path, Table], set[Any]] = {}
    for rows, whole in ((session.new, True), (session.dirty, False), (session.deleted, True)):
        for row in rows:
            state = inspect(row)
            mapped = _mapped(state.mapper)
            if isinstance(row, Document):
                _note_header(session, row, state, headers)
            elif mapped.ways and (whole or _changed(state, mapped.content)):
                for name, path, table in mapped.ways:
                    begun.setdefault((path, table), set()).update(_keys(state, name))
    if headers:
        count(session, headers)
    for (path, table), keys in begun.items():
        kinds = kinds_owning(table)
        if kinds and keys:
            count(session, _follow(session, path, keys), kinds)


def _note_header(session: Session, document: Document, state: InstanceState[Any], headers: set[int]) -> None:
    if document in session.new:
        counted(session)[document.id] = document.revision
    elif document not in session.deleted:
        if "revision" in state.committed_state and _changed(state, ("revision",)):
            counted(session)[document.id] = document.revision - 1  # whoever set it has counted
        elif _changed(state, _mapped(state.mapper).content - _NOT_CONTENT):
            headers.add(document.id)


def _follow(session: Session, path: Path, keys: Iterable[Any]) -> list[int]:
    """Return the documents that values of a path's first key lead to."""
    found = list(keys)
    for referred, following in path.lookups:
        query = select(following).where(referred.in_(found)).distinct()
        found = [key for key in session.connection().scalars(query) if key is not None]
    return found


@event.listens_for(db.session, "do_orm_execute")
def _count_statement(state: ORMExecuteState) -> None:
    """Count the documents of the rows that a statement is about to write."""
    if not (state.is_update or state.is_delete or state.is_insert):
        return
    statement: Any = state.statement
    table = Base.metadata.tables.get(statement.table.name)
    if table is None:
        return
    session = state.session
    if table is _HEADER:
        if state.is_update:
            count(session, _rows_of(session, state, _HEADER, Path(_HEADER.c.id)))
        return
    kinds = kinds_owning(table)
    if not kinds:
        return
    for path in paths(table):
        if state.is_insert:
            count(session, _follow(session, path, _inserted(state, path.column)), kinds)
        else:
            count(session, _rows_of(session, state, table, path), kinds)


def _parameters(state: ORMExecuteState) -> list[Mapping[str, Any]]:
    given = state.parameters
    return [given] if isinstance(given, Mapping) else list(given or ())


def _rows_of(session: Session, state: ORMExecuteState, table: Table, path: Path) -> set[int]:
    """Return the documents of the rows that an UPDATE or DELETE names."""
    statement: Any = state.statement
    query = select(path.column)
    given = _parameters(state)
    if statement.whereclause is not None:
        query = query.where(statement.whereclause)
    elif given and isinstance(state.parameters, list):
        # The form that names rows by their primary key, one to a dictionary.
        keys = list(table.primary_key.columns)
        query = query.where(tuple_(*keys).in_([tuple(values[key.key] for key in keys) for values in given]))
        given = []
    connection = session.connection()
    documents = path.documents(query)
    return {
        number
        for values in given or [{}]
        for number in connection.scalars(documents, dict(values))
        if number is not None
    }


def _inserted(state: ORMExecuteState, column: Column[Any]) -> set[Any]:
    """Return the values of a column that an INSERT of values carries."""
    statement: Any = state.statement
    given = _parameters(state) or [statement.compile().params]
    return {
        value
        for values in given
        for name, value in values.items()
        if value is not None and (name == column.key or name.startswith(f"{column.key}_m"))
    }


@event.listens_for(db.session, "after_soft_rollback")
def _forget(session: Session, _transaction: SessionTransaction) -> None:
    """Forget what was counted: it may have been taken back."""
    session.info.pop(_COUNTED, None)


@event.listens_for(db.session, "after_transaction_end")
def _end(session: Session, transaction: SessionTransaction) -> None:
    """Count anew in the next transaction."""
    if transaction.parent is None:
        session.info.pop(_COUNTED, None)
