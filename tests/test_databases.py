"""A database of PostgreSQL that one test has had is as good as new for the next one, or is not lent again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection

from core.testing.databases import Databases


@pytest.fixture
def keeper(request: pytest.FixtureRequest) -> Connection:
    connection: Connection = request.getfixturevalue("_postgres_keeper")
    return connection


@pytest.fixture
def databases(keeper: Connection, request: pytest.FixtureRequest) -> Iterator[Databases]:
    databases = Databases(keeper, request.getfixturevalue("_postgres_template"))
    yield databases
    databases.close()


def run(url: str, *statements: str) -> None:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))


def contents(url: str) -> dict[str, list[str]]:
    """Return every row of every table, and where every sequence stands."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        tables = connection.scalars(sa.text("SELECT relname FROM pg_stat_user_tables ORDER BY 1")).all()
        return {
            name: sorted(str(row) for row in connection.execute(sa.text(f'SELECT * FROM "{name}"')))  # noqa: S608
            for name in (*tables, "pg_sequences")
        }


def test_what_was_written_and_deleted_is_put_back(databases: Databases) -> None:
    with databases.lend() as first:
        fresh = contents(first)
        run(
            first,
            "INSERT INTO core_role (code, name) VALUES ('auditor', 'Auditor')",
            "UPDATE core_role SET name = 'Somebody'",
            "DELETE FROM core_grant",
            "DELETE FROM mail_config_template_text",
        )
        assert contents(first) != fresh
    with databases.lend() as second:
        assert second == first
        assert contents(second) == fresh


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TABLE somebodys (id int)",
        "CREATE SCHEMA somebodys",
        "CREATE INDEX somebodys ON core_role (name)",
        "DROP TABLE mail_config_template_text CASCADE",
        "ALTER TABLE core_role ADD COLUMN somebodys int",
        "ALTER TABLE core_role ALTER COLUMN name DROP NOT NULL",
        "ALTER TABLE core_role ALTER COLUMN name SET DEFAULT 'Somebody'",
        "ALTER TABLE core_role DISABLE TRIGGER ALL",
        "ALTER SEQUENCE core_role_id_seq INCREMENT 5",
        "CREATE FUNCTION somebodys() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET work_mem = 64', current_database()); END $$",
        "INSERT INTO core_role (code, name) SELECT n, repeat('x', 80) FROM generate_series(1, 40000) n",
        "ANALYZE core_role",
    ],
)
def test_what_is_of_another_make_is_not_lent_again(databases: Databases, change: str) -> None:
    with databases.lend() as first:
        fresh = contents(first)
        run(first, change)
    with databases.lend() as second:
        assert second != first
        assert contents(second) == fresh


def test_one_that_somebody_is_still_at_is_not_lent_again(databases: Databases) -> None:
    with databases.lend() as first:
        engine = sa.create_engine(first, poolclass=sa.NullPool)
        connection = engine.connect()
        connection.execute(sa.text("SELECT 1"))
    with databases.lend() as second:
        assert second != first
    with pytest.raises(sa.exc.OperationalError):
        connection.execute(sa.text("SELECT 1"))
    connection.invalidate()


def test_one_that_is_gone_is_no_hindrance(databases: Databases, keeper: Connection) -> None:
    with databases.lend() as first:
        name = sa.make_url(first).database
        keeper.execute(sa.text(f'DROP DATABASE "{name}"'))
    with databases.lend() as second:
        assert second != first


def test_the_server_gathers_no_statistics_by_itself(keeper: Connection) -> None:
    """A minute after the start it would have changed the template, and every test would have had a new copy."""
    assert keeper.scalar(sa.text("SHOW autovacuum")) == "off"
