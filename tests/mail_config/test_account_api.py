"""Mails by the interfaces of Gmail and Microsoft 365: what they answer, and who gets what."""

from __future__ import annotations

import json
from email import message_from_bytes
from email.header import decode_header, make_header

import pytest

from core.mail.outcomes import Advice, Failure, FailureKind, RecipientState
from modules.mail_config.account_models import AccountProvider
from modules.mail_config.senders.service import own_server
from modules.mail_config.servers import service
from modules.mail_config.transports.account_api import AccountApi
from modules.mail_config.transports.addressed import addressed
from modules.mail_config.transports.base import NoTokenError, Step, Transport
from modules.mail_config.transports.conformance import ENVELOPE, MESSAGE, TransportConformance
from tests.mail_config.accounts import GMAIL, back, leave
from tests.mail_config.provider import Provider

GOOGLE, MICROSOFT = AccountProvider.GOOGLE, AccountProvider.MICROSOFT


@pytest.fixture
def asked_for() -> list[str]:
    """The tokens that were called refused when another was asked for."""
    return []


def api(provider: Provider, which: AccountProvider, asked_for: list[str], **how: object) -> AccountApi:
    def token(refused: str) -> str:
        asked_for.append(refused)
        provider.access_tokens.append(f"token-{len(asked_for)}")
        return provider.access_tokens[-1]

    return AccountApi(which, token, **{"timeout": 5.0, "base_url": provider.base_url, **how})


@pytest.fixture(params=list(AccountProvider), ids=str)
def which(request) -> AccountProvider:
    return request.param


class TestConformance(TransportConformance):
    @pytest.fixture
    def working(self, provider, which, asked_for) -> Transport:
        return api(provider, which, asked_for)

    @pytest.fixture
    def received(self, provider):
        return lambda: len(provider.messages)

    @pytest.fixture
    def unreachable(self, provider, which, asked_for) -> Transport:
        return api(provider, which, asked_for, base_url="http://127.0.0.1:1")


def test_the_octets_are_those_of_the_message(provider, which, asked_for):
    envelope = type(ENVELOPE)("post@maison.example.com", ("you@example.com",))
    assert api(provider, which, asked_for).submit(MESSAGE, envelope, lambda: None).failure is None
    assert provider.messages == [MESSAGE]
    asked = provider.asked[-1]
    assert (
        asked.path
        == {
            GOOGLE: "/upload/gmail/v1/users/me/messages/send?uploadType=media",
            MICROSOFT: "/v1.0/me/sendMail",
        }[which]
    )
    assert asked.headers["Content-Type"] == {GOOGLE: "message/rfc822", MICROSOFT: "text/plain"}[which]


def google(status: int, reason: str, message: str, word: str = "") -> tuple[int, dict[str, str], bytes]:
    error = {"code": status, "message": message, "errors": [{"reason": reason}], "status": word}
    return status, {"Content-Type": "application/json"}, json.dumps({"error": error}).encode()


def graph(status: int, code: str, message: str = "No.", **headers: str) -> tuple[int, dict[str, str], bytes]:
    body = json.dumps({"error": {"code": code, "message": message}}).encode()
    return status, {"Content-Type": "application/json", **headers}, body


DEFERRED, REFUSED, UNCERTAIN = RecipientState.DEFERRED, RecipientState.REFUSED, RecipientState.UNCERTAIN
K, A = FailureKind, Advice


