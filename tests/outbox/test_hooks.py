"""Web hooks of relays: what they tell counts as bounces do, once, whatever the order."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from core import clock
from core.auth.models import User
from core.db import db, transaction
from core.errors import UserError
from core.mail.bounces.model import Action, Nature
from core.mail.outcomes import FailureKind, RecipientState
from modules.mail_config.transports import sns
from modules.outbox.inbound.hooks.service import receive, save_hook
from modules.outbox.models import (
    InboundMessage,
    OutgoingMail,
    RecipientNotice,
    RelayHook,
    RelayProvider,
    Verdict,
)
from modules.outbox.states import MailState
from modules.outbox.transitions import note
from tests.outbox import relays
from tests.outbox.mails import accepted, become, recipient_becomes

Send = Callable[..., OutgoingMail]


@pytest.fixture(autouse=True)
def certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Amazon's certificate be ours: who has its key nobody else has."""
    monkeypatch.setattr(sns, "certificate", lambda _url: relays.sns_certificate())


def told(provider: RelayProvider, post: relays.Post, hook: RelayHook | None = None) -> list[Verdict]:
    body, headers = post
    taken = [one.verdict for one in receive(hook or relays.hook_of(provider), headers, body)]
    db.session.expire_all()
    return taken


@pytest.mark.parametrize("provider", RelayProvider)
def test_a_bounce_that_a_relay_tells_turns_the_mail_red_once(send: Send, provider: RelayProvider) -> None:
    mail = accepted(send("ann@far.example", "bob@far.example"))
    hook = relays.hook_of(provider)
    post = relays.bounce(provider, mail.message_id, "ann@far.example")
    assert told(provider, post, hook) == [Verdict.COUNTED]
    ann, bob = mail.recipients
    assert (ann.state, bob.state) == (RecipientState.BOUNCED, RecipientState.ACCEPTED)
    assert (ann.failure_kind, mail.state) == (FailureKind.RECIPIENT_UNKNOWN, MailState.PARTIAL)
    (notice,) = db.session.scalars(select(RecipientNotice))
    assert notice.permanent is True
    assert "User unknown" in notice.diagnostic
    assert told(provider, post, hook) == [Verdict.REPEATED]
    assert hook.last_at is not None


def one(**fields: Any) -> dict[str, Any]:
    return {"email": "ann@far.example", "sg_event_id": "x1", "timestamp": relays.seconds(), **fields}


@pytest.mark.parametrize(
    ("event", "action", "kind", "permanent"),
    [
        (
            {
                "event": "bounce",
                "type": "blocked",
                "reason": "550 5.7.1 blocked by Spamhaus",
                "status": "5.7.1",
            },
            Action.FAILED,
            FailureKind.SPAM_SUSPECTED,
            False,
        ),
        ({"event": "dropped", "reason": "Bounced Address"}, Action.FAILED, None, None),
        (
            {"event": "deferred", "response": "452 4.2.2 The email account is over quota"},
            Action.DELAYED,
            FailureKind.MAILBOX_FULL,
            False,
        ),
        ({"event": "delivered", "response": "250 OK"}, Action.DELIVERED, None, None),
        ({"event": "spamreport"}, Action.COMPLAINED, None, None),
        ({"event": "open"}, None, None, None),
        ({"event": "processed"}, None, None, None),
    ],
)
def test_the_events_of_sendgrid(
    send: Send, event: dict[str, Any], action: Action | None, kind: FailureKind | None, permanent: bool | None
) -> None:
    mail = accepted(send("ann@far.example"))
    told(RelayProvider.SENDGRID, relays.sendgrid([one(**event, envoi_mail=mail.message_id.strip("<>"))]))
    found = db.session.scalars(select(RecipientNotice)).all()
    assert [notice.action for notice in found] == ([action] if action is not None else [])
    if found and kind is not None:
        assert (found[0].failure_kind, found[0].permanent) == (kind, permanent)


@pytest.mark.parametrize(
    ("event", "action"),
    [
        ({"event": "failed", "severity": "temporary"}, Action.DELAYED),
        ({"event": "failed", "severity": "permanent"}, Action.FAILED),
        ({"event": "delivered"}, Action.DELIVERED),
        ({"event": "complained"}, Action.COMPLAINED),
        ({"event": "clicked"}, None),
    ],
)
def test_the_events_of_mailgun(send: Send, event: dict[str, Any], action: Action | None) -> None:
    mail = accepted(send("ann@far.example"))
    named = {"user-variables": {"envoi_mail": mail.message_id.strip("<>")}}
    told(
        RelayProvider.MAILGUN,
        relays.mailgun({"id": "m1", "recipient": "ann@far.example", **named, **event}),
    )
    found = [notice.action for notice in db.session.scalars(select(RecipientNotice))]
    assert found == ([action] if action is not None else [])


