"""One connection to one server, however that server behaves: what is known of each recipient, and why."""

from __future__ import annotations

import base64
import socket
from collections.abc import Iterator

import pytest

from core.embedded import free_port
from core.mail.outcomes import FailureKind, RecipientState
from core.testing.services import SmtpLab
from modules.mail_config.models import Encryption
from modules.mail_config.transports import connection
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


PATIENT = 2.0
"""Seconds for a client that must come as far as the step at which the server falls silent."""

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
        client = connect(server, timeout=PATIENT)
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
        monkeypatch.setattr(connection, "KEEP_SECONDS", 0.0)
        assert not client.connection.is_open
        assert states(client.send()) == [A, A]
        assert server.connections == 2


@pytest.mark.parametrize("answer", ["500 what?", CLOSE, "garbage", HANG])
def test_a_goodbye_that_fails_changes_nothing(connect, answer):
    with RoughServer({"QUIT": answer}) as server:
        client = connect(server, timeout=PATIENT)
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


@pytest.mark.parametrize(("user", "password"), [("ann", "clé à 5 €"), ("用户", "пароль"), ("ann", "plain")])
def test_a_password_beyond_ascii_signs_in_and_a_wrong_one_is_not_shown(connect, user, password):
    with SmtpLab(credentials=(user, password)) as lab:
        submission = connect(lab, username=user, password=password).send()
        assert states(submission) == [A, A]
        assert_secret_unsaid(password, submission.transcript)
        refused = connect(lab, username=user, password="é" + password).send()
        assert refused.failure.kind is FailureKind.AUTH_FAILED
        assert refused.failure.reply.code == 535
        assert_secret_unsaid(password, refused.transcript)


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
        assert submission.failure is not None
        assert submission.failure.kind is FailureKind.AUTH_FAILED
        assert submission.server_failed, "no fault of the mail"
        assert lab.received == []


# ---------------------------------------------------------------------------------------- addresses and octets

BEYOND_ASCII = "josé@example.com"


def test_an_address_beyond_ascii_is_served_where_the_server_takes_it_in_a_transaction_of_its_own(connect):
    with SmtpLab() as lab:
        submission = connect(lab).send("ann@example.com", BEYOND_ASCII, "bob@example.com")
        assert [outcome.addr_spec for outcome in submission.outcomes] == [
            "ann@example.com", BEYOND_ASCII, "bob@example.com",
        ]  # fmt: skip
        assert states(submission) == [A, A, A]
        served = [list(one.recipients) for one in lab.accepted]
        assert served == [["ann@example.com", "bob@example.com"], [BEYOND_ASCII]]


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({"MAIL": ["250 ok", "550 5.6.7 no"]}, [A, R]),
        ({"MAIL": ["250 ok", "451 later"]}, [A, D]),
        ({"RCPT": ["250 ok", "550 5.1.1 unknown"]}, [A, R]),
        ({"RCPT": ["550 5.1.1 unknown", "250 ok"]}, [R, A]),
        ({"DATA": ["354 go ahead", "451 later"]}, [A, D]),
        ({BODY: ["250 ok", "554 5.6.7 no"]}, [A, R]),
        ({"MAIL": ["250 ok", CLOSE]}, [A, D]),
        ({BODY: ["250 ok", CLOSE]}, [A, U]),
    ],
)
def test_what_becomes_of_one_of_the_two_transactions_says_nothing_of_the_other(connect, answers, expected):
    with RoughServer({"EHLO": "250-rough.test\r\n250 SMTPUTF8", **answers}) as server:
        submission = connect(server).send("ann@example.com", BEYOND_ASCII, message=NAMING_BOTH)
        assert submission.failure is None
        assert states(submission) == expected


def test_an_envelope_sender_beyond_ascii_needs_one_transaction_for_all(connect):
    with SmtpLab() as lab:
        submission = connect(lab).send("ann@example.com", BEYOND_ASCII, envelope_from=BEYOND_ASCII)
        assert states(submission) == [A, A]
        assert len(lab.accepted) == 1


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


# ----------------------------------------------------------------------------------------- replies without an end


