from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from core import clock
from core.auth import service, throttle
from core.auth.models import Grant, Role, SignInAttempt, User
from core.auth.permissions import requires, within_reach
from core.auth.service import SignInError
from core.companies.models import Company
from core.companies.service import save_company
from core.config import Settings
from core.contract import Scope
from core.db import db, end_reading, transaction
from core.documents.models import Document
from core.errors import UserError
from core.testing.fixtures import PASSWORD, running_app

both = pytest.mark.both_databases
MakeUser = Callable[..., User]


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    yield from running_app(settings)


@pytest.fixture
def moment(monkeypatch: pytest.MonkeyPatch) -> Callable[[dt.timedelta], None]:
    """Move the clock."""
    now = clock.now()

    def move(delta: dt.timedelta) -> None:
        nonlocal now
        now += delta
        monkeypatch.setattr(clock, "now", lambda: now)

    move(dt.timedelta())
    return move


def enter(app: Flask, login: str, password: str = PASSWORD, address: str = "/sign-in") -> FlaskClient:
    client = app.test_client()
    response = client.post(address, data={"login": login, "password": password})
    assert response.status_code == 302, response.text
    end_reading()
    return client


def is_in(client: FlaskClient) -> bool:
    return client.get("/password").status_code == 200


def fail(login: str, remote: str = "192.0.2.1") -> str:
    with pytest.raises(SignInError) as caught:
        service.sign_in(login, "wrong password", remote)
    return str(caught.value)


# --------------------------------------------------------------------------------------------------- sign-in


@both
def test_the_right_password_lets_in_whatever_the_case_of_the_address(app: Flask, make_user: MakeUser) -> None:
    user = make_user(login="anna@example.com")
    assert service.sign_in(" Anna@Example.COM ", PASSWORD, "192.0.2.1").id == user.id


@both
@pytest.mark.parametrize("login", ["", "\0", "x" * 10_000, "' OR 1=1 --", "%"])
def test_nonsense_lets_nobody_in(app: Flask, make_user: MakeUser, login: str) -> None:
    make_user()
    with pytest.raises(SignInError):
        service.sign_in(login, PASSWORD, "not an address " * 50)


def test_a_failure_does_not_tell_who_exists(app: Flask, make_user: MakeUser) -> None:
    known = make_user()
    former = make_user("support")
    with transaction():
        former.active = False
    assert fail(known.login) == fail("stranger@example.com")
    with pytest.raises(SignInError) as caught:
        service.sign_in(former.login, PASSWORD, "192.0.2.1")
    assert str(caught.value) == fail("stranger@example.com")


