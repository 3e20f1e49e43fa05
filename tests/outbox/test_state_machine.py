"""Whatever happens in whatever order, what the outbox says of a mail is true.

Real services and the real delivery on a real database; a model keeps what the server took and what a person
has decided. Two workers, of which one may be stopped past its lease, and people who act at any moment.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text
from sqlalchemy.orm import selectinload

from core import clock, jobs
from core.db import db, transaction
from core.errors import UserError
from core.mail.outcomes import Failure, FailureKind, RecipientOutcome, RecipientState, Reply
from modules.mail_config.servers import circuit_breaker
from modules.outbox import service, transitions
from modules.outbox.delivery.sweep import sweep
from modules.outbox.erasure import erase_contents
from modules.outbox.models import OutgoingMail
from modules.outbox.privacy import person
from modules.outbox.states import SETTLED, TRANSITIONS, WAITING, IllegalTransitionError, MailState, summarise
from tests.outbox.conftest import draft
from tests.outbox.simulated import Attempt, SimulatedWorker, simulated_workers

MAX_MAILS = 4
UNSERVED = {RecipientState.PENDING, RecipientState.DEFERRED}

OK = Reply(250, "2.0.0", "taken")
LATER = Failure(FailureKind.SERVER_ERROR, True, Reply(451, "4.3.0", "later"))
NEVER = Failure(FailureKind.RECIPIENT_UNKNOWN, False, Reply(550, "5.1.1", "nobody"))
UNKNOWN = Failure(FailureKind.OUTCOME_UNKNOWN, False, detail="no answer")
BEFORE_THE_BODY = [
    Failure(FailureKind.CONNECT_FAILED, True, detail="refused"),
    Failure(FailureKind.AUTH_FAILED, True, Reply(535, "5.7.8", "no")),
    Failure(FailureKind.SERVER_ERROR, True, Reply(421, "4.3.2", "closing")),
]
ANSWERS = {
    "accepted": (True, RecipientState.ACCEPTED, None),
    "later": (False, RecipientState.DEFERRED, LATER),
    "never": (False, RecipientState.REFUSED, NEVER),
    "taken without a word": (True, RecipientState.UNCERTAIN, UNKNOWN),
    "lost without a word": (False, RecipientState.UNCERTAIN, UNKNOWN),
}


PEOPLE = ["resend", "resend", "retry", "cancel", "mark", "correct", "erase", "do_what_is_not_allowed"]


@dataclass
class Taking:
    """The server has taken a message for a recipient.

    Attributes:
        attempt: By which attempt.
        address: As it stood in the envelope.
        excused: Whether a person has asked for another one in full knowledge that this one may be.
    """

    attempt: Attempt
    address: str
    excused: bool = False


@dataclass
class Model:
    """What nobody can deny.

    Attributes:
        takings: What the server took, by recipient.
        marked: Emails and claims under which a message was marked in flight.
        excused: Attempts in flight at the moment at which a person asked for another.
        accepted: Recipients that were shown as accepted once.
        vouched: Recipients of whom a person has said that they have it.
    """

    takings: dict[int, list[Taking]] = field(default_factory=dict)
    marked: set[tuple[int, str | None]] = field(default_factory=set)
    excused: list[Attempt] = field(default_factory=list)
    accepted: set[int] = field(default_factory=set)
    vouched: set[int] = field(default_factory=set)


class Outbox(RuleBasedStateMachine):
    """The outbox, two workers and people."""

    app: object
    company: object
    server_id: int
    time: list[dt.datetime]

    @initialize()
    def begin(self) -> None:
        with transaction() as session:
            for table in ("outbox_mail", "outbox_alert", "outbox_search", "mail_config_server_health"):
                session.execute(text(f"DELETE FROM {table}"))  # noqa: S608 (names of ours)
        self.workers: list[SimulatedWorker] = []
        self.model = Model()
        self.submitted: list[int] = []
        self.addresses = 0
        self.recipient_ids: dict[str, int] = {}
        self.write(2)
        self.write(1)

    def teardown(self) -> None:
        for worker in self.workers:
            worker.kill()
        db.session.rollback()

    # -- what there is -------------------------------------------------------------------------------------

    def address(self) -> str:
        self.addresses += 1
        return f"n{self.addresses}@example.com"

    def mails(self) -> list[OutgoingMail]:
        db.session.rollback()
        return list(db.session.query(OutgoingMail).order_by(OutgoingMail.id))

    def pick(self, data: st.DataObject) -> OutgoingMail:
        number = data.draw(st.integers(0, len(self.submitted) - 1), label="mail")
        db.session.rollback()
        return db.session.get_one(OutgoingMail, self.submitted[number])

    def flying(self) -> list[SimulatedWorker]:
        return [worker for worker in self.workers if worker.attempt is not None]

    def excuse(self, mail: OutgoingMail) -> None:
        """A person sends an uncertain mail again, or says that it has not arrived."""
        for recipient in mail.recipients:
            if recipient.state is RecipientState.UNCERTAIN:
                for taking in self.model.takings.get(recipient.id, []):
                    taking.excused = True
        self.model.excused += [w.attempt for w in self.flying() if w.attempt.mail_id == mail.id]

    # Hypothesis would leave out rules at random, and with them most of what can follow on one another.
    @rule(data=st.data())
    def step(self, data: st.DataObject) -> None:
        possible = ["sweep", "find_the_server_well", *["a_person"] * 4]
        possible += ["submit"] * (len(self.submitted) < MAX_MAILS)
        possible += ["hire"] * 2 * (len(self.flying()) < 2)
        possible += [*["work"] * 6, "kill", "interrupt", "lose"] * bool(self.flying())
        getattr(self, data.draw(st.sampled_from(possible), label="what"))(data)

    # -- machines ------------------------------------------------------------------------------------------

    def submit(self, data: st.DataObject) -> None:
        self.write(data.draw(st.integers(1, 3), label="recipients"), scheduled=data.draw(st.booleans()))

    def write(self, recipients: int, *, scheduled: bool = False) -> None:
        later = clock.now() + dt.timedelta(hours=1) if scheduled else None
        made = draft(self.company, *(self.address() for _ in range(recipients)))
        self.submitted.append(service.submit(made, None, not_before=later).id)

    def hire(self, _data: st.DataObject) -> None:
        self.workers.append(SimulatedWorker(self.app, self.submitted))

    def a_worker(self, data: st.DataObject) -> SimulatedWorker:
        return data.draw(st.sampled_from(self.flying()), label="worker")

    def work(self, data: st.DataObject) -> None:
        worker = self.a_worker(data)
        attempt = worker.attempt
        if attempt.marked:
            self.answer(data, worker, attempt)
        elif data.draw(st.sampled_from([True, True, True, False]), label="goes well so far"):
            worker.go_on()
            if worker.attempt is attempt and attempt.marked:
                self.model.marked.add((attempt.mail_id, attempt.token))
        else:
            worker.fail(data.draw(st.sampled_from(BEFORE_THE_BODY), label="failure"))

    def answer(self, data: st.DataObject, worker: SimulatedWorker, attempt: Attempt) -> None:
        outcomes = []
        for address in attempt.recipients:
            taken, state, failure = ANSWERS[data.draw(st.sampled_from(list(ANSWERS)), label=address)]
            if taken:
                self.take(attempt, address)
            reply = OK if failure is None else failure.reply
            outcomes.append(RecipientOutcome(address, state, reply, failure))
        worker.answer(*outcomes)

    def take(self, attempt: Attempt, address: str) -> None:
        """The server takes a message for a recipient; nobody gets it twice unless a person wants that."""
        recipient_id = self.recipient_ids[address]
        before = self.model.takings.setdefault(recipient_id, [])
        knowingly = attempt in self.model.excused
        assert knowingly or all(taking.excused for taking in before), f"{address} gets it twice"
        before.append(Taking(attempt, address, excused=knowingly))

    def kill(self, data: st.DataObject) -> None:
        worker = self.a_worker(data)
        attempt = worker.attempt
        if attempt.marked:
            for address in attempt.recipients:
                if data.draw(st.booleans(), label=f"{address} gets it nevertheless"):
                    self.take(attempt, address)
        worker.kill()

    def interrupt(self, data: st.DataObject) -> None:
        """The job takes too long."""
        self.a_worker(data).interrupt(jobs.JobTimeoutError("Too long."))

    def lose(self, data: st.DataObject) -> None:
        """The workers are stopped for longer than their lease."""
        self.sweep(data, minutes=3)

    def sweep(self, data: st.DataObject, minutes: int | None = None) -> None:
        if minutes is None:
            minutes = data.draw(st.sampled_from([0, 1, 61, 3 * 24 * 60, -90]), label="minutes later")
        self.time[0] += dt.timedelta(minutes=minutes)
        before = {mail.id: (mail.state, mail.claim_token) for mail in self.mails()}
        sweep()
        for mail in self.mails():
            state, token = before[mail.id]
            if state is MailState.SENDING and mail.state is not MailState.SENDING:
                uncertain = (mail.id, token) in self.model.marked
                assert mail.state is (MailState.UNCERTAIN if uncertain else MailState.QUEUED)

    def find_the_server_well(self, _data: st.DataObject) -> None:
        circuit_breaker.note_success(self.server_id)

    # -- people --------------------------------------------------------------------------------------------

    def a_person(self, data: st.DataObject) -> None:
        act = data.draw(st.sampled_from(PEOPLE), label="does")
        getattr(self, act)(data, self.pick(data))

    def resend(self, data: st.DataObject, mail: OutgoingMail) -> None:
        uncertain, front = (
            data.draw(st.booleans(), label="uncertain too"),
            data.draw(st.booleans(), label="front"),
        )
        if mail.state is MailState.UNCERTAIN and uncertain:
            self.excuse(mail)
        service.resend([mail.id], uncertain=uncertain, front=front)

    def retry(self, data: st.DataObject, mail: OutgoingMail) -> None:
        service.retry_now([mail.id], front=data.draw(st.booleans(), label="front"))

    def cancel(self, _data: st.DataObject, mail: OutgoingMail) -> None:
        service.cancel([mail.id])

    def mark(self, data: st.DataObject, mail: OutgoingMail) -> None:
        accepted = data.draw(st.booleans(), label="accepted")
        uncertain = [r.id for r in mail.recipients if r.state is RecipientState.UNCERTAIN]
        if mail.state is not MailState.UNCERTAIN:
            with pytest.raises(UserError):
                service.mark_uncertain(mail.id, accepted=accepted)
            return
        if accepted:
            self.model.vouched.update(uncertain)
        else:
            self.excuse(mail)
        service.mark_uncertain(mail.id, accepted=accepted)

    def correct(self, data: st.DataObject, mail: OutgoingMail) -> None:
        recipient = data.draw(st.sampled_from(mail.recipients), label="recipient")
        known = recipient.state, mail.state, mail.contents_erased_at
        try:
            service.correct_recipient(recipient, self.address())
        except UserError:
            assert known[0] is RecipientState.ACCEPTED or known[1] in WAITING or known[2] is not None

    def erase(self, data: st.DataObject, mail: OutgoingMail) -> None:
        if data.draw(st.booleans(), label="an address"):
            person.erase(data.draw(st.sampled_from(mail.recipients), label="recipient").addr_spec, None)
        else:
            with transaction() as session:
                erase_contents(session, [mail.id], detail="retention")

    def do_what_is_not_allowed(self, data: st.DataObject, mail: OutgoingMail) -> None:
        verb = data.draw(st.sampled_from(sorted(TRANSITIONS)), label="verb")
        after = data.draw(st.sampled_from(MailState), label="after")
        sources, targets = TRANSITIONS[verb]
        if mail.state in sources and after in targets:
            return
        before = mail.state, len(mail.events)
        with transaction() as session:
            mail = session.get_one(OutgoingMail, mail.id)
            with pytest.raises(IllegalTransitionError):
                transitions.move(mail, verb, after)
        db.session.expire_all()
        assert (mail.state, len(mail.events)) == before

    # -- what holds always ---------------------------------------------------------------------------------

    @invariant()
    def what_there_is_holds(self) -> None:
        # Read once for all of them: reading takes longer than looking.
        db.session.rollback()
        mails = list(
            db.session.query(OutgoingMail)
            .order_by(OutgoingMail.id)
            .options(selectinload(OutgoingMail.recipients), selectinload(OutgoingMail.events))
        )
        self.nothing_is_lost(mails)
        self.the_state_of_a_mail_is_that_of_its_recipients(mails)
        self.every_change_is_on_record(mails)
        self.what_is_said_of_a_recipient_is_true(mails)

    def nothing_is_lost(self, mails: list[OutgoingMail]) -> None:
        counted = Counter(mail.state for mail in mails)
        assert sum(counted.values()) == len(self.submitted)

    def the_state_of_a_mail_is_that_of_its_recipients(self, mails: list[OutgoingMail]) -> None:
        for mail in mails:
            states = [recipient.state for recipient in mail.recipients]
            accepted = states.count(RecipientState.ACCEPTED)
            assert mail.accepted_count == accepted
            if mail.state is MailState.CANCELED:
                assert accepted == 0
            elif mail.state in SETTLED | {MailState.DEFERRED}:
                assert mail.state is summarise(states)
            else:
                assert RecipientState.UNCERTAIN not in states
                assert UNSERVED & set(states)
            assert (mail.settled_at is not None) == (mail.state in SETTLED)
            if mail.state not in {MailState.SENDING, MailState.UNCERTAIN}:
                assert (mail.claim_token, mail.lease_until, mail.in_flight) == (None, None, False)
            assert mail.contents_erased_at is None or mail.state in SETTLED, "it would go without its text"

    def every_change_is_on_record(self, mails: list[OutgoingMail]) -> None:
        for mail in mails:
            reached = None
            for step in mail.events:
                assert step.before is reached, f"{step.verb} of {mail.id} from {step.before}, not {reached}"
                assert bool(step.actor) != bool(step.by_user_id)
                reached = step.after
            assert reached is mail.state
            assert [step.verb for step in mail.events].count("submit") == 1

    def what_is_said_of_a_recipient_is_true(self, mails: list[OutgoingMail]) -> None:
        for mail, recipient in ((of, one) for of in mails for one in of.recipients):
            self.recipient_ids[recipient.addr_spec] = recipient.id
            takings = self.model.takings.get(recipient.id, [])
            if recipient.id in self.model.accepted:
                assert recipient.state is RecipientState.ACCEPTED, "whoever has got it has got it"
            if any(not taking.excused for taking in takings) and mail.state is not MailState.SENDING:
                assert recipient.state in {RecipientState.ACCEPTED, RecipientState.UNCERTAIN}
            if recipient.state is RecipientState.ACCEPTED:
                self.model.accepted.add(recipient.id)
                if recipient.id not in self.model.vouched and not recipient.addr_spec.startswith("erased-"):
                    assert recipient.addr_spec in {taking.address for taking in takings}


# What it does is counted in examples and steps; how long that takes is the affair of the machine.
@pytest.mark.timeout(1800)
def test_whatever_happens_what_is_said_of_a_mail_is_true(app, server, company, monkeypatch):
    time = [dt.datetime(2026, 5, 4, 12, tzinfo=dt.UTC)]
    monkeypatch.setattr(clock, "now", lambda: time[0])
    monkeypatch.setattr(jobs, "enqueue", lambda *_args, **_kwargs: True)
    monkeypatch.setattr("modules.outbox.delivery.sweep.queue_length", lambda: 0)
    Outbox.app, Outbox.company, Outbox.server_id, Outbox.time = app, company, server.id, time
    with simulated_workers(monkeypatch):
        run_state_machine_as_test(
            Outbox,
            settings=settings(
                max_examples=80, stateful_step_count=40, suppress_health_check=list(HealthCheck)
            ),
        )
