"""What the pages of mail servers say: how a server fares, its limits, and why a test has failed."""

from __future__ import annotations

import datetime as dt

import pytest

from core import clock
from core.db import db, transaction
from core.embedded import free_port
from core.mail.advice import Advice
from core.mail.explanations import FailureKind
from core.mail.outcomes import Failure
from core.testing.services import SmtpLab
from modules.mail_config.models import MailServer, ServerHealth
from modules.mail_config.servers import circuit_breaker, connection_limit, health, rate_limiter
from modules.mail_config.servers.providers import provider_of, providers
from modules.mail_config.servers.test_advice import sentences
from modules.outbox import service
from modules.outbox.delivery.run import deliver
from modules.outbox.states import MailState
from tests.outbox.conftest import draft, make_ready, make_server

pytestmark = [pytest.mark.smtp]

BAD_SIGN_IN = Failure(
    FailureKind.AUTH_FAILED, True, detail="535 5.7.8 <b>wrong</b> password", advice=Advice.CREDENTIALS
)
NO_ANSWER = Failure(FailureKind.CONNECT_FAILED, True, detail="Connection refused")


@pytest.fixture
def lab():
    with SmtpLab(security="none") as lab:
        yield lab


@pytest.fixture
def server(lab, company) -> MailServer:
    return make_ready(make_server(lab))


@pytest.fixture
def boss(make_user, sign_in):
    return sign_in(make_user("administrator"))


def page_of(server: MailServer, boss) -> str:
    answer = boss.get(f"/mail_config/servers/{server.id}")
    assert answer.status_code == 200
    return answer.text


def pause(server: MailServer, failure: Failure = NO_ANSWER) -> None:
    for _ in range(circuit_breaker.FAILURES_TO_PAUSE):
        circuit_breaker.note_failure(server.id, failure)


def test_a_server_in_use_says_so(server, boss):
    assert "in use" in page_of(server, boss)
    assert "Try now" not in page_of(server, boss)
    assert "in use" in boss.get("/mail_config/servers").text


@pytest.mark.parametrize(
    ("host", "usual"),
    [
        ("smtp.office365.com", 3),
        ("smtp.gmail.com", connection_limit.DEFAULT_CONNECTIONS),
        ("mail.example.com", connection_limit.DEFAULT_CONNECTIONS),
        ("8.8.8.8", connection_limit.DEFAULT_CONNECTIONS),
        *(
            (host, connection_limit.OWN_CONNECTIONS)
            for host in ("localhost", "postfix", "192.168.7.9", "[::1]")
        ),
    ],
)
def test_what_a_server_usually_bears_is_known_by_its_name(host, usual):
    assert connection_limit.usual_connections(host) == usual


def test_a_server_that_has_refused_connections_says_so_until_another_number_is_set(server, boss):
    def save(connections: int) -> None:
        values = form_values(server) | {"connections": str(connections)}
        assert boss.post(f"/mail_config/servers/{server.id}/edit", data=values).status_code == 302
        db.session.rollback()

    save(9)
    assert "it has refused more" not in page_of(server, boss)
    words = "421 4.7.0 <b>too many</b> connections"
    connection_limit.note_too_many(
        server.id, 4, Failure(FailureKind.RATE_LIMITED, True, detail=words, slows_server=True)
    )
    page = page_of(server, boss)
    assert "it has refused more" in page
    assert "421 4.7.0 &lt;b&gt;too many&lt;/b&gt; connections" in page
    save(8)
    assert "it has refused more" not in page_of(server, boss)
    assert (
        connection_limit.limit_of(
            db.session.get(MailServer, server.id), health.health_of(server.id), clock.now()
        )
        == 8
    )


def test_a_paused_server_says_since_when_why_and_what_to_do(server, boss):
    pause(server, BAD_SIGN_IN)
    page = page_of(server, boss)
    assert "Sign-in refused" in page
    assert "User name or password is wrong." in page
    assert "535 5.7.8 &lt;b&gt;wrong&lt;/b&gt; password" in page
    assert "Envoi tries it by itself" in page
    assert "Try now" in page
    listed = boss.get("/mail_config/servers").text
    assert "paused" in listed
    assert "Sign-in refused" in listed


def test_trying_now_ends_the_pause_of_a_server_that_works(server, boss):
    pause(server)
    answer = boss.post(f"/mail_config/servers/{server.id}/probe", follow_redirects=True)
    assert "The server works again." in answer.text
    assert not circuit_breaker.paused(server.id)


def test_trying_now_tells_that_it_still_does_not_work(company, boss):
    away = make_ready(make_server(type("Away", (), {"host": "127.0.0.1", "port": free_port()})))
    pause(away)
    answer = boss.post(f"/mail_config/servers/{away.id}/probe", follow_redirects=True)
    assert "Still not: Server unreachable." in answer.text
    assert circuit_breaker.paused(away.id)


def test_a_passing_test_ends_the_pause(server, boss):
    pause(server)
    values = {"from_address": "sales@maison.example.com", "recipient": "me@example.com"}
    page = boss.post(f"/mail_config/servers/{server.id}/test", data=values).text
    assert "The server works." in page
    assert "in use" in page
    assert not circuit_breaker.paused(server.id)


def test_a_server_that_asked_for_less_says_until_when(server, boss):
    rate_limiter.note_throttle(
        server.id, Failure(FailureKind.RATE_LIMITED, True, detail="421 too many <mails>", slows_server=True)
    )
    page = page_of(server, boss)
    assert "slowed down" in page
    assert "421 too many &lt;mails&gt;" in page


