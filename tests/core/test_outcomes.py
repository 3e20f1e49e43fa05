from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.mail.outcomes import (
    ADVICE,
    EXPLANATIONS,
    MAX_DIAGNOSTIC_LENGTH,
    Actor,
    Advice,
    Failure,
    FailureKind,
    Reply,
    Stage,
    printable,
)
from core.mail.replies import explain_reply

K = FailureKind


@pytest.mark.parametrize(
    ("code", "text", "stage", "kind", "temporary"),
    [
        # What providers really answer: Postfix, Exim, Exchange, Gmail.
        (
            550,
            "5.1.1 <x@y>: Recipient address rejected: User unknown",
            Stage.RCPT,
            K.RECIPIENT_UNKNOWN,
            False,
        ),
        (550, "No such user here", Stage.RCPT, K.RECIPIENT_UNKNOWN, False),
        (550, "5.1.10 RESOLVER.ADR.RecipientNotFound", Stage.RCPT, K.RECIPIENT_UNKNOWN, False),
        (550, "5.1.2 Host unknown", Stage.RCPT, K.RECIPIENT_UNKNOWN, False),
        (550, "5.2.1 The email account is disabled", Stage.RCPT, K.RECIPIENT_UNKNOWN, False),
        (553, "mailbox name not allowed", Stage.RCPT, K.RECIPIENT_UNKNOWN, False),
        (552, "5.2.2 Mailbox full", Stage.RCPT, K.MAILBOX_FULL, False),
        (452, "4.2.2 The email account is over quota", Stage.RCPT, K.MAILBOX_FULL, True),
        (554, "5.7.1 Relay access denied", Stage.RCPT, K.SENDER_REFUSED, False),
        (550, "5.7.1 Message rejected as spam", Stage.BODY, K.SPAM_SUSPECTED, False),
        (553, "5.7.1 Sender address rejected: not owned by user", Stage.MAIL, K.SENDER_REFUSED, False),
        (553, "not allowed", Stage.MAIL, K.SENDER_REFUSED, False),
        (550, "5.1.8 Sender domain does not exist", Stage.MAIL, K.SENDER_REFUSED, False),
        (552, "5.3.4 Message size exceeds fixed limit", Stage.MAIL, K.MESSAGE_TOO_LARGE, False),
        (552, "5.2.3 Message too large", Stage.BODY, K.MESSAGE_TOO_LARGE, False),
        (451, "4.4.5 Greylisted, try again later", Stage.RCPT, K.RATE_LIMITED, True),
        (535, "5.7.8 Username and Password not accepted", Stage.AUTH, K.AUTH_FAILED, False),
        (454, "4.7.0 Temporary authentication failure", Stage.AUTH, None, True),
        (454, "TLS not available", Stage.STARTTLS, K.TLS_FAILED, True),
        (554, "Transaction failed", Stage.BODY, K.MESSAGE_REFUSED, False),
        (421, "4.3.2 Service shutting down", Stage.RCPT, K.SERVER_ERROR, True),
        (451, "local error in processing", Stage.BODY, K.SERVER_ERROR, True),
        (554, "No SMTP service here", Stage.CONNECT, K.SERVER_ERROR, False),
        # Answers that make no sense are trouble of the server, and may pass.
        (250, "2.0.0 Ok", Stage.AUTH, K.SERVER_ERROR, True),
        (0, "", Stage.MAIL, K.SERVER_ERROR, True),
        (999, "?", Stage.RCPT, K.SERVER_ERROR, True),
    ],
)
def test_a_reply_means_a_kind_of_failure(
    code: int, text: str, stage: Stage, kind: FailureKind | None, temporary: bool
) -> None:
    failure = explain_reply(Reply.parse(code, text), stage)
    assert failure.temporary is temporary
    if kind is not None:
        assert failure.kind is kind


def test_every_kind_says_what_happened_and_who_acts() -> None:
    assert set(EXPLANATIONS) == set(FailureKind)
    for explanation in EXPLANATIONS.values():
        assert str(explanation.title)
        assert str(explanation.text).endswith(".")
        assert explanation.actor in Actor


def test_every_advice_says_what_to_do() -> None:
    assert set(ADVICE) == set(Advice)
    for advice, text in ADVICE.items():
        assert len(advice.value) <= 32
        assert str(text.text).endswith(".")
        assert text.actor is None or text.actor in Actor


def test_advice_names_who_acts_more_finely_than_the_kind() -> None:
    assert Failure(K.AUTH_FAILED, True).actor is Actor.ADMINISTRATOR
    assert Failure(K.AUTH_FAILED, True, advice=Advice.AUTH_TEMPORARY).actor is Actor.NOBODY
    assert Failure(K.AUTH_FAILED, True, advice=Advice.CREDENTIALS).actor is Actor.ADMINISTRATOR


def test_the_servers_own_words_come_with_their_code() -> None:
    assert Failure(K.TIMEOUT, True, Reply.parse(550, "5.1.1 gone")).diagnostic == "550 5.1.1 gone"
    assert Failure(K.TIMEOUT, True, detail="timed \x1b[2Jout").diagnostic == "timed �[2Jout"


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain – é ü 漢字 😀\n\ttab", "plain – é ü 漢字 😀\n\ttab"),
        ("\x1b]0;title\x07\x1b[31mred", "�]0;title��[31mred"),
        ("\x9b31m one-byte escape", "�31m one-byte escape"),
        ("a\rb\x00c\x7f", "ab�c�"),
        ("pay \u202eexe.fdp", "pay �exe.fdp"),
        ("\u2066isolated\u2069", "�isolated�"),
        ("\ud800 alone", "� alone"),
    ],
)
def test_what_a_server_says_can_do_nothing_to_a_terminal(raw: str, shown: str) -> None:
    assert printable(raw) == shown


@given(st.text())
def test_printable_text_stays_as_it_is_when_shown_again(text: str) -> None:
    once = printable(text)
    assert printable(once) == once
    assert not any(ord(letter) < 32 and letter not in "\t\n" for letter in once)
    assert not any(0x7F <= ord(letter) < 0xA0 for letter in once)


def test_endless_words_are_cut() -> None:
    assert len(printable("x" * 1_000_000)) == MAX_DIAGNOSTIC_LENGTH + 1
    assert Reply.parse(550, b"\xff" * 100_000).text.endswith("…")
