"""Accounts at Google and Microsoft: consent, tokens, the server that they become, and how it all ends."""

from __future__ import annotations

import datetime as dt
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import select

from core import clock
from core.db import db, transaction
from core.errors import UserError
from core.mail.outcomes import Advice, FailureKind
from core.testing.services import SmtpLab
from core.vault import decrypt
from modules.mail_config.account_models import AccountProvider, MailAccount, OAuthClient
from modules.mail_config.accounts import clients, tokens
from modules.mail_config.accounts.status import account_status
from modules.mail_config.models import Encryption, MailServer
from modules.mail_config.senders.service import own_sender, own_server, route_for
from modules.mail_config.servers import connecting, service
from modules.mail_config.servers.access import open_transport
from modules.mail_config.transports import oauth
from modules.mail_config.transports.base import NoTokenError
from tests.mail_config.accounts import GMAIL, back, leave, make_old
from tests.mail_config.http_lab import HttpLab
from tests.mail_config.provider import CLIENT_SECRET

REDIRECT = "http://127.0.0.1:8000/mail_config/accounts/connected"


# -- consent -------------------------------------------------------------------------------------------


def test_a_user_connects_the_own_account(provider, sophie, sign_in, company):
    provider.redirects = {REDIRECT}
    browser = sign_in(sophie)
    assert "Connect Gmail" in browser.get("/mail_config/mine").text
    url = leave(browser)
    asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    assert asked["login_hint"] == GMAIL
    assert asked["scope"] == "openid email https://mail.google.com/"
    assert (asked["access_type"], asked["prompt"]) == ("offline", "consent")
    page = back(browser, provider.consent(url))
    assert f"{GMAIL} is connected." in page.text
    assert 'hx-trigger="load"' in page.text, "the test begins by itself"
    assert 'hx-trigger="load"' not in browser.get("/mail_config/mine").text, "once"
    server, sender = own_server(sophie), own_sender(sophie)
    assert (server.host, server.port, server.encryption) == ("smtp.gmail.com", 465, Encryption.TLS)
    assert (server.username, server.secret, server.ready) == (GMAIL, None, False)
    assert (sender.address, sender.own_server) == (GMAIL, True)
    assert route_for(company, sophie).server_id == server.id
    account = server.account
    assert decrypt(account.access_secret) in provider.access_tokens
    assert decrypt(account.refresh_secret) in provider.refresh_tokens
    for kept in (account.access_secret, account.refresh_secret):
        assert not any(
            token.encode() in kept for token in (*provider.access_tokens, *provider.refresh_tokens)
        )
    assert account.ends_at - clock.now() > dt.timedelta(days=179)
    # Microsoft's ways, for the same person: the own server becomes that one.
    url = leave(browser, provider="microsoft")
    assert urlsplit(url).path == "/common/oauth2/v2.0/authorize"
    assert "offline_access https://outlook.office.com/SMTP.Send" in parse_qs(urlsplit(url).query)["scope"][0]
    provider.claims = {"email": None, "preferred_username": GMAIL.upper()}
    provider.scope = "SMTP.Send openid"
    assert "is connected" in back(browser, provider.consent(url)).text
    db.session.expire_all()
    server = own_server(sophie)
    assert (server.host, server.account.provider) == ("smtp.office365.com", AccountProvider.MICROSOFT)
    assert len(db.session.scalars(select(MailAccount)).all()) == 1


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"deny": "access_denied"}, "You have not agreed at Google"),
        ({"deny": "admin_policy_enforced"}, "an administrator of Google has to allow Envoi first"),
        ({"deny": "temporarily_unavailable"}, "Google has refused (temporarily_unavailable)"),
        ({"deny": "redirect_uri_mismatch"}, "registers exactly this one there"),
        ({"email": "marc@gmail.example.com"}, "You have agreed with the account marc@gmail.example.com, but"),
        ({"claims": {"email_verified": False}}, "You have agreed with the account"),
        ({"claims": {"email": None}}, "You have agreed with the account –, but"),
        ({"claims": {"nonce": "another"}}, "did not say whose account this is"),
        ({"claims": {"aud": "another"}}, "did not say whose account this is"),
        ({"claims": {"exp": 1}}, "did not say whose account this is"),
        ({"scope": "openid email"}, "its box was not ticked"),
        ({"scope": "openid https://www.googleapis.com/auth/gmail.send"}, "its box was not ticked"),
        ({"gives_refresh": False}, "a permission that ends within the hour"),
        ({"token_answer": (400, "application/json", b'{"error": "redirect_uri_mismatch"}')}, "exactly this one"),
        ({"token_answer": (400, "application/json", b'{"error": "invalid_grant"}')}, "no longer takes this answer"),
        ({"token_answer": (401, "application/json", b'{"error": "invalid_client"}')}, "client secret is wrong"),
        ({"token_answer": (400, "application/json", b'{"error": "x", "error_description": "AADSTS50011: no"}')},
         "exactly this one"),
        ({"token_answer": (200, "text/html", b"<html>Sign in</html>")}, "(HTTP 200)"),
        ({"token_answer": (502, "text/html", b"<html>Bad gateway</html>")}, "(HTTP 502)"),
        ({"token_answer": (200, "application/json", b"[]")}, "an answer that can be used"),
        ({"token_answer": (200, "application/json", b"{}")}, "holds no access token"),
        ({"token_answer": (200, "application/json", b'{"access_token": "a b\\r\\nX: y", "token_type": "Bearer"}')},
         "holds no access token"),
        ({"token_answer": (200, "application/json", b'{"access_token": "a", "token_type": "mac"}')}, "of another kind"),
        ({"token_answer": (302, "text/html", b"")}, "(HTTP 302"),
        ({"token_answer": (429, "text/plain", b"slow down")}, "(HTTP 429 slow down)"),
        ({"token_answer": (200, "application/json", b"{" * 300_000)}, "an answer that can be used"),
        ({"delay": 1.0}, "Google could not be reached from here"),
    ],
)  # fmt: skip
def test_what_goes_wrong_has_its_own_sentence_and_saves_nothing(
    provider, sophie, sign_in, monkeypatch, fault, words
):
    if "delay" in fault:
        monkeypatch.setattr(oauth, "TIMEOUT_SECONDS", 0.3)
    browser = sign_in(sophie)
    url = leave(browser)
    deny = fault.pop("deny", None)
    provider.__dict__.update(fault)
    place = provider.consent(url, allow=deny is None, error=deny or "")
    page = unescape(back(browser, place).text)
    assert words in page, page
    assert "is connected" not in page
    assert not db.session.scalars(select(MailServer)).all()
    assert own_sender(sophie) is None


