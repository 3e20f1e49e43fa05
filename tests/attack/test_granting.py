"""Who may manage users, and is no administrator: they cannot become one, nor let others do more than they may."""

from __future__ import annotations

import pytest

from core.auth.models import Role, User
from core.auth.service import companies_of, save_role, save_user
from core.companies.service import save_company
from core.contract import Scope
from core.db import db
from core.errors import UserError

PASSWORD = "a long enough passphrase"


@pytest.fixture
def manager(make_user) -> User:
    """Manages users, reads customers, and nothing else."""
    save_role(
        None,
        code="hr",
        name="Human resources",
        grants={"core.user.edit": Scope.ALL, "core.partner.read": Scope.ALL},
    )
    return make_user("hr")


@pytest.fixture
def boss(make_user) -> User:
    return make_user("administrator")


@pytest.fixture
def client(boss, manager, sign_in):
    return sign_in(manager)


def role(code: str) -> Role:
    return db.session.query(Role).filter_by(code=code).one()


def form(user: User, **changes: object) -> dict[str, object]:
    return {
        "name": user.name,
        "login": user.login,
        "roles": [each.code for each in user.roles],
        "companies": companies_of(user),
        "language": "en",
        "timezone": "Europe/Paris",
        "active": "y",
        **changes,
    }


def codes(user: User) -> set[str]:
    db.session.expire_all()
    return {each.code for each in db.session.get(User, user.id).roles}


@pytest.mark.parametrize("wanted", ["administrator", "salesperson", "support", "cashier"])
def test_nobody_gives_themselves_a_role_that_allows_more(client, manager, wanted):
    client.post(f"/users/{manager.id}", data=form(manager, roles=["hr", wanted]))
    assert codes(manager) == {"hr"}
    with pytest.raises(UserError, match="role that allows more"):
        save_user(manager, **_values(manager, roles=["hr", wanted]), by=manager)


def _values(user: User, **changes: object) -> dict[str, object]:
    return {
        "login": user.login,
        "name": user.name,
        "roles": [each.code for each in user.roles],
        "company_ids": companies_of(user),
        **changes,
    }


@pytest.mark.parametrize("wanted", ["administrator", "salesperson"])
def test_nobody_makes_a_second_account_that_may_do_more(client, wanted):
    values = {"name": "Eve", "login": "eve@example.com", "roles": [wanted], "password": PASSWORD}
    client.post("/users/new", data={**values, "language": "en", "timezone": "Europe/Paris", "active": "y"})
    assert db.session.query(User).filter_by(login="eve@example.com").first() is None


@pytest.mark.parametrize(
    "change", [{"password": PASSWORD}, {"login": "mine@example.com"}, {"active": ""}, {"roles": ["hr"]}]
)
def test_nobody_takes_the_account_of_somebody_who_may_do_more(client, boss, change):
    before = boss.login, boss.password_hash, boss.active, codes(boss)
    client.post(f"/users/{boss.id}", data=form(boss, **change))
    client.post(f"/users/{boss.id}/active")
    assert (boss.login, boss.password_hash, boss.active, codes(boss)) == before


def test_nobody_widens_the_own_role(client, manager):
    client.post(
        f"/roles/{role('hr').id}", data={"name": "x", "core.user.edit": "all", "core.company.edit": "all"}
    )
    assert not db.session.get(User, manager.id).can("core.company.edit")
    client.post("/roles/new", data={"name": "x", "code": "x", "core.developer": "all"})
    assert db.session.query(Role).filter_by(code="x").first() is None


def test_nobody_narrows_the_role_of_administrators(client, boss):
    client.post(f"/roles/{role('administrator').id}", data={"name": "x", "core.user.edit": "all"})
    db.session.expire_all()
    assert db.session.get(User, boss.id).can("core.company.edit")


def test_a_wider_reach_counts_as_more(make_user):
    save_role(
        None, code="hr", name="HR", grants={"core.user.edit": Scope.ALL, "sales.document.read": Scope.OWN}
    )
    manager = make_user("hr")
    with pytest.raises(UserError, match="not do yourself"):
        save_role(None, code="x", name="x", grants={"sales.document.read": Scope.COMPANY}, by=manager)
    save_role(None, code="y", name="y", grants={"sales.document.read": Scope.OWN}, by=manager)


def test_nobody_works_for_a_company_that_is_not_theirs(client, manager):
    other = save_company(
        None, {"name": "Other", "email": "x@other.example.com", "currency": "EUR", "language": "en"}
    )
    client.post(f"/users/{manager.id}", data=form(manager, companies=[*companies_of(manager), other.id]))
    db.session.expire_all()
    assert other.id not in companies_of(manager)


def test_what_is_within_is_done(client, manager, make_user):
    save_role(None, code="reader", name="Reader", grants={"core.partner.read": Scope.ALL})
    eve = make_user("reader")
    client.post(f"/users/{eve.id}", data=form(eve, name="Eva", password=PASSWORD))
    db.session.expire_all()
    assert db.session.get(User, eve.id).name == "Eva"
    page = client.get(f"/users/{eve.id}").text
    assert ('value="reader"' in page, 'value="administrator"' in page) == (True, False)


def test_administrators_give_every_role(boss, sign_in, make_user):
    eve = make_user("salesperson")
    sign_in(boss).post(f"/users/{eve.id}", data=form(eve, roles=["cashier", "administrator"]))
    assert codes(eve) == {"cashier", "administrator"}