def test_the_time_of_an_answer_does_not_tell_who_exists(
    app: Flask, make_user: MakeUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = make_user()
    verified: list[str] = []
    verify = service._hasher.verify

    class Watching:
        """Counts what takes the time: verifying a hash."""

        hash = staticmethod(service._hasher.hash)

        def verify(self, password_hash: str, password: str) -> bool:
            verified.append(password_hash)
            return verify(password_hash, password)

    monkeypatch.setattr(service, "_hasher", Watching())
    fail(known.login)
    fail("stranger@example.com")
    assert verified == [known.password_hash, service._nobodys_hash()]
    assert known.password_hash.rpartition("$")[0].split("$")[:4] == service._nobodys_hash().split("$")[:4]


def test_guessing_one_password_is_slowed_down(
    app: Flask, make_user: MakeUser, moment: Callable[[dt.timedelta], None]
) -> None:
    user = make_user()
    for number in range(throttle.ATTEMPTS_PER_LOGIN):
        assert "is wrong" in fail(user.login, f"192.0.2.{number}")
    with pytest.raises(SignInError, match="Too many attempts"):
        service.sign_in(user.login, PASSWORD, "198.51.100.1")
    moment(throttle.ATTEMPT_WINDOW + dt.timedelta(seconds=1))
    assert service.sign_in(user.login, PASSWORD, "198.51.100.1").id == user.id


def test_guessing_from_one_place_is_slowed_down(
    app: Flask, make_user: MakeUser, moment: Callable[[dt.timedelta], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    user = make_user()
    monkeypatch.setattr(throttle, "LOGINS_PER_REMOTE", 5)
    for _ in range(throttle.ATTEMPTS_PER_LOGIN + 1):
        fail("clumsy@example.com")  # counts once, however often
    for number in range(3):
        fail(f"nobody{number}@example.com")
    other = make_user("cashier")
    assert service.sign_in(other.login, PASSWORD, "192.0.2.1")
    for number in range(3, 5):
        fail(f"nobody{number}@example.com")
    with pytest.raises(SignInError, match="Too many attempts"):
        service.sign_in(user.login, PASSWORD, "192.0.2.1")
    assert service.sign_in(user.login, PASSWORD, "198.51.100.1")


def test_a_success_forgets_the_failures_of_the_login(app: Flask, make_user: MakeUser) -> None:
    user = make_user()
    for _ in range(throttle.ATTEMPTS_PER_LOGIN - 1):
        fail(user.login)
    service.sign_in(user.login, PASSWORD, "192.0.2.1")
    assert db.session.scalar(select(func.count()).select_from(SignInAttempt)) == 0


def test_old_failures_are_not_kept(
    app: Flask, make_user: MakeUser, moment: Callable[[dt.timedelta], None]
) -> None:
    fail("a@example.com")
    moment(throttle.ATTEMPT_WINDOW + dt.timedelta(seconds=1))
    fail("b@example.com")
    assert db.session.scalars(select(SignInAttempt.login)).all() == ["b@example.com"]


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "///evil.example/x",
        "////evil.example",
        "https://evil.example/",
        "http:evil.example",
        "https:///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/%09/evil.example",
        "/\t/evil.example",
        " //evil.example",
        "javascript:alert(1)",
        "http://[",
        "//[",
        "http://localhost@evil.example/",
        "",
        "evil.example",
        "/x\r\nSet-Cookie: a=b",
    ],
)
def test_nobody_is_sent_elsewhere_after_the_sign_in(app: Flask, make_user: MakeUser, target: str) -> None:
    user = make_user()
    client = app.test_client()
    response = client.post(
        "/sign-in", query_string={"next": target}, data={"login": user.login, "password": PASSWORD}
    )
    assert response.status_code == 302
    location = response.headers["Location"]
    assert location.startswith("/")
    assert not location.startswith(("//", "/\\", "/\t"))
    assert "\n" not in location


def test_a_page_that_was_asked_for_comes_after_the_sign_in(app: Flask, make_user: MakeUser) -> None:
    user = make_user()
    client = app.test_client()
    asked = client.get("/partners?q=a&sort=name")
    response = client.post(asked.headers["Location"], data={"login": user.login, "password": PASSWORD})
    assert response.headers["Location"] == "/partners?q=a&sort=name"


def test_a_stranger_gets_a_new_session_when_entering(app: Flask, make_user: MakeUser) -> None:
    user = make_user()
    client = app.test_client()
    with client.session_transaction() as session:
        session["developer"] = True
    client.post("/sign-in", data={"login": user.login, "password": PASSWORD})
    with client.session_transaction() as session:
        assert "developer" not in session


# -------------------------------------------------------------------------------------------------- sessions


def test_a_new_password_ends_the_other_sessions(app: Flask, make_user: MakeUser) -> None:
    user = make_user()
    here, elsewhere = enter(app, user.login), enter(app, user.login)
    response = here.post("/password", data={"current": PASSWORD, "password": "another long one"})
    assert response.status_code == 302
    assert is_in(here)
    assert not is_in(elsewhere)
    assert is_in(enter(app, user.login, "another long one"))


def test_a_password_given_by_an_administrator_ends_every_session(app: Flask, make_user: MakeUser) -> None:
    user = make_user()
    client = enter(app, user.login)
    service.set_password(user.login.upper(), "another long one")
    assert not is_in(client)


def test_deactivation_ends_every_session_for_good(app: Flask, make_user: MakeUser) -> None:
    user = make_user()
    client = enter(app, user.login)
    values = {"login": user.login, "name": user.name, "roles": ["salesperson"], "company_ids": []}
    service.save_user(user, **values, active=False)
    assert not is_in(client)
    service.save_user(user, **values, active=True)
    assert not is_in(client)


def test_the_present_password_is_asked_for(app: Flask, make_user: MakeUser) -> None:
    user = make_user()
    with pytest.raises(UserError, match="not your current password"):
        service.change_password(user, "wrong", "another long one", "192.0.2.1")
    with pytest.raises(UserError, match="at least 10 characters"):
        service.change_password(user, PASSWORD, "short", "192.0.2.1")
    assert service.sign_in(user.login, PASSWORD, "192.0.2.1")


@pytest.mark.parametrize("cookie", ["", "1", "1:", ":", "x:y", "²:y", "-1:y", "99999:y", "1:é"])
def test_a_session_that_was_made_up_is_nobodys(app: Flask, make_user: MakeUser, cookie: str) -> None:
    make_user()
    assert service.user_of_session(cookie) is None


# ----------------------------------------------------------------------------------------- users and roles


def values_of(user: User, **changes: object) -> dict[str, object]:
    values = {
        "login": user.login,
        "name": user.name,
        "roles": [r.code for r in user.roles],
        "company_ids": [],
    }
    return values | changes


def test_the_last_administrator_stays(app: Flask, make_user: MakeUser) -> None:
    first = make_user("administrator")
    with pytest.raises(UserError, match="last administrator"):
        service.save_user(first, **values_of(first, active=False))  # type: ignore[arg-type]
    with pytest.raises(UserError, match="last administrator"):
        service.save_user(first, **values_of(first, roles=["support"]))  # type: ignore[arg-type]
    end_reading()
    db.session.refresh(first)
    assert first.active
    assert [role.code for role in first.roles] == ["administrator"]
    second = make_user("administrator", login="second@example.com")
    service.save_user(first, **values_of(first, roles=["support"]))  # type: ignore[arg-type]
    with pytest.raises(UserError, match="last administrator"):
        service.save_user(second, **values_of(second, active=False))  # type: ignore[arg-type]


def test_a_deactivated_administrator_does_not_count(app: Flask, make_user: MakeUser) -> None:
    first, second = make_user("administrator"), make_user("administrator", login="second@example.com")
    service.save_user(second, **values_of(second, active=False))  # type: ignore[arg-type]
    with pytest.raises(UserError, match="last administrator"):
        service.save_user(first, **values_of(first, roles=[]))  # type: ignore[arg-type]


@both
@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"login": "SALESPERSON@maison.example.com"}, "login"),
        ({"login": "nonsense"}, "login"),
        ({"roles": ["salesperson", "emperor"]}, "roles"),
        ({"password": "short"}, "password"),
        ({"password": None}, "password"),
    ],
)
def test_a_user_that_cannot_be_made_is_not(
    app: Flask, make_user: MakeUser, changes: dict[str, object], field: str | None
) -> None:
    make_user()
    values = {
        "login": "new@example.com",
        "name": "",
        "roles": ["support"],
        "company_ids": [],
        "password": PASSWORD,
    }
    with pytest.raises(UserError) as caught:
        service.save_user(None, **values | changes)  # type: ignore[arg-type]
    assert caught.value.field == field
    end_reading()
    assert db.session.scalar(select(func.count()).select_from(User)) == 1