@pytest.mark.parametrize(
    ("event", "action", "permanent"),
    [
        (
            {"RecordType": "Delivery", "Recipient": "ann@far.example", "MessageID": "p1"},
            Action.DELIVERED,
            None,
        ),
        (
            {"RecordType": "Bounce", "Type": "Transient", "Email": "ann@far.example", "ID": 1},
            Action.FAILED,
            False,
        ),
        ({"RecordType": "Bounce", "Type": "AutoResponder", "Email": "ann@far.example", "ID": 1}, None, None),
        ({"RecordType": "SpamComplaint", "Email": "ann@far.example", "ID": 2}, Action.COMPLAINED, None),
        ({"RecordType": "Open", "Recipient": "ann@far.example"}, None, None),
    ],
)
def test_the_events_of_postmark(
    send: Send, event: dict[str, Any], action: Action | None, permanent: bool | None
) -> None:
    mail = accepted(send("ann@far.example"))
    metadata = {"Metadata": {"envoi_mail": mail.message_id.strip("<>")}}
    told(RelayProvider.POSTMARK, relays.postmark({**event, **metadata}))
    found = [(notice.action, notice.permanent) for notice in db.session.scalars(select(RecipientNotice))]
    assert found == ([(action, permanent)] if action is not None else [])


@pytest.mark.parametrize(
    ("event", "action", "permanent"),
    [
        ("soft_bounce", Action.FAILED, False),
        ("invalid_email", Action.FAILED, True),
        ("deferred", Action.DELAYED, False),
        ("delivered", Action.DELIVERED, None),
        ("spam", Action.COMPLAINED, None),
        ("request", None, None),
    ],
)
def test_the_events_of_brevo(send: Send, event: str, action: Action | None, permanent: bool | None) -> None:
    mail = accepted(send("ann@far.example"))
    fields = {"email": "ann@far.example", "message-id": mail.message_id, "ts_event": relays.seconds()}
    told(RelayProvider.BREVO, relays.brevo({"event": event, **fields}))
    found = [(notice.action, notice.permanent) for notice in db.session.scalars(select(RecipientNotice))]
    assert found == ([(action, permanent)] if action is not None else [])


@pytest.mark.parametrize("first", ["bounce", "delivered"])
def test_events_out_of_order_do_no_harm(send: Send, first: str) -> None:
    mail = accepted(send("ann@far.example"))
    named = {"envoi_mail": mail.message_id.strip("<>"), "status": "5.1.1", "reason": "550 5.1.1 unknown"}
    events = [one(event="bounce", **named), one(event="delivered", sg_event_id="x2", **named)]
    hook = relays.hook_of(RelayProvider.SENDGRID)
    for event in events if first == "bounce" else reversed(events):
        assert told(RelayProvider.SENDGRID, relays.sendgrid([event]), hook) == [Verdict.COUNTED]
    assert mail.recipients[0].state is RecipientState.BOUNCED
    assert mail.state is MailState.FAILED


def test_what_comes_before_the_worker_is_done_waits_for_it(send: Send) -> None:
    mail = become(accepted(send("ann@far.example")), state=MailState.SENDING)
    post = relays.bounce(RelayProvider.BREVO, mail.message_id, "ann@far.example")
    assert told(RelayProvider.BREVO, post) == [Verdict.WAITS]


def test_a_bounce_of_before_it_was_sent_again_changes_nothing(send: Send) -> None:
    mail = accepted(send("ann@far.example"))

    with transaction():
        note(mail, "resend", before=mail.state)
    recipient_becomes(mail, settled_at=clock.now())
    hour_old = relays.bounce(RelayProvider.SENDGRID, mail.message_id, "ann@far.example", ago=3600)
    assert told(RelayProvider.SENDGRID, hour_old) == [Verdict.EARLIER]


def test_events_about_mails_of_others_leave_no_trace(send: Send) -> None:
    accepted(send("ann@far.example"))
    post = relays.bounce(RelayProvider.SENDGRID, "<other@elsewhere.example>", "eve@nowhere.example")
    assert told(RelayProvider.SENDGRID, post) == [Verdict.UNKNOWN]
    assert db.session.scalars(select(InboundMessage)).all() == []


def test_a_thousand_events_of_one_request(send: Send) -> None:
    mail = accepted(send("ann@far.example"))
    named = mail.message_id.strip("<>")
    events = [one(event="open", sg_event_id=f"o{n}") for n in range(1000)]
    events += [one(event="delivered", sg_event_id=f"d{n}", envoi_mail=named) for n in range(60)]
    verdicts = told(RelayProvider.SENDGRID, relays.sendgrid(events))
    assert verdicts == [Verdict.COUNTED] + [Verdict.REPEATED] * 59


