"""Relays by HTTP: what they are told, and what each of their answers means; by a server that speaks as they do."""

from __future__ import annotations

import base64
import datetime as dt
from email.utils import format_datetime

import pytest

from core.embedded import free_port
from core.errors import UserError
from core.mail.addresses import Address
from core.mail.outcomes import Advice, FailureKind, RecipientState
from core.registry import current_registry
from modules.mail_config import module
from modules.mail_config.message import MailMessage, attachment
from modules.mail_config.models import Encryption
from modules.mail_config.servers import service
from modules.mail_config.servers.access import open_transport
from modules.mail_config.servers.settings import problems_of_settings
from modules.mail_config.servers.test_advice import sentences
from modules.mail_config.transports.base import Envelope, LostClaimError, ServerAccess, Step
from modules.mail_config.transports.conformance import TransportConformance
from modules.mail_config.transports.postmark import Postmark
from modules.mail_config.transports.relay import HttpRelay
from modules.mail_config.transports.sendgrid import SendGrid
from tests.mail_config.http_lab import (
    CLOSE_AFTER_BODY,
    CLOSE_BEFORE_BODY,
    CLOSE_IN_BODY,
    DRIP,
    ENDLESS,
    HALF,
    HANG,
    HTML,
    KEY,
    Canned,
    HttpLab,
)

K, A = FailureKind, Advice
ACCEPTED, REFUSED, DEFERRED, UNCERTAIN = (
    RecipientState.ACCEPTED,
    RecipientState.REFUSED,
    RecipientState.DEFERRED,
    RecipientState.UNCERTAIN,
)
KINDS = {"sendgrid": SendGrid, "postmark": Postmark}
FROM = "post@example.com"


@pytest.fixture(scope="module")
def shared():
    with HttpLab() as lab:
        yield lab


@pytest.fixture
def lab(shared):
    shared.taken.clear()
    shared.requests.clear()
    shared.bodies.clear()
    shared.faults.clear()
    shared.inactive.clear()
    shared.scopes = ["mail.send"]
    return shared


@pytest.fixture(params=sorted(KINDS))
def kind(request):
    return request.param


OPENED: list[HttpRelay] = []


@pytest.fixture(autouse=True)
def closed():
    yield
    while OPENED:
        OPENED.pop().close()


def relay_to(lab, kind="sendgrid", key=KEY, timeout=5.0, **changes):
    access = ServerAccess(lab.host, lab.port, Encryption.NONE, password=key, timeout=timeout, **changes)
    OPENED.append(HttpRelay(KINDS[kind](), access))
    return OPENED[-1]


def message(sender=FROM, to=("a@example.org",), cc=(), **changes) -> bytes:
    values = {
        "message_id": "<one.1@example.com>",
        "timestamp": 0.0,
        "sender": Address(sender, "Maison « Été »"),
        "to": [Address(address, "A B") for address in to],
        "cc": [Address(address) for address in cc],
        "subject": "Facture n° 12 – été",
        "text": "Bonjour\nété\n",
        "html": "<p>été</p>",
        **changes,
    }
    return MailMessage(**values).as_bytes()


def sent(relay, octets=None, *recipients, before_body=lambda: None, **changes):
    people = recipients or ("a@example.org",)
    envelope = Envelope(FROM, people, envelope_id="one.1@example.com", **changes)
    return relay.submit(octets or message(to=people), envelope, before_body)


def states(submission):
    return [outcome.state for outcome in submission.outcomes]