def test_a_provider_that_is_away_is_told(provider, sophie, sign_in, app):
    browser = sign_in(sophie)
    place = provider.consent(leave(browser))
    app.config["MAIL_CONFIG_GOOGLE_BASE_URL"] = "http://127.0.0.1:1"
    page = back(browser, place).text
    assert "Google could not be reached from here" in page
    assert "the firewall of this machine" in page


@pytest.mark.parametrize(
    ("host", "expired", "trusted", "words"),
    [
        ("localhost", False, False, "Nobody this machine trusts has issued the certificate"),
        ("localhost", True, True, "The certificate of the server has expired"),
        ("127.1", False, True, "The certificate was issued for another name"),
    ],
    ids=["self-signed", "expired", "name"],
)
def test_a_provider_whose_certificate_is_not_right_is_told_nothing(
    provider, sophie, sign_in, app, host, expired, trusted, words
):
    browser = sign_in(sophie)
    place = provider.consent(leave(browser))
    with HttpLab("tls", expired=expired) as somebody:
        app.config["MAIL_CONFIG_GOOGLE_BASE_URL"] = f"https://{host}:{somebody.port}"
        app.config["MAIL_CONFIG_CA_FILE"] = str(somebody.ca_file) if trusted else ""
        page = back(browser, place).text
    assert "No safe connection to Google could be made from here." in page
    assert words in page
    assert somebody.requests == []
    assert own_server(sophie) is None