def test_a_topic_of_amazon_confirms_itself(app: object, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(sns, "fetched", lambda url: asked.append(url) or b"")
    where = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=abc"
    post = relays.ses("You have chosen", Type="SubscriptionConfirmation", SubscribeURL=where, Token="abc")
    assert told(RelayProvider.SES, post) == []
    assert asked == [where]
    assert told(RelayProvider.SES, relays.ses({"x": 1}, version="1")) == []


@pytest.mark.parametrize(
    ("provider", "secret"),
    [
        ("sendgrid", "no key"),
        ("sendgrid", "MFkwEwYHKoZIzj0CAQYI"),
        ("mailgun", "short"),
        ("postmark", "no-colon-in-here"),
        ("brevo", ""),
        ("ses", "arn:aws:s3:::bucket"),
    ],
)
def test_what_a_provider_signs_by_is_looked_at_when_it_is_saved(
    app: object, provider: str, secret: str
) -> None:
    with pytest.raises(UserError):
        save_hook(None, {"name": "x", "provider": provider, "active": True}, secret or None)


def test_an_administrator_sets_up_a_web_hook_and_a_relay_posts_to_it(
    app: Flask, send: Send, make_user: Callable[..., User], sign_in: Callable[[User], FlaskClient]
) -> None:
    mail = accepted(send("ann@far.example"))
    browser = sign_in(make_user("administrator"))
    form = {"name": "Our Brevo", "provider": "brevo", "secret": relays.TOKEN, "active": "y"}
    assert browser.post("/outbox/hooks/new", data=form).status_code == 302
    hook = db.session.scalars(select(RelayHook)).one()
    page = browser.get(f"/outbox/hooks/{hook.id}").text
    path = f"/outbox/hooks/post/{hook.token}"
    assert path in page
    assert relays.TOKEN not in page
    body, headers = relays.bounce(RelayProvider.BREVO, mail.message_id, "ann@far.example")
    client = app.test_client()
    app.config["WTF_CSRF_ENABLED"] = True  # which relays know nothing of
    answer = client.post(path, data=body, headers=headers)
    app.config["WTF_CSRF_ENABLED"] = False
    assert (answer.status_code, answer.json) == (200, {"taken": 1})
    assert "bounce" in browser.get(f"/outbox/hooks/{hook.id}").text
    assert "Our Brevo" in browser.get("/outbox/mailboxes").text
    assert db.session.scalars(select(InboundMessage)).one().nature is Nature.BOUNCE
    assert browser.post(f"/outbox/hooks/{hook.id}/delete").status_code == 302
    assert client.post(path, data=body, headers=headers).status_code == 404
    assert "webhook" in browser.get("/outbox/mailboxes").text


def test_a_moment_ahead_of_ours_is_now(send: Send) -> None:
    mail = accepted(send("ann@far.example"))
    told(
        RelayProvider.BREVO,
        relays.bounce(RelayProvider.BREVO, mail.message_id, "ann@far.example", ago=-86400),
    )
    assert db.session.scalars(select(InboundMessage)).one().received_at <= clock.now() + dt.timedelta(
        seconds=1
    )


def test_a_hook_with_a_new_address_takes_what_comes_to_the_one_before_for_a_day_or_not_at_all(
    app: Flask, send: Send, make_user: Callable[..., User], sign_in: Callable[[User], FlaskClient]
) -> None:
    hook = relays.hook_of(RelayProvider.POSTMARK)
    boss, first = sign_in(make_user("administrator")), hook.token
    relay, mail = app.test_client(), accepted(send("ann@far.example"))
    body, headers = relays.bounce(RelayProvider.POSTMARK, mail.message_id, "ann@far.example")

    def answer(token: str) -> int:
        return relay.post(f"/outbox/hooks/post/{token}", data=body, headers=headers).status_code

    page = boss.post(f"/outbox/hooks/{hook.id}/move", follow_redirects=True)
    assert "Previous address" in page.text
    db.session.expire_all()
    second = hook.token
    assert answer(first) == 200
    db.session.expire_all()
    assert mail.state is MailState.FAILED
    assert answer(second) == 200
    with transaction():
        hook.old_until = clock.now() - dt.timedelta(seconds=1)
    assert (answer(first), answer(second)) == (404, 200)
    page = boss.post(f"/outbox/hooks/{hook.id}/move", data={"at_once": "1"}, follow_redirects=True)
    assert "Previous address" not in page.text
    db.session.expire_all()
    assert (answer(second), answer(hook.token)) == (404, 200)