def test_a_grant_taken_away_is_not_given_again(app: Flask) -> None:
    cashier = db.session.scalars(select(Role).where(Role.code == "cashier")).one()
    grants = {grant.permission: grant.scope for grant in cashier.grants}
    del grants["core.partner.read"]
    service.save_role(cashier, code="cashier", name="Cashier", grants=grants)
    service.install_roles(app)
    end_reading()
    db.session.expire_all()
    assert {grant.permission for grant in cashier.grants} == set(grants)


def test_grants_of_a_disabled_module_wait_for_its_return(app: Flask) -> None:
    cashier = db.session.scalars(select(Role).where(Role.code == "cashier")).one()
    with transaction() as session:
        session.add(Grant(role=cashier, permission="gone.thing.edit", scope=Scope.COMPANY))
    service.save_role(cashier, code="cashier", name="Cashier", grants={"core.partner.read": Scope.ALL})
    kept = {grant.permission: grant.scope for grant in cashier.grants}
    assert kept == {"gone.thing.edit": Scope.COMPANY, "core.partner.read": Scope.ALL}


def test_administrators_keep_the_management_of_users(app: Flask) -> None:
    role = db.session.scalars(select(Role).where(Role.code == "administrator")).one()
    with pytest.raises(UserError, match="manage users"):
        service.save_role(role, code="administrator", name="Administrator", grants={})


def test_a_user_works_for_a_company_of_theirs(app: Flask, make_user: MakeUser, company: Company) -> None:
    user = make_user()
    other = save_company(None, {"name": "Other", "email": "", "currency": "EUR", "language": "en"})
    with pytest.raises(UserError, match="do not work for"):
        service.set_preferences(user, company_id=other.id)
    service.set_preferences(user, company_id=company.id)


@pytest.mark.parametrize(("scope", "seen"), [(None, 0), (Scope.OWN, 1), (Scope.COMPANY, 2), (Scope.ALL, 3)])
def test_a_permission_reaches_as_far_as_its_scope(
    app: Flask, make_user: MakeUser, company: Company, scope: Scope | None, seen: int
) -> None:
    other = save_company(None, {"name": "Other", "email": "", "currency": "EUR", "language": "en"})
    role = service.save_role(
        None, code="tester", name="Tester", grants={"sales.document.read": scope} if scope else {}
    )
    assert role.code == "tester"
    user, colleague = make_user("tester"), make_user("support")
    with transaction() as session:
        session.add_all(
            Document(
                kind="x", company_id=c, owner_id=o, language="en", currency="EUR", date=dt.date(2026, 3, 12)
            )
            for c, o in ((company.id, user.id), (company.id, colleague.id), (other.id, user.id))
        )
    reach = within_reach(user, "sales.document.read", owner=Document.owner_id, company=Document.company_id)
    assert len(db.session.scalars(select(Document).where(reach)).all()) == seen


