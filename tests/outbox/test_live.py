"""Open pages hear of a change: the question waits in the web server, and is answered when a mail has changed."""

from __future__ import annotations

import dataclasses
import html
import http.client
import json
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from flask import Flask
from flask.testing import FlaskClient

from core import waiting_pages
from core.db import transaction
from core.live.changes import Changes
from core.web_server import WebServer
from modules.outbox import changes, service
from modules.outbox.models import OutgoingMail
from tests.at_once import WAIT_SECONDS
from tests.outbox.conftest import draft
from tests.statements import statements

pytestmark = pytest.mark.both_databases


@pytest.fixture
def web(app: Flask, monkeypatch) -> Iterator[WebServer]:
    monkeypatch.setattr(waiting_pages, "LOOK_SECONDS", 0.05)
    settings = dataclasses.replace(app.extensions["envoi_settings"], port=0, web_threads=1)
    server = WebServer(app, settings)
    thread = threading.Thread(target=server.run)
    thread.start()
    yield server
    server.stop()
    thread.join(WAIT_SECONDS)
    assert not thread.is_alive()


class Question:
    """What a page asks, over a connection of its own."""

    def __init__(self, web: WebServer, client: FlaskClient, page: str, query: str = "") -> None:
        cookie = client.get_cookie("envoi")
        assert cookie is not None
        found = re.findall(r'data-live="([^"]+)"\s+data-since="([^"]*)"', page)
        fields = [
            pair for live, since in found for pair in (("since", since), ("topics", html.unescape(live)))
        ]
        self.connection = http.client.HTTPConnection(
            "127.0.0.1", int(web.effective_port), timeout=WAIT_SECONDS
        )
        self.connection.request(
            "POST",
            f"/changes{query}",
            urlencode(fields),
            {
                "Content-Type": "application/x-www-form-urlencoded",
                "Cookie": f"envoi={cookie.value}",
                "X-Quiet": "1",
            },
        )

    def answer(self) -> tuple[int, dict[str, Any]]:
        """Return what comes: the status, and what it says."""
        with self.connection.getresponse() as response:
            body = response.read()
        return response.status, json.loads(body) if response.status == 200 else {}

    @property
    def fired(self) -> list[int]:
        """Which pieces may show something old."""
        status, said = self.answer()
        assert status == 200
        found: list[int] = said["fired"]
        return found


@pytest.fixture
def ask(web: WebServer) -> Iterator[Callable[..., Question]]:
    asked: list[Question] = []

    def one(*given: Any) -> Question:
        asked.append(Question(web, *given))
        return asked[-1]

    yield one
    for question in asked:
        question.connection.close()


def until(condition: Callable[[], object]) -> None:
    """Wait for the server's loop."""
    turn = threading.Event()
    for _ in range(int(WAIT_SECONDS * 50)):
        if condition():
            return
        turn.wait(0.02)
    raise AssertionError("Waited in vain.")


def send(company, address: str, by=None, document=None) -> OutgoingMail:
    with transaction():
        return service.write_mail(draft(company, address, document=document), by)


def all_known(app: Flask) -> None:
    """Let the server see all that was committed, as it does by itself while a page waits."""
    until(lambda: "outbox:" in app.extensions["envoi_changes"].now)
    app.extensions["envoi_changes"].look()


def test_who_shows_what_changes_hears_of_it_and_nobody_else(
    app, web, ask, company, make_user, sign_in, monkeypatch
):
    user = make_user("salesperson")
    support, seller = sign_in(make_user("support")), sign_in(user)
    first, second = send(company, "one@example.com"), send(company, "two@example.com", user)
    all_known(app)
    listed, own = support.get("/outbox/mails").text, seller.get("/outbox/mails").text
    shown = support.get(f"/outbox/mails/{second.id}").text
    of_all, of_own, of_second = ask(support, listed), ask(seller, own), ask(support, shown)
    until(lambda: len(web.pages) == 3)
    # They stand aside of the only thread, and of the loop; a window that must not wait is answered.
    assert ask(support, listed, "?now").fired == []
    assert not any(channel in web._map.values() for channel in web.pages._held)
    service.cancel([first.id])
    _status, told = of_all.answer()
    assert told["fired"] == [0]
    # Up to there it knows everything: it waits again, until a mail is new.
    of_new = ask(support, re.sub('data-since="[^"]*"', f'data-since="{told["now"]}"', listed))
    until(lambda: len(web.pages) == 3)
    send(company, "three@example.com")
    assert of_new.fired == [0]
    assert len(web.pages) == 2
    # Who has gone is forgotten; who has waited for long hears that nothing has changed.
    of_own.connection.close()
    until(lambda: len(web.pages) == 1)
    monkeypatch.setattr(waiting_pages, "HOLD_SECONDS", 0.0)
    assert ask(support, shown).fired == []
    assert len(web.pages) == 1
    of_second.connection.close()


def test_a_page_that_is_older_than_a_change_is_answered_at_once(app, web, ask, company, make_user, sign_in):
    client = sign_in(make_user("support"))
    mail = send(company, "one@example.com")
    all_known(app)
    page = client.get("/outbox/mails").text
    service.cancel([mail.id])
    all_known(app)
    assert ask(client, page).fired == [0]
    # Without a session nothing is said; and what nobody has signed does not wait.
    fresh = client.get("/outbox/mails").text
    forged = re.sub('data-live="[^"]*"', 'data-live="1 outbox:m1.x"', fresh)
    assert ask(client, forged).answer()[0] == 400
    stranger = app.test_client()
    stranger.set_cookie("envoi", "x")
    assert ask(stranger, page).answer()[0] == 204
    assert not len(web.pages)


def test_a_new_mail_is_told_to_the_pages_of_its_document_customer_company_and_sender(
    app, company, customer, seller, quotation
):
    process = Changes({"outbox": changes.source})
    process.look()
    mail = send(company, customer.email, seller, quotation)
    with statements() as asked:
        topics, _more = process.look()
    assert topics >= {
        f"outbox:{topic}"
        for topic in (
            "n",
            f"c{company.id}",
            f"u{seller.id}",
            changes.mail(mail.id),
            changes.document(quotation.id),
        )
    }
    assert len([each for each in asked if each.startswith("SELECT")]) == 2
    # While nothing changes, one statement looks by the key, whatever there is.
    with statements() as asked:
        process.look()
    (look,) = (each for each in asked if each.startswith("SELECT"))
    assert "outbox_event.id >" in look