class DrippingServer(RoughServer):
    """A server whose every octet comes in time, and whose reply takes longer than anybody should listen.

    Attributes:
        patient_clients: How many have heard all of it.
    """

    patient_clients = 0

    def _answer(self, connection, step: str, body: bytes = b"") -> str:
        if self.answers.get(step) != "drip":
            return super()._answer(connection, step, body)
        for octet in b"250-" + b"x" * 4000:
            if self._ended.wait(0.02):
                break
            connection.sendall(bytes([octet]))
        else:
            self.patient_clients += 1
        return ""


@pytest.mark.parametrize("step", BEFORE_THE_BODY)
def test_a_reply_that_drips_for_ever_is_too_slow(connect, step):
    with DrippingServer({step: "drip"}) as server:
        client = connect(server, timeout=0.3)
        submission = client.send()
        assert server.patient_clients == 0
        assert submission.failure.kind is FailureKind.TIMEOUT
        assert client.bodies_begun == 0


def test_an_answer_to_the_body_that_drips_for_ever_leaves_everybody_uncertain(connect):
    with DrippingServer({BODY: "drip"}) as server:
        client = connect(server, timeout=PATIENT)
        assert states(client.send()) == [U, U]
        assert server.patient_clients == 0


ENDLESS = ["\r\n".join(["250-and on"] * 5000), "250-" + "x" * 1_000_000]


@pytest.mark.parametrize("reply", ENDLESS, ids=["lines", "octets"])
@pytest.mark.parametrize("step", BEFORE_THE_BODY)
def test_a_reply_without_an_end_is_the_servers_failure(connect, step, reply):
    with RoughServer({step: reply}) as server:
        client = connect(server, timeout=20)
        failure = client.send().failure
        assert (failure.kind, failure.temporary) == (FailureKind.SERVER_ERROR, True)
        assert client.bodies_begun == 0
        assert not client.connection.is_open


@pytest.mark.parametrize("reply", ENDLESS, ids=["lines", "octets"])
def test_an_answer_to_the_body_without_an_end_leaves_everybody_uncertain(connect, reply):
    with RoughServer({BODY: reply}) as server:
        client = connect(server, timeout=20)
        assert states(client.send()) == [U, U]
        assert not client.connection.is_open


def test_a_reply_of_many_lines_and_in_pieces_is_read_whole(connect):
    with RoughServer({BODY: "550-5.7.1 one\r\n550-5.7.1 two\r\n550 5.7.1 spam"}) as server:
        submission = connect(server).send()
        assert submission.outcomes[0].failure.kind is FailureKind.SPAM_SUSPECTED
        assert "two" in submission.outcomes[0].failure.diagnostic


@pytest.mark.parametrize("answer", ["354 go\r\n250 ok", "354 go\r\n550 no"])
def test_what_a_server_says_before_it_was_asked_is_no_answer_to_the_body(connect, answer):
    with RoughServer({"DATA": answer}) as server:
        client = connect(server)
        assert client.send().failure.kind is FailureKind.SERVER_ERROR
        assert client.bodies_begun == 0


# ------------------------------------------------------------------------------- fewer recipients than there are

MANY = tuple(f"n{n}@example.com" for n in range(7))


class NarrowServer(RoughServer):
    """A server that takes a number of recipients in one transaction, and puts off the others."""

    takes = 3
    words = "452 4.5.3 Error: too many recipients"

    def _answer(self, connection, step: str, body: bytes = b"") -> str:
        if step == "MAIL":
            self.asked: list[str] = []
        if step == "RCPT":
            address = self.said[-1].partition("<")[2].partition(">")[0]
            if "nobody" not in address and len(self.asked) >= self.takes:
                connection.sendall(self.words.encode() + b"\r\n")
                return "452"
            if "nobody" not in address:
                self.asked.append(address)
                self.__dict__.setdefault("taken", []).append(address)
        return super()._answer(connection, step, body)


