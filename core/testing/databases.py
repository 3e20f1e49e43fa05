"""Databases of PostgreSQL that are lent to one test after the other.

Copying a database takes longer than most tests. What a test has written is taken out again, and what it has taken out
is put back; a database that it has changed in any other way, or made large, is not lent again.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql
from sqlalchemy import Connection, make_url

from core.testing.services import clone_database, drop_database

# Deleted rows keep their room, and whoever reads the table reads over them.
_MOST_BYTES = 4 * 1024 * 1024

# Everything but the rows: tables, columns, indexes, constraints, triggers and whether they fire, functions, settings.
# What a copy has bears the same numbers as in its origin. Statistics count as well: plans depend on them.
_SHAPE = """
SELECT md5(string_agg(part, '|' ORDER BY part)) FROM (
    SELECT concat_ws(',', 'class', oid, relname, relkind, reloptions) FROM pg_class WHERE oid >= 16384
    UNION ALL SELECT concat_ws(',', 'column', attrelid, attnum, attname, atttypid, atttypmod, attnotnull, attisdropped)
        FROM pg_attribute WHERE attrelid >= 16384
    UNION ALL SELECT concat_ws(',', 'default', oid, adbin) FROM pg_attrdef
    UNION ALL SELECT concat_ws(',', 'constraint', oid, conname, convalidated) FROM pg_constraint WHERE oid >= 16384
    UNION ALL SELECT concat_ws(',', 'trigger', oid, tgname, tgenabled) FROM pg_trigger
    UNION ALL SELECT concat_ws(',', 'function', oid, md5(prosrc)) FROM pg_proc WHERE oid >= 16384
    UNION ALL SELECT concat_ws(',', 'schema', oid, nspname) FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp'
    UNION ALL SELECT concat_ws(',', 'extension', oid) FROM pg_extension
    UNION ALL SELECT concat_ws(',', 'sequence', s::text) FROM pg_sequence s
    UNION ALL SELECT concat_ws(',', 'statistics', starelid, staattnum) FROM pg_statistic WHERE starelid >= 16384
    UNION ALL SELECT concat_ws(',', 'setting', setrole, setconfig) FROM pg_db_role_setting
        WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
) AS parts (part)
"""
_TABLES = """
SELECT relname, array_agg(attname::text ORDER BY attnum) FROM pg_class
JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace GROUP BY relname ORDER BY relname
"""
_SEQUENCES = "SELECT sequencename, start_value, last_value FROM pg_sequences WHERE schemaname = 'public'"
_OTHERS = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


@dataclass(frozen=True)
class _Origin:
    """What a fresh copy is like: its shape, its size, and the statements and rows that bring another one there."""

    shape: str
    size: int
    restore: sql.Composed
    rows: dict[str, tuple[sql.Composed, bytes]]


class Databases:
    """Lends databases that are copies of a migrated one.

    Args:
        keeper: A connection to another database of the server, in AUTOCOMMIT.
        template: The name of the migrated database, to which nobody is connected.
    """

    def __init__(self, keeper: Connection, template: str) -> None:
        self._keeper = keeper
        self._template = template
        self._free: list[str] = []
        self._origin: _Origin | None = None

    @contextmanager
    def lend(self) -> Iterator[str]:
        """Lend a database as fresh as a new copy, and yield its URL."""
        name = self._free.pop() if self._free else self._clone()
        yield self._url(name)
        if self._put_back(name):
            self._free.append(name)
        else:
            drop_database(self._keeper, name)

    def close(self) -> None:
        """Drop the databases that nobody has."""
        while self._free:
            drop_database(self._keeper, self._free.pop())

    def _url(self, name: str) -> str:
        return self._keeper.engine.url.set(database=name).render_as_string(hide_password=False)

    def _clone(self) -> str:
        name = f"test_{secrets.token_hex(6)}"
        clone_database(self._keeper, name, self._template)
        if self._origin is None:
            with self._connected(name) as connection:
                self._origin = _look_at(connection)
        return name

    def _connected(self, name: str) -> psycopg.Connection:
        url = make_url(self._url(name)).set(drivername="postgresql")
        return psycopg.connect(url.render_as_string(hide_password=False), autocommit=True)

    def _put_back(self, name: str) -> bool:
        """Make a database what a new copy would be; False where that cannot be done."""
        origin = self._origin
        assert origin is not None
        try:
            with self._connected(name) as connection:
                if _one(connection, _OTHERS) or _size(connection) > origin.size + _MOST_BYTES:
                    return False
                if _one(connection, _SHAPE) != origin.shape:
                    return False
                # Neither guards nor references are asked: they would not let a row of the books go.
                connection.execute("SET session_replication_role = replica")
                connection.execute(origin.restore)
                for copy, data in origin.rows.values():
                    with connection.cursor().copy(copy) as into:
                        into.write(data)
        except psycopg.Error:
            # A test may have taken the database away, or locked everybody out.
            return False
        return True


def _look_at(connection: psycopg.Connection) -> _Origin:
    """Note what a fresh copy is like."""
    steps: list[sql.Composable] = []
    rows: dict[str, tuple[sql.Composed, bytes]] = {}
    for table, columns in connection.execute(_TABLES).fetchall():
        words = {"table": sql.Identifier(table), "columns": sql.SQL(", ").join(map(sql.Identifier, columns))}
        steps.append(sql.SQL("DELETE FROM {table}").format(**words))
        with connection.cursor().copy(sql.SQL("COPY {table} ({columns}) TO STDOUT").format(**words)) as out:
            data = b"".join(bytes(part) for part in out)
        if data:
            rows[table] = sql.SQL("COPY {table} ({columns}) FROM STDIN").format(**words), data
    for name, start, last in connection.execute(_SEQUENCES).fetchall():
        value = start if last is None else last
        steps.append(sql.SQL("SELECT setval({}, {}, {})").format(f'"{name}"', value, last is not None))
    shape = _one(connection, _SHAPE)
    return _Origin(str(shape), _size(connection), sql.SQL("; ").join(steps), rows)


def _one(connection: psycopg.Connection, statement: str) -> object:
    row = connection.execute(statement.encode()).fetchone()
    return row[0] if row else None


def _size(connection: psycopg.Connection) -> int:
    return int(str(_one(connection, "SELECT pg_database_size(current_database())")))