def test_without_a_registration_nobody_is_sent_anywhere(app, sophie, sign_in, make_user):
    browser = sign_in(sophie)
    page = browser.get("/mail_config/accounts/google/connect").text
    assert "an administrator has to register Envoi at Google first" in page
    assert "Register Envoi at Google" not in page
    assert "refresh" not in browser.post("/mail_config/accounts/google/connect", data={"address": GMAIL}).text
    assert browser.get("/mail_config/accounts/yahoo/connect").status_code == 404
    assert browser.get("/mail_config/servers/accounts/google").status_code == 403
    boss = sign_in(make_user("administrator"))
    assert "Register Envoi at Google" in boss.get("/mail_config/accounts/google/connect").text


# -- the registration ----------------------------------------------------------------------------------


def test_an_administrator_registers_the_installation(app, sign_in, make_user):
    boss = sign_in(make_user("administrator"))
    place = "/mail_config/servers/accounts/microsoft"
    page = boss.get(place).text
    assert f'value="{REDIRECT}"' in page
    assert f'data-copy="{REDIRECT}"' in page
    assert "You have opened Envoi as localhost, but people are sent back to 127.0.0.1:8000" in page
    page = boss.post(place, data={"client_id": "abc", "secret": "", "tenant": ""}).text
    assert "The client secret is missing." in page
    page = boss.post(place, data={"client_id": "abc", "secret": "s3cret", "tenant": "not a tenant"}).text
    assert "neither the ID nor a domain" in page
    boss.post(place, data={"client_id": "abc", "secret": "s3cret", "tenant": "maison.example.com"})
    client = clients.client_of(AccountProvider.MICROSOFT)
    assert (client.client_id, client.secret, client.tenant) == ("abc", "s3cret", "maison.example.com")
    assert b"s3cret" not in db.session.get(OAuthClient, AccountProvider.MICROSOFT).secret
    assert "s3cret" not in boss.get(place).text
    page = boss.post(place, data={"client_id": "other", "secret": "", "tenant": ""}).text
    assert "type its secret as well" in page, "the secret is not told under another name"
    app.config["MAIL_CONFIG_MICROSOFT_CLIENT_ID"] = "by-settings"
    assert "The settings of the installation name" in boss.get(place).text
    with pytest.raises(UserError, match="say this already"):
        clients.save_client(AccountProvider.MICROSOFT, client_id="x", secret="y", tenant="")


def test_an_administrator_connects_an_account_of_the_house(provider, company, sign_in, make_user):
    provider.email = "sales@gmail.example.com"
    boss = sign_in(make_user("administrator"))
    house = "/mail_config/servers/accounts/{}/connect"
    url = leave(boss, provider.email, at=house, company_id=company.id)
    page = back(boss, provider.consent(url))
    assert "sales@gmail.example.com is connected." in page.text
    server = db.session.scalars(select(MailServer)).one()
    assert (server.owner_id, server.company_id) == (None, company.id)
    assert (server.from_filter, server.own_address) == (provider.email, provider.email)
    # Its host is the provider's: the token goes nowhere else.
    with pytest.raises(UserError, match="Disconnect the account"):
        service.save_server(server, {"host": "evil.example.com", "port": 465}, None)
    with pytest.raises(UserError, match="Disconnect the account"):
        service.save_server(server, {"host": server.host, "port": server.port}, "a password")
    service.save_server(server, {"host": server.host, "port": server.port, "priority": 3}, None)
    # Connected again it stays the same server.
    url = leave(boss, provider.email, at=house + f"?server={server.id}")
    assert "is connected" in back(boss, provider.consent(url)).text
    assert db.session.scalars(select(MailServer.id)).all() == [server.id]
    assert boss.get(house.format("google") + "?server=4711").status_code == 404


# -- tokens --------------------------------------------------------------------------------------------


def test_a_token_is_kept_until_it_nearly_ends(provider, account):
    first = tokens.access_token(account.server_id)
    assert tokens.access_token(account.server_id) == first
    assert provider.refreshes() == 0
    with transaction() as session:
        session.get(MailAccount, account.server_id).access_ends_at = clock.now() + dt.timedelta(minutes=4)
    second = tokens.access_token(account.server_id)
    assert second != first
    assert provider.refreshes() == 1
    assert tokens.access_token(account.server_id, refused=first) == second, "another had it renewed already"
    assert tokens.access_token(account.server_id, refused=second) != second
    assert provider.refreshes() == 2