@pytest.mark.smtp
@pytest.mark.usefixtures("company")
class TestRelays(TransportConformance):
    @pytest.fixture
    def server(self, app, kind, lab):
        for name in KINDS:
            app.config[f"MAIL_CONFIG_{name.upper()}_BASE_URL"] = lab.url
        values = {"name": "Relay", "transport": f"mail_config.{kind}", "priority": 10, "active": True}
        return service.save_server(None, values, KEY)

    @pytest.fixture
    def working(self, server):
        return open_transport(server, timeout=5.0)

    @pytest.fixture
    def received(self, lab):
        lab.verified = "example.com"
        return lambda: len(lab.taken)

    @pytest.fixture
    def unreachable(self, app, server):
        for name in KINDS:
            app.config[f"MAIL_CONFIG_{name.upper()}_BASE_URL"] = f"http://127.0.0.1:{free_port()}"
        return open_transport(server, timeout=5.0)

    def test_the_test_by_steps_says_what_is_wrong(self, server):
        report = service.test_server(server, "me@example.org", FROM)
        assert report.passed
        assert [step.step for step in report.steps] == [
            step for step in open_transport(server).walk if step is not Step.TLS
        ]
        assert server.ready
        report = service.test_server(server, "me@example.org", "post@elsewhere.example")
        assert report.failure.kind is K.SENDER_REFUSED
        assert [step.step for step in report.steps if step.seconds is not None][-1] is Step.MAIL
        assert "that you have confirmed there" in " ".join(sentences(report.failure, server))
        service.save_server(server, {"transport": server.transport}, "SG.wrong")
        assert not server.ready
        report = service.test_server(server, "me@example.org", FROM)
        assert (report.failure.kind, report.failure.advice) == (K.AUTH_FAILED, A.API_KEY)
        assert [step.step for step in report.steps if step.seconds is not None][-1] is Step.SIGN_IN
        assert "SG.wrong" not in repr(report)

    def test_a_key_is_needed_and_goes_nowhere_else(self, server, kind):
        other = {"sendgrid": "postmark", "postmark": "sendgrid"}[kind]
        with pytest.raises(UserError, match="Type the key"):
            service.save_server(server, {"transport": f"mail_config.{other}"}, None)
        with pytest.raises(UserError, match="Type the key"):
            service.save_server(server, {}, "")
        with pytest.raises(UserError, match="no such kind"):
            service.save_server(server, {"transport": "nothing.known"}, KEY)
        assert (server.host, server.username) == (current_registry().transports[server.transport].host, "")


# -- what they are told ------------------------------------------------------------------------------------


FULL = message(
    to=("a@example.org",),
    cc=("c@example.org",),
    reply_to=Address("answers@example.com", "Jérôme"),
    attachments=[
        attachment("été.pdf", "application/pdf", b"%PDF" * 400),
        attachment("logo.png", "image/png", b"PNG", "logo@example.com"),
    ],
    headers={"List-Unsubscribe": "<mailto:no@example.com>", "In-Reply-To": "<former@example.org>"},
)


def test_sendgrid_is_told_every_part(lab):
    submission = sent(relay_to(lab), FULL, "a@example.org", "c@example.org", "hidden@example.org")
    assert states(submission) == [ACCEPTED] * 3
    (mail,) = lab.bodies
    assert mail["personalizations"] == [
        {
            "to": [{"email": "a@example.org", "name": "A B"}],
            "cc": [{"email": "c@example.org"}],
            "bcc": [{"email": "hidden@example.org"}],
        }
    ]
    assert mail["from"] == {"email": FROM, "name": "Maison « Été »"}
    assert mail["reply_to"] == {"email": "answers@example.com", "name": "Jérôme"}
    assert mail["subject"] == "Facture n° 12 – été"
    assert mail["content"] == [
        {"type": "text/plain", "value": "Bonjour\nété\n"},
        {"type": "text/html", "value": "<p>été</p>"},
    ]
    assert mail["headers"] == {
        "Message-ID": "<one.1@example.com>",
        "List-Unsubscribe": "<mailto:no@example.com>",
        "In-Reply-To": "<former@example.org>",
    }
    assert mail["custom_args"] == {"envoi_mail": "one.1"}
    assert not mail["tracking_settings"]["click_tracking"]["enable"]
    files = {file["filename"]: file for file in mail["attachments"]}
    assert base64.b64decode(files["été.pdf"]["content"]) == b"%PDF" * 400
    assert files["été.pdf"]["disposition"] == "attachment"
    assert files["logo.png"]["content_id"] == "logo@example.com"
    assert files["logo.png"]["disposition"] == "inline"


