"""Customers and contacts are found by an index, and found the same as without it."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from alembic import command
from flask import Flask
from sqlalchemy import Select, insert, select, text

from core import migrate
from core.companies.models import Company
from core.db import db, end_reading, transaction
from core.documents.models import Document
from core.matching import found_in
from core.partners import search_index
from core.partners.models import Partner
from core.partners.search import search_people
from core.partners.search_index import (
    PARTNER_SEARCH,
    beginning,
    index_missing,
    matching_partners,
    partner_named,
)
from core.partners.service import save_partner
from core.trigrams import hits

pytestmark = pytest.mark.both_databases

BEFORE = "5f0c8a91d3e7"
"""The revision of core before there was an index."""


@pytest.fixture
def kestrel(app: Flask) -> Partner:
    kestrel = save_partner(
        None,
        {
            "name": "Këstrel & Søn",
            "email": "office@kestrel.example",
            "city": "Orléans",
            "number": "C-0815",
            "vat": "FR40303265045",
        },
    )
    save_partner(None, {"name": "Ann Marsh", "parent_id": kestrel.id, "email": "ann@marsh.example"})
    save_partner(None, {"name": "Brickestone"})
    return kestrel


def _found(typed: str) -> list[str]:
    places = (Partner.name, Partner.email, Partner.city, Partner.number, Partner.vat)
    return list(
        db.session.scalars(
            select(Partner.name).where(*matching_partners(typed, *places)).order_by(Partner.id)
        )
    )


@pytest.mark.parametrize("few", [500, 0])
def test_they_are_found_by_any_field_with_and_without_the_index(
    kestrel: Partner, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_index, "FEW", few)
    for typed in (
        "kestr",
        "KËSTREL",
        "søn kest",
        "office@",
        "orleans",
        "c-0815",
        "0303265",
        'k"x',
        "50% off",
    ):
        assert _found(typed) == ([] if typed in {'k"x', "50% off"} else ["Këstrel & Søn"]), typed
    assert _found("kest") == ["Këstrel & Søn", "Brickestone"]
    # Who begins with it comes first, by name or address; a contact is found by its customer.
    assert [row.name for row in search_people("kest", None)] == ["Këstrel & Søn", "Ann Marsh", "Brickestone"]
    assert next(row.name for row in search_people("ke", None)) == "Këstrel & Søn"
    assert [row.name for row in search_people("offi", None)] == ["Këstrel & Søn"]
    assert [row.name for row in search_people("kestrel ann", None)] == ["Ann Marsh"]
    assert [row.name for row in search_people("kest", None, customers_only=True)] == [
        "Këstrel & Søn",
        "Brickestone",
    ]


def test_the_index_follows_what_is_saved_and_deleted(kestrel: Partner) -> None:
    save_partner(kestrel, {"name": "Falcon"})
    assert (_found("kestrel &"), _found("falcon")) == ([], ["Falcon"])
    with transaction() as session:
        session.delete(session.scalars(select(Partner).where(Partner.name == "Brickestone")).one())
    texts = list(db.session.scalars(select(PARTNER_SEARCH.c.text)))
    assert len(texts) == 2
    assert not any("bricke" in found for found in texts)
    if db.engine.dialect.name == "sqlite":
        check = "INSERT INTO core_partner_search_index (core_partner_search_index, rank) VALUES ('integrity-check', 1)"
        db.session.execute(text(check))


def test_whoever_was_written_past_the_models_is_found_after_a_while(
    kestrel: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_index, "BATCH", 2)
    with transaction() as session:
        session.execute(insert(Partner), [{"name": f"Wren {number}"} for number in range(5)])
    assert _found("wren") == []
    index_missing()
    assert _found("wren") == [f"Wren {number}" for number in range(5)]
    index_missing()


def test_those_that_were_there_before_are_found(app: Flask, kestrel: Partner) -> None:
    texts = select(PARTNER_SEARCH).order_by(PARTNER_SEARCH.c.partner_id)
    before = db.session.execute(texts).all()
    end_reading()
    core = next(module for module in migrate.migrated_modules() if module.name == "core")
    command.downgrade(migrate.alembic_config(core), BEFORE)
    migrate.upgrade(app)
    assert db.session.execute(texts).all() == before
    assert _found("kestrel &") == ["Këstrel & Søn"]


def _plan(statement: Select[Any]) -> str:
    sql = str(statement.compile(db.engine, compile_kwargs={"literal_binds": True})).replace("%%", "%")
    with db.engine.connect() as connection:
        if db.engine.dialect.name == "sqlite":
            return "\n".join(str(row[3]) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}"))
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")  # the table of a test is small
        rows = connection.exec_driver_sql(f"EXPLAIN {sql.replace('%', '%%')}")
        return "\n".join(str(row[0]) for row in rows)


def test_a_word_is_looked_up_and_not_looked_for(kestrel: Partner) -> None:
    asked = hits(
        PARTNER_SEARCH.c.partner_id, PARTNER_SEARCH.c.text, "core_partner_search_index", ["kestrel"], 9
    )
    plan = _plan(asked)
    assert "VIRTUAL TABLE INDEX" in plan or "ix_core_partner_search_text" in plan, plan
    plan = _plan(select(Partner.id).where(*matching_partners("kestrel", Partner.name)))
    assert "SCAN core_partner" not in plan, plan
    assert "Seq Scan" not in plan, plan


def test_a_name_that_many_have_is_looked_at_row_by_row(
    company: Company, kestrel: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    wren = save_partner(None, {"name": "Wren"})
    monkeypatch.setattr(search_index, "FEW", 0)
    asked = select(Document.id).join(Partner).where(found_in("kestrel", partner_named(Document.partner_id)))
    plan = _plan(asked)
    assert "LIST SUBQUERY" not in plan, plan
    assert "hashed SubPlan" not in plan, plan
    with transaction() as session:
        values = {
            "kind": "toy",
            "company_id": company.id,
            "language": "en",
            "date": dt.date(2026, 3, 2),
            "currency": "EUR",
        }
        session.execute(
            insert(Document),
            [
                values | {"number": name, "partner_id": partner.id}
                for name, partner in (("A", kestrel), ("B", wren))
            ],
        )
    assert db.session.scalars(asked.with_only_columns(Document.number)).all() == ["A"]


def test_those_whose_names_begin_alike_are_all_looked_up(kestrel: Partner) -> None:
    for number in range(3):
        save_partner(None, {"name": f"Kestrel {number}"})
    begins = beginning("  KEST ")
    assert begins is not None
    assert len(db.session.scalars(begins).all()) == 4
    assert beginning("k") is None
    found = [person.name for person in search_people("kest", None, limit=3)]
    assert found == ["Kestrel 0", "Kestrel 1", "Kestrel 2"]