def test_a_new_refresh_token_takes_the_place_of_the_old_one(provider, account):
    provider.rotates = True
    for _ in range(3):
        make_old(account.server_id)
        tokens.access_token(account.server_id)
    assert len(provider.refresh_tokens) == 1
    db.session.expire_all()
    assert decrypt(db.session.get(MailAccount, account.server_id).refresh_secret) in provider.refresh_tokens


def test_a_permission_that_has_ended_is_asked_for_once_and_never_again(provider, account):
    provider.refresh_tokens.clear()
    make_old(account.server_id)
    for _ in range(3):
        with pytest.raises(NoTokenError) as caught:
            tokens.access_token(account.server_id)
        assert caught.value.failure.advice is Advice.RECONNECT
        assert "expired or revoked" in caught.value.failure.diagnostic
    assert provider.refreshes() == 1
    db.session.expire_all()
    row = db.session.get(MailAccount, account.server_id)
    assert (row.refresh_secret, row.access_secret) == (None, None)
    assert "Nothing is sent by it until you connect it again" in account_status(row).sentence


@pytest.mark.parametrize(
    ("answer", "kind", "advice"),
    [
        ((500, "text/html", b"<h1>Oops</h1>"), FailureKind.SERVER_ERROR, None),
        ((429, "application/json", b'{"error": "rate"}'), FailureKind.RATE_LIMITED, None),
        ((200, "text/html", b"<h1>Sign in</h1>"), FailureKind.SERVER_ERROR, None),
        ((401, "application/json", b'{"error": "invalid_client"}'), FailureKind.AUTH_FAILED, Advice.CLIENT_SECRET),
        ((400, "application/json", b'{"error": "temporarily_unavailable"}'), FailureKind.AUTH_FAILED, None),
    ],
)  # fmt: skip
def test_what_passes_ends_no_permission(provider, account, answer, kind, advice):
    make_old(account.server_id)
    provider.token_answer = answer
    with pytest.raises(NoTokenError) as caught:
        tokens.access_token(account.server_id)
    assert (caught.value.failure.kind, caught.value.failure.advice) == (kind, advice)
    provider.token_answer = None
    assert tokens.access_token(account.server_id) in provider.access_tokens


def test_the_end_is_told_before_it_comes(provider, sophie, sign_in):
    provider.refresh_token_expires_in = 7 * 86400
    browser = sign_in(sophie)
    back(browser, provider.consent(leave(browser)))
    page = browser.get("/mail_config/mine").text
    assert "Google ends the connection on" in page
    assert "Connect again" in page
    account = db.session.scalars(select(MailAccount)).one()
    assert account_status(account).warns
    make_old(account.server_id, ends_at=clock.now() + dt.timedelta(days=30))
    db.session.expire_all()
    assert not account_status(account).warns


# -- the end -------------------------------------------------------------------------------------------


def test_disconnecting_gives_the_permission_back_and_forgets_it(provider, account, sophie, sign_in):
    browser = sign_in(sophie)
    page = browser.post("/mail_config/mine/server/delete", follow_redirects=True)
    assert "could not be told" not in page.text
    assert not provider.refresh_tokens
    assert not db.session.scalars(select(MailAccount)).all()
    db.session.expire_all()
    assert own_server(sophie) is None
    assert own_sender(sophie).own_server is False


def test_what_cannot_be_given_back_is_said(provider, account, sophie, app):
    app.config["MAIL_CONFIG_GOOGLE_BASE_URL"] = "http://127.0.0.1:1"
    assert "could not be told" in connecting.remove(own_server(sophie))
    assert not db.session.scalars(select(MailAccount)).all()


def test_at_microsoft_only_the_person_can_withdraw(provider, sophie, sign_in):
    browser = sign_in(sophie)
    back(browser, provider.consent(leave(browser, provider="microsoft")))
    assert "myapps.microsoft.com" in connecting.remove(own_server(sophie))
    assert all(not one.path.endswith("/revoke") for one in provider.asked)


