"""Who wanted no mails, and the history of addresses, stay what they were when consent and sorting arrive."""

from __future__ import annotations

import datetime as dt

import pytest
from alembic import command
from flask import Flask
from sqlalchemy import text

from core import migrate
from core.db import db, end_reading
from core.partners.history import last_changes
from core.partners.models import MailConsent
from core.partners.service import save_partner

# Rules of distribution name what customers are sorted by, documents rules of taxes: they go first.
FORMER = {"distribution": "base", "sales": "c41b7e90d25a", "core": "5e0c93d1a7f4"}


@pytest.mark.both_databases
def test_an_opt_out_and_the_history_are_kept(app: Flask) -> None:
    at = dt.datetime(2026, 3, 1, 9, tzinfo=dt.UTC)
    out = save_partner(None, {"name": "Out", "email": "a@example.com", "consent": "none", "consent_at": at})
    stays = save_partner(None, {"name": "Stays"})
    save_partner(out, {"email": "b@example.com"})
    ids = out.id, stays.id
    end_reading()
    modules = {module.name: module for module in migrate.migrated_modules()}
    for name, revision in FORMER.items():
        command.downgrade(migrate.alembic_config(modules[name]), revision)
    kept = "SELECT name FROM core_partner WHERE opted_out_at IS NOT NULL"
    assert db.session.execute(text(kept)).scalars().all() == ["Out"]
    end_reading()
    migrate.upgrade(app)
    db.session.expire_all()
    out, stays = (db.session.get_one(type(out), number) for number in ids)
    assert (out.consent, out.consent_at, out.opted_out_at) == (MailConsent.NONE, at, at)
    assert (stays.consent, stays.consent_at, stays.family, stays.number) == (
        MailConsent.NECESSARY,
        None,
        None,
        "",
    )
    assert [(change.before, change.after) for change in last_changes(out)] == [
        ("a@example.com", "b@example.com")
    ]