@pytest.mark.parametrize(
    ("which", "answer", "state", "kind", "advice"),
    [
        (GOOGLE, google(403, "insufficientPermissions", "Insufficient"), None, K.AUTH_FAILED, A.CONSENT_MISSING),
        (GOOGLE, google(403, "accessNotConfigured", "Not been used"), None, K.AUTH_FAILED, A.API_DISABLED),
        (GOOGLE, google(403, "domainPolicy", "No."), None, K.AUTH_FAILED, A.CONDITIONAL_ACCESS),
        (GOOGLE, google(403, "other", "No."), None, K.AUTH_FAILED, None),
        (GOOGLE, google(400, "failedPrecondition", "Mail service not enabled"), None, K.AUTH_FAILED, A.API_DISABLED),
        (GOOGLE, google(429, "rateLimitExceeded", "Too many"), DEFERRED, K.RATE_LIMITED, None),
        (GOOGLE, google(403, "userRateLimitExceeded", "Too many"), DEFERRED, K.RATE_LIMITED, None),
        (GOOGLE, google(429, "x", "User-rate limit exceeded."), DEFERRED, K.RATE_LIMITED, A.DAILY_QUOTA),
        (GOOGLE, google(403, "dailyLimitExceeded", "Daily"), DEFERRED, K.RATE_LIMITED, A.DAILY_QUOTA),
        (GOOGLE, google(400, "invalidArgument", "Invalid To header"), REFUSED, K.ADDRESS_INVALID, None),
        (GOOGLE, google(400, "invalidArgument", "Something else"), REFUSED, K.MESSAGE_REFUSED, None),
        (GOOGLE, google(413, "uploadTooLarge", "Too large"), REFUSED, K.MESSAGE_TOO_LARGE, None),
        (GOOGLE, google(500, "backendError", "Backend Error"), UNCERTAIN, K.OUTCOME_UNKNOWN, None),
        (GOOGLE, (200, {}, b"<html>Welcome to the hotel</html>"), UNCERTAIN, K.OUTCOME_UNKNOWN, None),
        (GOOGLE, (202, {}, b"{}"), UNCERTAIN, K.OUTCOME_UNKNOWN, None),
        (MICROSOFT, graph(429, "ApplicationThrottled", **{"Retry-After": "17"}), DEFERRED, K.RATE_LIMITED, None),
        (MICROSOFT, graph(429, "ErrorExceededMessageLimit"), DEFERRED, K.RATE_LIMITED, A.DAILY_QUOTA),
        (MICROSOFT, graph(503, "ServiceUnavailable", **{"Retry-After": "9"}), DEFERRED, K.RATE_LIMITED, None),
        (MICROSOFT, graph(503, "ServiceUnavailable"), None, K.SERVER_ERROR, None),
        (MICROSOFT, graph(403, "ErrorAccessDenied"), None, K.AUTH_FAILED, A.CONSENT_MISSING),
        (MICROSOFT, graph(403, "ErrorSendAsDenied"), REFUSED, K.SENDER_REFUSED, A.FROM_NOT_YOURS),
        (MICROSOFT, graph(404, "MailboxNotEnabledForRESTAPI"), None, K.AUTH_FAILED, A.API_DISABLED),
        (MICROSOFT, graph(400, "ErrorInvalidRecipients"), REFUSED, K.ADDRESS_INVALID, None),
        (MICROSOFT, graph(413, "RequestEntityTooLarge"), REFUSED, K.MESSAGE_TOO_LARGE, None),
        (MICROSOFT, graph(400, "ErrorMessageSizeExceeded"), REFUSED, K.MESSAGE_TOO_LARGE, None),
        (MICROSOFT, graph(502, "BadGateway"), UNCERTAIN, K.OUTCOME_UNKNOWN, None),
        (MICROSOFT, (504, {}, b"<html>Gateway</html>"), UNCERTAIN, K.OUTCOME_UNKNOWN, None),
        (MICROSOFT, (200, {}, b"<html>Sign in</html>"), UNCERTAIN, K.OUTCOME_UNKNOWN, None),
        (MICROSOFT, (302, {"Location": "http://127.0.0.1:1/"}, b""), None, K.SERVER_ERROR, None),
        (MICROSOFT, (404, {}, b"<html>Not found</html>"), None, K.SERVER_ERROR, None),
    ],
)  # fmt: skip
def test_each_answer_has_its_kind(provider, asked_for, which, answer, state, kind, advice):
    provider.api_answer = answer
    submission = api(provider, which, asked_for).submit(MESSAGE, ENVELOPE, lambda: None)
    if state is None:
        failure = submission.failure
        assert submission.outcomes == ()
        assert submission.server_failed
    else:
        assert [outcome.state for outcome in submission.outcomes] == [state, state]
        failure = submission.outcomes[0].failure
    assert (failure.kind, failure.advice) == (kind, advice)
    assert failure.diagnostic.startswith(f"HTTP {answer[0]}")
    assert "<" not in failure.diagnostic
    assert failure.slows_server is (kind is K.RATE_LIMITED)
    if wait := answer[1].get("Retry-After"):
        assert f"Retry-After: {wait}" in failure.diagnostic
    assert asked_for == [""], "only a 401 asks for another token"
    assert not any("token-" in line for line in submission.transcript)


def test_a_refused_token_is_renewed_once(provider, which, asked_for):
    provider.access_tokens.append("token-0")
    transport = api(provider, which, asked_for)
    known = provider.access_tokens
    provider.api_answer = google(401, "authError", "Invalid Credentials", "UNAUTHENTICATED")
    submission = transport.submit(MESSAGE, ENVELOPE, lambda: None)
    assert asked_for == ["", "token-1"]
    assert submission.server_failed
    assert submission.failure.kind is K.AUTH_FAILED
    assert submission.failure.advice in {A.TOKEN_EXPIRED, A.CREDENTIALS}
    assert known[-1] == "token-2"
    provider.api_answer = None
    assert transport.submit(MESSAGE, ENVELOPE, lambda: None).failure is None
    assert len(provider.messages) == 1


@pytest.mark.parametrize(
    ("fault", "state"),
    [
        ({"hangs_up": "after"}, UNCERTAIN),
        ({"delay": 2.0}, UNCERTAIN),
    ],
    ids=["no answer", "too slow"],
)
def test_who_may_have_it_is_uncertain(provider, which, asked_for, fault, state):
    provider.__dict__.update(fault)
    submission = api(provider, which, asked_for, timeout=0.6).submit(MESSAGE, ENVELOPE, lambda: None)
    assert [outcome.state for outcome in submission.outcomes] == [state, state]
    assert submission.outcomes[0].failure.kind is K.OUTCOME_UNKNOWN


