"""Open pages hear of a change: the question waits in the web server, and is answered when a mail has changed."""

from __future__ import annotations

import dataclasses
import datetime as dt
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
from core.live import states
from core.live.changes import Changes
from core.web_server import WebServer
from modules.outbox import changes, service
from modules.outbox.models import OutgoingMail, Run
from modules.outbox.runs import service as runs
from tests.at_once import WAIT_SECONDS
from tests.outbox.conftest import draft
from tests.outbox.test_alerts import fail
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
    def fired(self) -> list[str]:
        """Which pieces may show something old."""
        return self.parts(self.answer())

    def parts(self, answer: tuple[int, dict[str, Any]]) -> list[str]:
        """Return what an answer names: the bell is the first piece of each page, and the page's own the second."""
        status, said = answer
        assert status == 200
        return [("bell", "page")[position] for position in said["fired"]]


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
    _status, told = answer = of_all.answer()
    assert of_all.parts(answer) == ["page"]
    # Up to there it knows everything: it waits again, until a mail is new.
    of_new = ask(support, re.sub('data-since="[^"]*"', f'data-since="{told["now"]}"', listed))
    until(lambda: len(web.pages) == 3)
    send(company, "three@example.com")
    assert of_new.fired == ["page"]
    assert len(web.pages) == 2
    # Who has gone is forgotten; who has waited for long hears that nothing has changed.
    of_own.connection.close()
    until(lambda: len(web.pages) == 1)
    monkeypatch.setattr(waiting_pages, "HOLD_SECONDS", 0.0)
    with statements() as asked:
        assert ask(support, shown).fired == []
    assert not [one for one in asked if "core_user" in one]  # nobody needs to be known for that
    assert len(web.pages) == 1
    of_second.connection.close()


def test_a_page_that_is_older_than_a_change_is_answered_at_once(app, web, ask, company, make_user, sign_in):
    client = sign_in(make_user("support"))
    mail = send(company, "one@example.com")
    all_known(app)
    page = client.get("/outbox/mails").text
    service.cancel([mail.id])
    all_known(app)
    assert ask(client, page).fired == ["page"]
    # Without a session nothing is said; and what nobody has signed does not wait.
    fresh = client.get("/outbox/mails").text
    forged = re.sub('data-live="[^"]*"', 'data-live="1 outbox:m1.x"', fresh)
    assert ask(client, forged).answer()[0] == 400
    stranger = app.test_client()
    stranger.set_cookie("envoi", "x")
    assert ask(stranger, page).answer()[0] == 204
    assert not len(web.pages)


def test_the_page_of_a_batch_hears_of_its_steps_and_of_its_mails(
    app, web, ask, company, make_user, sign_in, quotation, seller
):
    client = sign_in(seller)
    with transaction() as session:
        run, other = (
            Run(list_name="sales.quotations", by_user_id=seller.id, company_id=company.id, state="running")
            for _ in range(2)
        )
        session.add_all([run, other])
    mail = send(company, "one@example.com", seller)
    with transaction() as session:
        session.get_one(OutgoingMail, mail.id).run_id = run.id
    all_known(app)
    page = client.get(f"/outbox/runs/{run.id}").text
    of_run, of_other = ask(client, page), ask(client, client.get(f"/outbox/runs/{other.id}").text)
    until(lambda: len(web.pages) == 2)
    # Somebody pauses it: the row itself says so, and nothing has been published.
    runs.pause(run, seller)
    assert of_run.fired == ["page"]
    # What is outdated already is told without another change; what a mail becomes is told as well.
    assert ask(client, page).fired == ["page"]
    of_mails = ask(client, client.get(f"/outbox/runs/{run.id}").text)
    until(lambda: len(web.pages) == 2)
    service.cancel([mail.id])
    assert of_mails.fired == ["page"]
    assert len(web.pages) == 1
    assert ask(client, page, "?now").fired == ["page"]
    of_other.connection.close()


def test_the_bell_of_whoever_is_told_rings_on_any_page(app, web, ask, company, make_user, sign_in):
    user = make_user("salesperson")
    client, other = sign_in(user), sign_in(make_user("salesperson", login="other@maison.example.com"))
    mail = send(company, "one@example.com", user)
    all_known(app)
    of_user, of_other = (ask(each, each.get("/partners").text) for each in (client, other))
    until(lambda: len(web.pages) == 2)
    fail(mail)
    assert "bell" in of_user.fired
    assert len(web.pages) == 1
    of_other.connection.close()
    assert "1 new alert" in client.get("/outbox/alerts/bell").text
    # On the page of what it tells of it says at once that this was seen.
    assert 'hx-post="/outbox/alerts/seen"' in client.get(f"/outbox/alerts/bell?mail_id={mail.id}").text
    assert 'hx-post="/outbox/alerts/seen"' not in client.get("/outbox/alerts/bell?mail_id=77").text
    assert client.get("/outbox/alerts/bell?mail_id=99999999999").status_code == 200


def test_many_pages_of_what_is_worked_on_cost_one_statement_and_others_none(app, company, seller):
    with transaction() as session:
        several = [
            Run(list_name="sales.quotations", by_user_id=seller.id, company_id=company.id) for _ in range(3)
        ]
        session.add_all(several)
    topics = [states.topic_of("outbox.run", run) for run in several]
    with statements() as asked:
        assert states.outdated(topics * 200) == frozenset()
    assert len([each for each in asked if each.startswith("SELECT")]) == 1
    with statements() as asked:
        assert states.outdated([]) == frozenset()
    assert asked == []
    with transaction() as session:
        session.delete(session.get_one(Run, several[0].id))
        session.get_one(Run, several[1].id).touched_at += dt.timedelta(seconds=1)
    assert states.outdated(topics) == set(topics[:2])


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