def test_a_switched_off_server_is_neither_paused_nor_tried(server, boss):
    pause(server)
    with transaction():
        server.active = False
    page = page_of(server, boss)
    assert "Try now" not in page
    assert "pause-circle-fill" not in boss.get("/mail_config/servers").text


def test_the_page_counts_the_mails_that_wait_for_the_server(server, boss, company):
    mails = [service.submit(draft(company, f"a{n}@example.com"), None) for n in range(3)]
    pause(server)
    deliver([mail.id for mail in mails])
    db.session.rollback()
    assert {mail.state for mail in mails} == {MailState.DEFERRED}
    assert "3 emails wait until the server works." in page_of(server, boss)


def test_the_page_says_when_the_last_of_the_paced_mails_leaves(server, boss, company):
    with transaction():
        server.rate_per_minute = 1
    mails = [service.submit(draft(company, f"a{n}@example.com"), None) for n in range(3)]
    deliver([mail.id for mail in mails])
    page = page_of(server, boss)
    assert "2 emails wait for their turn." in page
    assert "The last one leaves <time" in page
    assert "1 a minute" in page


@pytest.mark.parametrize(
    ("field", "typed", "kept"),
    [
        ("rate_per_minute", "30", 30),
        ("rate_per_hour", "200", 200),
        ("rate_per_day", "2000", 2000),
        ("rate_per_day", "", None),
        ("mails_per_connection", "100", 100),
    ],
)
def test_limits_are_kept(server, boss, field, typed, kept):
    values = form_values(server) | {field: typed}
    assert boss.post(f"/mail_config/servers/{server.id}/edit", data=values).status_code == 302
    db.session.rollback()
    assert getattr(server, field) == kept
    assert server.ready, "a limit needs no new test"


@pytest.mark.parametrize("typed", ["0", "-1", "many", "1" * 30])
def test_a_limit_that_makes_no_sense_is_refused(server, boss, typed):
    values = form_values(server) | {"rate_per_minute": typed}
    answer = boss.post(f"/mail_config/servers/{server.id}/edit", data=values)
    assert answer.status_code == 200
    assert "Some fields need another look" in answer.text


def form_values(server: MailServer) -> dict[str, str]:
    return {
        "name": server.name,
        "host": server.host,
        "port": str(server.port),
        "encryption": "none",
        "priority": "10",
        "company_id": "0",
        "active": "y",
    }


def test_deleting_a_paused_server_takes_its_health_along(server, boss):
    pause(server)
    server_id = server.id
    boss.post(f"/mail_config/servers/{server_id}/delete")
    db.session.rollback()
    assert db.session.get(ServerHealth, server_id) is None
    assert boss.get(f"/mail_config/servers/{server_id}").status_code == 404


# -- tests of a server ---------------------------------------------------------------------------------


def test_a_failed_test_is_never_told_as_a_mail_that_waits(company, boss):
    away = make_server(type("Away", (), {"host": "127.0.0.1", "port": free_port()}))
    values = {"from_address": "sales@maison.example.com", "recipient": "me@example.com"}
    page = boss.post(f"/mail_config/servers/{away.id}/test", data=values).text
    assert "No connection to the server could be made." in page
    assert "by itself" not in page


# What only a mail can end with, never the test of a server.
OF_MAILS = {
    FailureKind.PACED,
    FailureKind.GIVEN_UP,
    FailureKind.DOCUMENT_CHANGED,
    FailureKind.STORE_AWAY,
}


@pytest.mark.parametrize("kind", [kind for kind in FailureKind if kind not in OF_MAILS])
def test_no_sentence_about_a_failed_test_promises_another_try(app, kind):
    for advice in (None, *Advice):
        text = " ".join(sentences(Failure(kind, True, detail="x", advice=advice)))
        assert "by itself" not in text
        assert "esend" not in text
        assert "goes on when" not in text


# -- providers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "per_minute", "per_hour", "per_day"),
    [
        ("smtp.gmail.com", None, None, 500),
        ("SMTP.GMAIL.COM.", None, None, 500),
        ("smtp-relay.gmail.com", None, None, 10_000),
        ("smtp.office365.com", 30, None, 10_000),
        ("ssl0.ovh.net", None, 200, None),
        ("smtp.orange.fr", None, None, None),
    ],
)
def test_well_known_providers_are_recognised(host, per_minute, per_hour, per_day):
    provider = provider_of(host)
    assert provider is not None
    assert (provider.per_minute, provider.per_hour, provider.per_day) == (per_minute, per_hour, per_day)


@pytest.mark.parametrize(
    "host", ["", "gmail.com.evil.example", "notgmail.com", "smtp.example.com", "127.0.0.1"]
)
def test_others_are_not(host):
    assert provider_of(host) is None


def test_a_hint_is_shown_and_never_applied(lab, company, boss):
    gmail = make_server(lab, host="smtp.gmail.com")
    assert "Gmail allows at most: 500 emails a day" in page_of(gmail, boss)
    assert gmail.rate_per_day is None
    assert "Gmail allows" in boss.get("/mail_config/servers/hint?host=smtp.gmail.com").text
    assert boss.get("/mail_config/servers/hint?host=smtp.example.com").text.strip() == ""
    with transaction():
        gmail.rate_per_day = 400
    assert "Gmail allows" not in page_of(gmail, boss)


def test_every_hint_is_a_sentence(app):
    for provider in providers():
        assert str(provider.hint).endswith(".")


def test_times_of_a_pause_that_lie_ahead_are_said_as_such(server, boss):
    pause(server)
    known = health.health_of(server.id)
    assert known is not None
    assert known.next_probe_at is not None
    assert known.next_probe_at > clock.now() - dt.timedelta(seconds=1)
    assert "Envoi tries it by itself <time" in page_of(server, boss)
