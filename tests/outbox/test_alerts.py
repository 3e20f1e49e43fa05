from __future__ import annotations

import datetime as dt
import re

import pytest
from flask import current_app
from sqlalchemy import func, select

from core import clock
from core.auth.service import save_user
from core.db import db, transaction
from core.mail.outcomes import Failure, FailureKind
from modules.mail_config.models import ServerHealth
from modules.mail_config.servers import circuit_breaker
from modules.outbox import service
from modules.outbox.alert_rows import write_alerts
from modules.outbox.alerts import service as alerts
from modules.outbox.models import Alert, OutgoingMail
from modules.outbox.states import MailState
from modules.outbox.transitions import move
from tests.outbox.conftest import make_ready, make_server

pytestmark = pytest.mark.smtp

DOWN = Failure(FailureKind.CONNECT_FAILED, True, detail="Connection refused")


def rows(user=None) -> list[Alert]:
    query = select(Alert).order_by(Alert.id)
    return list(db.session.scalars(query.where(Alert.user_id == user.id) if user else query))


def fail(mail: OutgoingMail, words: str = "550 5.1.1 no such user") -> None:
    """Let a mail fail for good, as delivery writes it."""
    with transaction() as session:
        if mail.state is MailState.QUEUED:
            move(mail, "claim", MailState.SENDING)
        move(mail, "settle", MailState.FAILED)
        mail.failure_kind, mail.settled_at = FailureKind.RECIPIENT_UNKNOWN, clock.now()
        write_alerts(session, mail.id, FailureKind.RECIPIENT_UNKNOWN, words)


@pytest.mark.both_databases
def test_the_sender_is_told_of_a_mail_that_has_failed_for_good(app, server, make_user, send, run_jobs):
    seller = make_user()
    mail = send("refused+a@example.com", "fine@example.com", by=seller)
    run_jobs("outbox.deliver_mails", [mail.id])
    (alert,) = rows()
    assert (alert.user_id, alert.mail_id) == (seller.id, mail.id)
    assert alert.failure_kind is FailureKind.RECIPIENT_UNKNOWN
    assert alerts.count_unseen(seller) == 1


def test_a_mail_that_waits_and_one_that_left_are_nobodys_alert(app, server, make_user, send, run_jobs):
    seller = make_user()
    for address in ("later+a@example.com", "fine@example.com"):
        run_jobs("outbox.deliver_mails", [send(address, by=seller).id])
    assert rows() == []


def test_a_mail_of_the_system_has_nobody_to_tell(app, server, send, run_jobs):
    run_jobs("outbox.deliver_mails", [send("refused+a@example.com").id])
    assert rows() == []


def test_resending_silences_the_bell_and_the_next_failure_rings_again(app, server, make_user, send, run_jobs):
    seller = make_user()
    mail = send("refused+a@example.com", by=seller)
    run_jobs("outbox.deliver_mails", [mail.id])
    service.resend([mail.id])
    assert alerts.count_unseen(seller) == 0
    run_jobs("outbox.deliver_mails", [mail.id])
    assert alerts.count_unseen(seller) == 1
    assert [row.seen_at is None for row in rows()] == [False, True]


def test_what_failed_twice_unseen_is_one_alert_with_the_last_words(app, server, make_user, send):
    seller = make_user()
    mail = send("a@example.com", by=seller)
    fail(mail, "first")
    with transaction() as session:
        write_alerts(session, mail.id, FailureKind.MAILBOX_FULL, "second")
    assert alerts.count_unseen(seller) == 1
    assert [row.words for row in alerts.newest_unseen(seller)] == ["second"]


def test_an_alert_that_somebody_else_has_dealt_with_no_longer_counts(app, server, make_user, send):
    seller = make_user()
    mail = send("a@example.com", by=seller)
    fail(mail)
    with transaction():
        move(mail, "resend", MailState.QUEUED)
        move(mail, "claim", MailState.SENDING)
        move(mail, "settle", MailState.SENT)
    assert alerts.count_unseen(seller) == 0
    assert len(rows()) == 1


def test_the_bell_counts_up_to_its_limit(app, server, make_user, send):
    seller = make_user()
    mail = send("a@example.com", by=seller)
    fail(mail)
    with transaction() as session:
        for _ in range(alerts.MOST_COUNTED + 5):
            session.add(Alert(user_id=seller.id, mail_id=mail.id))
    assert alerts.count_unseen(seller) == alerts.MOST_COUNTED + 1


# -- the pages -----------------------------------------------------------------------------------------