def test_a_message_that_did_not_go_out_whole_was_not_taken(provider, which, asked_for):
    provider.hangs_up = "before"
    large = MESSAGE + b"x" * 10_000_000
    submission = api(provider, which, asked_for).submit(large, ENVELOPE, lambda: None)
    assert submission.outcomes == ()
    assert submission.failure.temporary
    assert not submission.server_failed, "it may be the mail's doing"
    assert not provider.messages


def test_without_a_token_nobody_is_asked(provider, which):
    def none(_refused: str) -> str:
        raise NoTokenError(Failure(K.AUTH_FAILED, True, detail="revoked", advice=A.RECONNECT))

    transport = AccountApi(which, none, timeout=1.0, base_url=provider.base_url)
    submission = transport.submit(MESSAGE, ENVELOPE, lambda: pytest.fail("it went out"))
    assert submission.failure.advice is A.RECONNECT
    assert submission.server_failed
    assert [step.step for step in submission.steps] == [Step.SIGN_IN]
    assert not provider.asked


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (google(401, "authError", "Invalid Credentials"), K.AUTH_FAILED),
        (google(500, "backendError", "Backend Error"), K.SERVER_ERROR),
        (google(429, "rateLimitExceeded", "Too many"), K.RATE_LIMITED),
    ],
)
def test_a_check_says_what_is_wrong(provider, which, asked_for, answer, kind):
    provider.api_answer = answer
    submission = api(provider, which, asked_for).check("post@maison.example.com")
    assert submission.failure.kind is kind
    assert submission.server_failed


# -- who gets it ---------------------------------------------------------------------------------------

HEAD = (
    "From: Maison <post@maison.example.com>\r\n"
    "To: =?utf-8?q?M=C3=A9lanie?= <melanie@example.com>, you@example.com\r\n"
    'Cc: "Dupont, Fils" <dupont@example.com>,\r\n three@example.com\r\n'
    "Message-ID: <one@maison.example.com>\r\n"
    "Subject: To: nobody@example.com"
)
WHOLE = f"{HEAD}\r\n\r\nTo: body@example.com\r\n".encode()
ALL = ("melanie@example.com", "you@example.com", "dupont@example.com", "three@example.com")


@pytest.mark.parametrize(
    ("recipients", "to", "cc", "bcc"),
    [
        (ALL, None, None, None),
        ((*ALL, "unseen@example.com"), None, None, "unseen@example.com"),
        (("melanie@example.com", "three@example.com"), "Mélanie <melanie@example.com>",
         "three@example.com", None),
        (("DUPONT@example.com",), None, '"Dupont, Fils" <dupont@example.com>', None),
        (("corrected@example.com",), None, None, "corrected@example.com"),
    ],
    ids=["all", "and Bcc", "two of four", "one", "another"],
)  # fmt: skip
def test_the_head_names_those_of_the_envelope_and_nobody_else(recipients, to, cc, bcc):
    octets = addressed(WHOLE, recipients)
    assert octets.endswith(b"\r\n\r\nTo: body@example.com\r\n")
    if recipients == ALL:
        assert octets == WHOLE
        return
    read = message_from_bytes(octets)
    if bcc is None or recipients[0] == "corrected@example.com":
        shown = str(make_header(decode_header(read["To"]))) if read["To"] else None
        assert (shown, read["Cc"]) == (to, cc)
    assert read["Bcc"] == bcc
    assert read["Message-ID"] == "<one@maison.example.com>"
    assert read["Subject"] == "To: nobody@example.com"


# -- connected -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "scope", "host", "size"),
    [
        ("google", "https://www.googleapis.com/auth/gmail.send", "gmail.googleapis.com", None),
        ("microsoft", "https://graph.microsoft.com/Mail.Send", "graph.microsoft.com", 3_000_000),
    ],
)
def test_an_account_without_smtp_is_connected_tested_and_used(
    provider, sophie, sign_in, company, name, scope, host, size
):
    browser = sign_in(sophie)
    url = leave(browser, provider=name, api="y")
    page = back(browser, provider.consent(url))
    assert "is connected" in page.text
    server = own_server(sophie)
    assert server.account.scope.split()[-1] == scope
    assert (server.host, server.size_limit) == (host, size)
    assert service.test_server(server, GMAIL, GMAIL).passed
    assert own_server(sophie).ready
    (message,) = provider.messages
    assert message_from_bytes(message)["To"] == GMAIL
    # By SMTP again: another permission is asked for, and the test counts no more.
    back(browser, provider.consent(leave(browser, provider=name)))
    server = own_server(sophie)
    assert server.host.startswith("smtp.")
    assert (server.size_limit, server.ready) == (None, False)
