"""Every transition that a mail may make, and every one that it may not; how its state is derived."""

from __future__ import annotations

import datetime as dt
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.mail.outcomes import RecipientState
from modules.outbox.states import (
    CANCELABLE,
    FAILED,
    MIN_TRIES,
    RECIPIENT_TITLES,
    RECIPIENT_TONES,
    RESENDABLE,
    STATE_TITLES,
    STATE_TONES,
    TRANSITIONS,
    WAITING,
    IllegalTransitionError,
    MailState,
    RetryPolicy,
    check_transition,
    summarise,
)

# As DESIGN §5 tells it; written out here, so that a change of the product's table must be meant.
LEGAL = {
    *(("submit", None, after) for after in ("queued", "scheduled", "failed")),
    ("return", "sending", "queued"),
    ("claim", "queued", "sending"),
    *(("settle", "sending", after) for after in ("sent", "partial", "failed", "deferred", "uncertain")),
    *(("settle", "uncertain", after) for after in ("sent", "partial", "failed", "deferred", "uncertain")),
    *(("release", before, "queued") for before in ("deferred", "scheduled")),
    *(("lose", "sending", after) for after in ("uncertain", "queued")),
    *(("doubt", before, "uncertain") for before in ("scheduled", "queued", "sending", "deferred")),
    # Partial: some had got it before the rest was called off.
    *(
        ("cancel", before, after)
        for before in ("scheduled", "queued", "deferred")
        for after in ("canceled", "partial")
    ),
    # Somebody changes it, or moves it to another time.
    *(
        (verb, before, "scheduled")
        for verb in ("edit", "reschedule")
        for before in ("scheduled", "queued", "deferred")
    ),
    *(("put_back", "scheduled", after) for after in ("scheduled", "queued")),
    *(("replace", before, "canceled") for before in ("scheduled", "queued", "deferred")),
    *(("resend", before, "queued") for before in ("failed", "partial", "uncertain", "canceled")),
    *(("mark", "uncertain", after) for after in ("sent", "partial", "failed")),
    *(("unmark", before, "uncertain") for before in ("sent", "partial", "failed")),
    # What was accepted may come back; what was uncertain may be told to have arrived.
    *(
        ("report", before, after)
        for before in ("sent", "partial", "uncertain")
        for after in ("sent", "partial", "failed")
    ),
}
EVERY = list(product(TRANSITIONS, [None, *MailState], MailState))


@pytest.mark.parametrize(("verb", "before", "after"), [step for step in EVERY if step in LEGAL], ids=str)
def test_a_legal_transition_is_allowed(verb, before, after):
    check_transition(verb, before, after)


def test_every_other_transition_is_refused():
    illegal = [step for step in EVERY if step not in LEGAL]
    assert len(illegal) == len(EVERY) - len(LEGAL)
    for verb, before, after in illegal:
        with pytest.raises(IllegalTransitionError, match=f"cannot {verb} from {before} to {after}"):
            check_transition(verb, before, after)


def test_an_unknown_verb_is_an_error():
    with pytest.raises(KeyError):
        check_transition("teleport", MailState.QUEUED, MailState.SENT)


def test_what_was_accepted_by_all_is_never_sent_again():
    for verb, (before, after) in TRANSITIONS.items():
        assert MailState.SENT not in before or not (after & WAITING), verb
        assert MailState.SCHEDULED not in after or verb in {"submit", "edit", "put_back", "reschedule"}, verb


def test_a_mail_that_is_being_sent_cannot_be_canceled_or_resent():
    assert MailState.SENDING not in CANCELABLE | RESENDABLE


def test_every_state_waits_is_red_or_is_at_rest():
    assert not WAITING & FAILED
    assert set(MailState) - WAITING - FAILED == {MailState.SENT, MailState.CANCELED}


