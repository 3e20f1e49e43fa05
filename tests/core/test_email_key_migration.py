"""Addresses and VAT numbers are found however typed also where they were there before they had a key."""

from __future__ import annotations

import pytest
from alembic import command
from flask import Flask
from sqlalchemy import text

from core import migrate
from core.db import db, end_reading, transaction
from core.partners.models import Partner
from core.partners.service import people_at, save_partner

# Documents name rules of taxes: they go first.
FORMER = {"sales": "c41b7e90d25a", "core": "3c8a51f7e960"}


@pytest.mark.both_databases
def test_what_is_there_gets_its_keys(app: Flask) -> None:
    for number, email in enumerate(("Ann@Example.com", "MÜLLER@example.com", "")):
        save_partner(None, {"name": f"P{number}", "email": email})
    save_partner(None, {"name": "P3", "vat": "FR40303265045"})
    with transaction() as session:
        # As rows are that are older than the rules of their country.
        session.execute(text("UPDATE core_partner SET vat = 'fr 40.303.265-045' WHERE name = 'P3'"))
    end_reading()
    modules = {module.name: module for module in migrate.migrated_modules()}
    for name, revision in FORMER.items():
        command.downgrade(migrate.alembic_config(modules[name]), revision)
    migrate.upgrade(app)
    db.session.expire_all()
    assert set(people_at(["ann@example.com", "müller@EXAMPLE.com"], None)) == {
        "ann@example.com",
        "müller@example.com",
    }
    assert db.session.scalars(db.select(Partner.email_key).where(Partner.name == "P2")).all() == [""]
    assert db.session.scalars(db.select(Partner.vat_key).where(Partner.name == "P3")).all() == [
        "FR40303265045"
    ]
    query = "SELECT id FROM core_partner WHERE email_key = 'a'"
    if db.engine.dialect.name == "sqlite":
        steps = db.session.execute(text(f"EXPLAIN QUERY PLAN {query}")).all()
    else:
        db.session.execute(text("SET enable_seqscan = off"))
        steps = db.session.execute(text(f"EXPLAIN {query}")).all()
    assert "ix_core_partner_email_key" in str(steps)
