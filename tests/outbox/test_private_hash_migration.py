"""What stands for a walk-in's address in rows from before is salted as that of new ones is."""

from __future__ import annotations

import pytest
from alembic import command
from flask import Flask
from sqlalchemy import text

from core import migrate
from core.companies.models import Company
from core.db import db, end_reading, transaction
from modules.outbox import service
from modules.outbox.models import OutgoingMail
from modules.outbox.private_addresses import address_hash, hash_in
from tests.outbox.conftest import draft

FORMER = "b7d20c4e91a6"
WALK_IN = "jeanne@walk-in.example.com"


@pytest.mark.both_databases
def test_visits_of_before_cannot_be_joined_either(app: Flask, company: Company) -> None:
    ids = [service.submit(draft(company, WALK_IN, private=True), None).id for _ in range(2)]
    former = address_hash(WALK_IN)  # as it stood there once: the same on each receipt
    with transaction() as session:
        session.execute(text("UPDATE outbox_recipient SET addr_spec = :former"), {"former": former})
        session.execute(text("UPDATE outbox_search SET text = :former"), {"former": f"receipt {former}"})
        session.execute(text("UPDATE outbox_event SET detail = :former"), {"former": f"x → {former}"})
    end_reading()
    outbox = next(module for module in migrate.migrated_modules() if module.name == "outbox")
    command.downgrade(migrate.alembic_config(outbox), FORMER)
    migrate.upgrade(app)
    db.session.expire_all()
    mails = [db.session.get_one(OutgoingMail, mail_id) for mail_id in ids]
    hashes = [mail.recipients[0].addr_spec for mail in mails]
    assert hashes == [hash_in(mail, WALK_IN) for mail in mails]
    assert len({former, *hashes}) == 3
    for table, column in (("outbox_search", "text"), ("outbox_event", "detail")):
        kept = db.session.scalars(text(f"SELECT {column} FROM {table}")).all()  # noqa: S608 (constants)
        assert not [words for words in kept if former in words]
        assert all(any(one in words for words in kept) for one in hashes)