def test_postmark_is_told_every_part(lab):
    submission = sent(relay_to(lab, "postmark"), FULL, "a@example.org", "c@example.org", "hidden@example.org")
    assert states(submission) == [ACCEPTED] * 3
    ((mail,),) = lab.bodies
    assert mail["To"] == '"A B" <a@example.org>'
    assert (mail["Cc"], mail["Bcc"]) == ("c@example.org", "hidden@example.org")
    assert mail["From"] == '"Maison « Été »" <post@example.com>'
    assert mail["ReplyTo"] == '"Jérôme" <answers@example.com>'
    assert (mail["TextBody"], mail["HtmlBody"]) == ("Bonjour\nété\n", "<p>été</p>")
    headers = {header["Name"]: header["Value"] for header in mail["Headers"]}
    assert headers["Message-ID"] == "<one.1@example.com>"
    assert headers["X-PM-KeepID"] == "true"
    assert mail["Metadata"] == {"envoi-mail": "one.1"}
    assert [file.get("ContentID") for file in mail["Attachments"]] == ["cid:logo@example.com", None]


@pytest.mark.parametrize(
    ("recipients", "groups"),
    [
        (("b@example.org",), [("b@example.org",)]),
        (("c@example.org",), [("c@example.org",)]),
        (("h@example.org",), [("h@example.org",)]),
        (("h@example.org", "i@example.org"), [("h@example.org",), ("i@example.org",)]),
        (("a@example.org", "h@example.org"), [("a@example.org", "h@example.org")]),
        (("A@EXAMPLE.org",), [("A@EXAMPLE.org",)]),
        (("a@bücher.example",), [("a@xn--bcher-kva.example",)]),
    ],
)
def test_nobody_who_is_not_in_the_envelope_gets_anything(lab, kind, recipients, groups):
    """The head names everybody, also those who have it already; who is hidden is seen by nobody."""
    octets = message(to=("a@example.org", "b@example.org", "a@bücher.example"), cc=("c@example.org",))
    submission = sent(relay_to(lab, kind), octets, *recipients)
    assert [outcome.addr_spec for outcome in submission.outcomes] == list(recipients)
    assert states(submission) == [ACCEPTED] * len(recipients)
    assert lab.people == groups


def test_one_wrong_address_keeps_nobody_else_from_being_served(lab, kind):
    people = ("a@example.org", "wrong", "b@example.org")
    submission = sent(relay_to(lab, kind), message(to=("a@example.org",)), *people)
    assert states(submission) == [ACCEPTED, REFUSED, ACCEPTED]
    assert submission.outcomes[1].failure.kind is K.ADDRESS_INVALID
    assert sorted(sum(lab.people, ())) == ["a@example.org", "b@example.org"], "once each"


def test_who_is_inactive_at_postmark_is_refused_alone(lab):
    lab.inactive.add("b@example.org")
    relay = relay_to(lab, "postmark")
    submission = sent(relay, None, "a@example.org", "b@example.org")
    assert states(submission) == [ACCEPTED, REFUSED]
    failure = submission.outcomes[1].failure
    assert (failure.kind, failure.advice) == (K.RECIPIENT_REFUSED, A.SUPPRESSED)
    assert states(sent(relay, None, "b@example.org")) == [REFUSED]


def test_more_recipients_than_a_request_may_have_are_served_by_several(lab):
    people = tuple(f"p{number}@example.org" for number in range(120))
    asked = []
    submission = sent(relay_to(lab, "postmark"), None, *people, before_body=lambda: asked.append(1))
    assert states(submission) == [ACCEPTED] * 120
    assert [len(group) for group in lab.people] == [50, 50, 20]
    assert len(asked) == 3


def test_the_connection_is_kept_from_mail_to_mail_and_not_for_long(lab, kind, monkeypatch):
    relay, before = relay_to(lab, kind), lab.connections
    sent(relay)
    assert relay.is_open
    sent(relay)
    assert lab.connections == before + 1
    monkeypatch.setattr("modules.mail_config.transports.http.KEEP_SECONDS", 0.0)
    assert not relay.is_open
    sent(relay)
    assert lab.connections == before + 2
    relay.close()


# -- what their answers mean -------------------------------------------------------------------------------


def errors(message, field=None):
    """An error as either of them words it."""
    return {"errors": [{"message": message, "field": field}], "ErrorCode": 300, "Message": message}