# ----------------------------------------------------------------------------------------------------- pages


def test_a_page_without_a_declaration_is_closed(app: Flask, make_user: MakeUser) -> None:
    app.add_url_rule("/forgotten", "forgotten", lambda: "open")
    assert enter(app, make_user("administrator").login).get("/forgotten").status_code == 403


def test_a_page_needs_the_permission_it_declares(app: Flask, make_user: MakeUser) -> None:
    app.add_url_rule("/declared", "declared", requires("core.user.edit")(lambda: "open"))
    assert enter(app, make_user("cashier").login).get("/declared").status_code == 403
    assert enter(app, make_user("administrator").login).get("/declared").text == "open"


def test_a_stranger_is_asked_to_sign_in(app: Flask) -> None:
    client = app.test_client()
    assert client.get("/partners").headers["Location"] == "/sign-in?next=/partners"
    assert client.post("/sign-out").headers["Location"] == "/sign-in"
    partial = client.get("/partners", headers={"HX-Request": "true", "HX-Current-URL": "http://localhost/x"})
    assert (partial.status_code, partial.text) == (401, "")
    assert partial.headers["HX-Redirect"].startswith("/sign-in?next=")


def test_every_post_needs_a_token(settings: Settings) -> None:
    for app in running_app(settings):
        app.config["WTF_CSRF_ENABLED"] = True
        client = app.test_client()
        assert client.post("/preferences", data={"language": "fr"}).status_code == 400
        assert (
            client.post("/sign-in", data={"login": "a@example.com", "password": PASSWORD}).status_code == 400
        )


def test_the_cookie_is_kept_from_scripts_and_other_sites(app: Flask, make_user: MakeUser) -> None:
    client = app.test_client()
    response = client.post("/sign-in", data={"login": make_user().login, "password": PASSWORD})
    cookie = response.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


def _cookie(client: FlaskClient) -> str:
    cookie = client.get_cookie("envoi")
    assert cookie is not None
    return cookie.value


def test_windows_that_come_first_at_the_same_moment_share_one_token(app: Flask, make_user: MakeUser) -> None:
    client = enter(app, make_user().login)
    fresh = _cookie(client)
    app.config["WTF_CSRF_ENABLED"] = True
    token = None
    for _window in range(2):
        client.set_cookie("envoi", fresh)
        found = re.search(r'name="csrf-token" content="([^"]+)"', client.get("/region").text)
        assert found is not None
        token = token or found[1]  # of the first window; the cookie in the end is that of the second
    posted = client.post("/preferences", data={"csrf_token": token, "language": "fr"})
    assert posted.status_code == 302


def test_an_answer_to_a_session_that_has_ended_cannot_undo_a_sign_in(app: Flask, make_user: MakeUser) -> None:
    client = enter(app, make_user().login)
    ended = _cookie(client)
    assert "Set-Cookie" in client.get("/region").headers
    client.post("/sign-out")
    app.config["WTF_CSRF_ENABLED"] = True
    for post in (False, True):
        client.set_cookie("envoi", ended)
        headers = {"HX-Request": "true"}
        answer = (
            client.post("/preferences", headers=headers) if post else client.get("/region", headers=headers)
        )
        assert answer.status_code == 401
        assert "Set-Cookie" not in answer.headers


# -- a form whose session has ended --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("origin", "fields", "kept"),
    [
        ("http://localhost", {"name": "Long <work>"}, True),
        ("http://evil.example.com", {"name": "Long <work>"}, False),
        (None, {"name": "Long <work>"}, False),
        ("http://localhost", {"name": "Long <work>", "password": "secret"}, False),
    ],
)
def test_what_was_typed_into_our_own_form_comes_back_when_the_session_has_ended(
    app: Flask, make_user: MakeUser, origin: str | None, fields: dict[str, str], kept: bool
) -> None:
    make_user("administrator")
    app.config["WTF_CSRF_ENABLED"] = True
    headers = {"Origin": origin} if origin else {}
    answer = app.test_client().post("/partners/new", data=fields, headers=headers)
    assert answer.status_code == 400
    assert ("Long &lt;work&gt;</textarea>" in answer.text) is kept
    assert ("Go on" in answer.text) is kept
    assert "secret" not in answer.text