def test_the_bell_leads_to_what_failed_and_reading_its_page_is_remembered(
    app, server, make_user, send, sign_in
):
    seller = make_user()
    mail = send("refused+a@example.com", by=seller, subject="Quotation <b>7</b>")
    fail(mail)
    browser = sign_in(seller)
    page = browser.get("/outbox/alerts").text
    assert "Quotation &lt;b&gt;7&lt;/b&gt;" in page
    assert "Address unknown" in page
    assert 'hx-post="/outbox/alerts/seen"' not in page
    page = browser.get(f"/outbox/mails/{mail.id}").text
    assert 'hx-post="/outbox/alerts/seen"' in page
    assert alerts.count_unseen(seller) == 1, "reading must change nothing"
    answer = browser.post("/outbox/alerts/seen", data={"mail_id": mail.id}, headers={"HX-Request": "true"})
    assert 'id="alert-bell"' in answer.text
    assert alerts.count_unseen(seller) == 0
    assert 'hx-post="/outbox/alerts/seen"' not in browser.get(f"/outbox/mails/{mail.id}").text


def test_nobody_sees_or_silences_the_alerts_of_another(app, server, make_user, send, sign_in):
    seller, other = make_user(), make_user(login="other@maison.example.com")
    mail = send("a@example.com", by=seller, subject="A secret matter")
    fail(mail)
    browser = sign_in(other)
    assert "A secret matter" not in browser.get("/outbox/alerts").text
    browser.post("/outbox/alerts/seen")
    browser.post("/outbox/alerts/seen", data={"mail_id": mail.id})
    assert alerts.count_unseen(seller) == 1


def test_everything_can_be_marked_as_read_at_once(app, server, make_user, send, sign_in):
    seller = make_user()
    for number in range(3):
        fail(send(f"a{number}@example.com", by=seller))
    browser = sign_in(seller)
    assert browser.post("/outbox/alerts/seen").status_code == 302
    assert alerts.count_unseen(seller) == 0
    assert "Mark all as read" not in browser.get("/outbox/alerts").text


# -- servers -------------------------------------------------------------------------------------------


def pause(server) -> None:
    for _ in range(circuit_breaker.FAILURES_TO_PAUSE):
        circuit_breaker.note_failure(server.id, DOWN)


def test_administrators_are_told_once_of_each_pause_of_a_server(app, server, make_user):
    boss, seller = make_user("administrator"), make_user()
    pause(server)
    pause(server)  # it goes on failing
    alerts.server_paused(current_app, server.id)  # two workers with the same news
    (alert,) = rows()
    assert (alert.user_id, alert.server_id) == (boss.id, server.id)
    assert alert.words == "Connection refused"
    assert alerts.count_unseen(seller) == 0
    circuit_breaker.note_success(server.id)
    assert alerts.count_unseen(boss) == 0
    pause(server)
    assert len(rows()) == 2
    assert alerts.count_unseen(boss) == 1


def test_a_signal_that_was_lost_with_its_process_is_made_good(app, server, make_user, run_jobs):
    boss = make_user("administrator")
    with transaction() as session:
        session.add(ServerHealth(server_id=server.id, open_since=clock.now(), failure_words="away"))
    run_jobs("outbox.mail_alerts")
    run_jobs("outbox.mail_alerts")
    assert len(rows(boss)) == 1
    with transaction() as session:
        session.get_one(ServerHealth, server.id).open_since = None
    run_jobs("outbox.mail_alerts")
    assert alerts.count_unseen(boss) == 0


def test_a_deactivated_administrator_is_not_told(app, server, company, make_user):
    make_user("administrator")
    gone = make_user("administrator", login="gone@maison.example.com")
    save_user(
        gone,
        login=gone.login,
        name=gone.name,
        roles=["administrator"],
        company_ids=[company.id],
        active=False,
    )
    pause(server)
    assert rows(gone) == []


def test_the_list_says_that_a_server_works_again(app, server, make_user, sign_in):
    boss = make_user("administrator")
    pause(server)
    browser = sign_in(boss)
    assert "pause-circle-fill" in browser.get("/outbox/alerts").text
    circuit_breaker.note_success(server.id)
    page = browser.get("/outbox/alerts").text
    assert "works again" in page
    assert "pause-circle-fill" not in page


def test_a_deleted_server_takes_its_alerts_and_its_health_with_it(app, server, make_user, sign_in):
    boss = make_user("administrator")
    pause(server)
    sign_in(boss).post(f"/mail_config/servers/{server.id}/delete")
    assert rows() == []
    assert db.session.scalar(select(func.count()).select_from(ServerHealth)) == 0


# -- by mail -------------------------------------------------------------------------------------------


def digests() -> list[OutgoingMail]:
    return list(
        db.session.scalars(select(OutgoingMail).where(OutgoingMail.is_alert).order_by(OutgoingMail.id))
    )


def later(monkeypatch: pytest.MonkeyPatch, **delta: float) -> None:
    moment = clock.now() + dt.timedelta(**delta)
    monkeypatch.setattr(clock, "now", lambda: moment)


