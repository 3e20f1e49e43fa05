"""Links by which a password is chosen: who has none gets none, sees none, and learns nothing of who has an account."""

from __future__ import annotations

import datetime as dt
import re
import threading
from email import message_from_bytes, policy

import pytest
from flask import Flask, current_app
from sqlalchemy import select, text

from core import clock
from core.auth import links, service, throttle
from core.auth.models import User
from core.auth.service import set_active
from core.auth.service import sign_in as enter
from core.auth.throttle import SignInError
from core.contract import Scope
from core.db import db, empty_journal, end_reading, transaction
from core.errors import UserError
from core.testing.fixtures import PASSWORD
from core.views import links as pages
from modules.outbox import service as outbox
from modules.outbox.alerts import service as alerts
from modules.outbox.delivery.run import deliver
from modules.outbox.message import build_message
from modules.outbox.models import OutgoingMail
from modules.outbox.privacy import retention
from modules.outbox.states import MailState
from tests.at_once import WAIT_SECONDS

EVIL = {"X-Forwarded-Host": "evil.example.com"}
NEW = "an entirely new passphrase"
LINK = re.compile(r"https?://[^\s\"<>]+/password/choose/[^\s\"<>]+")

pytestmark = pytest.mark.smtp


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "ANSWER_SECONDS", 0.0)


