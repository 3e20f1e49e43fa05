"""Web hooks that somebody else posts to: forged, replayed, for another installation, or garbage."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

import pytest
from flask import Flask
from sqlalchemy import select

from core.db import db
from core.mail.outcomes import RecipientState
from modules.mail_config.transports import sns
from modules.outbox.inbound.hooks.service import receive
from modules.outbox.inbound.hooks.signatures import HookRefusedError, Refusal, is_of_sns
from modules.outbox.models import InboundMessage, OutgoingMail, RelayHook, RelayProvider, Verdict
from modules.outbox.states import MailState
from tests.outbox import relays
from tests.outbox.conftest import send  # noqa: F401 (a fixture)
from tests.outbox.mails import accepted

Send = Callable[..., OutgoingMail]


@pytest.fixture(autouse=True)
def certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Amazon's certificate be ours."""
    monkeypatch.setattr(sns, "certificate", lambda _url: relays.sns_certificate())


def refused(hook: RelayHook, post: relays.Post) -> Refusal | None:
    body, headers = post
    try:
        receive(hook, headers, body)
    except HookRefusedError as error:
        return error.refusal
    return None


@pytest.mark.parametrize("provider", RelayProvider)
def test_nobody_makes_a_mail_red_without_what_the_relay_knows(send: Send, provider: RelayProvider) -> None:  # noqa: F811
    mail = accepted(send("ann@far.example"))
    hook = relays.hook_of(provider)
    body, headers = relays.bounce(provider, mail.message_id, "ann@far.example")
    other = {"Authorization": "Basic ZW52b2k6d3Jvbmc=", "X-Twilio-Email-Event-Webhook-Timestamp": "1"}
    told = json.loads(body)
    if isinstance(told, dict) and "signature" in told:
        told["signature"]["signature"] = "0" * 64
    if isinstance(told, dict) and "Signature" in told:
        told["Message"] = told["Message"].replace("0101", "0102")
    forged = [(json.dumps(told).encode(), other), (json.dumps(told).encode(), {})]
    if provider is RelayProvider.SENDGRID:
        forged.append((body.replace(b"User unknown", b"User unknowm"), headers))
    assert {refused(hook, post) for post in forged} == {Refusal.FORGED}
    db.session.expire_all()
    assert (mail.state, mail.recipients[0].state) == (MailState.SENT, RecipientState.ACCEPTED)
    assert hook.refused_why == Refusal.FORGED
    assert refused(hook, (body, headers)) is None


@pytest.mark.parametrize("provider", [RelayProvider.SENDGRID, RelayProvider.MAILGUN, RelayProvider.SES])
@pytest.mark.parametrize("ago", [27 * 3600, -3600])
def test_what_was_signed_too_long_ago_or_ahead_is_refused(
    send: Send,  # noqa: F811
    provider: RelayProvider,
    ago: int,
) -> None:
    mail = accepted(send("ann@far.example"))
    post = relays.bounce(provider, mail.message_id, "ann@far.example", ago=ago)
    assert refused(relays.hook_of(provider), post) is Refusal.TOO_OLD


def test_a_token_of_mailgun_is_good_once_whatever_is_put_beside_it(send: Send) -> None:  # noqa: F811
    mail = accepted(send("ann@far.example", "bob@far.example"))
    hook = relays.hook_of(RelayProvider.MAILGUN)
    body, headers = relays.bounce(RelayProvider.MAILGUN, mail.message_id, "ann@far.example")
    assert [one.verdict for one in receive(hook, headers, body)] == [Verdict.COUNTED]
    changed = body.replace(b"ann@far", b"bob@far").replace(b'"e1"', b'"e2"')
    assert [one.verdict for one in receive(hook, headers, changed)] == [Verdict.REPEATED]
    db.session.expire_all()
    assert mail.recipients[1].state is RecipientState.ACCEPTED
    # The same event signed anew, as when it is posted again.
    again = relays.mailgun(json.loads(body)["event-data"], token="another")
    assert [one.verdict for one in receive(hook, again[1], again[0])] == [Verdict.REPEATED]


def test_a_mail_that_a_relay_names_for_others_does_not_bounce(send: Send) -> None:  # noqa: F811
    mail = accepted(send("ann@far.example"))
    hook = relays.hook_of(RelayProvider.BREVO)
    body, headers = relays.bounce(RelayProvider.BREVO, mail.message_id, "eve@far.example")
    receive(hook, headers, body)
    body, headers = relays.bounce(RelayProvider.BREVO, "<guessed@maison.example.com>", "ann@far.example")
    receive(hook, headers, body)
    db.session.expire_all()
    assert mail.state is MailState.SENT
    assert {row.verdict for row in db.session.scalars(select(InboundMessage))} <= {Verdict.UNPROVEN}


