"""One connection to one server, however that server behaves: what is known of each recipient, and why."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest

from core.embedded import free_port
from core.mail.outcomes import FailureKind, RecipientState
from core.testing.services import SmtpLab
from modules.mail_config.models import Encryption
from modules.mail_config.transports import smtp
from modules.mail_config.transports.base import Envelope, LostClaimError, ServerAccess
from modules.mail_config.transports.smtp import SmtpConnection
from tests.outbox.processes import BODY, CLOSE, GREETING, HANG, RoughServer, eventually

pytestmark = pytest.mark.smtp

MESSAGE = b"From: a@maison.example.com\r\nSubject: s\r\nMessage-ID: <1@x.test>\r\n\r\nHello.\r\n"
FROM = "sales@maison.example.com"
TO = ("ann@example.com", "bob@example.com")
A, D, R, U = (
    RecipientState.ACCEPTED,
    RecipientState.DEFERRED,
    RecipientState.REFUSED,
    RecipientState.UNCERTAIN,
)


class Client:
    """A connection, and how often it was about to hand over a body."""

    def __init__(self, server: RoughServer | SmtpLab, **changes: object) -> None:
        values: dict = {
            "host": server.host,
            "port": server.port,
            "encryption": Encryption.NONE,
            "timeout": 10.0,
        }
        self.connection = SmtpConnection(ServerAccess(**values | changes))
        self.bodies_begun = 0

    def begin(self) -> None:
        self.bodies_begun += 1

    def send(self, *to: str, message: bytes = MESSAGE, envelope_from: str = FROM):
        return self.connection.submit(message, Envelope(envelope_from, to or TO), self.begin)


@pytest.fixture
def connect() -> Iterator[object]:
    made: list[Client] = []

    def connect(server, **changes) -> Client:
        made.append(Client(server, **changes))
        return made[-1]

    yield connect
    for client in made:
        client.connection.drop()


def states(submission) -> list[RecipientState]:
    return [outcome.state for outcome in submission.outcomes]


BEFORE_THE_BODY = [GREETING, "EHLO", "MAIL", "RCPT", "DATA"]


# ---------------------------------------------------------------------------------------- a server that is ill


@pytest.mark.parametrize("step", BEFORE_THE_BODY)
def test_a_server_that_falls_silent_before_the_body_gets_nothing(connect, step):
    with RoughServer({step: HANG}) as server:
        client = connect(server, timeout=0.3)
        submission = client.send()
        assert submission.failure.kind is FailureKind.TIMEOUT
        assert submission.failure.temporary
        assert client.bodies_begun == 0
        assert server.bodies == []
        assert not client.connection.is_open


def test_a_server_that_falls_silent_after_the_body_leaves_everybody_uncertain(connect):
    with RoughServer({BODY: HANG}) as server:
        client = connect(server, timeout=0.3)
        submission = client.send()
        assert submission.failure is None
        assert states(submission) == [U, U]
        assert {o.failure.kind for o in submission.outcomes} == {FailureKind.OUTCOME_UNKNOWN}
        assert client.bodies_begun == len(server.bodies) == 1
        assert not client.connection.is_open


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        (GREETING, FailureKind.CONNECT_FAILED),
        ("EHLO", FailureKind.SERVER_ERROR),
        ("MAIL", FailureKind.SERVER_ERROR),
        ("RCPT", FailureKind.SERVER_ERROR),
        ("DATA", FailureKind.SERVER_ERROR),
    ],
)
def test_a_server_that_hangs_up_before_the_body_gets_nothing(connect, step, kind):
    with RoughServer({step: CLOSE}) as server:
        client = connect(server)
        submission = client.send()
        assert (submission.failure.kind, submission.failure.temporary) == (kind, True)
        assert client.bodies_begun == 0
        assert server.bodies == []


def test_a_server_that_hangs_up_after_the_body_leaves_everybody_uncertain(connect):
    with RoughServer({BODY: CLOSE}) as server:
        client = connect(server)
        assert states(client.send()) == [U, U]
        # It was asked once: what may have been accepted is not tried again.
        assert len(server.bodies) == server.connections == 1


@pytest.mark.parametrize("step", BEFORE_THE_BODY)
def test_a_server_that_is_closing_down_is_tried_again_later(connect, step):
    with RoughServer({step: "421 4.3.2 closing down"}) as server:
        client = connect(server)
        submission = client.send()
        assert submission.failure.kind is FailureKind.SERVER_ERROR
        assert submission.failure.temporary
        assert client.bodies_begun == 0
        assert not client.connection.is_open


def test_a_server_that_closes_down_at_the_end_of_the_body_has_refused_it_for_now(connect):
    with RoughServer({BODY: "421 4.3.2 closing down"}) as server:
        client = connect(server)
        submission = client.send()
        assert states(submission) == [D, D]
        assert not client.connection.is_open
        assert server.accepted == []


GARBAGE = [
    "It works!",
    "",
    "2",
    "25",
    "999 no such class",
    "199 what now",
    "\udcff\udcfe\x00\x1b[31m",
    "250",
    "HTTP/1.1 400 Bad Request",
    "x" * 20_000,
]


@pytest.mark.parametrize("reply", [g for g in GARBAGE if g != "250"], ids=lambda text: ascii(text[:12]))
@pytest.mark.parametrize("step", BEFORE_THE_BODY)
def test_an_answer_that_makes_no_sense_before_the_body_is_no_invitation(connect, step, reply):
    with RoughServer({step: reply}) as server:
        client = connect(server, timeout=2)
        submission = client.send()
        assert server.bodies == []
        assert client.bodies_begun == 0
        if submission.failure is None:
            assert set(states(submission)) == {D}
            assert {o.failure.kind for o in submission.outcomes} == {FailureKind.SERVER_ERROR}
        shown = "\n".join(client.connection.transcript)
        assert "\x1b" not in shown
        assert "\x00" not in shown


def test_250_to_data_is_no_invitation(connect):
    with RoughServer({"DATA": "250 ok"}) as server:
        client = connect(server)
        assert client.send().failure.temporary
        assert client.bodies_begun == 0


@pytest.mark.parametrize("reply", [g for g in GARBAGE if g != "250"], ids=lambda text: ascii(text[:12]))
def test_an_answer_to_the_body_that_makes_no_sense_leaves_everybody_uncertain(connect, reply):
    with RoughServer({BODY: reply}) as server:
        client = connect(server, timeout=2)
        assert states(client.send()) == [U, U]
        assert not client.connection.is_open


def test_a_bare_250_is_an_acceptance(connect):
    with RoughServer({BODY: "250"}) as server:
        assert states(connect(server).send()) == [A, A]


def test_a_second_line_after_senseless_words_is_not_taken_for_the_next_answer(connect):
    with RoughServer({"RCPT": ["hm\r\n250 ok", "550 5.1.1 nobody"]}) as server:
        client = connect(server)
        submission = client.send("ann@example.com", "nobody@example.com")
        assert server.bodies == []
        # Whoever was refused must not be told that he was not, nor the other way round.
        if submission.failure is None:
            assert A not in states(submission)


@pytest.mark.parametrize(
    ("answers", "expected", "kinds"),
    [
        ({"RCPT": ["550 5.1.1 no", "250 ok"]}, [R, A], [FailureKind.RECIPIENT_UNKNOWN, None]),
        ({"RCPT": ["250 ok", "452 4.2.2 full"]}, [A, D], [None, FailureKind.MAILBOX_FULL]),
        ({"RCPT": "550 5.1.1 no"}, [R, R], [FailureKind.RECIPIENT_UNKNOWN] * 2),
        ({"RCPT": ["550 5.1.1 no", "451 4.3.0 later"]}, [R, D], None),
        ({"MAIL": "550 5.7.1 you may not"}, [R, R], [FailureKind.SENDER_REFUSED] * 2),
        ({"MAIL": "451 4.3.0 later"}, [D, D], [FailureKind.SERVER_ERROR] * 2),
        ({"DATA": "554 5.5.1 no"}, [R, R], [FailureKind.MESSAGE_REFUSED] * 2),
        ({"DATA": "451 4.3.0 later"}, [D, D], [FailureKind.SERVER_ERROR] * 2),
        ({BODY: "552 5.3.4 too big"}, [R, R], [FailureKind.MESSAGE_TOO_LARGE] * 2),
        ({BODY: "451 4.3.0 later"}, [D, D], [FailureKind.SERVER_ERROR] * 2),
        ({"RCPT": ["550 5.1.1 no", "250 ok"], BODY: "451 4.3.0 later"}, [R, D], None),
        ({"RCPT": ["550 5.1.1 no", "250 ok"], BODY: CLOSE}, [R, U], None),
        ({"EHLO": "502 5.5.1 what?"}, [A, A], [None, None]),
    ],
    ids=str,
)
def test_each_recipient_has_an_outcome_of_its_own(connect, answers, expected, kinds):
    with RoughServer(answers) as server:
        client = connect(server)
        submission = client.send()
        assert states(submission) == expected
        if kinds is not None:
            assert [outcome.failure and outcome.failure.kind for outcome in submission.outcomes] == kinds
        # And the connection is fit for the next mail, or closed.
        server.answers = {}
        assert states(client.send("later@example.com")) == [A]


def test_a_server_that_is_not_there_is_said_to_be_so(connect):
    with RoughServer() as server:
        failure = connect(server, port=free_port()).send().failure
        assert failure.kind is FailureKind.CONNECT_FAILED
        failure = connect(server, host="no-such-host.invalid").send().failure
        assert failure.kind is FailureKind.HOST_NOT_FOUND


# ------------------------------------------------------------------------------------------- the kept connection


def test_mails_share_a_connection(connect):
    with RoughServer() as server:
        client = connect(server)
        assert [states(client.send()) for _ in range(3)] == [[A, A]] * 3
        assert (server.connections, len(server.accepted)) == (1, 3)


def test_a_kept_connection_that_the_server_has_ended_is_made_anew(connect):
    with SmtpLab() as lab:
        client = connect(lab)
        assert states(client.send()) == [A, A]
        for protocol in tuple(lab.protocols):
            protocol.hang_up()
        eventually(lambda: not lab.protocols, "the server has ended it")
        assert states(client.send()) == [A, A]
        assert (lab.connections, len(lab.accepted), client.bodies_begun) == (2, 2, 2)


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize("answer", [CLOSE, "421 4.4.2 idle for too long"])
def test_a_kept_connection_that_ends_before_the_body_is_made_anew_and_nothing_is_doubled(
    connect, step, answer
):
    good = {"MAIL": "250 ok", "RCPT": "250 ok", "DATA": "354 go"}[step]
    with RoughServer({step: [good, answer, good]}) as server:
        client = connect(server)
        assert states(client.send("a@example.com")) == [A]
        assert states(client.send("b@example.com")) == [A]
        assert (server.connections, len(server.accepted), client.bodies_begun) == (2, 2, 2)


def test_a_kept_connection_that_ends_after_the_body_is_not_tried_again(connect):
    with RoughServer({BODY: ["250 ok", CLOSE]}) as server:
        client = connect(server)
        assert states(client.send()) == [A, A]
        assert states(client.send()) == [U, U]
        assert len(server.bodies) == 2


def test_a_connection_that_was_idle_for_long_is_not_trusted(connect, monkeypatch):
    with RoughServer() as server:
        client = connect(server)
        client.send()
        monkeypatch.setattr(smtp, "KEEP_SECONDS", 0.0)
        assert not client.connection.is_open
        assert states(client.send()) == [A, A]
        assert server.connections == 2


@pytest.mark.parametrize("answer", ["500 what?", CLOSE, "garbage", HANG])
def test_a_goodbye_that_fails_changes_nothing(connect, answer):
    with RoughServer({"QUIT": answer}) as server:
        client = connect(server, timeout=0.3)
        submission = client.send()
        client.connection.close()
        assert states(submission) == [A, A]
        assert len(server.accepted) == 1
        assert not client.connection.is_open


def test_a_claim_that_is_lost_at_the_last_moment_keeps_the_body_back(connect):
    with RoughServer() as server:
        client = connect(server)

        def lost() -> None:
            raise LostClaimError("gone")

        with pytest.raises(LostClaimError):
            client.connection.submit(MESSAGE, Envelope(FROM, TO), lost)
        assert not client.connection.is_open
        assert states(client.send("c@example.com")) == [A]
        assert len(server.bodies) == 1


# ------------------------------------------------------------------------------------------- encryption, sign-in


def test_a_server_that_does_not_offer_starttls_gets_nothing(connect):
    with RoughServer() as server:
        submission = connect(server, encryption=Encryption.STARTTLS).send()
        assert submission.failure.kind is FailureKind.TLS_FAILED
        assert not [line for line in server.said if line.startswith("MAIL")]


@pytest.mark.parametrize(
    "answer",
    [
        "454 4.3.0 not now",
        "454 4.7.0 not now",
        "220 then I say nonsense\r\nnonsense",
        CLOSE,
    ],
)
def test_a_server_whose_starttls_fails_gets_nothing(connect, answer):
    ehlo = "250-rough.test\r\n250 STARTTLS"
    with RoughServer({"EHLO": ehlo, "STARTTLS": answer}) as server:
        submission = connect(server, encryption=Encryption.STARTTLS, timeout=2).send()
        assert submission.failure.kind in {FailureKind.TLS_FAILED, FailureKind.SERVER_ERROR}
        assert submission.failure.temporary
        assert not [line for line in server.said if line.startswith(("MAIL", "AUTH"))]


def test_a_server_that_never_shakes_hands_is_too_slow(connect):
    with RoughServer({GREETING: HANG}) as server:
        submission = connect(server, encryption=Encryption.TLS, timeout=0.3).send()
        assert submission.failure.kind is FailureKind.TIMEOUT


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_an_expired_certificate_is_not_trusted_and_the_reason_says_so(connect, security):
    with SmtpLab(security=security, expired=True) as lab:
        submission = connect(lab, encryption=Encryption(security), ca_file=str(lab.ca_file)).send()
        assert submission.failure.kind is FailureKind.TLS_FAILED
        assert "expired" in submission.failure.diagnostic
        assert lab.received == []


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_certificate_of_another_name_is_not_trusted(connect, security):
    with SmtpLab(security=security) as lab:
        # The certificate is for localhost and 127.0.0.1.
        submission = connect(
            lab, encryption=Encryption(security), ca_file=str(lab.ca_file), host="127.0.0.2"
        ).send()
        assert submission.failure.kind in {FailureKind.TLS_FAILED, FailureKind.CONNECT_FAILED}
        assert lab.received == []


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_trusted_certificate_carries_the_mail_and_the_sign_in(connect, security):
    with SmtpLab(security=security, credentials=("ann", "sesame open")) as lab:
        client = connect(
            lab,
            encryption=Encryption(security),
            ca_file=str(lab.ca_file),
            username="ann",
            password="sesame open",
        )
        submission = client.send()
        assert states(submission) == [A, A]
        assert_secret_unsaid("sesame open", submission.transcript)
        assert any("AUTH" in line for line in submission.transcript)


def assert_secret_unsaid(password: str, transcript: list[str]) -> None:
    shown = "\n".join(transcript)
    assert password not in shown
    for text in (password, f"\0ann\0{password}", "ann\0" + password):
        assert base64.b64encode(text.encode()).decode() not in shown


def test_a_wrong_password_is_the_servers_failure_and_is_not_shown(connect):
    with SmtpLab(credentials=("ann", "right")) as lab:
        submission = connect(lab, username="ann", password="wrong one").send()
        assert submission.failure.kind is FailureKind.AUTH_FAILED
        assert submission.failure.reply.code == 535
        assert submission.outcomes == ()
        assert_secret_unsaid("wrong one", submission.transcript)
        assert lab.received == []


def test_a_server_that_offers_no_sign_in_is_told_no_password(connect):
    with RoughServer() as server:
        submission = connect(server, username="ann", password="secret word").send()
        assert submission.failure.kind is FailureKind.AUTH_FAILED
        assert not [line for line in server.said if "AUTH" in line]
        assert_secret_unsaid("secret word", submission.transcript)


def test_a_server_that_offers_only_a_sign_in_that_nobody_knows_is_said_to_refuse_it(connect):
    with RoughServer({"EHLO": "250-rough.test\r\n250 AUTH GSSAPI"}) as server:
        submission = connect(server, username="ann", password="secret word").send()
        assert submission.failure.kind is FailureKind.AUTH_FAILED


def test_a_password_beyond_ascii_is_used_or_the_reason_says_sign_in_and_nothing_of_it(connect):
    with SmtpLab(credentials=("ann", "clé secrète")) as lab:
        submission = connect(lab, username="ann", password="clé secrète").send()
        if submission.failure is not None:
            assert submission.failure.kind is FailureKind.AUTH_FAILED
            assert "é" not in submission.failure.diagnostic
            assert "\\xe9" not in submission.failure.diagnostic
            assert "\\xe9" not in "\n".join(submission.transcript)


def test_a_sign_in_refused_with_another_code_is_still_a_sign_in_refused(connect):
    with RoughServer({"EHLO": "250-rough.test\r\n250 AUTH PLAIN", "AUTH": "535 5.7.0 no"}) as server:
        submission = connect(server, username="ann", password="secret word").send()
        assert submission.failure.kind is FailureKind.AUTH_FAILED


def test_a_host_name_that_cannot_be_one_is_said_to_be_unknown(connect):
    with RoughServer() as server:
        submission = connect(server, host="mail..example.com").send()
        assert submission.failure.kind is FailureKind.HOST_NOT_FOUND


def test_a_sign_in_that_the_server_answers_with_silence_is_too_slow(connect):
    with RoughServer({"EHLO": "250-rough.test\r\n250 AUTH PLAIN", "AUTH": HANG}) as server:
        submission = connect(server, username="ann", password="secret word", timeout=0.3).send()
        assert submission.failure.kind is FailureKind.TIMEOUT
        assert_secret_unsaid("secret word", submission.transcript)


def test_a_server_that_wants_a_sign_in_that_it_did_not_get_says_so(connect):
    with SmtpLab(credentials=("ann", "right")) as lab:
        submission = connect(lab).send()
        assert {outcome.failure.kind for outcome in submission.outcomes} == {FailureKind.AUTH_FAILED}
        assert lab.received == []


# ---------------------------------------------------------------------------------------- addresses and octets

BEYOND_ASCII = "josé@example.com"


def test_an_address_beyond_ascii_is_served_where_the_server_takes_it(connect):
    with SmtpLab() as lab:
        assert states(connect(lab).send("ann@example.com", BEYOND_ASCII)) == [A, A]
        assert list(lab.accepted[0].recipients) == ["ann@example.com", BEYOND_ASCII]


def test_an_address_beyond_ascii_is_refused_where_it_does_not_and_the_others_are_served(connect):
    with SmtpLab(smtputf8=False) as lab:
        client = connect(lab)
        submission = client.send(BEYOND_ASCII, "ann@example.com")
        assert states(submission) == [R, A]
        assert "SMTPUTF8" in submission.outcomes[0].failure.diagnostic
        assert [list(message.recipients) for message in lab.accepted] == [["ann@example.com"]]
        # Also when nobody is left to be served.
        assert states(client.send(BEYOND_ASCII)) == [R]
        assert states(client.send("ann@example.com", envelope_from="josé@maison.example.com")) == [R]
        assert len(lab.accepted) == 1


def test_a_domain_beyond_ascii_needs_no_extension(connect):
    with SmtpLab(smtputf8=False) as lab:
        assert states(connect(lab).send("ann@exämple.com")) == [A]
        assert list(lab.accepted[0].recipients) == ["ann@xn--exmple-cua.com"]


@pytest.mark.parametrize(
    "body",
    [
        b".\r\n",
        b"..\r\n",
        b".dot\r\nbody\r\n.\r\n..\r\n",
        b"no line end",
        b"no line end\r\n.",
        b"\r\n\r\n.\r\n\r\n",
        b".y\r\n" * 50_000,
    ],
    ids=lambda body: ascii(body[:16]),
)
def test_what_begins_with_a_dot_arrives_as_it_was(connect, body):
    message = b"Subject: s\r\n\r\n" + body
    with SmtpLab() as lab:
        client = connect(lab)
        assert states(client.send(message=message)) == [A, A]
        assert lab.accepted[0].data == (message if message.endswith(b"\r\n") else message + b"\r\n")
        # And nothing of it was taken for a command.
        assert lab.verbs() == ["EHLO", "MAIL", "RCPT", "RCPT", "DATA"]
        assert states(client.send()) == [A, A]


def test_hundreds_of_recipients_each_have_their_outcome(connect):
    addresses = [f"{'refused+' if n % 7 == 0 else ''}n{n}@example.com" for n in range(300)]
    with SmtpLab() as lab:
        submission = connect(lab).send(*addresses)
        assert states(submission) == [R if n % 7 == 0 else A for n in range(300)]
        assert [outcome.addr_spec for outcome in submission.outcomes] == addresses
        assert len(lab.accepted[0].recipients) == len([n for n in range(300) if n % 7])
