"""Emails that are held back for long are told by email, past whatever holds them."""

from __future__ import annotations

import datetime as dt
from email import message_from_bytes, policy

import pytest
from flask import g
from sqlalchemy import select, update

from core import clock
from core.db import db, end_reading, transaction
from core.installation import service as installation
from core.installation.service import Sign
from modules.mail_config.models import ServerHealth
from modules.outbox.alerts import service as alerts
from modules.outbox.alerts.held_back import tell_held_back
from modules.outbox.delivery.run import deliver
from modules.outbox.models import MAILS, AlertPreference, OutgoingMail
from modules.outbox.states import MailState
from tests.outbox.conftest import make_ready, make_server
from tests.outbox.processes import eventually

pytestmark = pytest.mark.smtp


def age(minutes: float, **values: object) -> None:
    """Let what waits have waited for so long."""
    then = clock.now() - dt.timedelta(minutes=minutes)
    with transaction() as session:
        session.execute(update(MAILS).values(due_since=then, next_attempt_at=then, **values))


def tell() -> int:
    end_reading()
    g.pop("outbox_standstill", None)
    told = tell_held_back()
    db.session.expire_all()
    return told


def news(lab) -> list[tuple[str, str]]:
    """To whom, and with which subject, the news has come."""
    found = [
        (m.recipients[0], str(message_from_bytes(m.data, policy=policy.default)["Subject"]))
        for m in lab.accepted
    ]
    return [pair for pair in found if "Envoi:" in pair[1]]


@pytest.fixture
def wants():
    def want(user, **changes: bool):
        alerts.set_preference(user, by_mail=False, every_failure=False, **{"held_back": True, **changes})
        return user

    return want


@pytest.mark.both_databases
def test_without_a_worker_whoever_waits_is_told_once(app, server, lab, make_user, send, wants):
    seller, other, quiet = (
        wants(make_user()),
        wants(make_user(login="other@example.com")),
        make_user("support"),
    )
    send("a@example.com", by=seller)
    send("b@example.com", by=seller)
    send("c@example.com", by=quiet)
    age(59)
    assert tell() == 0
    age(61)
    assert tell() == 1
    assert news(lab) == [(seller.login, "Envoi: 2 emails are held back")]
    text = message_from_bytes(lab.accepted[-1].data, policy=policy.default).get_body(("plain",)).get_content()
    assert "a@example.com" not in text
    assert "/outbox/alerts" in text
    assert tell() == 0, "once"
    assert other.login not in str(news(lab))


def test_support_is_told_of_everybodys_and_the_next_time_again(app, server, lab, make_user, send, wants):
    support = wants(make_user("support"))
    send("a@example.com", by=make_user())
    age(61)
    assert tell() == 1
    age(61, state=MailState.SENT)
    assert tell() == 0
    send("b@example.com", by=make_user(login="x@example.com"))
    then = clock.now() - dt.timedelta(hours=2)
    with transaction() as session:
        waiting = update(MAILS).where(MAILS.c.state == MailState.QUEUED)
        session.execute(waiting.values(due_since=then, next_attempt_at=then))
    assert tell() == 1
    assert [to for to, _subject in news(lab)] == [support.login] * 2


def test_after_a_restore_only_who_decides_is_told_and_nothing_else_leaves(
    app, server, lab, make_user, send, wants
):
    boss, seller = wants(make_user("administrator")), wants(make_user())
    mail = send("a@example.com", by=seller)
    age(61)
    with transaction():
        installation.hold_back(next(iter(Sign)))
    assert tell() == 1
    assert news(lab) == [(boss.login, "Envoi: 1 email is held back")]
    deliver([mail.id])
    db.session.expire_all()
    assert mail.state is MailState.QUEUED
    assert len(lab.accepted) == 1


def test_of_a_paused_server_another_tells(app, lab, server, company, make_user, send, wants, hire):
    seller = wants(make_user())
    mail = send("a@example.com", by=seller)
    with transaction() as session:
        session.merge(ServerHealth(server_id=server.id, open_since=clock.now(), failures=9))
    assert make_ready(make_server(lab, name="Second", priority=99))
    age(61, state=MailState.DEFERRED, waits_for_server=True)
    hire()
    hire("scheduler")
    eventually(lambda: db.session.rollback() or tell() == 1 or bool(told(seller)), "it is told")
    eventually(
        lambda: news(lab) == [(seller.login, "Envoi: 1 email is held back")], "it arrives by the queue"
    )
    assert mail.id


def told(user) -> dt.datetime | None:
    db.session.rollback()
    return db.session.scalar(select(AlertPreference.held_told_at).where(AlertPreference.user_id == user.id))


def test_where_no_server_works_it_is_told_as_soon_as_one_does(app, company, lab, make_user, send, wants):
    seller = wants(make_user())
    send("a@example.com", by=seller)
    age(61)
    assert tell() == 0
    make_ready(make_server(lab))
    assert tell() == 1
    assert len(news(lab)) == 1


def test_zero_minutes_are_never(app, server, lab, make_user, send, wants):
    app.config["OUTBOX_TELL_HELD_MINUTES"] = 0
    send("a@example.com", by=wants(make_user()))
    age(600)
    assert tell() == 0


def test_the_scheduler_tells_it_while_no_worker_is_alive(app, server, lab, make_user, send, wants, hire):
    app.config["OUTBOX_TELL_HELD_MINUTES"] = 60
    seller = wants(make_user())
    send("a@example.com", by=seller)
    age(61)
    hire("scheduler")
    eventually(lambda: news(lab) == [(seller.login, "Envoi: 1 email is held back")], "the scheduler tells it")
    assert db.session.scalars(select(OutgoingMail.state)).all() == [MailState.QUEUED]


def test_the_choice_is_made_on_the_page_of_alerts(app, server, make_user, sign_in):
    seller = make_user()
    browser = sign_in(seller)
    assert "held back for more than 60 minutes" in browser.get("/outbox/alerts").text
    browser.post("/outbox/alerts/preference", data={"held_back": "1"})
    end_reading()
    assert alerts.preference_of(seller.id).held_back
    browser.post("/outbox/alerts/preference", data={})
    end_reading()
    assert not alerts.preference_of(seller.id).held_back