FAULTS = {
    # fault: (kind, advice, temporary, of the server, may somebody have it)
    "wrong key": (Canned(401, errors("authorization required")), K.AUTH_FAILED, A.API_KEY, True, True),
    "key may not": (Canned(403, errors("access forbidden")), K.AUTH_FAILED, A.API_PERMISSION, True, True),
    "credits": (Canned(401, errors("Maximum credits exceeded")), K.RATE_LIMITED, A.DAILY_QUOTA, True, False),
    "too large": (Canned(413, HTML), K.MESSAGE_TOO_LARGE, None, False, False),
    "too many": (Canned(429, errors("too many requests")), K.RATE_LIMITED, None, True, False),
    "too many, in HTML": (Canned(429, HTML), K.RATE_LIMITED, None, True, False),
    "field": (Canned(400, errors("Bad content", "content.0.value")), K.MESSAGE_REFUSED, None, False, False),
    "broken JSON": (Canned(400, b"{"), K.SERVER_ERROR, A.NO_API, True, True),
    "a page says no": (Canned(403, HTML), K.SERVER_ERROR, A.NO_API, True, True),
    "not found": (Canned(404, HTML), K.SERVER_ERROR, A.NO_API, True, True),
    "redirect": (Canned(302, b"", {"Location": "http://127.0.0.1:1/"}), K.SERVER_ERROR, A.NO_API, True, True),
    "outage": (Canned(503, HTML), K.SERVER_ERROR, None, True, True),
    "fault": (Canned(500, errors("oops")), K.SERVER_ERROR, None, True, False),
    "took too long": (Canned(408, b""), K.SERVER_ERROR, None, True, False),
    "a page says fault": (Canned(500, HTML), K.OUTCOME_UNKNOWN, None, False, False),
    "gateway": (Canned(502, HTML), K.OUTCOME_UNKNOWN, None, False, False),
    "gateway timeout": (Canned(504, HTML), K.OUTCOME_UNKNOWN, None, False, False),
    "a page says yes": (Canned(200, HTML), K.OUTCOME_UNKNOWN, None, False, False),
    "yes without results": (Canned(200, []), K.OUTCOME_UNKNOWN, None, False, False),
    "closed after body": (CLOSE_AFTER_BODY, K.OUTCOME_UNKNOWN, None, False, False),
    "no answer": (HANG, K.OUTCOME_UNKNOWN, None, False, False),
    "drip": (DRIP, K.OUTCOME_UNKNOWN, None, False, False),
    "closed before body": (CLOSE_BEFORE_BODY, None, None, True, False),
    "closed in body": (CLOSE_IN_BODY, None, None, True, False),
}  # fmt: skip
LARGE = message(attachments=[attachment("a.bin", "application/octet-stream", bytes(6_000_000))])


@pytest.mark.parametrize("fault", FAULTS)
def test_each_answer_becomes_a_kind_of_failure(lab, kind, fault):
    answer, expected, advice, temporary, of_server = FAULTS[fault]
    lab.faults.append(answer)
    octets = LARGE if fault in {"closed before body", "closed in body"} else None
    relay = relay_to(lab, kind, timeout=0.7 if fault in {"no answer", "drip"} else 5.0)
    submission = sent(relay, octets)
    failure = submission.failure or submission.outcomes[0].failure
    if expected is not None:
        assert failure.kind is expected, failure
        assert failure.advice is advice
    else:
        assert failure.kind in {K.SERVER_ERROR, K.CONNECT_FAILED, K.TIMEOUT}, failure
    assert failure.temporary is temporary
    assert submission.server_failed is of_server
    if failure.kind is K.OUTCOME_UNKNOWN:
        assert states(submission) == [UNCERTAIN]
    elif submission.outcomes:
        assert states(submission) == [DEFERRED if temporary else REFUSED]
    assert failure.diagnostic
    assert KEY not in repr(submission)
    assert "Bonjour" not in repr(submission.transcript)
    assert lab.taken == []
    # What follows is not answered by what was left over.
    assert states(sent(relay)) == [ACCEPTED]


def test_an_answer_without_end_ends(lab):
    lab.faults.append(ENDLESS)
    relay = relay_to(lab, timeout=2.0)
    submission = sent(relay)
    assert submission.failure.kind is K.SERVER_ERROR
    assert not relay.is_open