@pytest.mark.parametrize(
    "words",
    [
        "452 4.5.3 Error: too many recipients",
        "450 Too many recipients",
        "552 Too many recipients",
        "550 5.5.3 Too many recipients",
        "452 no more",
    ],
)
def test_recipients_beyond_what_a_server_takes_at_once_are_served_at_once_too(connect, words):
    with NarrowServer() as server:
        server.words = words
        client = connect(server)
        submission = client.send(*MANY)
        assert states(submission) == [A] * 7
        assert [outcome.addr_spec for outcome in submission.outcomes] == list(MANY)
        assert server.taken == list(MANY)
        assert (len(server.accepted), client.bodies_begun, server.connections) == (3, 3, 1)
        assert set(server.bodies) == {MESSAGE}


def test_a_server_that_takes_nobody_is_not_asked_for_ever(connect):
    with NarrowServer() as server:
        server.takes = 0
        client = connect(server)
        submission = client.send(*MANY)
        assert states(submission) == [D] * 7
        assert {o.failure.kind for o in submission.outcomes} == {FailureKind.RATE_LIMITED}
        assert len([line for line in server.said if line.startswith("MAIL")]) == 1


def test_a_refusal_among_many_stays_a_refusal(connect):
    with NarrowServer({"RCPT": ["250 ok", "550 5.1.1 nobody", "250 ok"]}) as server:
        submission = connect(server).send(MANY[0], "nobody@example.com", *MANY[1:])
        assert states(submission) == [A, R, *[A] * 6]


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({BODY: ["250 ok", "451 4.3.0 later"]}, [A, A, A, D, D, D, D]),
        ({BODY: ["250 ok", "554 5.7.1 spam"]}, [A, A, A, R, R, R, D]),
        ({BODY: ["250 ok", CLOSE]}, [A, A, A, U, U, U, D]),
        ({BODY: "554 5.7.1 spam"}, [R, R, R, D, D, D, D]),
        ({"MAIL": ["250 ok", CLOSE]}, [A, A, A, D, D, D, D]),
        ({"MAIL": ["250 ok", "421 4.3.2 closing"]}, [A, A, A, D, D, D, D]),
        ({"MAIL": ["250 ok", "550 5.7.1 you may not"]}, [A, A, A, R, R, R, R]),
        ({"DATA": ["354 go", CLOSE]}, [A, A, A, D, D, D, D]),
        ({"DATA": ["354 go", "451 4.3.0 later"]}, [A, A, A, D, D, D, D]),
    ],
    ids=str,
)
def test_what_fails_in_a_later_transaction_takes_nothing_from_those_already_served(
    connect, answers, expected
):
    with NarrowServer(answers) as server:
        client = connect(server)
        submission = client.send(*MANY)
        assert submission.failure is None
        assert states(submission) == expected
        assert all(outcome.failure for outcome in submission.outcomes if outcome.state is not A)


def test_a_claim_that_is_lost_between_two_transactions_keeps_the_outcomes_of_the_first(connect):
    with NarrowServer() as server:
        client = connect(server)
        times: list[int] = []

        def begin() -> None:
            times.append(1)
            if len(times) > 1:
                raise LostClaimError("gone")

        submission = client.connection.submit(MESSAGE, Envelope(FROM, MANY), begin)
        assert states(submission) == [A, A, A, D, D, D, D]
        assert len(server.bodies) == 1
        assert not client.connection.is_open


# ------------------------------------------------------------------------------------ servers of many minds


def test_a_server_that_says_it_knows_no_sign_in_after_all_is_not_taken_for_one_that_has_accepted_it(connect):
    answers = {
        "EHLO": "250-rough.test\r\n250 AUTH PLAIN",
        "AUTH": "503 5.5.1 Error: authentication not enabled",
    }
    with RoughServer(answers) as server:
        failure = connect(server, username="ann", password="secret word").send().failure
        assert (failure.kind, failure.temporary) == (FailureKind.AUTH_FAILED, True)
        assert not [line for line in server.said if line.startswith("MAIL")]


def test_a_server_that_says_that_one_is_signed_in_already_is_believed(connect):
    answers = {"EHLO": "250-rough.test\r\n250 AUTH PLAIN", "AUTH": "503 5.5.1 already authenticated"}
    with RoughServer(answers) as server:
        assert states(connect(server, username="ann", password="secret word").send()) == [A, A]


