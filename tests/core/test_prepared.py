"""Statements that are given to the driver as they are mean what they mean by the usual way."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError, OperationalError

from core.db import ExactDecimal, StrEnumType, UtcDateTime, db
from core.db.prepared import Ledger, Prepared
from core.mail.outcomes import RecipientState

pytestmark = pytest.mark.both_databases

THINGS = Table(
    "thing",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("at", UtcDateTime),
    Column("state", StrEnumType(RecipientState), nullable=False),
    Column("price", ExactDecimal),
)
NAMES = ("id", "at", "state", "price")
INSERT = Prepared(insert(THINGS).values({name: bindparam(name) for name in NAMES}), *NAMES)
ACCEPT = Prepared(
    update(THINGS)
    .where(THINGS.c.id == bindparam("thing_id"), THINGS.c.state == RecipientState.PENDING)
    .values(state=RecipientState.ACCEPTED, at=bindparam("at")),
    "thing_id",
    "at",
)
NOON = dt.datetime(2026, 5, 4, 12, tzinfo=dt.UTC)
PENDING = {"id": 1, "at": NOON, "state": RecipientState.PENDING, "price": Decimal("1.25")}


@pytest.fixture
def ledger(app):
    with db.engine.begin() as connection:
        THINGS.create(connection)
    ledger = Ledger(db.engine)
    yield ledger
    ledger.close()
    with db.engine.begin() as connection:
        THINGS.drop(connection)


def things() -> list[tuple[object, ...]]:
    with db.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(select(THINGS).order_by(THINGS.c.id))]


def test_values_are_kept_as_their_types_keep_them(ledger):
    with ledger.transaction() as batch:
        batch.run(INSERT, PENDING)
        batch.run(INSERT, {**PENDING, "id": 2, "at": None, "price": None})
    assert things() == [
        (1, NOON, RecipientState.PENDING, Decimal("1.25")),
        (2, None, RecipientState.PENDING, None),
    ]


def test_once_committed_it_tells_how_many_rows_each_statement_has_changed(ledger):
    with ledger.transaction() as batch:
        counts = [batch.run(INSERT, PENDING)]
        counts += [batch.run(ACCEPT, {"thing_id": 1, "at": NOON}) for _ in range(2)]
    assert [int(count) for count in counts] == [1, 1, 0]
    assert [bool(count) for count in counts] == [True, True, False]
    assert things()[0][2] is RecipientState.ACCEPTED


def test_the_connection_serves_many_transactions(ledger):
    for number in range(20):
        with ledger.transaction() as batch:
            count = batch.run(INSERT, {**PENDING, "id": number})
        assert int(count) == 1
    assert len(things()) == 20


def test_a_block_that_raises_leaves_nothing_behind_and_the_next_works(ledger):
    def break_off() -> None:
        with ledger.transaction() as batch:
            batch.run(INSERT, PENDING)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_off()
    assert things() == []
    with ledger.transaction() as batch:
        batch.run(INSERT, PENDING)
    assert len(things()) == 1


def test_errors_of_the_driver_are_those_of_sqlalchemy_and_nothing_is_half_written(ledger):
    def twice() -> None:
        with ledger.transaction() as batch:
            batch.run(INSERT, {**PENDING, "id": 7})
            batch.run(INSERT, PENDING)
            batch.run(INSERT, PENDING)

    with pytest.raises(IntegrityError):
        twice()
    assert things() == []
    with ledger.transaction() as batch:
        batch.run(INSERT, PENDING)
    assert len(things()) == 1


def test_a_value_that_makes_no_sense_or_is_missing_is_refused(ledger):
    def insert_one(values: dict[str, object]) -> None:
        with ledger.transaction() as batch:
            batch.run(INSERT, values)

    with pytest.raises(ValueError, match="naive"):
        insert_one({**PENDING, "at": dt.datetime(2026, 5, 4)})  # noqa: DTZ001
    with pytest.raises(KeyError):
        insert_one({"id": 1})
    assert things() == []


@pytest.mark.on_database("postgresql")
def test_a_connection_that_the_database_ends_is_replaced(ledger):
    with ledger.transaction() as batch:
        batch.run(INSERT, PENDING)
    with db.engine.begin() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    def insert_second() -> None:
        with ledger.transaction() as batch:
            batch.run(INSERT, {**PENDING, "id": 2})

    with pytest.raises(OperationalError):
        insert_second()
    insert_second()
    assert len(things()) == 2
