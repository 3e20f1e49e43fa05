"""Answers of a provider that nobody has asked for: forged, old, used, of somebody else; and tokens sent elsewhere."""

from __future__ import annotations

import datetime as dt
from html import unescape
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from itsdangerous import URLSafeTimedSerializer
from sqlalchemy import select

from core.db import db, transaction
from core.errors import UserError
from modules.mail_config.account_models import MailAccount, PendingConsent
from modules.mail_config.accounts import consents
from modules.mail_config.models import MailServer
from modules.mail_config.senders.service import own_server
from modules.mail_config.servers import service
from modules.mail_config.transports.https import RequestError, ask
from tests.mail_config.accounts import GMAIL, back, leave

OTHER_KEY = URLSafeTimedSerializer("another key", salt="mail_config.consent")
BACK = "/mail_config/accounts/connected"
NOTHING = "does not belong to anything that was begun here"
USED = "was used already, or you have begun anew"
ELSEWHERE = "begun in another browser"


def told(page) -> str:
    return unescape(page.text)


def nothing_is_saved() -> bool:
    db.session.expire_all()
    return (
        not db.session.scalars(select(MailServer)).all() and not db.session.scalars(select(MailAccount)).all()
    )


def state_of(url: str) -> str:
    return parse_qs(urlsplit(url).query)["state"][0]


@pytest.mark.parametrize(
    "state",
    [None, "", "x", "x" * 5000, "a.b.c", "İ", pytest.param(OTHER_KEY.dumps("n"), id="signed by another key")],
)
def test_a_forged_state_does_nothing(provider, sophie, sign_in, state):
    browser = sign_in(sophie)
    leave(browser)
    query = {"code": "stolen", **({"state": state} if state is not None else {})}
    assert NOTHING in told(back(browser, f"{BACK}?{urlencode(query)}"))
    assert nothing_is_saved()
    assert not provider.asked, "the provider is not asked about it"


def test_a_state_with_another_salt_of_ours_is_none(provider, sophie, sign_in, app):
    browser = sign_in(sophie)
    leave(browser)
    key = app.extensions["envoi_settings"].secret_key
    for salt in ("", "known device", "itsdangerous"):
        state = URLSafeTimedSerializer(key, salt=salt).dumps("n")
        page = back(browser, f"{BACK}?{urlencode({'code': 'c', 'state': state})}")
        assert NOTHING in told(page)


def test_the_address_alone_changes_nothing(provider, sophie, sign_in):
    """Neither a link that somebody was sent nor a browser that loads ahead uses the answer up."""
    browser = sign_in(sophie)
    place = provider.consent(leave(browser))
    parts = urlsplit(place)
    for _ in range(2):
        assert browser.get(f"{parts.path}?{parts.query}").status_code == 200
    assert nothing_is_saved()
    assert "is connected" in back(browser, place).text


def test_an_answer_counts_once(provider, sophie, sign_in):
    browser = sign_in(sophie)
    place = provider.consent(leave(browser))
    assert "is connected" in back(browser, place).text
    asked = len(provider.asked)
    assert USED in told(back(browser, place))
    assert len(provider.asked) == asked


def test_an_answer_after_another_beginning_does_not_count(provider, sophie, sign_in):
    browser = sign_in(sophie)
    first = provider.consent(leave(browser))
    leave(browser)
    assert USED in told(back(browser, first))
    assert nothing_is_saved()


def test_an_answer_comes_to_nobody_else(provider, sophie, sign_in, make_user):
    """Somebody connects the own account to the mails of somebody else, by a link (RFC 6749 §10.12)."""
    marc = make_user(login="marc@maison.example.com")
    mine, theirs = sign_in(sophie), sign_in(marc)
    place = provider.consent(leave(mine))
    assert USED in told(back(theirs, place))
    leave(theirs)
    assert USED in told(back(theirs, place))
    assert nothing_is_saved()


def test_an_answer_comes_to_no_other_browser(provider, sophie, sign_in):
    here, there = sign_in(sophie), sign_in(sophie)
    place = provider.consent(leave(here))
    assert ELSEWHERE in told(back(there, place))
    assert USED in told(back(here, place)), "and it is used up"
    assert nothing_is_saved()