@pytest.fixture(autouse=True)
def _mail_can_leave(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """No worker runs in these tests; whether one does is told elsewhere."""
    if "standstill" not in request.fixturenames:
        monkeypatch.setattr("modules.outbox.receivers.hindrance", lambda: None)


def mails() -> list[OutgoingMail]:
    return list(db.session.scalars(select(OutgoingMail).order_by(OutgoingMail.id)))


def path_of(link: str) -> str:
    return "/" + link.split("/", 3)[3]


def sent_link(lab) -> str:
    """Deliver what waits, and return the link in the last message that came."""
    ids = [mail.id for mail in mails() if mail.state is MailState.QUEUED]
    end_reading()
    deliver(ids)
    db.session.expire_all()
    message = message_from_bytes(lab.accepted[-1].data, policy=policy.default)
    texts = {kind: message.get_body((kind,)).get_content() for kind in ("plain", "html")}
    (plain,) = LINK.findall(texts["plain"])
    assert set(LINK.findall(texts["html"])) == {plain}
    return path_of(plain)


def ask(client, login: str):
    return client.post("/password/forgotten", data={"login": login})


def choose(client, path: str, password: str = NEW):
    return client.post(path, data={"password": password})


@pytest.mark.both_databases
def test_who_has_forgotten_a_password_chooses_a_new_one_and_every_session_ends(
    app, server, lab, make_user, sign_in
):
    user = make_user()
    elsewhere = sign_in(user)
    browser = app.test_client()
    assert "/password/forgotten" in browser.get("/sign-in").text
    assert ask(browser, f" {user.login.upper()} ").status_code == 200
    path = sent_link(lab)
    assert lab.accepted[-1].recipients == (user.login,)
    assert user.login in browser.get(path).text
    answer = choose(browser, path)
    assert answer.status_code == 302, answer.text
    assert browser.get("/password").status_code == 200, "signed in"
    end_reading()
    assert elsewhere.get("/password").status_code == 302, "the other session has ended"
    assert enter(user.login, NEW, "").id == user.id
    with pytest.raises(SignInError):
        enter(user.login, PASSWORD, "")


def test_the_answer_does_not_tell_who_has_an_account(app, server, make_user):
    known, former = make_user(), make_user("support")
    with transaction():
        former.active = False
    answers = {
        ask(app.test_client(), login).text
        for login in (known.login, former.login, "stranger@example.com", "'%")
    }
    assert len({re.sub(r"csrf[^>]*>|nonce[^>]*>", "", answer) for answer in answers}) == 1
    assert [mail.recipients[0].addr_spec for mail in mails()] == [known.login]


def test_nor_does_the_time_of_the_answer(app, server, make_user, monkeypatch):
    monkeypatch.setattr(pages, "ANSWER_SECONDS", 0.4)
    slept: list[float] = []
    monkeypatch.setattr(pages.time, "sleep", slept.append)
    known = make_user()
    for login in (known.login, "stranger@example.com"):
        ask(app.test_client(), login)
    assert len(slept) == 2
    assert all(0 < seconds <= 0.4 for seconds in slept)


def test_nor_does_the_throttle(app, server, make_user):
    known = make_user()
    for login in (known.login, "stranger@example.com"):
        client = app.test_client()
        for _ in range(throttle.REQUESTS_PER_LOGIN):
            assert ask(client, login).status_code == 200
        assert "Too many attempts" in ask(client, login).text
    assert len(mails()) == throttle.REQUESTS_PER_LOGIN
    assert enter(known.login, PASSWORD, "192.0.2.1"), "whoever asks for links locks nobody out"


def test_one_address_asks_for_so_many(app, server, make_user, monkeypatch):
    monkeypatch.setattr(throttle, "LOGINS_PER_REMOTE", 5)
    client = app.test_client()
    answers = [ask(client, f"nobody{number}@example.com").status_code for number in range(6)]
    assert answers == [200] * 5 + [422]


def test_a_link_works_once(app, server, lab, make_user):
    user = make_user()
    ask(app.test_client(), user.login)
    path = sent_link(lab)
    assert choose(app.test_client(), path).status_code == 302
    late = choose(app.test_client(), path, "another passphrase of mine")
    assert late.status_code == 410
    assert "no longer good" in late.text
    assert enter(user.login, NEW, "")


@pytest.mark.both_databases
def test_of_two_who_use_it_at_once_one_does(app: Flask, server, make_user):
    user = make_user()
    link, _until = links.make_link(user)
    token, ready, done = link.rpartition("/")[2], threading.Barrier(2), []
    db.session.remove()

    def use(password: str) -> None:
        ready.wait(WAIT_SECONDS)
        with app.app_context():
            try:
                links.choose_password(token, password)
                done.append(password)
            except UserError:
                pass

    threads = [threading.Thread(target=use, args=(f"{NEW} number {n}",)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_SECONDS)
    assert len(done) == 1


@pytest.mark.parametrize("change", ["password", "address", "deactivated", "signed out", "time"])
def test_what_changes_meanwhile_makes_it_void(app, company, make_user, monkeypatch, change):
    user = make_user()
    path = path_of(links.make_link(user)[0])
    assert app.test_client().get(path).status_code == 200
    with transaction():
        match change:
            case "password":
                service.give_password(user, "somebody else's passphrase")
            case "address":
                user.login = "new@example.com"
            case "deactivated":
                user.active = False
            case "signed out":
                user.session_key = "x" * 43
    if change == "time":
        now = clock.now() + links.LIFETIMES[links.Purpose.RESET]
        monkeypatch.setattr(clock, "now", lambda: now)
    assert app.test_client().get(path).status_code == 410
    assert choose(app.test_client(), path).status_code == 410


@pytest.mark.parametrize("token", ["x", "WzEsIngiLDFd.AAAA", "[1]", "%00", "é", "a" * 5000])
def test_a_link_that_somebody_made_is_none(app, make_user, token):
    make_user()
    assert app.test_client().get(f"/password/choose/{token}").status_code == 410
    assert choose(app.test_client(), f"/password/choose/{token}").status_code == 410


def test_links_of_others_are_no_link_of_mine(app, make_user):
    """What we sign for another purpose, such as a cookie of a known browser, is no link."""
    user = make_user()
    client = app.test_client()
    client.post("/sign-in", data={"login": user.login, "password": PASSWORD})
    cookie = client.get_cookie("envoi-device")
    assert app.test_client().get(f"/password/choose/{cookie.value}").status_code == 410


def test_looking_at_the_link_uses_nothing_up_and_weak_passwords_are_refused(app, make_user):
    path = path_of(links.make_link(make_user())[0])
    client = app.test_client()
    for _ in range(2):
        assert client.get(path).status_code == 200
    answer = choose(client, path, "password12")
    assert answer.status_code == 422
    assert "guessed too easily" in answer.text
    assert choose(client, path).status_code == 302


def test_the_link_leads_to_the_public_address_whatever_the_request_says(app, server, lab, make_user):
    user = make_user()
    app.test_client().post(
        "/password/forgotten", data={"login": user.login}, headers={"X-Forwarded-Host": "evil.example.com"}
    )
    sent_link(lab)
    assert b"evil.example.com" not in lab.accepted[-1].data
    assert current_app.extensions["envoi_settings"].base_url.encode() in lab.accepted[-1].data


# -- nobody else reads it ------------------------------------------------------------------------------


def everything_stored() -> bytes:
    end_reading()
    empty_journal()
    folder = current_app.extensions["envoi_settings"].data_dir
    return b"\0".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_nobody_reads_it_in_the_outbox_or_on_the_disk(app, server, lab, make_user, sign_in):
    boss, user = make_user("administrator"), make_user()
    ask(app.test_client(), user.login)
    (mail,) = mails()
    assert b"password/choose" not in everything_stored()
    for reader in (boss, make_user("support")):
        browser = sign_in(reader)
        for url in ("", f"/{mail.id}", f"/{mail.id}?tab=message", f"/{mail.id}/html"):
            page = browser.get(f"/outbox/mails{url}")
            assert page.status_code == 200
            assert "password/choose" not in page.text
        end_reading()
    with transaction():
        mail.sender_address = "x@example.com"
    assert b"password/choose" not in build_message(mail)
    path = sent_link(lab)
    assert app.test_client().get(path).status_code == 200
    stored = everything_stored()
    assert path.rpartition("/")[2].encode() not in stored
    assert (mail.state, mail.encrypted_link, mail.body_html, mail.body_text) == (MailState.SENT, None, "", "")
    outbox.resend([mail.id])
    assert mail.state is MailState.SENT


def test_whoever_corrects_addresses_does_not_get_it(app, server, lab, make_user):
    boss = make_user("administrator", login="refused+boss@example.com")
    ask(app.test_client(), boss.login)
    (mail,) = mails()
    end_reading()
    deliver([mail.id])
    db.session.expire_all()
    assert mail.state is MailState.FAILED
    with pytest.raises(UserError, match="for one person"):
        outbox.correct_recipient(mail.recipients[0], "support@example.com")
    assert mail.recipients[0].addr_spec == boss.login


@pytest.mark.parametrize("state", [MailState.FAILED, MailState.QUEUED])
def test_one_that_has_not_left_is_not_kept_longer_than_it_is_good(app, server, make_user, monkeypatch, state):
    user = make_user()
    ask(app.test_client(), user.login)
    (mail,) = mails()
    if state is MailState.FAILED:
        with transaction() as session:
            session.execute(text("UPDATE outbox_mail SET state = 'failed', settled_at = submitted_at"))
    retention.apply(folders=[])
    db.session.expire_all()
    assert mail.encrypted_link
    now = clock.now() + dt.timedelta(hours=1, seconds=1)
    monkeypatch.setattr(clock, "now", lambda: now)
    retention.apply(folders=[])
    db.session.expire_all()
    assert (mail.encrypted_link, mail.body_text) == (None, "")
    assert mail.state is (MailState.FAILED if state is MailState.FAILED else MailState.CANCELED)


def test_the_log_knows_who_asked_and_who_chose_and_no_link(app, server, make_user, caplog):
    user = make_user()
    ask(app.test_client(), user.login)
    ask(app.test_client(), "stranger@example.com")
    path = path_of(links.make_link(user)[0])
    choose(app.test_client(), path)
    assert f"asked for by user {user.id}" in caplog.text
    assert "asked for by nobody here" in caplog.text
    assert f"User {user.id} has chosen a password" in caplog.text
    for secret in (user.login, "stranger@", "password/choose", path.rpartition("/")[2]):
        assert secret not in caplog.text


# -- where no email leaves -----------------------------------------------------------------------------


def test_without_a_server_everybody_is_told_the_same(app, company, make_user):
    user = make_user()
    answers = [ask(app.test_client(), login).text for login in (user.login, "stranger@example.com")]
    for answer in answers:
        assert "No mail server works at this moment." in answer
        assert "Ask your administrator for a link." in answer
    assert mails() == []


def test_a_stopped_queue_is_told(app, server, make_user, standstill):
    answer = ask(app.test_client(), make_user().login).text
    assert "Emails do not leave" in answer
    assert len(mails()) == 1, "it leaves when it can, while it is good"


@pytest.fixture
def standstill() -> None:
    """The real answer: no worker runs."""


# -- invitations ---------------------------------------------------------------------------------------

ROBIN = {
    "name": "Robin",
    "login": "robin@example.com",
    "roles": ["salesperson"],
    "language": "fr",
    "timezone": "Europe/Paris",
    "active": "y",
    "password": "",
}


def invited(client, company, **changes: object):
    return client.post("/users/new", data={**ROBIN, "companies": [company.id], **changes})


def robin() -> User:
    end_reading()
    return db.session.scalars(select(User).where(User.login == "robin@example.com")).one()


def test_who_is_invited_chooses_a_password_and_comes_in(app, server, lab, company, make_user, sign_in):
    boss = sign_in(make_user("administrator"))
    answer = invited(boss, company)
    user = robin()
    assert answer.location == f"/users/{user.id}"
    assert "is on its way to robin@example.com" in boss.get(answer.location).text
    assert "Invited, not yet come" in boss.get("/users").text
    assert "Robin" in boss.get("/users?f=invited").text
    for nobody in ("", " ", PASSWORD):
        with pytest.raises(SignInError):
            enter(user.login, nobody, "")
    path = sent_link(lab)
    assert "Votre accès à Envoi" in str(
        message_from_bytes(lab.accepted[-1].data, policy=policy.default)["Subject"]
    )
    browser = app.test_client()
    assert choose(browser, path).status_code == 302
    end_reading()
    assert browser.get("/sales/quotations").status_code == 200
    assert not robin().invited
    assert "Invited" not in re.sub(
        r"(?s)<form.*?</form>|<a [^>]*f=invited.*?</a>", "", boss.get("/users?q=Robin").text
    )


def test_sent_again_the_former_link_is_void_and_withdrawn_every_link_is(
    app, server, lab, company, make_user, sign_in
):
    boss = sign_in(make_user("administrator"))
    invited(boss, company)
    user, first = robin(), sent_link(lab)
    boss.post(f"/users/{user.id}/send-link")
    second = sent_link(lab)
    end_reading()
    assert [app.test_client().get(path).status_code for path in (first, second)] == [410, 200]
    boss.post(f"/users/{user.id}/active", data={"active": "0"})
    end_reading()
    assert choose(app.test_client(), second).status_code == 410
    assert not robin().active
    assert boss.post(f"/users/{user.id}/send-link").status_code in {302, 409}
    set_active(robin(), active=True)
    assert choose(app.test_client(), second).status_code == 410, (
        "letting them in again brings no old link back"
    )


def test_nobody_prolongs_an_invitation_by_having_forgotten_a_password(
    app, server, company, make_user, sign_in
):
    invited(sign_in(make_user("administrator")), company)
    assert ask(app.test_client(), "robin@example.com").status_code == 200
    assert len(mails()) == 1, "the invitation alone"


def test_an_invitation_expires_and_says_so(app, server, company, make_user, sign_in, monkeypatch):
    boss = make_user("administrator")
    invited(sign_in(boss), company)
    path = path_of(links.make_link(robin())[0])
    now = clock.now() + dt.timedelta(days=7, seconds=1)
    monkeypatch.setattr(clock, "now", lambda: now)
    assert app.test_client().get(path).status_code == 410
    page = sign_in(boss).get(f"/users/{robin().id}").text
    assert "expired before anybody came" in page


def test_without_a_server_the_administrator_copies_the_link(app, company, make_user, sign_in):
    boss = sign_in(make_user("administrator"))
    page = boss.get(invited(boss, company).location).text
    assert "No mail server works at this moment." in page
    assert "Link to copy" in page
    shown = boss.post(f"/users/{robin().id}/link").text
    (link,) = LINK.findall(shown)
    browser = app.test_client()
    assert choose(browser, path_of(link)).status_code == 302
    end_reading()
    assert enter("robin@example.com", NEW, "")


def test_a_password_can_still_be_typed(app, company, make_user, sign_in):
    boss = sign_in(make_user("administrator"))
    assert invited(boss, company, password=NEW).status_code == 302
    assert not robin().invited
    assert enter("robin@example.com", NEW, "")
    assert mails() == []


def test_nobody_makes_a_link_for_whoever_may_do_more(app, server, company, make_user, sign_in):
    boss = make_user("administrator")
    service.save_role(None, code="clerk", name="Clerk", grants={"core.user.edit": Scope.ALL})
    browser = sign_in(make_user("clerk"))
    assert "Link to copy" not in browser.get(f"/users/{boss.id}").text
    for action in ("link", "send-link"):
        answer = browser.post(f"/users/{boss.id}/{action}")
        assert answer.status_code in {302, 409}
        assert "password/choose" not in answer.text
    assert mails() == []
    assert browser.get(f"/users/{boss.id}/link").status_code == 405


def test_who_invited_is_told_when_it_does_not_arrive(app, server, company, make_user, sign_in):
    boss = make_user("administrator")
    invited(sign_in(boss), company, login="refused+robin@example.com")
    (mail,) = mails()
    end_reading()
    deliver([mail.id])
    db.session.expire_all()
    assert alerts.count_unseen(boss) == 1