A, D, I, P, R, U = (  # noqa: E741 (a table reads better so)
    RecipientState.ACCEPTED,
    RecipientState.DEFERRED,
    RecipientState.INVALID,
    RecipientState.PENDING,
    RecipientState.REFUSED,
    RecipientState.UNCERTAIN,
)


@pytest.mark.parametrize(
    ("recipients", "state"),
    [
        ([A], "sent"),
        ([A, A], "sent"),
        ([R], "failed"),
        ([I], "failed"),
        ([R, I], "failed"),
        ([A, R], "partial"),
        ([A, I], "partial"),
        ([D], "deferred"),
        ([A, D], "deferred"),
        ([R, D], "deferred"),
        ([A, R, D], "deferred"),
        ([U], "uncertain"),
        ([A, U], "uncertain"),
        ([R, U], "uncertain"),
        ([D, U], "uncertain"),
        ([P, U], "uncertain"),
        ([A, R, D, U], "uncertain"),
        ([P], "queued"),
        ([A, P], "queued"),
        ([D, P], "queued"),
        ([R, P], "queued"),
    ],
    ids=lambda value: value if isinstance(value, str) else "+".join(state.value for state in value),
)
def test_the_state_of_a_mail_is_derived_from_its_recipients(recipients, state):
    assert summarise(recipients) == state
    assert summarise(list(reversed(recipients))) == state


def test_a_mail_without_recipients_has_no_state():
    with pytest.raises(ValueError, match="without recipients"):
        summarise([])


@given(st.lists(st.sampled_from(list(RecipientState)), min_size=1))
def test_only_a_mail_that_everybody_got_is_called_sent(recipients):
    assert (summarise(recipients) is MailState.SENT) == (set(recipients) == {A})


@given(st.lists(st.sampled_from(list(RecipientState)), min_size=1))
def test_a_mail_with_somebody_to_be_served_waits_or_is_a_persons(recipients):
    if {P, D} & set(recipients):
        assert summarise(recipients) in {MailState.QUEUED, MailState.DEFERRED, MailState.UNCERTAIN}


POLICY = RetryPolicy.parse("1, 5, 15, 60, 180, 360, 720, 1440", 4)
HOUR = dt.timedelta(hours=1)


def test_a_mail_is_tried_again_each_time_later_than_before_and_then_once_a_day():
    hours = [POLICY.delay(attempts, dt.timedelta(0)) / HOUR for attempts in range(1, 12)]
    assert hours == [1 / 60, 5 / 60, 0.25, 1, 3, 6, 12, 24, 24, 24, 24]
    assert POLICY.delay(0, dt.timedelta(0)) == POLICY.delay(1, dt.timedelta(0))


def test_a_mail_is_given_up_when_the_next_try_would_come_too_late():
    assert POLICY.delay(10, dt.timedelta(days=3)) is not None
    assert POLICY.delay(10, dt.timedelta(days=3, seconds=1)) is None


def test_a_mail_that_waited_for_other_reasons_still_gets_its_tries():
    long_ago = dt.timedelta(days=40)
    delays = [POLICY.delay(attempts, long_ago) for attempts in range(1, MIN_TRIES + 1)]
    assert None not in delays[:-1]
    assert delays[-1] is None


@pytest.mark.parametrize(
    ("minutes", "days"), [("", 4), ("1;5", 4), ("0", 4), ("-1", 4), ("1, nan", 4), ("99999999", 4), ("1", 0)]
)
def test_settings_that_make_no_sense_are_refused(minutes, days):
    with pytest.raises(ValueError, match=r"."):
        RetryPolicy.parse(minutes, days)


def test_every_state_has_a_word_and_a_shape():
    assert set(STATE_TITLES) == set(STATE_TONES) == set(MailState)
    assert set(RECIPIENT_TITLES) == set(RECIPIENT_TONES) == set(RecipientState)
    shapes = [shape for _tone, shape in STATE_TONES.values()]
    assert len(set(shapes)) == len(shapes)
