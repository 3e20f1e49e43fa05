"""What holds for every reply, whatever it says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.mail.outcomes import ADVICE, EXPLANATIONS, Advice, FailureKind, Reply, Stage, printable
from core.mail.replies import RULES, explain_reply, plain_words

K = FailureKind

# Words that servers use, in an order that none has thought of.
WORDS = (
    "user unknown mailbox full quota exceeded spam blocked sender address rejected relay denied not allowed to send"
    " too many recipients connections TLS required authentication failed greylisted try again later <a@example.com>"
    " 5.1.1 4.7.1 550 said: host\n https://www.spamhaus.org/x message size exceeds é ü"
)
JUMBLE = st.lists(st.sampled_from(WORDS.split(" ")), max_size=30).map(" ".join)
CODES = st.one_of(st.integers(-1, 1000), st.sampled_from([421, 450, 451, 452, 550, 552, 553, 554]))


@given(CODES, st.one_of(st.text(max_size=80), JUMBLE), st.sampled_from(Stage))
def test_every_reply_has_a_reading(code: int, text: str, stage: Stage) -> None:
    failure = explain_reply(Reply.parse(code, text), stage)
    assert failure.kind in EXPLANATIONS
    assert failure.advice is None or failure.advice in ADVICE
    assert failure.also is None or failure.also is not failure.kind
    # What is for now stays so; only a 5yz can be for ever.
    assert failure.temporary or 500 <= code < 600
    assert failure.temporary or failure.kind is not K.RATE_LIMITED
    assert failure.kind is K.RATE_LIMITED or not failure.slows_server
    assert failure.diagnostic == printable(failure.diagnostic)


@given(st.binary(max_size=200), CODES, st.sampled_from(Stage))
def test_octets_that_are_no_text_have_a_reading_too(octets: bytes, code: int, stage: Stage) -> None:
    assert explain_reply(Reply.parse(code, octets), stage).kind in EXPLANATIONS


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("code", [*range(400, 460), *range(500, 560), 571, 599])
def test_a_code_alone_has_a_reading_at_every_step(code: int, stage: Stage) -> None:
    failure = explain_reply(Reply.parse(code, ""), stage)
    assert failure.temporary == (code < 500) or failure.kind is K.RATE_LIMITED


def test_no_words_keep_the_translator_busy() -> None:
    # What grows with the square of the length does not end within pytest's time limit.
    for word in (
        "not ",
        "user ",
        "recipient not ",
        "not accept mail from ",
        "<a@b> ",
        "exceeded limit ",
        "https://spamhaus.org/ ",
        "host 1.2.3.4 said: 5",
        "550-5.1.1 x\n",
        '"<"',
        "a",
        "ß",
        ".",
        " ",
        "\n",
        "-",
    ):
        for stage in (Stage.CONNECT, Stage.RCPT, Stage.BODY):
            assert explain_reply(Reply.parse(550, word * 16_384), stage).kind in EXPLANATIONS


def test_what_concerns_nobody_but_the_recipient_is_left_out_of_the_words() -> None:
    words, stage = plain_words(
        "5.1.1 <quota@spam.example>: Boîte aux lettres PLEINE\r\n"
        "5.1.1 see https://example.com/spam (in reply to RCPT TO command)"
    )
    assert (words, stage) == ("<a>: boite aux lettres pleine see", Stage.RCPT)


def test_the_rules_are_well_formed() -> None:
    for rule in RULES:
        rule.fits(550, "1.1", "words", Stage.RCPT)
        if rule.kind is K.RATE_LIMITED and not rule.codes:
            assert rule.temporary, rule
    assert {rule.advice for rule in RULES} <= {None, *Advice}


# ------------------------------------------------------------------------------------------- the enhanced code


@pytest.mark.parametrize(
    ("code", "text", "enhanced"),
    [
        (550, "5.1.1 gone", "5.1.1"),
        (250, "2.0.0", "2.0.0"),
        (550, "#5.1.0 Address rejected.", "5.1.0"),
        (553, "sorry, no mailbox here by that name (#5.1.1)", "5.1.1"),
        (550, "Bonjour\n5.7.1 spam", "5.7.1"),
        (550, "550-5.1.1 gone", "5.1.1"),
        (550, "550-5.1.1 gone\n5.7.1 spam", "5.1.1"),
        (550, "550 #5.1.1", "5.1.1"),
        (550, "[5.1.1] gone", "5.1.1"),
        (550, "gone [5.1.1]", "5.1.1"),
        (550, "<5.1.1> gone", "5.1.1"),
        (550, "5.1.1: gone", "5.1.1"),
        (550, "5.1.1-gone", "5.1.1"),
        (550, "smtp; 5.1.1 gone", "5.1.1"),
        (550, "gone (5.7.1 - chkuser)", "5.7.1"),
        (451, "host mx.example.org[192.0.2.7] said: 550 5.1.1 gone", "5.1.1"),
        (535, "5.7.139 no", "5.7.139"),
        # Of two classes, the reply code's counts; the code still says what it is about.
        (550, "4.2.2 full", "4.2.2"),
        (450, "5.1.1 gone", "5.1.1"),
        # Success and failure at once make no sense.
        (550, "2.0.0 ok", ""),
        (250, "5.1.1 gone", ""),
        (550, "5.1 gone", ""),
        (550, "3.1.1 gone", ""),
        (550, "5.1.1234 gone", ""),
        (550, "gone 5.1.1", ""),
        (550, "5.1.1gone", ""),
        (550, "from 5.1.1.4", ""),
        (550, "from [5.1.1.4]", ""),
        (550, "", ""),
    ],
)
def test_the_enhanced_code_is_found_where_servers_put_it(code: int, text: str, enhanced: str) -> None:
    reply = Reply.parse(code, text)
    assert reply.enhanced == enhanced
    assert reply.text == text


def test_words_in_an_old_encoding_are_read() -> None:
    reply = Reply.parse(550, "Boîte pleine".encode("latin-1"))
    assert reply.text == "Boîte pleine"
    assert explain_reply(reply, Stage.RCPT).kind is K.MAILBOX_FULL
