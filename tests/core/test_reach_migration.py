"""What an installation had before customers said whose they are stays as it was: everybody's, and found."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from alembic import command
from flask import Flask
from sqlalchemy import select, text

from core import migrate
from core.auth.models import User
from core.auth.service import save_role
from core.contract import Scope
from core.db import db, end_reading, transaction
from core.partners.models import Partner
from core.partners.reach import EDIT, READ, reachable
from core.partners.service import make_main_contact, save_contact, save_partner
from modules.mail_config.mail_templates.service import save_template
from modules.mail_config.models import MailTemplate

FORMER = {
    "distribution": "base",
    "sales": "c41b7e90d25a",
    "outbox": "9b60d4e7c315",
    "mail_config": "9d2e61c7f048",
    "core": "8a4c61e07d52",
}


@pytest.mark.both_databases
def test_customers_stay_everybody_s_and_only_administrators_reach_beyond(
    app: Flask, make_user: Callable[..., User]
) -> None:
    seller, boss = make_user("salesperson"), make_user("administrator")
    customer = save_partner(None, {"name": "Former", "email": "former@example.com"})
    make_main_contact(save_contact(customer, "Anna", "anna@example.com"))
    save_role(None, code="own", name="Own", grants={READ: Scope.COMPANY, EDIT: Scope.COMPANY})
    template = save_template(
        None, kind="sales.quotation", values={"name": "Former"}, texts={"en": ("x", "<p>x</p>")}, by=seller
    )
    ids = (seller.id, boss.id, template.id)
    modules = {module.name: module for module in migrate.migrated_modules()}
    end_reading()
    for name, revision in FORMER.items():
        command.downgrade(migrate.alembic_config(modules[name]), revision)
    with transaction() as session:
        session.execute(text("UPDATE core_grant SET scope = 'all' WHERE permission LIKE 'core.partner.%'"))
    end_reading()
    migrate.upgrade(app)
    db.session.expire_all()
    seller, boss = db.session.get_one(User, ids[0]), db.session.get_one(User, ids[1])
    assert [seller.scope(READ), seller.scope(EDIT)] == [Scope.COMPANY, Scope.COMPANY]
    assert [boss.scope(READ), boss.scope(EDIT)] == [Scope.ALL, Scope.ALL]
    found = db.session.scalars(select(Partner.name).where(reachable(seller)).order_by(Partner.id)).all()
    assert found == ["Former", "Anna"]
    assert db.session.get_one(MailTemplate, ids[2]).owner_id is None
