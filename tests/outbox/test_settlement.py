"""What an attempt has done, told as what is now known of a mail."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.mail.advice import Advice
from core.mail.outcomes import Failure, FailureKind, RecipientOutcome, RecipientState, Reply
from modules.outbox.delivery.settlement import RecipientResult, settle, settle_failure, settle_waiting
from modules.outbox.states import MailState, RetryPolicy

NOW = dt.datetime(2026, 5, 4, 12, tzinfo=dt.UTC)
POLICY = RetryPolicy.parse("1, 5, 15, 60, 180, 360, 720, 1440", 4)
LAST = 8
YOUNG, OLD = dt.timedelta(hours=1), dt.timedelta(days=4)

A, D, I, P, R, U = (  # noqa: E741 (a table reads better so)
    RecipientState.ACCEPTED,
    RecipientState.DEFERRED,
    RecipientState.INVALID,
    RecipientState.PENDING,
    RecipientState.REFUSED,
    RecipientState.UNCERTAIN,
)

OUTCOMES = {
    A: RecipientOutcome("", A, Reply(250, "2.0.0", "2.0.0 taken")),
    D: RecipientOutcome(
        "",
        D,
        Reply(451, "4.7.1", "4.7.1 later"),
        Failure(FailureKind.SERVER_ERROR, True, Reply(451, "4.7.1", "4.7.1 later")),
    ),
    R: RecipientOutcome(
        "",
        R,
        Reply(550, "5.1.1", "5.1.1 nobody"),
        Failure(FailureKind.RECIPIENT_UNKNOWN, False, Reply(550, "5.1.1", "5.1.1 nobody")),
    ),
    U: RecipientOutcome("", U, None, Failure(FailureKind.OUTCOME_UNKNOWN, False, detail="It hung up.")),
}


EARLIER = {
    A: lambda number: RecipientResult(number, A, None, 250, "2.0.0", "2.0.0 taken"),
    R: lambda number: RecipientResult(
        number, R, FailureKind.RECIPIENT_UNKNOWN, 550, "5.1.1", "550 5.1.1 nobody"
    ),
    I: lambda number: RecipientResult(number, I, FailureKind.ADDRESS_INVALID, 0, "", "No address."),
}


def settled(before, outcomes, attempts=0, age=YOUNG):
    return settle(
        dict(enumerate(before)),
        {number: OUTCOMES[state] for number, state in outcomes.items()},
        attempts=attempts,
        age=age,
        policy=POLICY,
        now=NOW,
        earlier=[EARLIER[state](number) for number, state in enumerate(before) if state in EARLIER],
    )


@pytest.mark.parametrize(
    ("before", "outcomes", "state", "accepted", "kind"),
    [
        ([P], {0: A}, "sent", 1, None),
        ([P], {0: R}, "failed", 0, "recipient_unknown"),
        ([P], {0: D}, "deferred", 0, "server_error"),
        ([P], {0: U}, "uncertain", 0, "outcome_unknown"),
        ([P, P], {0: A, 1: R}, "partial", 1, "recipient_unknown"),
        ([P, P], {0: A, 1: D}, "deferred", 1, "server_error"),
        ([P, P], {0: R, 1: D}, "deferred", 0, "recipient_unknown"),
        ([P, P, P], {0: A, 1: R, 2: U}, "uncertain", 1, "outcome_unknown"),
        ([P, P], {0: U, 1: D}, "uncertain", 0, "outcome_unknown"),
        # A retry is about those who are left; the others keep what is known of them.
        ([A, D], {1: A}, "sent", 2, None),
        ([A, D], {1: R}, "partial", 1, "recipient_unknown"),
        ([R, D], {1: A}, "partial", 1, "recipient_unknown"),
        ([R, D], {1: R}, "failed", 0, "recipient_unknown"),
        ([A, R, D], {2: D}, "deferred", 1, "server_error"),
        ([I, P], {1: A}, "partial", 1, "address_invalid"),
    ],
    ids=str,
)
def test_the_outcomes_of_an_attempt_settle_a_mail(before, outcomes, state, accepted, kind):
    settlement = settled(before, outcomes)
    assert settlement.state == state
    assert settlement.accepted_count == accepted
    assert settlement.failure_kind == kind
    assert bool(settlement.failure_reason) == (kind is not None)
    assert settlement.attempts == 1
    assert (settlement.next_attempt_at is not None) == (state == "deferred")
    assert {result.recipient_id: result.state for result in settlement.results} == outcomes


def test_the_servers_own_words_are_kept_for_each_recipient():
    accepted, refused = settled([P, P], {0: A, 1: R}).results
    assert (accepted.reply_code, accepted.enhanced_code, accepted.diagnostic) == (250, "2.0.0", "2.0.0 taken")
    assert accepted.failure_kind is None
    assert (refused.reply_code, refused.enhanced_code) == (550, "5.1.1")
    assert refused.diagnostic == "550 5.1.1 nobody"


@pytest.mark.parametrize("attempts", range(LAST))
def test_a_deferred_mail_is_tried_again_after_the_delay_and_a_little_more(attempts):
    settlement = settled([P], {0: D}, attempts=attempts)
    delay = POLICY.delay(attempts + 1, YOUNG)
    assert settlement.state is MailState.DEFERRED
    assert settlement.attempts == attempts + 1
    assert NOW + delay <= settlement.next_attempt_at <= NOW + delay * 1.15


def test_after_the_last_retry_those_still_deferred_are_refused_with_the_servers_words():
    settlement = settled([A, D, D], {1: D, 2: A}, attempts=LAST, age=OLD)
    assert settlement.state is MailState.PARTIAL
    assert settlement.next_attempt_at is None
    assert settlement.accepted_count == 2
    first = settlement.results[0]
    assert (first.state, first.reply_code, first.failure_kind) == (R, 451, FailureKind.GIVEN_UP)


def failed(kind, *, temporary=True, attempts=0, before=(P,), reply=None, age=YOUNG):
    tried = [number for number, state in enumerate(before) if state in {P, D}]
    return settle_failure(
        dict(enumerate(before)),
        tried,
        Failure(kind, temporary, reply, detail="The words."),
        attempts=attempts,
        age=age,
        policy=POLICY,
        now=NOW,
    )


def test_a_fault_that_may_pass_defers_everybody_who_was_to_be_served():
    settlement = failed(FailureKind.SERVER_ERROR, before=(A, P, D, R))
    assert settlement.state is MailState.DEFERRED
    assert [(result.recipient_id, result.state) for result in settlement.results] == [(1, D), (2, D)]
    assert settlement.accepted_count == 1
    assert settlement.attempts == 1
    assert (settlement.failure_kind, settlement.failure_reason) == (FailureKind.SERVER_ERROR, "The words.")


def test_a_fault_that_does_not_pass_is_given_up_when_the_mail_is_old():
    assert failed(FailureKind.SERVER_ERROR, attempts=LAST).state is MailState.DEFERRED
    given_up = failed(FailureKind.SERVER_ERROR, attempts=LAST, before=(A, D), age=OLD)
    assert given_up.state is MailState.PARTIAL
    assert given_up.next_attempt_at is None
    assert given_up.failure_kind is FailureKind.GIVEN_UP


def test_what_no_retry_can_mend_fails_at_once():
    settlement = failed(FailureKind.ATTACHMENT_MISSING, temporary=False)
    assert (settlement.state, settlement.attempts) == (MailState.FAILED, 1)


@pytest.mark.parametrize("kind", [FailureKind.SERVER_MISSING, FailureKind.AUTH_FAILED, FailureKind.PACED])
@pytest.mark.parametrize("attempts", [0, LAST, LAST + 50])
def test_a_mail_that_waits_for_a_server_waits_without_end_and_counts_no_attempt(kind, attempts):
    until = NOW + dt.timedelta(hours=3)
    waiting = settle_waiting(
        {0: A, 1: P, 2: R}, [1], Failure(kind, True, detail="The words."), attempts=attempts, until=until
    )
    assert (waiting.state, waiting.attempts) == (MailState.DEFERRED, attempts)
    assert (waiting.next_attempt_at, waiting.failure_kind) == (until, kind)
    assert (waiting.accepted_count, waiting.tried) == (1, False)
    assert [(result.recipient_id, result.state) for result in waiting.results] == [(1, D)]


def test_the_reply_to_a_refused_sign_in_is_kept():
    settlement = failed(FailureKind.AUTH_FAILED, reply=Reply(535, "5.7.8", "5.7.8 wrong"))
    (result,) = settlement.results
    assert (result.reply_code, result.enhanced_code, result.diagnostic) == (535, "5.7.8", "535 5.7.8 wrong")


def test_a_mail_at_rest_keeps_the_reason_of_an_earlier_attempt():
    """Ann was refused at once, Bob accepted later: what is to be mended is still Ann."""
    settlement = settled([R, D], {1: A})
    assert (settlement.failure_kind, settlement.failure_reason) == (
        FailureKind.RECIPIENT_UNKNOWN,
        "550 5.1.1 nobody",
    )


def test_a_mail_that_waits_shows_why_it_waits():
    settlement = settle_failure(
        {0: R, 1: D},
        [1],
        Failure(FailureKind.SERVER_ERROR, True, detail="The words."),
        attempts=0,
        age=YOUNG,
        policy=POLICY,
        now=NOW,
        earlier=[EARLIER[R](0)],
    )
    assert settlement.failure_kind is FailureKind.SERVER_ERROR


def test_the_finer_hint_and_the_other_reading_reach_the_mail():
    failure = Failure(
        FailureKind.SPAM_SUSPECTED,
        False,
        Reply(550, "5.7.1", "5.7.1 no"),
        also=FailureKind.SENDER_REFUSED,
        advice=Advice.BLOCK_LIST,
    )
    settlement = settle(
        {0: P},
        {0: RecipientOutcome("", R, failure.reply, failure)},
        attempts=0,
        age=YOUNG,
        policy=POLICY,
        now=NOW,
    )
    (result,) = settlement.results
    assert result.also is settlement.failure_also is FailureKind.SENDER_REFUSED
    assert result.advice == settlement.failure_advice == "block_list"


@st.composite
def attempts_at_mails(draw):
    before = draw(st.lists(st.sampled_from([A, D, I, P, R]), min_size=1, max_size=8))
    due = [number for number, state in enumerate(before) if state in {P, D}]
    outcomes = {number: draw(st.sampled_from([A, D, R, U])) for number in due}
    return before, outcomes, draw(st.integers(0, LAST + 2))


@given(attempts_at_mails())
def test_an_accepted_recipient_is_never_lost(attempt):
    before, outcomes, attempts = attempt
    settlement = settled(before, outcomes, attempts)
    had_it = {number for number, state in enumerate(before) if state is A}
    got_it = {number for number, state in outcomes.items() if state is A}
    changed = {result.recipient_id: result.state for result in settlement.results}
    assert not had_it & set(changed)
    assert {number for number, state in changed.items() if state is A} == got_it
    assert settlement.accepted_count == len(had_it | got_it)
    assert (settlement.state is MailState.SENT) == (len(had_it | got_it) == len(before))


@given(attempts_at_mails())
def test_nobody_who_was_tried_is_left_pending_and_nobody_is_forgotten(attempt):
    before, outcomes, attempts = attempt
    settlement = settled(before, outcomes, attempts)
    after = {**dict(enumerate(before)), **{r.recipient_id: r.state for r in settlement.results}}
    assert P not in after.values()
    assert set(after) == set(range(len(before)))
    if settlement.state is MailState.DEFERRED:
        assert settlement.next_attempt_at > NOW
    else:
        assert D not in after.values() or settlement.state is MailState.UNCERTAIN


@given(attempts_at_mails(), st.booleans(), st.sampled_from(list(FailureKind)))
def test_a_failure_of_the_server_never_touches_who_got_the_mail(attempt, temporary, kind):
    before, outcomes, attempts = attempt
    settlement = settle_failure(
        dict(enumerate(before)),
        list(outcomes),
        Failure(kind, temporary),
        attempts=attempts,
        age=YOUNG,
        policy=POLICY,
        now=NOW,
    )
    assert settlement.accepted_count == before.count(A)
    assert {result.recipient_id for result in settlement.results} == set(outcomes)
    assert all(result.state in {D, R} for result in settlement.results)