def test_a_topic_of_another_installation_is_refused(app: Flask) -> None:
    hook = relays.hook_of(RelayProvider.SES)
    assert refused(hook, relays.ses({}, TopicArn=relays.TOPIC.replace("bounces", "theirs"))) is Refusal.OTHER


@pytest.mark.parametrize(
    "url",
    [
        "http://sns.eu-west-1.amazonaws.com/x.pem",
        "https://sns.eu-west-1.amazonaws.com.evil.example/x.pem",
        "https://evil.example/sns.eu-west-1.amazonaws.com/x.pem",
        "https://sns.eu-west-1.amazonaws.com:8443/x.pem",
        "https://sns.eu-west-1.amazonaws.com@evil.example/x.pem",
        "https://user@sns.eu-west-1.amazonaws.com/x.pem",
        "https://bucket.s3.amazonaws.com/x.pem",
        "https://sns.amazonaws.com/x.pem",
        "https://169.254.169.254/x.pem",
        "https://[::1]/x.pem",
        "https://[/x.pem",
        "file:///etc/passwd",
        "",
    ],
)
def test_only_amazon_is_asked_for_its_certificate(app: Flask, url: str) -> None:
    assert not is_of_sns(url)
    assert refused(relays.hook_of(RelayProvider.SES), relays.ses({}, SigningCertURL=url)) is Refusal.FORGED


def test_the_addresses_of_amazon(app: Flask) -> None:
    assert is_of_sns(relays.CERTIFICATE_URL)
    assert is_of_sns("https://sns.us-gov-west-1.amazonaws.com/x.pem")
    assert is_of_sns("https://sns.cn-north-1.amazonaws.com.cn/x.pem")


def test_a_confirmation_leads_nowhere_but_to_amazon(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sns, "fetched", pytest.fail)
    post = relays.ses("x", Type="SubscriptionConfirmation", SubscribeURL="https://10.0.0.1/", Token="t")
    assert refused(relays.hook_of(RelayProvider.SES), post) is Refusal.FORGED


@pytest.mark.parametrize("provider", RelayProvider)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"3",
        b'"x"',
        b"{}",
        b"[[]]",
        b"[null]",
        b'{"a":' * 5000,
        b"[" * 100_000,
    ],
)
def test_garbage_is_refused_or_ignored(app: Flask, provider: RelayProvider, body: bytes) -> None:
    headers = relays.postmark({})[1] if provider is RelayProvider.POSTMARK else relays.brevo({})[1]
    refused(relays.hook_of(provider), (body, headers))
    assert db.session.scalars(select(InboundMessage)).all() == []


@pytest.mark.parametrize(
    "event",
    [
        {"event": "bounce", "email": None, "sg_event_id": "a"},
        {"event": "bounce", "email": ["a@b.example"], "sg_event_id": "a"},
        {"event": {"a": 1}, "email": "a@b.example", "sg_event_id": "a"},
        {"event": "bounce", "email": "a@b.example", "sg_event_id": "a", "timestamp": 10**30},
        {"event": "bounce", "email": "a@b.example", "sg_event_id": "a", "timestamp": "yesterday"},
        {"event": "bounce", "email": "a@b.example\x00\n", "sg_event_id": "\x00", "reason": "\x00" * 100},
        {"event": "bounce", "email": "a@b.example", "sg_event_id": "a" * 100_000, "smtp-id": "<" * 100_000},
        {"event": "bounce", "email": "a@b.example", "sg_event_id": "a", "reason": "5" * 1_000_000},
    ],
)
def test_events_that_make_no_sense_break_nothing(app: Flask, event: dict[str, object]) -> None:
    assert refused(relays.hook_of(RelayProvider.SENDGRID), relays.sendgrid([event])) is None


def test_strangers_learn_nothing_at_the_address(app: Flask) -> None:
    client = app.test_client()
    hook = relays.hook_of(RelayProvider.POSTMARK)
    assert client.post("/outbox/hooks/post/guessed", data=b"{}").status_code == 404
    assert client.get(f"/outbox/hooks/post/{hook.token}").status_code in {404, 405}
    answer = client.post(f"/outbox/hooks/post/{hook.token}", data=b"{}")
    assert (answer.status_code, answer.json) == (403, {"error": "not accepted"})
    wrong = {"Authorization": f"Basic {base64.b64encode(b'envoi:guess').decode()}"}
    assert client.post(f"/outbox/hooks/post/{hook.token}", data=b"{}", headers=wrong).status_code == 403
    huge = client.post(f"/outbox/hooks/post/{hook.token}", data=b" " * (4 * 1024 * 1024 + 1))
    assert huge.status_code == 413
