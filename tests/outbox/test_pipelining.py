"""Commands said ahead (RFC 2920): faster, and not a word less true."""

from __future__ import annotations

import socket
import threading

import pytest

from core.mail.outcomes import FailureKind, RecipientState
from modules.mail_config.models import Encryption
from modules.mail_config.transports.base import Envelope, ServerAccess, Submission
from modules.mail_config.transports.smtp import MOST_AHEAD, SmtpConnection
from tests.outbox.processes import BODY, CLOSE, WAIT_SECONDS, RoughServer

pytestmark = pytest.mark.smtp

EHLO = "250-rough.test\r\n250-PIPELINING\r\n250 8BITMIME"
MESSAGE = b"Subject: x\r\n\r\nHello\r\n"


def hand_over(
    client: SmtpConnection, *recipients: str, before_body=lambda: None, message: bytes = MESSAGE
) -> Submission:
    return client.submit(message, Envelope("from@example.com", recipients), before_body)


def connect(rough: RoughServer) -> SmtpConnection:
    return SmtpConnection(ServerAccess(rough.host, rough.port, Encryption.NONE, timeout=5.0))


def states(submission: Submission) -> list[str]:
    assert submission.failure is None
    return [outcome.state.value for outcome in submission.outcomes]


def test_the_commands_of_a_mail_come_in_one_piece_and_the_message_waits_for_its_invitation():
    """A server that answers nothing before it has seen DATA, and invites only when it is told to."""
    seen: list[bytes] = []
    marked = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(5)
                connection.sendall(b"220 slow.test\r\n")
                seen.append(connection.recv(4096))
                connection.sendall(EHLO.encode() + b"\r\n")
                commands = b""
                while not commands.endswith(b"DATA\r\n"):
                    commands += connection.recv(4096)
                seen.append(commands)
                connection.sendall(b"250 ok\r\n250 ok\r\n550 5.1.1 nobody\r\n354 go on\r\n")
                body = b""
                while not body.endswith(b"\r\n.\r\n"):
                    body += connection.recv(4096)
                seen.append(body)
                assert marked.is_set(), "the message came before it was marked in flight"
                connection.sendall(b"250 2.0.0 taken\r\n")
                connection.recv(4096)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        client = SmtpConnection(
            ServerAccess("127.0.0.1", listener.getsockname()[1], Encryption.NONE, timeout=5.0)
        )
        done = hand_over(client, "a@example.com", "b@example.com", before_body=marked.set)
        client.close()
        thread.join(WAIT_SECONDS)
    assert states(done) == ["accepted", "refused"]
    assert done.outcomes[1].failure.kind is FailureKind.RECIPIENT_UNKNOWN
    assert seen[1].split(b"\r\n") == [
        b"MAIL FROM:<from@example.com>",
        b"RCPT TO:<a@example.com>",
        b"RCPT TO:<b@example.com>",
        b"DATA",
        b"",
    ]
    assert seen[2] == MESSAGE + b".\r\n"
    assert [line for line in done.transcript if line.startswith(("C: RCPT", "S: 550"))] == [
        "C: RCPT TO:<a@example.com>",
        "C: RCPT TO:<b@example.com>",
        "S: 550 5.1.1 nobody",
    ]


def test_an_invitation_although_everybody_was_refused_gets_no_message():
    with RoughServer({"EHLO": EHLO, "RCPT": "550 5.1.1 nobody"}) as rough:
        client = connect(rough)
        done = hand_over(client, "a@example.com", before_body=lambda: pytest.fail("nobody was to get it"))
        assert states(done) == ["refused"]
        assert rough.bodies == []
        # The connection cannot be used any more; the next mail gets a new one, and nothing of this one.
        rough.answers = {"EHLO": EHLO}
        assert states(hand_over(client, "b@example.com")) == ["accepted"]
        client.close()
    assert rough.connections == 2
    assert rough.accepted == [MESSAGE]


def test_a_server_that_does_not_invite_without_recipients_keeps_its_connection():
    with RoughServer(
        {
            "EHLO": EHLO,
            "RCPT": ["550 5.1.1 nobody", "250 ok"],
            "DATA": ["554 5.5.1 no valid recipients", "354 go"],
        }
    ) as rough:
        client = connect(rough)
        assert states(hand_over(client, "a@example.com")) == ["refused"]
        assert states(hand_over(client, "b@example.com")) == ["accepted"]
        client.close()
    assert rough.connections == 1


def test_a_refused_sender_ends_the_mail_and_every_answer_is_heard():
    with RoughServer(
        {
            "EHLO": EHLO,
            "MAIL": ["553 5.1.8 not you", "250 ok"],
            "RCPT": ["503 5.5.1 MAIL first", "250 ok"],
            "DATA": ["503 5.5.1 RCPT first", "354 go"],
        }
    ) as rough:
        client = connect(rough)
        done = hand_over(client, "a@example.com")
        assert states(done) == ["refused"]
        assert done.outcomes[0].failure.kind is FailureKind.SENDER_REFUSED
        assert states(hand_over(client, "b@example.com")) == ["accepted"]
        client.close()
    assert rough.connections == 1


@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize("answer", ["421 4.3.2 closing", CLOSE, "nonsense"])
def test_a_server_that_breaks_off_among_the_answers_has_taken_nothing(verb, answer):
    with RoughServer({"EHLO": EHLO, verb: answer}) as rough:
        client = connect(rough)
        done = hand_over(client, "a@example.com", before_body=lambda: pytest.fail("no message may go out"))
        client.close()
    assert rough.bodies == []
    assert done.failure is not None or done.outcomes[0].state is not RecipientState.ACCEPTED
    if done.failure is not None:
        assert done.failure.temporary


def test_those_whom_the_server_puts_off_as_too_many_are_served_next():
    too_many = "452 4.5.3 Too many recipients"
    with RoughServer({"EHLO": EHLO, "RCPT": ["250 ok", too_many, too_many, "250 ok", "250 ok"]}) as rough:
        client = connect(rough)
        done = hand_over(client, "a@example.com", "b@example.com", "c@example.com")
        client.close()
    assert states(done) == ["accepted"] * 3
    assert len(rough.accepted) == 2
    rcpt = [line for line in rough.said if line.startswith("RCPT")]
    assert [line[9:10] for line in rcpt] == ["a", "b", "c", "b", "c"]


def test_a_mail_to_very_many_is_spoken_of_step_by_step():
    """All answers must fit into what the system buffers, or both sides would wait for ever."""
    names = [f"n{number}@example.com" for number in range(MOST_AHEAD + 1)]
    with RoughServer({"EHLO": EHLO, "RCPT": "550 5.1.1 nobody"}) as rough:
        client = connect(rough)
        assert set(states(hand_over(client, *names))) == {"refused"}
        client.close()
        assert not any(line.startswith("DATA") for line in rough.said)


def test_a_message_that_is_taken_is_taken_once_over_a_connection_that_had_died():
    with RoughServer({"EHLO": EHLO, BODY: ["250 taken", CLOSE, "250 taken"]}) as rough:
        client = connect(rough)
        assert states(hand_over(client, "a@example.com")) == ["accepted"]
        done = hand_over(client, "b@example.com")
        assert states(done) == ["uncertain"], "it went out whole, and nobody has said what became of it"
        client.close()
    assert len(rough.bodies) == 2
