"""The rows of a database as values that mean the same on SQLite and on PostgreSQL, and a proof of what they are.

The tables are those that the database has, whatever modules are enabled; the shapes of columns are asked of the
database as well, since a backup may be of a former release.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from core.files.models import STORE_TABLES

BATCH = 1000
"""Rows that are read, and written, at once."""

_SUM_OCTETS = 16


class Kind(StrEnum):
    """What values of a column are."""

    TEXT = "text"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    MOMENT = "moment"
    DAY = "day"
    OCTETS = "octets"
    JSON = "json"
    NUMBER = "number"


_KINDS: tuple[tuple[type[Any], Kind], ...] = (
    (sa.LargeBinary, Kind.OCTETS),
    (sa.DateTime, Kind.MOMENT),
    (sa.Date, Kind.DAY),
    (sa.Boolean, Kind.BOOLEAN),
    (sa.JSON, Kind.JSON),
    (sa.Integer, Kind.INTEGER),
    (sa.Numeric, Kind.NUMBER),
    (sa.String, Kind.TEXT),
)

_TYPES: dict[Kind, Any] = {
    Kind.TEXT: sa.Text(),
    Kind.INTEGER: sa.BigInteger(),
    Kind.BOOLEAN: sa.Boolean(),
    Kind.DAY: sa.Date(),
    Kind.OCTETS: sa.LargeBinary(),
    Kind.NUMBER: sa.Text(),
    Kind.JSON: sa.Text(),
}


@dataclass(frozen=True, slots=True)
class Shape:
    """A table as the database has it.

    Attributes:
        name: Its name.
        columns: The kind of each column, by its name.
        key: The columns of its primary key; all columns where it has none.
    """

    name: str
    columns: dict[str, Kind]
    key: tuple[str, ...]

    @property
    def table(self) -> sa.TableClause:
        """For statements."""
        return sa.table(self.name, *(sa.column(name) for name in self.columns))


@dataclass(slots=True)
class Figures:
    """How many rows there are, and what they are: the same for the same rows in any order.

    Attributes:
        rows: How many.
        sum: Of the hashes of all.
        last_id: The last number that was given out, or None where numbers are not.
    """

    rows: int = 0
    sum: int = 0
    last_id: int | None = field(default=None, compare=False)

    def add(self, values: Sequence[Any], kinds: Iterable[Kind]) -> None:
        """Take in a row."""
        same = [
            # PostgreSQL may put the members of an object into another order.
            json.dumps(json.loads(value), sort_keys=True)
            if kind is Kind.JSON and value is not None
            else value
            for value, kind in zip(values, kinds, strict=True)
        ]
        digest = hashlib.sha256(json.dumps(same, ensure_ascii=False).encode()).digest()
        self.rows += 1
        self.sum = (self.sum + int.from_bytes(digest[:_SUM_OCTETS])) % (1 << 8 * _SUM_OCTETS)

    @property
    def checksum(self) -> str:
        """The sum as a text."""
        return f"{self.sum:0{2 * _SUM_OCTETS}x}"


def shapes(connection: Connection) -> list[Shape]:
    """Return the tables of a database, but those in which SQLite keeps what is found by other tables.

    Nor those of the file store: its files are copied as files, from whatever store into whatever other.
    """
    found = sa.inspect(connection)
    names = sorted(set(found.get_table_names()) - STORE_TABLES)
    if connection.dialect.name == "sqlite":
        virtual = connection.scalars(
            sa.text("SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE VIRTUAL TABLE%'")
        ).all()
        begins = tuple(f"{name}_" for name in virtual)
        names = [name for name in names if name not in virtual and not (begins and name.startswith(begins))]
    # All at once: a question for each table would cost as much as its rows.
    columns = {place[1]: said for place, said in found.get_multi_columns(filter_names=names).items()}
    keys = {place[1]: said for place, said in found.get_multi_pk_constraint(filter_names=names).items()}
    return [_shape(name, columns[name], keys.get(name)) for name in names]


def _shape(name: str, said: Sequence[Any], primary: Any) -> Shape:
    columns = {one["name"]: _kind(one["type"]) for one in said}
    key = tuple(primary["constrained_columns"]) if primary else ()
    return Shape(name, columns, key or tuple(columns))


def _kind(type_: Any) -> Kind:
    return next((kind for known, kind in _KINDS if isinstance(type_, known)), Kind.TEXT)


def read_rows(connection: Connection, shape: Shape) -> Iterator[list[Any]]:
    """Yield the rows of a table as values that JSON can say, in the order of its key."""
    columns = [_read(connection, name, kind) for name, kind in shape.columns.items()]
    query = sa.select(*columns).select_from(shape.table).order_by(*map(sa.column, shape.key))
    kinds = list(shape.columns.values())
    result = connection.execute(query, execution_options={"yield_per": BATCH})
    for row in result:
        yield [_said(value, kind) for value, kind in zip(row, kinds, strict=True)]


def _read(connection: Connection, name: str, kind: Kind) -> Any:
    if kind in {Kind.JSON, Kind.NUMBER}:
        return sa.cast(sa.column(name), sa.Text()).label(name)
    return sa.column(name, _type(kind, connection.dialect.name))


def _type(kind: Kind, dialect: str) -> Any:
    return sa.DateTime(timezone=dialect == "postgresql") if kind is Kind.MOMENT else _TYPES[kind]


def _said(value: Any, kind: Kind) -> Any:
    if value is None:
        return None
    match kind:
        case Kind.OCTETS:
            return base64.b64encode(value).decode("ascii")
        case Kind.MOMENT:
            utc = value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)
            return utc.isoformat()
        case Kind.DAY:
            return value.isoformat()
        case _:
            return value


def _meant(value: Any, kind: Kind, dialect: str) -> Any:
    if value is None:
        return None
    match kind:
        case Kind.OCTETS:
            return base64.b64decode(value)
        case Kind.MOMENT:
            moment = dt.datetime.fromisoformat(value)
            return moment.replace(tzinfo=None) if dialect == "sqlite" else moment
        case Kind.DAY:
            return dt.date.fromisoformat(value)
        case _:
            return value


def write_rows(connection: Connection, shape: Shape, names: Sequence[str], rows: Iterable[list[Any]]) -> None:
    """Write rows as `read_rows` yields them.

    Args:
        connection: In a transaction.
        shape: The table that they go into.
        names: Of its columns, in the order of the values.
        rows: The rows.
    """
    dialect = connection.dialect.name
    kinds = [shape.columns[name] for name in names]
    values = {name: _bound(name, shape.columns[name], dialect) for name in names}
    statement = sa.insert(shape.table).values(values)
    batch: list[dict[str, Any]] = []
    for row in rows:
        batch.append(
            {
                f"v_{name}": _meant(value, kind, dialect)
                for name, kind, value in zip(names, kinds, row, strict=True)
            }
        )
        if len(batch) == BATCH:
            connection.execute(statement, batch)
            batch = []
    if batch:
        connection.execute(statement, batch)


def _bound(name: str, kind: Kind, dialect: str) -> Any:
    # Under a name that no column has.
    bound = sa.bindparam(f"v_{name}", type_=_type(kind, dialect))
    if dialect == "postgresql" and kind in {Kind.JSON, Kind.NUMBER}:
        return sa.cast(bound, sa.JSON() if kind is Kind.JSON else sa.Numeric())
    return bound


def figures_of(connection: Connection, shape: Shape, names: Sequence[str] | None = None) -> Figures:
    """Return what is proof of the rows of a table.

    Args:
        connection: To the database.
        shape: The table.
        names: Its columns in the order of the other side, or None for its own.
    """
    ordered = Shape(shape.name, {name: shape.columns[name] for name in names or shape.columns}, shape.key)
    figures = Figures()
    for row in read_rows(connection, ordered):
        figures.add(row, ordered.columns.values())
    return figures


def last_id(connection: Connection, shape: Shape) -> int | None:
    """Return the last number that a table has given out by itself, or None where it gives out none."""
    if len(shape.key) != 1 or shape.columns[shape.key[0]] is not Kind.INTEGER:
        return None
    (key,) = shape.key
    highest = connection.scalar(sa.select(sa.func.max(sa.column(key))).select_from(shape.table)) or 0
    if connection.dialect.name == "sqlite":
        return int(highest)
    sequence = connection.scalar(sa.select(sa.func.pg_get_serial_sequence(shape.name, key)))
    if sequence is None:
        return None
    # The name is PostgreSQL's own answer.
    said = connection.execute(sa.text(f"SELECT last_value, is_called FROM {sequence}")).one()  # noqa: S608
    return max(int(highest), int(said.last_value) if said.is_called else 0)


def set_last_id(connection: Connection, shape: Shape, value: int | None) -> None:
    """Let the numbers of a table go on behind a number; SQLite does so by itself."""
    if connection.dialect.name == "sqlite" or not value:
        return
    (key,) = shape.key
    sequence = connection.scalar(sa.select(sa.func.pg_get_serial_sequence(shape.name, key)))
    if sequence is not None:
        connection.execute(sa.select(sa.func.setval(sequence, value)))
