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
    RECIPIENT_TITLES,
    RECIPIENT_TONES,
    RESENDABLE,
    RETRY_MINUTES,
    STATE_TITLES,
    STATE_TONES,
    TRANSITIONS,
    WAITING,
    IllegalTransitionError,
    MailState,
    check_transition,
    retry_delay,
    summarise,
)

# As DESIGN §5 tells it; written out here, so that a change of the product's table must be meant.
LEGAL = {
    ("claim", "queued", "sending"),
    *(("settle", "sending", after) for after in ("sent", "partial", "failed", "deferred", "uncertain")),
    *(("settle", "uncertain", after) for after in ("sent", "partial", "failed", "deferred", "uncertain")),
    *(("release", before, "queued") for before in ("deferred", "scheduled")),
    *(("lose", "sending", after) for after in ("uncertain", "queued")),
    # Partial: some had got it before the rest was called off.
    *(
        ("cancel", before, after)
        for before in ("scheduled", "queued", "deferred")
        for after in ("canceled", "partial")
    ),
    *(("resend", before, "queued") for before in ("failed", "partial", "uncertain", "canceled")),
    *(("mark", "uncertain", after) for after in ("sent", "partial", "failed")),
}
EVERY = list(product(TRANSITIONS, MailState, MailState))


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
        assert MailState.SENT not in before, verb
        assert MailState.SCHEDULED not in after, verb


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


def test_a_mail_is_tried_for_about_two_days_each_time_later_than_before():
    delays = [retry_delay(attempts) for attempts in range(1, len(RETRY_MINUTES) + 1)]
    assert None not in delays
    assert delays == sorted(delays)
    assert delays[0] == dt.timedelta(minutes=1)
    assert dt.timedelta(days=1) < sum(delays, dt.timedelta()) < dt.timedelta(days=3)


def test_after_the_last_retry_it_gives_up():
    assert retry_delay(len(RETRY_MINUTES)) is not None
    assert retry_delay(len(RETRY_MINUTES) + 1) is None
    assert retry_delay(0) == retry_delay(1)


def test_every_state_has_a_word_and_a_shape():
    assert set(STATE_TITLES) == set(STATE_TONES) == set(MailState)
    assert set(RECIPIENT_TITLES) == set(RECIPIENT_TONES) == set(RecipientState)
    shapes = [shape for _tone, shape in STATE_TONES.values()]
    assert len(set(shapes)) == len(shapes)
