from __future__ import annotations

import datetime as dt
import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from flask import Flask
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import create_engine, inspect, select, text, update
from sqlalchemy.exc import StatementError
from sqlalchemy.orm import configure_mappers

from core.auth.models import Role, SignInAttempt
from core.config import Settings
from core.contract import Scope
from core.db import (
    Base,
    ExactDecimal,
    StrEnumType,
    UtcDateTime,
    base,
    db,
    end_reading,
    mappers,
    on_commit,
    transaction,
)
from core.documents.models import Document
from core.testing.fixtures import running_app

both = pytest.mark.both_databases


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    yield from running_app(settings)


def roles() -> set[str]:
    return set(db.session.scalars(select(Role.code)))


def add_role(code: str) -> None:
    with transaction() as session:
        session.add(Role(code=code, name=code))


@both
def test_a_transaction_is_committed_at_its_end(app: Flask) -> None:
    add_role("new")
    db.session.rollback()
    assert "new" in roles()


@both
def test_an_error_rolls_everything_back_and_goes_on(app: Flask) -> None:
    def fail() -> None:
        with transaction() as session:
            session.add(Role(code="new", name="new"))
            session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert "new" not in roles()
    add_role("next")
    assert "next" in roles()


@both
def test_a_nested_transaction_joins_the_outer_one(app: Flask) -> None:
    def fail() -> None:
        with transaction():
            add_role("inner")
            assert "inner" in roles()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert "inner" not in roles()


def test_what_waits_for_the_commit_comes_after_it_and_once(app: Flask) -> None:
    said: list[object] = []
    with transaction() as session:
        on_commit(lambda: said.append("first" if "new" in roles() else "too early"))
        with transaction():
            on_commit(lambda: said.append("second"))
        session.add(Role(code="new", name="new"))
        assert said == []
    assert said == ["first", "second"]
    add_role("other")
    assert said == ["first", "second"]


