"""The pages of the mailbox."""

from __future__ import annotations

from email.message import EmailMessage

import pytest
from flask import Flask
from flask.testing import FlaskClient

from modules.playground.store import MailStore
from tests.playground.isolated import SignIn


@pytest.fixture
def reader(browser: SignIn) -> FlaskClient:
    return browser("administrator")


def put(store: MailStore, subject: str = "Devis S00012") -> str:
    message = EmailMessage()
    message["Subject"] = subject
    message["From"] = "ventes@nord.example"
    message["To"] = "zoe@client.example"
    message.set_content("en texte")
    message.add_alternative("<p>en HTML</p><script>alert(1)</script>", subtype="html")
    message.add_attachment(
        b"<script>alert(2)</script>", maintype="text", subtype="html", filename='../a"b.html'
    )
    return store.put(message.as_bytes(), "ventes@nord.example", ["zoe@client.example", "bcc@z.example"]).key


def test_the_list_shows_what_was_accepted(reader: FlaskClient, store: MailStore) -> None:
    put(store)
    page = reader.get("/playground/mails").text
    assert "Devis S00012" in page
    assert "zoe@client.example" in page


def test_an_empty_list_says_what_to_do(reader: FlaskClient) -> None:
    page = reader.get("/playground/mails").text
    assert "No email yet" in page
    assert "refused+…@…" in page
    assert "127.0.0.1:2525" in page


def test_the_list_searches_and_pages(reader: FlaskClient, store: MailStore) -> None:
    keys = [put(store, f"mail number {number:02}") for number in range(42)]
    first = reader.get("/playground/mails").text
    assert "mail number 41" in first
    assert "mail number 01" not in first
    assert f"after={keys[2]}" in first
    second = reader.get(f"/playground/mails?after={keys[2]}").text
    assert "mail number 01" in second
    assert f"before={keys[1]}" in second
    found = reader.get("/playground/mails?q=NUMBER+07").text
    assert found.count("mail number") == 1
    assert "Nothing matches" in reader.get("/playground/mails?q=zzz").text
    assert reader.get("/playground/mails?after=%01&before=..").status_code == 200


def test_the_page_shows_envelope_tabs_and_attachments(reader: FlaskClient, store: MailStore) -> None:
    key = put(store)
    page = reader.get(f"/playground/mails/{key}").text
    assert "bcc@z.example" in page
    assert "en texte" in page
    assert 'sandbox=""' in page
    assert f"/playground/mails/{key}/html" in page
    assert f"/playground/mails/{key}/attachments/0" in page
    assert "<script>alert" not in page
    assert "style=" not in page


def test_a_subject_is_never_markup(reader: FlaskClient, store: MailStore) -> None:
    key = put(store, "<script>alert(3)</script>")
    for url in ("/playground/mails", f"/playground/mails/{key}"):
        assert "<script>alert" not in reader.get(url).text


def test_the_frame_can_do_nothing(reader: FlaskClient, store: MailStore) -> None:
    response = reader.get(f"/playground/mails/{put(store)}/html")
    policy = response.headers["Content-Security-Policy"]
    assert "sandbox" in policy
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "<p>en HTML</p>" in response.text


def test_an_attachment_is_only_ever_saved(reader: FlaskClient, store: MailStore) -> None:
    key = put(store)
    response = reader.get(f"/playground/mails/{key}/attachments/0")
    assert response.data == b"<script>alert(2)</script>"
    assert response.headers["Content-Disposition"].startswith("attachment; filename=")
    assert "/" not in response.headers["Content-Disposition"].replace("filename*=UTF-8''", "")
    assert "sandbox" in response.headers["Content-Security-Policy"]
    assert reader.get(f"/playground/mails/{key}/attachments/1").status_code == 404


def test_the_source_is_the_message_byte_for_byte(reader: FlaskClient, store: MailStore) -> None:
    data = b"Subject: a/b\x00\xff\r\n\r\n\xff\r\n"
    key = store.put(data, "a@x", ["b@y"]).key
    response = reader.get(f"/playground/mails/{key}/source")
    assert response.data == data
    assert response.headers["Content-Disposition"].startswith("attachment")


@pytest.mark.parametrize("key", ["x", "20261123T063330123456Z-00000000", "..%2Fsecret", "%00"])
@pytest.mark.parametrize("rest", ["", "/html", "/source", "/attachments/0"])
def test_a_message_that_is_gone_is_not_found(reader: FlaskClient, key: str, rest: str) -> None:
    assert reader.get(f"/playground/mails/{key}{rest}").status_code == 404


def test_only_some_may_empty_the_mailbox(browser: SignIn, store: MailStore) -> None:
    put(store)
    seller = browser("salesperson")
    assert "Delete all" not in seller.get("/playground/mails").text
    assert seller.post("/playground/delete-all").status_code == 403
    support = browser("administrator")
    answer = support.get("/playground/delete-all")
    assert answer.status_code == 405
    assert "Go to the start page" in answer.text
    assert "data-confirm" in support.get("/playground/mails").text
    page = support.post("/playground/delete-all", follow_redirects=True).text
    assert "1 email was deleted." in page
    assert store.page().rows == []


@pytest.mark.parametrize("role", ["salesperson", "cashier", "support", "administrator"])
def test_every_role_may_read(browser: SignIn, role: str) -> None:
    assert browser(role).get("/playground/mails").status_code == 200


def test_strangers_are_sent_to_the_browser(bare_app: Flask) -> None:
    response = bare_app.test_client().get("/playground/mails")
    assert "/sign-in" in response.headers["Location"]
