"""The signature that a user's mails end with."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from core.auth.models import User
from core.auth.service import MAX_SIGNATURE_LENGTH, set_signature
from core.db import db
from core.errors import UserError


@pytest.fixture
def sophie(make_user: Callable[..., User]) -> User:
    return make_user("salesperson", name="Sophie Bernard")


@pytest.fixture
def client(sophie: User, sign_in: Callable[[User], FlaskClient]) -> FlaskClient:
    return sign_in(sophie)


@pytest.mark.both_databases
def test_a_signature_is_kept_clean(sophie: User) -> None:
    set_signature(
        sophie,
        '<div onclick="x()">Sophie <b>Bernard</b><script>alert(1)</script>'
        '<img src="https://tracker.example.com/a.png"><a href="javascript:x()">me</a></div>',
    )
    assert sophie.signature_html.startswith("<div>Sophie <b>Bernard</b>")
    for word in ("script", "onclick", "javascript", "tracker"):
        assert word not in sophie.signature_html


@pytest.mark.parametrize("empty", ["", "<div><br></div>", "  ", "<p>&nbsp;</p>", "<script>x</script>"])
def test_a_signature_without_a_word_is_none(sophie: User, empty: str) -> None:
    set_signature(sophie, "<div>Sophie</div>")
    set_signature(sophie, empty)
    assert sophie.signature_html == ""


def test_a_signature_is_no_book(client: FlaskClient, sophie: User) -> None:
    with pytest.raises(UserError):
        set_signature(sophie, "x" * (MAX_SIGNATURE_LENGTH + 1))
    typed = "y" * (MAX_SIGNATURE_LENGTH + 1)
    answer = client.post("/signature", data={"signature": typed})
    assert answer.status_code == 422
    assert "The signature is too long" in answer.text
    assert typed in answer.text, "what was typed is not lost"
    db.session.expire_all()
    assert sophie.signature_html == ""


def test_the_page_keeps_and_shows_the_signature(client: FlaskClient, sophie: User) -> None:
    assert "No signature." in client.get("/signature").text
    answer = client.post("/signature", data={"signature": "<div>Sophie</div>"}, follow_redirects=True)
    assert "Your signature was saved." in answer.text
    db.session.expire_all()
    assert sophie.signature_html == "<div>Sophie</div>"
    page = client.get("/signature").text
    assert '<div class="signature-shown" hx-disable><div>Sophie</div></div>' in page
    assert 'href="/signature"' in page, "in the menu of the user"
    answer = client.post("/signature", data={"signature": ""}, follow_redirects=True)
    assert "Your emails end without a signature now." in answer.text


def test_the_preview_keeps_nothing_and_shows_nothing_unclean(client: FlaskClient, sophie: User) -> None:
    answer = client.post("/signature/preview", data={"signature": "<div>Hi<script>x()</script></div>"})
    assert "<div>Hi</div>" in answer.text
    assert "script" not in answer.text
    db.session.expire_all()
    assert sophie.signature_html == ""
