"""The pages that administrators manage users and roles with."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from core.auth.models import Role, User
from core.auth.service import companies_of, save_user
from core.auth.service import sign_in as service_sign_in
from core.companies.models import Company
from core.companies.service import save_company
from core.contract import Scope
from core.db import db
from tests.playground.isolated import SignIn


@pytest.fixture
def admin(browser: SignIn) -> FlaskClient:
    return browser("administrator")


def user_values(**changes: object) -> dict[str, object]:
    return {
        "name": "Bob",
        "login": "bob@example.com",
        "roles": ["salesperson"],
        "language": "fr",
        "timezone": "Europe/Lisbon",
        "password": "surely long enough",
        "active": "y",
        **changes,
    }


def user_id(bare_app: Flask, login: str) -> int:
    with bare_app.app_context():
        found = db.session.scalar(select(User.id).where(User.login == login))
        assert found is not None
        return found


def role_id(bare_app: Flask, code: str) -> int:
    with bare_app.app_context():
        found = db.session.scalar(select(Role.id).where(Role.code == code))
        assert found is not None
        return found


PAGES = ["/users", "/users/new", "/users/1", "/roles", "/roles/new", "/roles/1"]


@pytest.mark.parametrize("url", PAGES)
@pytest.mark.parametrize("role", ["salesperson", "cashier", "support"])
def test_only_administrators_manage_users(browser: SignIn, role: str, url: str) -> None:
    client = browser(role)
    assert client.get(url).status_code == 403
    assert client.post(url).status_code in {403, 405}


@pytest.mark.parametrize("url", PAGES)
def test_no_page_has_inline_styles_or_scripts(admin: FlaskClient, url: str) -> None:
    response = admin.get(url)
    assert response.status_code == 200
    assert " style=" not in response.text
    assert " onclick=" not in response.text


def test_a_user_is_made_with_roles_and_companies(bare_app: Flask, admin: FlaskClient) -> None:
    with bare_app.app_context():
        company = save_company(None, {"name": "Nord"}).id
    assert admin.post("/users/new", data=user_values(companies=[str(company)])).status_code == 302
    with bare_app.app_context():
        bob = service_sign_in("bob@example.com", "surely long enough", "")
        assert [role.code for role in bob.roles] == ["salesperson"]
        assert (bob.language, bob.timezone, bob.company_id) == ("fr", "Europe/Lisbon", company)


@pytest.mark.parametrize(
    ("changes", "field", "sentence"),
    [
        ({"login": "bob"}, "login", "is not a valid email address"),
        ({"login": "administrator@example.com"}, "login", "Another user has this email address"),
        ({"name": ""}, "name", "This field is required."),
        ({"name": "x" * 121}, "name", "At most 120 characters."),
        ({"password": "short"}, "password", "at least 10 characters"),
        ({"roles": ["emperor"]}, "roles", "not a valid choice"),
        ({"timezone": "Mars/Olympus"}, "timezone", "Not a valid choice"),
        ({"language": "tlh"}, "language", "Not a valid choice"),
        ({"companies": ["999"]}, "companies", "not a valid choice"),
    ],
)
def test_bad_input_is_told_beside_its_field_and_kept(
    bare_app: Flask, admin: FlaskClient, changes: dict[str, object], field: str, sentence: str
) -> None:
    page = admin.post("/users/new", data=user_values(**{"name": "Bob Typed", **changes})).text
    errors = page.split(f'id="{field}-errors"', 1)[1].split("</div>", 1)[0]
    assert sentence in errors
    if field != "name":
        assert "Bob Typed" in page
    with bare_app.app_context():
        assert db.session.scalar(select(User).where(User.login == "bob@example.com")) is None


def test_the_form_shows_what_a_user_has(bare_app: Flask, admin: FlaskClient) -> None:
    with bare_app.app_context():
        company = save_company(None, {"name": "Nord"}).id
    admin.post("/users/new", data=user_values(companies=[str(company)]))
    page = admin.get(f"/users/{user_id(bare_app, 'bob@example.com')}").text
    for chosen in ('value="salesperson"', f'value="{company}"', 'value="fr"', 'value="Europe/Lisbon"'):
        assert f"<option selected {chosen}>" in page
    assert "surely long enough" not in page


def test_saving_without_a_password_keeps_it_and_the_sessions(bare_app: Flask, admin: FlaskClient) -> None:
    admin.post("/users/new", data=user_values())
    bob = user_id(bare_app, "bob@example.com")
    with bare_app.app_context():
        before = db.session.get_one(User, bob).session_key
    assert admin.post(f"/users/{bob}", data=user_values(name="Robert", password="")).status_code == 302
    with bare_app.app_context():
        row = service_sign_in("bob@example.com", "surely long enough", "")
        assert (row.name, row.session_key) == ("Robert", before)


def test_a_new_password_of_ones_own_does_not_sign_one_out(bare_app: Flask, admin: FlaskClient) -> None:
    me = user_id(bare_app, "administrator@example.com")
    values = user_values(
        login="administrator@example.com", roles=["administrator"], password="another password"
    )
    assert admin.post(f"/users/{me}", data=values).status_code == 302
    assert admin.get("/users").status_code == 200


def test_deactivating_ends_the_sessions_and_can_be_undone(
    bare_app: Flask, admin: FlaskClient, browser: SignIn
) -> None:
    cashier = browser("cashier")
    assert cashier.get("/partners").status_code == 200
    url = f"/users/{user_id(bare_app, 'cashier@example.com')}/active"
    assert admin.get(url).status_code == 405
    assert "was deactivated" in admin.post(url, follow_redirects=True).text
    assert cashier.get("/partners").status_code == 302
    assert "may sign in now" in admin.post(url, follow_redirects=True).text
    with bare_app.app_context():
        row = db.session.get_one(User, user_id(bare_app, "cashier@example.com"))
        assert row.active
        assert [role.code for role in row.roles] == ["cashier"]


@pytest.mark.parametrize(
    "changes", [{"active": None}, {"roles": ["salesperson"]}, {"roles": []}], ids=["active", "role", "none"]
)
def test_the_last_administrator_stays(
    bare_app: Flask, admin: FlaskClient, changes: dict[str, object]
) -> None:
    me = user_id(bare_app, "administrator@example.com")
    values = {
        **user_values(login="administrator@example.com", roles=["administrator"], password=""),
        **changes,
    }
    page = admin.post(f"/users/{me}", data={k: v for k, v in values.items() if v is not None}).text
    assert "This is the last administrator" in page
    assert "This is the last administrator" in admin.post(f"/users/{me}/active", follow_redirects=True).text
    assert admin.get("/users").status_code == 200


def test_the_list_filters_and_searches(bare_app: Flask, admin: FlaskClient) -> None:
    admin.post("/users/new", data=user_values())
    with bare_app.app_context():
        save_user(
            None,
            login="gone@example.com",
            name="Gone",
            roles=["cashier"],
            company_ids=[],
            password="surely long enough",
            active=False,
        )
    active = admin.get("/users").text
    assert "bob@example.com" in active
    assert "gone@example.com" not in active
    assert "gone@example.com" in admin.get("/users?f=inactive").text
    cashiers = admin.get("/users?f=role-cashier").text
    assert "gone@example.com" in cashiers
    assert "bob@example.com" not in cashiers
    assert "bob@example.com" in admin.get("/users?q=BOB").text
    assert "Nothing matches" in admin.get("/users?q=%25").text


@pytest.mark.parametrize("url", ["/users/999", "/roles/999"])
def test_what_is_not_there_is_not_found(admin: FlaskClient, url: str) -> None:
    assert admin.get(url).status_code == 404


# ----------------------------------------------------------------------------------------------------- roles


def grants(bare_app: Flask, code: str) -> dict[str, Scope]:
    with bare_app.app_context():
        row = db.session.scalar(select(Role).where(Role.code == code))
        assert row is not None
        return {grant.permission: grant.scope for grant in row.grants}


def test_a_role_offers_every_permission_within_its_scopes(bare_app: Flask, admin: FlaskClient) -> None:
    page = admin.get(f"/roles/{role_id(bare_app, 'cashier')}").text
    select_of = page.split('name="core.partner.read"', 1)[1].split("</select>", 1)[0]
    assert '<option value="">' in select_of
    assert '<option selected value="company">' in select_of
    assert '<option value="all">' in select_of
    assert 'value="own"' not in select_of
    assert 'name="playground.mail.read"' in page


def test_a_role_is_changed(bare_app: Flask, admin: FlaskClient) -> None:
    values = {
        "name": "Till",
        "core.partner.read": "all",
        "core.partner.edit": "all",
        "core.follower.edit": "",
        "playground.mail.read": "",
    }
    response = admin.post(f"/roles/{role_id(bare_app, 'cashier')}", data=values)
    assert response.status_code == 302
    assert grants(bare_app, "cashier") == {"core.partner.read": Scope.ALL, "core.partner.edit": Scope.ALL}
    assert "Till" in admin.get("/roles").text


def test_a_reach_that_a_permission_does_not_have_is_refused(bare_app: Flask, admin: FlaskClient) -> None:
    before = grants(bare_app, "cashier")
    page = admin.post(
        f"/roles/{role_id(bare_app, 'cashier')}", data={"name": "Till", "core.partner.read": "own"}
    ).text
    assert "Not a valid choice" in page.split('id="core.partner.read-errors"', 1)[1][:200]
    assert grants(bare_app, "cashier") == before


def test_administrators_keep_the_management_of_users(bare_app: Flask, admin: FlaskClient) -> None:
    before = grants(bare_app, "administrator")
    values = {"name": "Boss", "core.user.edit": ""}
    page = admin.post(f"/roles/{role_id(bare_app, 'administrator')}", data=values).text
    assert "Administrators must be able to manage users." in page
    assert "Boss" in page
    assert grants(bare_app, "administrator") == before


def test_a_new_role_can_be_given(bare_app: Flask, admin: FlaskClient) -> None:
    assert admin.post("/roles/new", data={"name": "Auditor", "code": "auditor"}).status_code == 302
    assert grants(bare_app, "auditor") == {}
    assert admin.post("/users/new", data=user_values(roles=["auditor"])).status_code == 302


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("", "This field is required."),
        ("Big Boss", "Small letters"),
        ("cashier", "Another role has this code."),
    ],
)
def test_a_bad_code_is_told_beside_it(admin: FlaskClient, code: str, sentence: str) -> None:
    page = admin.post("/roles/new", data={"name": "Auditor", "code": code}).text
    assert sentence in page.split('id="code-errors"', 1)[1][:200]
    assert 'value="Auditor"' in page


def test_companies_of_a_user_that_are_archived_are_not_lost(bare_app: Flask, admin: FlaskClient) -> None:
    with bare_app.app_context():
        company = save_company(None, {"name": "Old", "active": False}).id
        assert db.session.get(Company, company) is not None
    admin.post("/users/new", data=user_values())
    bob = user_id(bare_app, "bob@example.com")
    assert admin.post(f"/users/{bob}", data=user_values(companies=[str(company)])).status_code == 200
    with bare_app.app_context():
        row = db.session.get_one(User, bob)
        save_user(row, login=row.login, name=row.name, roles=["salesperson"], company_ids=[company])
    assert (
        admin.post(f"/users/{bob}", data=user_values(companies=[str(company)], password="")).status_code
        == 302
    )
    with bare_app.app_context():
        assert companies_of(db.session.get_one(User, bob)) == [company]