def test_every_failure_before_a_mail_is_spoken_about_may_pass(connect):
    answers = {"EHLO": "250-rough.test\r\n250 AUTH PLAIN", "AUTH": "535 5.7.8 no"}
    with RoughServer(answers) as server:
        assert connect(server, username="ann", password="secret word").send().failure.temporary
    with RoughServer({GREETING: "554 5.7.1 blocked using zen.spamhaus.org"}) as server:
        failure = connect(server).send().failure
        assert (failure.kind, failure.temporary) == (FailureKind.SPAM_SUSPECTED, True)


@pytest.mark.parametrize("greeting", ["220 hello\r\n250 STARTTLS", "220 hello"])
def test_a_password_never_leaves_unencrypted_when_encryption_was_asked(connect, greeting):
    answers = {
        GREETING: greeting,
        "EHLO": "250-rough.test\r\n250-STARTTLS\r\n250 AUTH PLAIN LOGIN",
        "STARTTLS": "220 go\r\n250-rough.test\r\n250 AUTH PLAIN",
        "AUTH": "235 welcome",
    }
    with RoughServer(answers) as server:
        submission = connect(
            server, encryption=Encryption.STARTTLS, username="ann", password="secret word", timeout=1
        ).send()
        assert submission.failure.temporary
        assert not [line for line in server.said if line.startswith(("AUTH", "MAIL"))]


def test_a_server_that_hangs_up_in_the_middle_of_a_message_is_heard_first(connect):
    class Impatient(RoughServer):
        def _take(self, connection, lines):
            lines.readline()
            connection.sendall(b"552 5.3.4 Message too large\r\n")
            connection.shutdown(socket.SHUT_RD)
            self._ended.wait(0.5)
            return ""

    with Impatient() as server:
        client = connect(server, timeout=5)
        submission = client.send(message=MESSAGE + b"x" * 20_000_000 + b"\r\n")
        if submission.failure is None:
            assert {o.failure.kind for o in submission.outcomes} <= {
                FailureKind.MESSAGE_TOO_LARGE,
                FailureKind.OUTCOME_UNKNOWN,
            }
        else:
            assert submission.failure.temporary
        assert not client.connection.is_open


# ------------------------------------------------------------------------------------------- addresses beyond ASCII

NAMING_BOTH = (
    "From: a@maison.example.com\r\nTo: 用户@例子.example, bob@example.com\r\nSubject: s\r\n\r\nHello.\r\n"
).encode()


@pytest.mark.parametrize("ehlo", ["250 rough.test", "250-rough.test\r\n250 PIPELINING"])
def test_an_old_server_gets_no_octet_beyond_ascii(connect, ehlo):
    with RoughServer({"EHLO": ehlo}) as server:
        submission = connect(server).send("用户@例子.example", "bob@example.com", message=NAMING_BOTH)
        assert states(submission) == [R, A]
        assert "SMTPUTF8" in submission.outcomes[0].failure.diagnostic
        # The same when it goes only to those whom the server can reach, as in a resend.
        assert states(connect(server).send("bob@example.com", message=NAMING_BOTH)) == [A]
        first, second = server.accepted
        assert first == second
        assert first.isascii()
        assert b"bob@example.com" in first
        assert not any("SMTPUTF8" in line for line in server.said)


def test_whoever_needs_no_smtputf8_is_served_without_it_although_the_head_names_another(connect):
    with RoughServer({"EHLO": "250-rough.test\r\n250 SMTPUTF8"}) as server:
        assert states(connect(server).send("bob@example.com", message=NAMING_BOTH)) == [A]
        assert states(connect(server).send("用户@例子.example", message=NAMING_BOTH)) == [A]
        plain, beyond = server.accepted
        assert plain.isascii()
        assert beyond == NAMING_BOTH
        mails = [line for line in server.said if line.startswith("MAIL")]
        assert mails == [f"MAIL FROM:<{FROM}>", f"MAIL FROM:<{FROM}> SMTPUTF8"]