def test_nobody_is_told_by_mail_who_did_not_ask(app, server, make_user, send, run_jobs):
    fail(send("a@example.com", by=make_user()))
    run_jobs("outbox.mail_alerts")
    assert digests() == []


@pytest.mark.both_databases
def test_one_mail_tells_all_that_is_new_in_the_language_of_the_person(
    app, server, make_user, send, run_jobs, lab
):
    seller = make_user(language="fr")
    alerts.set_preference(seller, by_mail=True, every_failure=False)
    mails = [send(f"customer{n}@example.com", by=seller, subject=f"Offer {n}") for n in range(3)]
    for mail in mails:
        fail(mail, "550 <customer@example.com>: no such user")
    run_jobs("outbox.mail_alerts")
    run_jobs("outbox.mail_alerts")
    (digest,) = digests()
    assert digest.language == "fr"
    assert [recipient.addr_spec for recipient in digest.recipients] == [seller.login]
    assert digest.submitted_by_id is None
    for mail in mails:
        assert mail.subject in digest.body_html
        assert f"/outbox/mails/{mail.id}?tab=reason" in digest.body_html
    assert "example.com" not in digest.body_html.replace(seller.login, ""), "no address of a customer"
    run_jobs("outbox.deliver_mails", [digest.id])
    (got,) = lab.accepted
    assert list(got.recipients) == [seller.login]


def test_no_more_than_one_such_mail_in_ten_minutes(app, server, make_user, send, run_jobs, monkeypatch):
    seller = make_user()
    alerts.set_preference(seller, by_mail=True, every_failure=False)
    fail(send("a@example.com", by=seller))
    run_jobs("outbox.mail_alerts")
    fail(send("b@example.com", by=seller, subject="The second"))
    run_jobs("outbox.mail_alerts")
    assert len(digests()) == 1
    later(monkeypatch, minutes=11)
    run_jobs("outbox.mail_alerts")
    assert len(digests()) == 2
    assert "The second" in digests()[1].body_html
    assert digests()[1].body_html.count("<li>") == 1


def test_what_was_seen_or_mended_needs_no_mail(app, server, make_user, send, run_jobs):
    seller = make_user()
    alerts.set_preference(seller, by_mail=True, every_failure=False)
    mail = send("a@example.com", by=seller)
    fail(mail)
    alerts.seen_about(seller.id, "mail_id", mail.id)
    run_jobs("outbox.mail_alerts")
    assert digests() == []


def test_a_mail_about_failures_that_fails_itself_raises_no_alert(app, server, make_user, send, run_jobs):
    seller = make_user(login="refused+me@example.com")
    alerts.set_preference(seller, by_mail=True, every_failure=False)
    fail(send("a@example.com", by=seller))
    run_jobs("outbox.mail_alerts")
    (digest,) = digests()
    run_jobs("outbox.deliver_mails", [digest.id])
    assert digest.state is MailState.FAILED
    assert len(rows()) == 1
    run_jobs("outbox.mail_alerts")
    assert len(digests()) == 1


def test_a_long_list_is_cut(app, server, make_user, send, run_jobs):
    seller = make_user()
    alerts.set_preference(seller, by_mail=True, every_failure=False)
    for number in range(alerts.DIGEST_LINES + 3):
        fail(send(f"a{number}@example.com", by=seller))
    run_jobs("outbox.mail_alerts")
    (digest,) = digests()
    assert digest.body_html.count("<li>") == alerts.DIGEST_LINES + 1
    assert "and 3 more" in digest.body_html
    assert str(alerts.DIGEST_LINES + 3) in digest.subject


def test_the_news_of_a_broken_server_waits_for_one_that_works(app, lab, server, make_user, run_jobs, sign_in):
    boss = make_user("administrator")
    alerts.set_preference(boss, by_mail=True, every_failure=False)
    pause(server)
    run_jobs("outbox.mail_alerts")
    assert digests() == []
    assert "No mail server works at this moment" in sign_in(boss).get("/outbox/alerts").text
    make_ready(make_server(lab, name="Second", priority=20))
    run_jobs("outbox.mail_alerts")
    (digest,) = digests()
    assert re.search(r"The mail server “Lab” is paused.*Server unreachable", digest.body_html)


def test_the_preference_is_kept_by_the_page(app, server, make_user, sign_in):
    seller = make_user()
    browser = sign_in(seller)
    browser.post("/outbox/alerts/preference", data={"by_mail": "1"})
    assert alerts.preference_of(seller.id).by_mail
    assert re.search(r'name="by_mail"\s+value="1"\s+checked', browser.get("/outbox/alerts").text)
    browser.post("/outbox/alerts/preference")
    assert not alerts.preference_of(seller.id).by_mail