def test_an_old_answer_does_not_count(provider, sophie, sign_in, monkeypatch):
    browser = sign_in(sophie)
    place = provider.consent(leave(browser))
    monkeypatch.setattr(consents, "LIFETIME", dt.timedelta(seconds=-1))
    assert "You were away for too long" in told(back(browser, place))
    assert nothing_is_saved()


def test_a_code_of_another_request_is_not_taken(provider, sophie, sign_in):
    """The code is bound to the verifier, which never leaves this server (RFC 7636)."""
    browser = sign_in(sophie)
    stolen = provider.consent(leave(browser))
    code = parse_qs(urlsplit(stolen).query)["code"][0]
    state = state_of(leave(browser))
    page = back(browser, f"{BACK}?{urlencode({'code': code, 'state': state})}")
    assert "no longer takes this answer" in told(page)
    assert nothing_is_saved()


def test_nobody_fills_the_table_of_those_who_are_away(provider, sophie, sign_in):
    browser = sign_in(sophie)
    for _ in range(3):
        leave(browser)
    assert len(db.session.scalars(select(PendingConsent)).all()) == 1


def test_signed_out_nobody_is_taken_back(provider, sophie, sign_in, app):
    place = provider.consent(leave(sign_in(sophie)))
    parts = urlsplit(place)
    answer = app.test_client().get(f"{parts.path}?{parts.query}")
    assert answer.status_code == 302
    assert "sign-in" in answer.headers["Location"] or "login" in answer.headers["Location"]
    assert nothing_is_saved()


def test_who_may_not_set_up_servers_connects_none_of_the_house(provider, sophie, sign_in):
    browser = sign_in(sophie)
    assert browser.get("/mail_config/servers/accounts/google/connect").status_code == 403
    assert browser.post("/mail_config/servers/accounts/google/connect").status_code == 403
    # The right was taken away while the person was there.
    place = provider.consent(leave(browser))
    with transaction() as session:
        session.get(PendingConsent, sophie.id).own = False
    assert back(browser, place).status_code == 403
    assert nothing_is_saved()


def test_what_comes_back_is_shown_as_text(provider, sophie, sign_in):
    browser = sign_in(sophie)
    state = state_of(leave(browser))
    query = {"error": "<script>alert(1)</script>", "error_description": "<b>x</b>", "state": state}
    page = back(browser, f"{BACK}?{urlencode(query)}")
    assert "<script>alert" not in page.text
    assert "<b>x</b>" not in page.text


def test_a_token_goes_to_no_other_host(provider, sophie, sign_in):
    browser = sign_in(sophie)
    back(browser, provider.consent(leave(browser)))
    kept = own_server(sophie).host
    page = browser.post(
        "/mail_config/mine/server",
        data={
            "host": "evil.example.com",
            "port": 587,
            "encryption": "starttls",
            "username": GMAIL,
            "password": "",
        },
    )
    assert "Disconnect the account" in page.text
    for change in ({"host": "evil.example.com"}, {"port": 25}, {"encryption": "none"}, {"username": "x"}):
        values = {"host": kept, "port": 465, "encryption": "tls", "username": GMAIL, **change}
        with pytest.raises(UserError, match="Disconnect the account"):
            service.save_server(own_server(sophie), values, None)
    db.session.expire_all()
    assert own_server(sophie).host == kept


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/token",
        "http://169.254.169.254/latest",
        "https://127.0.0.1/token",
        "ftp://127.0.0.1/x",
        "x",
    ],
)
def test_secrets_go_nowhere_in_the_clear_and_to_no_internals(url):
    with pytest.raises(RequestError) as caught:
        ask("POST", url, headers={}, body=b"secret", timeout=2.0)
    assert not caught.value.began


def test_tokens_are_in_no_page_and_no_log(provider, sophie, sign_in, make_user, caplog):
    caplog.set_level("DEBUG")
    browser, boss = sign_in(sophie), sign_in(make_user("administrator"))
    back(browser, provider.consent(leave(browser)))
    server = own_server(sophie)
    pages = [
        browser.get("/mail_config/mine"),
        boss.get(f"/mail_config/servers/{server.id}"),
        boss.get("/mail_config/servers"),
    ]
    for page in pages:
        assert page.status_code == 200
        for token in (*provider.access_tokens, *provider.refresh_tokens):
            assert token not in page.text
    for token in (*provider.access_tokens, *provider.refresh_tokens):
        assert token not in caplog.text
