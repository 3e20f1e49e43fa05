"""Imports of customers stay what they were, and can be undone, when products are imported as well."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from alembic import command
from flask import Flask
from sqlalchemy import select

from core import migrate
from core.auth.models import User
from core.db import db, end_reading
from core.imports import service
from core.imports.models import Import, ImportState
from core.partners.models import Partner

FORMER = "3f8a51c07e92"


@pytest.mark.both_databases
def test_an_import_of_before_is_undone(app: Flask, make_user: Callable[..., User]) -> None:
    user = make_user("administrator")
    of = service.read_file("partners", b"Number;Name\nC-1;Ada\nC-2;Ben\n", "a.csv", user)
    service.check(of, of.mapping, "number")
    service.start(of)
    products = service.read_file("products", b"Code;Name\nX;Lamp\n", "b.csv", user)
    numbers, user_id = (of.id, products.id), user.id
    end_reading()
    modules = {module.name: module for module in migrate.migrated_modules()}
    command.downgrade(migrate.alembic_config(modules["core"]), FORMER)  # which knows no products
    migrate.upgrade(app)
    db.session.expire_all()
    of = db.session.scalars(select(Import)).one()
    assert (of.id, of.subject, of.state, of.header) == (
        numbers[0],
        "partners",
        ImportState.DONE,
        ["Number", "Name"],
    )
    service.undo(of)
    assert of.state is ImportState.UNDONE
    assert db.session.scalars(select(Partner)).all() == []
    # The next one has a number of its own.
    user = db.session.get_one(User, user_id)
    assert service.read_file("partners", b"Number;Name\nC-1;Ada\n", "c.csv", user).id != numbers[0]