def test_what_waits_for_a_commit_is_forgotten_by_a_rollback(app: Flask) -> None:
    said: list[str] = []

    def fail() -> None:
        with transaction():
            on_commit(lambda: said.append("never"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    add_role("other")
    assert said == []


def test_what_comes_after_the_commit_may_begin_another_transaction(app: Flask) -> None:
    with transaction():
        on_commit(lambda: add_role("after"))
    assert "after" in roles()


def test_nothing_can_wait_for_a_commit_that_will_not_come(app: Flask) -> None:
    with pytest.raises(RuntimeError, match="needs a running transaction"):
        on_commit(lambda: None)


def test_rows_are_changed_inside_of_transactions_only(app: Flask) -> None:
    role = db.session.scalars(select(Role)).first()
    assert role is not None
    role.name = "Changed by the way"
    with pytest.raises(RuntimeError, match="outside of a transaction"), transaction():
        pytest.fail("must not begin")
    db.session.rollback()


def test_no_transaction_stays_open_across_the_network(app: Flask) -> None:
    with transaction(), pytest.raises(RuntimeError, match="across the network"):
        end_reading()
    roles()
    end_reading()
    assert not db.session().in_transaction()


@both
def test_a_transaction_decides_on_rows_as_they_are_now(app: Flask) -> None:
    role = db.session.scalars(select(Role).where(Role.code == "support")).one()
    assert role.name == "Support"
    engine = create_engine(db.engine.url)
    with engine.begin() as elsewhere:
        elsewhere.execute(update(Role).where(Role.code == "support").values(name="Help"))
    engine.dispose()
    with transaction():
        assert role.name == "Help"


@both
def test_two_writers_at_once_wait_for_each_other(app: Flask) -> None:
    with transaction() as session:
        session.add(SignInAttempt(login="0", remote=""))
    begun = threading.Barrier(2)
    errors: list[BaseException] = []

    def count_up() -> None:
        try:
            with app.app_context():
                begun.wait(90)
                for _ in range(20):
                    with transaction() as session:
                        row = session.scalars(select(SignInAttempt).with_for_update()).one()
                        row.login = str(int(row.login) + 1)
                db.session.remove()
        except BaseException as error:
            errors.append(error)
            raise

    threads = [threading.Thread(target=count_up) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    assert errors == []
    end_reading()
    assert db.session.scalars(select(SignInAttempt.login)).one() == "40"


def test_who_waits_for_the_lock_of_sqlite_looks_often(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    db.session.commit()
    holder = db.engine.connect().execution_options(envoi_write=True)
    holder.begin()
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 5:
            holder.close()

    monkeypatch.setattr(base.time, "sleep", pause)
    with transaction() as session:
        session.add(SignInAttempt(login="a", remote=""))
        assert session.execute(text("PRAGMA busy_timeout")).scalar() == base.SQLITE_BUSY_SECONDS * 1000
    assert len(pauses) == 5
    # Its own handler would have waited for a tenth of a second by then, and missed every moment in between.
    assert max(pauses) <= 1.5 * base.LONG_PAUSE_SECONDS


def test_what_no_waiting_helps_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base.time, "sleep", lambda _seconds: pytest.fail("It waits."))
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as driver:
        driver.execute("BEGIN")
        assert not base._began_to_write(driver)


def test_sqlite_is_durable_and_strict(durable: None, app: Flask) -> None:
    for pragma, value in (("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)):
        assert db.session.execute(text(f"PRAGMA {pragma}")).scalar() == value


@both
def test_a_time_comes_back_aware_and_in_utc(app: Flask) -> None:
    paris = dt.timezone(dt.timedelta(hours=2))
    with transaction() as session:
        session.add(SignInAttempt(login="x", remote="", at=dt.datetime(2026, 7, 1, 1, 30, 0, 123456, paris)))
    end_reading()
    at = db.session.scalars(select(SignInAttempt.at)).one()
    assert at == dt.datetime(2026, 6, 30, 23, 30, 0, 123456, dt.UTC)
    assert at.utcoffset() == dt.timedelta(0)


@both
def test_a_naive_time_is_refused(app: Flask) -> None:
    naive = dt.datetime(2026, 7, 1)  # noqa: DTZ001 (what is refused)
    with pytest.raises(StatementError, match="naive datetime"), transaction() as session:
        session.add(SignInAttempt(login="x", remote="", at=naive))
    with pytest.raises(StatementError, match="naive datetime"):
        db.session.scalars(select(SignInAttempt).where(SignInAttempt.at < naive)).all()
    db.session.rollback()


DECIMAL = ExactDecimal()
STORED = st.integers(-(2**63), 2**63 - 1)


def stored(value: object) -> int | None:
    return DECIMAL.process_bind_param(value, None)  # type: ignore[arg-type]


@given(STORED)
def test_a_decimal_comes_back_exactly(number: int) -> None:
    value = Decimal(number).scaleb(-4)
    assert stored(value) == number
    assert DECIMAL.process_result_value(number, None) == value  # type: ignore[arg-type]


@given(st.decimals(allow_nan=False, allow_infinity=False))
@example(Decimal("1.00000000000000000000000000001"))
@example(Decimal("123456789012345678901234567890.12345"))
@example(Decimal("1E-99999"))
def test_a_decimal_is_stored_as_it_is_or_refused(value: Decimal) -> None:
    exact = Fraction(value) * 10_000
    if exact.denominator == 1:
        assert stored(value) == exact
    else:
        with pytest.raises(ValueError, match="more than 4 decimal places"):
            stored(value)


@pytest.mark.parametrize("value", ["0.00001", "12.34567", "NaN", "Infinity", "-Infinity"])
def test_what_would_be_rounded_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match=r"decimal places|not a number that can be stored"):
        stored(Decimal(value))


@both
def test_the_database_sums_and_compares_decimals_exactly(app: Flask, company: object) -> None:
    with transaction() as session:
        session.add_all(
            Document(
                kind="x",
                company_id=1,
                language="en",
                currency="EUR",
                total=Decimal(total),
                date=dt.date(2026, 3, 12),
            )
            for total in ("0.1", "0.2", "-0.3", "99999999999.9999")
        )
    end_reading()
    total = Document.total
    assert sorted(db.session.scalars(select(total))) == [
        Decimal("-0.3"),
        Decimal("0.1"),
        Decimal("0.2"),
        Decimal("99999999999.9999"),
    ]
    assert list(db.session.scalars(select(total).where(total > Decimal("0.1"), total < 1))) == [
        Decimal("0.2")
    ]


def test_a_word_that_is_no_member_is_refused() -> None:
    column = StrEnumType(Scope)
    assert column.process_bind_param("own", None) == "own"  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="galaxy"):
        column.process_bind_param("galaxy", None)  # type: ignore[arg-type]


def test_nothing_stays_nothing() -> None:
    for column in (DECIMAL, StrEnumType(Scope), UtcDateTime()):
        assert column.process_bind_param(None, None) is None  # type: ignore[arg-type]
        assert column.process_result_value(None, None) is None  # type: ignore[arg-type]


def test_two_modules_may_have_a_model_of_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each names its own in a relationship; what it imports from others, it names as before."""
    monkeypatch.syspath_prepend(tmp_path)
    made: dict[str, Any] = {}
    for name in ("abc", "xyz"):
        folder = tmp_path / f"envoi_{name}"
        folder.mkdir()
        declaration = (
            f"from core.contract import Module\nmodule = Module('{name}', '1', 'A', 'envoi_{name}')\n"
        )
        (folder / "__init__.py").write_text(declaration)
        (folder / "models.py").write_text(dedent(NAMESAKES).replace("NAME", name))
    try:
        for name in ("abc", "xyz"):
            made[name] = import_module(f"envoi_{name}.models")
        configure_mappers()
        for models in made.values():
            relationships = inspect(models.Sheet).relationships
            assert relationships["lines"].mapper.class_ is models.Line
            assert relationships["document"].mapper.class_ is Document
            assert inspect(models.Line).relationships["sheet"].mapper.class_ is models.Sheet
            assert inspect(models.Line) in mappers()
    finally:
        for name, models in made.items():
            inspect(models.Sheet).registry.dispose()
            for table in (f"{name}_line", f"{name}_sheet"):
                Base.metadata.remove(Base.metadata.tables[table])
            del sys.modules[f"envoi_{name}"], sys.modules[f"envoi_{name}.models"]


NAMESAKES = """
    from sqlalchemy import ForeignKey
    from sqlalchemy.orm import Mapped, mapped_column, relationship

    from core.db import Base
    from core.documents.models import Document


    class Sheet(Base):
        __tablename__ = "NAME_sheet"
        id: Mapped[int] = mapped_column(primary_key=True)
        document_id: Mapped[int | None] = mapped_column(ForeignKey("core_document.id"))
        document: Mapped["Document | None"] = relationship()
        lines: Mapped[list["Line"]] = relationship(back_populates="sheet")


    class Line(Base):
        __tablename__ = "NAME_line"
        id: Mapped[int] = mapped_column(primary_key=True)
        sheet_id: Mapped[int] = mapped_column(ForeignKey("NAME_sheet.id"))
        sheet: Mapped["Sheet"] = relationship(back_populates="lines")
"""