def test_a_yes_that_breaks_off_is_a_yes(lab):
    """Its status says all; the words that are lost say nothing more."""
    lab.faults.append(HALF)
    assert states(sent(relay_to(lab))) == [ACCEPTED]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "120"}, 120),
        ({"Retry-After": "999999999"}, 3600),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-5"}, None),
        ({}, None),
        ({"Retry-After": "a date"}, 90),
    ],
)
def test_a_relay_that_asks_to_wait_is_given_that_time(lab, headers, seconds):
    if headers.get("Retry-After") == "a date":
        # Of now: tests are collected long before they run.
        headers = {"Retry-After": format_datetime(dt.datetime.now(dt.UTC) + dt.timedelta(seconds=90))}
    lab.faults.append(Canned(429, errors("too many requests"), headers))
    failure = sent(relay_to(lab)).outcomes[0].failure
    assert failure.slows_server
    if seconds is None:
        assert failure.wait is None
    else:
        assert failure.wait.total_seconds() == pytest.approx(seconds, abs=20)


def test_before_body_is_called_right_before_the_body(lab, kind):
    order = []
    lab.hook = order.append
    try:
        sent(relay_to(lab, kind), LARGE, before_body=lambda: order.append("asked"))
        assert order.index("asked") < order.index("body")

        def lost():
            raise LostClaimError("gone")

        with pytest.raises(LostClaimError):
            sent(relay_to(lab, kind), before_body=lost)
    finally:
        lab.hook = lambda _point: None
    assert len(lab.taken) == 1


def test_a_receipt_is_wished_for_and_its_absence_told(lab):
    assert sent(relay_to(lab), delivery_receipt=True).no_receipt
    assert not sent(relay_to(lab)).no_receipt


def test_a_key_without_the_right_to_send_is_found_by_the_check(lab):
    lab.scopes = ["stats.read"]
    found = relay_to(lab).check("")
    assert (found.failure.kind, found.failure.advice) == (K.AUTH_FAILED, A.API_PERMISSION)
    assert sent(relay_to(lab)).failure.advice is A.API_PERMISSION


def test_the_certificate_is_verified(kind):
    with HttpLab("tls") as lab:
        access = ServerAccess("localhost", lab.port, Encryption.TLS, password=KEY, timeout=5.0)
        submission = sent(HttpRelay(KINDS[kind](), access))
        assert submission.failure.advice is A.CERTIFICATE_UNTRUSTED
        assert submission.steps[-1].step is Step.TLS
        assert lab.requests == []
        access = ServerAccess(
            "localhost", lab.port, Encryption.TLS, password=KEY, ca_file=str(lab.ca_file), timeout=5.0
        )
        relay = HttpRelay(KINDS[kind](), access)
        submission = sent(relay)
        assert states(submission) == [ACCEPTED]
        tls = next(step for step in submission.steps if step.step is Step.TLS)
        assert "localhost" in tls.detail
        relay.close()


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://api.eu.sendgrid.com", True),
        ("http://127.0.0.1:9000/sandbox", True),
        ("http://localhost:9000", True),
        ("http://api.sendgrid.com", False),
        ("api.sendgrid.com", False),
        ("https://user:pw@api.sendgrid.com", False),
        ("https://api.sendgrid.com?x=1", False),
        ("https://api.sendgrid.com:none", False),
        ("ftp://api.sendgrid.com", False),
        ("", False),
    ],
)
def test_the_address_of_a_provider_is_checked_at_start(url, good):
    settings = {
        **module.config_defaults,
        "MAIL_CONFIG_SENDGRID_BASE_URL": url,
        "MAIL_CONFIG_POSTMARK_BASE_URL": "https://example.com",
        "MAIL_CONFIG_DROP_FOLDER": "",
    }
    assert bool(problems_of_settings(settings)) is not good


def test_a_path_before_the_api_is_kept(lab):
    access = ServerAccess(lab.host, lab.port, Encryption.NONE, password=KEY, timeout=5.0)
    OPENED.append(HttpRelay(SendGrid(), access, "/sandbox"))
    sent(OPENED[-1])
    assert lab.requests == ["POST /sandbox/v3/mail/send"]
