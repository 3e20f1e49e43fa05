"""Relays by HTTP that answer with malice, keys that are none, and addresses that must not be spoken to."""

from __future__ import annotations

import pytest

from core.db import db
from core.mail.outcomes import Advice, FailureKind, RecipientState
from modules.mail_config.models import MailServer
from modules.mail_config.servers import service
from modules.mail_config.servers.access import open_transport
from tests.mail_config.http_lab import KEY, Canned, HttpLab
from tests.mail_config.test_relays import closed, relay_to, sent, states  # noqa: F401 (a fixture among them)

KINDS = pytest.mark.parametrize("kind", ["sendgrid", "postmark"])


@pytest.fixture
def lab():
    with HttpLab() as lab:
        yield lab


@KINDS
@pytest.mark.parametrize("key", ["", "clé", "a\r\nX-Evil: 1", "\x00", "a\tb"])
def test_a_key_that_cannot_be_one_goes_nowhere(lab, kind, key):
    submission = sent(relay_to(lab, kind, key=key), before_body=lambda: pytest.fail("in flight"))
    assert (submission.failure.kind, submission.failure.advice) == (FailureKind.AUTH_FAILED, Advice.API_KEY)
    assert lab.requests == []
    assert relay_to(lab, kind, key=key).check("").failure.kind is FailureKind.AUTH_FAILED


@KINDS
def test_hosts_that_are_forbidden_are_not_spoken_to(lab, kind):
    submission = sent(relay_to(lab, kind, allow_local=False))
    assert submission.failure.advice is Advice.HOST_FORBIDDEN
    assert lab.connections == 0


@pytest.mark.smtp
def test_a_setting_does_not_open_the_machine_to_the_browser(app, company, lab):
    """Not even the address that whoever runs it has set, unless local servers are allowed."""
    app.config["MAIL_CONFIG_SENDGRID_BASE_URL"] = lab.url
    server = service.save_server(None, {"name": "Relay", "transport": "mail_config.sendgrid"}, KEY)
    app.config["MAIL_CONFIG_ALLOW_LOCAL_SERVERS"] = 0
    report = service.test_server(server, "me@example.org", company.email)
    assert report.failure.advice is Advice.HOST_FORBIDDEN
    assert lab.connections == 0


@KINDS
def test_a_redirect_takes_the_key_nowhere(lab, kind):
    with HttpLab() as other:
        for status in (301, 302, 307, 308):
            lab.faults.append(Canned(status, b"", {"Location": f"{other.url}/v3/mail/send"}))
            assert sent(relay_to(lab, kind)).failure.advice is Advice.NO_API
        assert other.connections == 0


WORDS = "no\r\n\x1b[31m\u202e<script>alert(1)</script> " + "x" * 50_000


@KINDS
def test_what_a_relay_says_is_harmless_to_show(lab, kind):
    answer = {"errors": [{"message": WORDS, "field": None}], "ErrorCode": 300, "Message": WORDS}
    lab.faults.append(Canned(400, answer))
    submission = sent(relay_to(lab, kind))
    assert states(submission) == [RecipientState.REFUSED]
    said = submission.outcomes[0].failure.diagnostic
    assert len(said) < 3_000
    for text in (said, *submission.transcript):
        assert not set(text) & {"\x1b", "\u202e", "\r"}


@KINDS
@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"errors": [1, null, "x", {"message": null, "field": 7}, {"field": []}]}',
        b'{"errors": {"a": 1}, "Message": {"a": 1}, "ErrorCode": "x"}',
        b"\xff\xfe\x00",
        b"null",
        b'{"errors": [{"message": "m", "field": "personalizations.999999999999.to.999999999999.email"}]}',
        b'[{"ErrorCode": "0"}]',
        b"[7]",
    ],
)
@pytest.mark.parametrize("status", [200, 400, 401, 403])
def test_nonsense_is_never_a_yes_and_never_an_exception(lab, kind, status, body):
    lab.faults.append(Canned(status, body))
    submission = sent(relay_to(lab, kind))
    assert RecipientState.ACCEPTED not in states(submission)
    if status == 200:
        assert states(submission) == [RecipientState.UNCERTAIN]
    lab.faults.append(Canned(status, body))
    assert relay_to(lab, kind).check("").outcomes == ()


def test_nobody_reads_a_key_from_the_pages(app, company, make_user, sign_in):
    boss = sign_in(make_user("administrator"))
    server = service.save_server(None, {"name": "Relay", "transport": "mail_config.sendgrid"}, KEY)
    for path in ("", f"/{server.id}", f"/{server.id}/edit"):
        assert KEY not in boss.get(f"/mail_config/servers{path}").text
    db.session.expire_all()
    assert KEY.encode() not in (db.session.get_one(MailServer, server.id).secret or b"")
    assert KEY not in repr(open_transport(server).access)