def test_a_permission_that_another_server_uses_is_kept(provider, account, sophie, sign_in, make_user):
    boss = sign_in(make_user("administrator"))
    url = leave(boss, at="/mail_config/servers/accounts/{}/connect", company_id=0)
    back(boss, provider.consent(url))
    kept = set(provider.refresh_tokens)
    assert "Another server still sends by this account" in connecting.remove(own_server(sophie))
    assert provider.refresh_tokens == kept


# -- sending by SMTP -----------------------------------------------------------------------------------


@pytest.fixture
def lab(app):
    with SmtpLab(security="starttls", tokens={}) as lab:
        app.config["MAIL_CONFIG_CA_FILE"] = str(lab.ca_file)
        app.config["MAIL_CONFIG_GOOGLE_SMTP_URL"] = f"smtp://localhost:{lab.port}"
        yield lab


@pytest.mark.smtp
def test_a_mail_is_signed_in_for_by_the_token(lab, account, sophie, company):
    server = own_server(sophie)
    assert (server.host, server.port, server.encryption) == ("localhost", lab.port, Encryption.STARTTLS)
    lab.tokens[GMAIL] = decrypt(account.access_secret)
    report = service.test_server(server, GMAIL, GMAIL)
    assert report.passed, report
    assert [transaction.envelope_from for transaction in lab.accepted] == [GMAIL]
    said = "\n".join(report.transcript)
    assert "C: AUTH XOAUTH2 (secret)" in said
    assert decrypt(account.access_secret) not in said
    assert own_server(sophie).ready


@pytest.mark.smtp
def test_a_refused_token_is_renewed_once_and_the_challenge_is_answered_and_explained(
    lab, account, sophie, provider
):
    server = own_server(sophie)
    report = service.test_server(server, GMAIL, GMAIL)
    assert not report.passed
    assert lab.after_challenge == [b"\r\n", b"\r\n"]
    assert provider.refreshes() == 1
    assert report.failure.kind is FailureKind.AUTH_FAILED
    assert report.failure.advice is Advice.TOKEN_EXPIRED
    assert '"status":"401"' in report.failure.diagnostic
    # With the new one it goes on.
    db.session.expire_all()
    lab.tokens[GMAIL] = decrypt(db.session.get(MailAccount, server.id).access_secret)
    assert service.test_server(server, GMAIL, GMAIL).passed


@pytest.mark.smtp
def test_a_server_that_knows_no_tokens_is_told_apart(app, provider, sophie, sign_in):
    with SmtpLab(security="starttls", credentials=("a", "b")) as lab:
        app.config["MAIL_CONFIG_CA_FILE"] = str(lab.ca_file)
        app.config["MAIL_CONFIG_GOOGLE_SMTP_URL"] = f"smtp://localhost:{lab.port}"
        browser = sign_in(sophie)
        back(browser, provider.consent(leave(browser)))
        report = service.test_server(own_server(sophie), GMAIL, GMAIL)
    assert report.failure.kind is FailureKind.AUTH_FAILED
    assert report.failure.advice is Advice.AUTH_MECHANISM
    assert "AUTH" not in lab.verbs()


@pytest.mark.smtp
def test_a_test_without_a_permission_says_what_helps(lab, account, sophie, provider, sign_in):
    provider.refresh_tokens.clear()
    make_old(account.server_id)
    page = sign_in(sophie).post("/mail_config/mine/server/test", data={}).text
    assert "Connect the account again" in page
    assert "Token has been expired or revoked." in page
    assert lab.verbs()[-1:] != ["AUTH"]


def test_the_secrets_are_in_no_repr(provider, account, sophie):
    client = clients.client_of(AccountProvider.GOOGLE)
    assert CLIENT_SECRET not in repr(client)
    access = open_transport(own_server(sophie)).access
    assert "token" not in repr(access)
    assert "hush" not in repr(oauth.Tokens("hush-access", 1, refresh="hush-refresh", id_token="hush-id"))
