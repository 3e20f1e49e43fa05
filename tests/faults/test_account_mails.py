"""Mails that leave by an account: the permission ends, the provider is away, the worker is killed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import select

from core import jobs
from core.db import db
from core.mail.outcomes import FailureKind
from modules.mail_config.models import MailServer, ServerHealth
from modules.mail_config.senders.service import own_server
from modules.mail_config.servers import circuit_breaker
from modules.mail_config.servers import service as servers
from modules.outbox import service
from modules.outbox.delivery.run import deliver
from modules.outbox.models import Alert
from tests.mail_config.accounts import GMAIL, back, leave, make_old
from tests.mail_config.provider import CLIENT_ID, CLIENT_SECRET
from tests.outbox.conftest import draft, make_ready, make_server
from tests.outbox.own_queue import in_a_hurry  # noqa: F401 (a fixture)
from tests.outbox.processes import Worker, eventually, settled, states_of, sweep_until, workforce


@pytest.fixture
def gmail(provider, sophie, sign_in) -> MailServer:
    """Sophie's account, without SMTP, tested."""
    browser = sign_in(sophie)
    back(browser, provider.consent(leave(browser, api="y")))
    return make_ready(own_server(sophie))


def write(company, sophie, *addresses: str) -> int:
    return service.submit(draft(company, *(addresses or ("client@example.com",))), sophie).id


def test_a_mail_leaves_by_the_account_of_who_has_written_it_and_no_other(provider, gmail, company, sophie):
    mine = write(company, sophie, "client@example.com", "two@example.com")
    nobodys = service.submit(draft(company, "client@example.com"), None).id
    deliver([mine, nobodys])
    assert states_of([mine, nobodys]) == ["sent", "deferred"]
    (message,) = provider.messages
    assert b"From: Sophie" in message or GMAIL.encode() in message
    assert b"client@example.com" in message


def test_a_permission_that_has_ended_is_told_once_and_its_mails_wait(provider, gmail, company, sophie):
    provider.refresh_tokens.clear()
    make_old(gmail.id)
    ids = [write(company, sophie) for _ in range(3)]
    deliver(ids)
    assert states_of(ids) == ["deferred"] * 3
    assert provider.refreshes() == 1
    health = db.session.get(ServerHealth, gmail.id)
    assert health.open_since is not None
    assert health.next_probe_at is None, "it is not tried again by itself"
    assert (health.failure_kind, health.failure_advice) == (FailureKind.AUTH_FAILED, "reconnect")
    assert [alert.user_id for alert in db.session.scalars(select(Alert))] == [sophie.id]
    # Neither time nor a person who presses the button makes it ask again.
    assert circuit_breaker.probe_due() == 0
    assert circuit_breaker.probe_now(gmail.id).advice == "reconnect"
    db.session.expire_all()
    assert db.session.get(ServerHealth, gmail.id).next_probe_at is None
    deliver(ids)
    assert provider.refreshes() == 1
    assert len(db.session.scalars(select(Alert)).all()) == 1
    assert not provider.messages


def test_connected_again_it_sends_what_has_waited(provider, gmail, company, sophie, sign_in):
    provider.refresh_tokens.clear()
    make_old(gmail.id)
    mail = write(company, sophie)
    deliver([mail])
    assert states_of([mail]) == ["deferred"]
    browser = sign_in(sophie)
    page = browser.get("/mail_config/mine").text
    assert "Nothing is sent by it until you connect it again" in page
    assert "Token has been expired or revoked." in page
    back(browser, provider.consent(leave(browser, api="y")))
    assert servers.test_server(own_server(sophie), GMAIL, GMAIL).passed
    db.session.expire_all()
    assert db.session.get(ServerHealth, gmail.id).open_since is None
    sweep_until([mail], lambda states: states == ["queued"], "it is on the queue again")
    deliver([mail])
    assert states_of([mail]) == ["sent"]


@pytest.mark.smtp
def test_while_the_account_has_ended_the_companys_server_stands_in(provider, gmail, company, sophie, lab):
    make_ready(make_server(lab, name="House"))
    provider.refresh_tokens.clear()
    make_old(gmail.id)
    mail = write(company, sophie)
    deliver([mail])
    sweep_until([mail], lambda states: states == ["queued"], "it is on the queue again")
    deliver([mail])
    assert states_of([mail]) == ["sent"]
    assert not provider.messages
    assert len(lab.accepted) == 1


def test_without_an_answer_a_mail_is_uncertain_and_stays_so(provider, gmail, company, sophie):
    provider.hangs_up = "after"
    mail = write(company, sophie)
    deliver([mail])
    assert states_of([mail]) == ["uncertain"]
    provider.hangs_up = ""
    deliver([mail])
    assert states_of([mail]) == ["uncertain"]
    assert len(provider.messages) == 1


# -- SIGKILL -------------------------------------------------------------------------------------------


@pytest.fixture
def hire(app, provider, tmp_path) -> Iterator[Callable[..., Worker]]:
    with workforce(app, tmp_path / "workers") as hire:
        yield lambda: hire(
            MAIL_CONFIG_GOOGLE_BASE_URL=provider.base_url,
            MAIL_CONFIG_GOOGLE_CLIENT_ID=CLIENT_ID,
            MAIL_CONFIG_GOOGLE_CLIENT_SECRET=CLIENT_SECRET,
        )


@pytest.mark.parametrize(
    ("point", "outcomes", "taken"),
    [
        ("on_token", {"sent"}, {1}),
        ("on_head", {"sent", "uncertain"}, {0, 1}),
        ("on_message", {"uncertain"}, {1}),
    ],
)
@pytest.mark.usefixtures("in_a_hurry")
def test_a_worker_that_is_killed_sends_nothing_twice(
    provider, gmail, company, sophie, hire, point, outcomes, taken
):
    mail = write(company, sophie)
    if point == "on_token":
        make_old(gmail.id)
    victims: list[Worker] = []

    def strike() -> None:
        setattr(provider, point, lambda: None)
        victims[0].kill()

    setattr(provider, point, strike)
    victims.append(hire())
    assert jobs.enqueue("outbox.deliver_mails", [mail])
    eventually(lambda: not victims[0].alive(), "it was killed")
    make_old_lease(gmail.id)
    sweep_until([mail], lambda states: states != ["sending"], "its claim has ended")
    hire()
    states = sweep_until([mail], settled, "the mail is settled")
    assert set(states) <= outcomes
    assert len(provider.messages) in taken


def make_old_lease(server_id: int) -> None:
    """Let the turn of a process that has died while it asked for a token have run out."""
    make_old(server_id, refreshing_until=None)
