"""People who act while a mail is on its way: twice, two at once, too late; on both databases."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable
from functools import partial

import pytest

from core import clock
from core.auth.models import User
from core.db import db, end_reading, transaction
from core.errors import UserError
from core.mail.outcomes import Failure, FailureKind, RecipientOutcome, RecipientState, Reply
from modules.outbox import service
from modules.outbox.alerts import service as alerts
from modules.outbox.delivery import claims
from modules.outbox.delivery.sweep import sweep
from modules.outbox.erasure import erase_contents
from modules.outbox.models import MailRecipient, OutgoingMail
from modules.outbox.privacy import person
from modules.outbox.states import MailState
from tests.at_once import at_once
from tests.outbox.conftest import make_ready, make_server
from tests.outbox.simulated import SimulatedWorker, simulated_workers

pytestmark = [pytest.mark.both_databases]

LATER = Failure(FailureKind.SERVER_ERROR, True, Reply(451, "4.3.0", "later"))


def reread(mail_id: int) -> OutgoingMail:
    db.session.rollback()
    return db.session.get_one(OutgoingMail, mail_id)


def accepted(*addresses: str) -> list[RecipientOutcome]:
    return [
        RecipientOutcome(address, RecipientState.ACCEPTED, Reply(250, "2.0.0", "taken"))
        for address in addresses
    ]


def deferred(*addresses: str) -> list[RecipientOutcome]:
    return [RecipientOutcome(address, RecipientState.DEFERRED, LATER.reply, LATER) for address in addresses]


@pytest.fixture
def ready_server(company):
    """A server that is never asked: the workers here are simulated."""
    return make_ready(make_server(type("Nobody", (), {"host": "127.0.0.1", "port": 1})))


@pytest.fixture
def work(app, ready_server, monkeypatch):
    """Let a worker take mails; it stops at each of them, twice."""
    workers: list[SimulatedWorker] = []

    def work(*mail_ids: int) -> SimulatedWorker:
        end_reading()
        workers.append(SimulatedWorker(app, mail_ids))
        return workers[-1]

    with simulated_workers(monkeypatch):
        yield work
        for worker in workers:
            worker.kill()


@pytest.fixture
def later(monkeypatch):
    """Move the clock."""
    offset = [dt.timedelta(0)]
    real = clock.now
    monkeypatch.setattr(clock, "now", lambda: real() + offset[0])

    def later(**by: float) -> None:
        offset[0] += dt.timedelta(**by)

    return later


@pytest.fixture
def lost(work, later, send) -> Callable[..., tuple[int, SimulatedWorker]]:
    """A mail that is uncertain, since its worker was stopped while it was in flight; the worker may go on."""

    def lost(*addresses: str, **by: User) -> tuple[int, SimulatedWorker]:
        mail_id = send(*addresses, **by).id
        worker = work(mail_id)
        worker.go_on()
        later(minutes=3)
        sweep()
        assert reread(mail_id).state is MailState.UNCERTAIN
        return mail_id, worker

    return lost


# --------------------------------------------------------------------------- an uncertain mail, a late outcome


def test_a_late_outcome_is_not_that_of_an_address_corrected_meanwhile(lost):
    mail_id, worker = lost("wrong@example.com")
    service.correct_recipient(reread(mail_id).recipients[0], "right@example.com")
    worker.answer(*accepted("wrong@example.com"))
    mail = reread(mail_id)
    assert mail.state is MailState.UNCERTAIN, "nobody has sent anything to the right address"
    assert service.resend([mail_id]) == [mail_id]


@pytest.mark.parametrize("how", ["retention", "personal data"])
def test_a_late_outcome_does_not_send_a_mail_again_whose_text_is_erased(lost, later, how):
    mail_id, worker = lost("ann@example.com")
    if how == "retention":
        with transaction() as session:
            assert erase_contents(session, [mail_id], detail=how)
    else:
        person.erase("ann@example.com", None)
    worker.answer(*deferred("ann@example.com"))
    later(days=1)
    sweep()
    mail = reread(mail_id)
    assert mail.state not in {MailState.DEFERRED, MailState.QUEUED}
    assert not [attempt for attempt in mail.attempt_rows if attempt.transcript]


def test_a_late_outcome_silences_the_bell_that_rang_for_it(lost, make_user):
    user = make_user()
    mail_id, worker = lost("ann@example.com", by=user)
    assert alerts.count_unseen(user) == 1
    worker.answer(*accepted("ann@example.com"))
    assert reread(mail_id).state is MailState.SENT
    assert alerts.count_unseen(user) == 0


# ---------------------------------------------------------------------------------- two people at the same moment


def verbs(mail_id: int) -> Counter[str]:
    return Counter(step.verb for step in reread(mail_id).events)


def failed(work, send, *addresses: str, **by: User) -> int:
    """Return a mail that its server has put off, and that a person has given up."""
    mail_id = send(*addresses, **by).id
    worker = work(mail_id)
    worker.go_on()
    worker.answer(*deferred(*addresses))
    assert service.cancel([mail_id]) == [mail_id]
    return mail_id


def test_of_many_who_resend_at_once_one_does(app, work, send):
    mail_id = failed(work, send, "ann@example.com")
    results = at_once(app, *[lambda: service.resend([mail_id])] * 6)
    assert sorted(results) == [[]] * 5 + [[mail_id]]
    assert verbs(mail_id)["resend"] == 1


def test_two_browsers_that_resend_at_once_both_get_an_answer_and_one_mail_goes(
    app, work, send, make_user, sign_in
):
    seller = make_user()
    mail_id = failed(work, send, "ann@example.com", by=seller)
    clients = [sign_in(seller), sign_in(make_user("support"))]
    url = f"/outbox/mails/{mail_id}/resend"
    answers = at_once(app, *[lambda client=client: client.post(url).status_code for client in clients])
    assert answers == [302, 302]
    assert verbs(mail_id)["resend"] == 1
    pages = [client.get(f"/outbox/mails/{mail_id}").text for client in clients]
    assert sum("The email is in the queue again" in page for page in pages) == 1


def test_a_mail_that_is_being_sent_can_neither_be_resent_nor_canceled_nor_corrected(work, send):
    mail_id = send("ann@example.com").id
    worker = work(mail_id)
    for in_flight in (False, True):
        if in_flight:
            worker.go_on()
        assert service.resend([mail_id]) == service.retry_now([mail_id]) == service.cancel([mail_id]) == []
        with pytest.raises(UserError, match="on its way"):
            service.correct_recipient(reread(mail_id).recipients[0], "other@example.com")
    worker.answer(*accepted("ann@example.com"))
    assert reread(mail_id).state is MailState.SENT
    assert service.resend([mail_id]) == []


def test_an_erased_mail_is_not_sent_again(work, send):
    mail_id = failed(work, send, "ann@example.com")
    with transaction() as session:
        erase_contents(session, [mail_id], detail="retention")
    assert service.resend([mail_id]) == service.retry_now([mail_id]) == []
    assert reread(mail_id).state is MailState.CANCELED


def test_of_who_cancels_and_who_claims_at_once_one_gets_the_mail(app, company, send):
    for number in range(12):
        mail_id = send(f"n{number}@example.com").id
        canceled, token = at_once(app, partial(service.cancel, [mail_id]), partial(claims.claim, [mail_id]))
        mail = reread(mail_id)
        assert mail.state is (MailState.CANCELED if canceled else MailState.SENDING)
        assert bool(canceled) != bool(token)
        assert mail.claim_token == token
        assert verbs(mail_id) == Counter(submit=1, **({"cancel": 1} if canceled else {"claim": 1}))


def test_who_corrects_while_somebody_claims_is_heeded_or_told(app, company, send):
    for number in range(12):
        mail_id = send(f"n{number}@example.com").id
        assert service.cancel([mail_id])
        recipient_id = reread(mail_id).recipients[0].id
        right = f"right{number}@example.com"

        def correct(recipient_id: int = recipient_id, right: str = right) -> None:
            service.correct_recipient(db.session.get_one(MailRecipient, recipient_id), right)

        def resend_and_claim(mail_id: int = mail_id) -> list[str]:
            service.resend([mail_id])
            token = claims.claim([mail_id])
            return [r.addr_spec for mail in claims.claimed(token) for r in mail.recipients]

        told, goes_to = at_once(app, correct, resend_and_claim)
        assert told is None or isinstance(told, UserError), told
        assert goes_to == ([right] if told is None else [f"n{number}@example.com"])
        assert reread(mail_id).recipients[0].addr_spec == goes_to[0]


def test_many_who_touch_the_same_mails_in_other_orders_do_not_block_each_other(app, company, send):
    ids = [send(f"n{n}@example.com").id for n in range(20)]
    service.cancel(ids)

    def again(order: list[int]) -> int:
        done = 0
        for _ in range(4):
            done += len(service.resend(order)) - len(service.cancel(order))
            if token := claims.claim(order[::2]):
                claims.give_back([token])
        return done

    results = at_once(app, lambda: again(ids), lambda: again(ids[::-1]), lambda: again(ids[::3]), sweep)
    assert not [result for result in results if isinstance(result, Exception)], results
    for mail_id in ids:
        steps = reread(mail_id).events
        assert [step.before for step in steps[1:]] == [step.after for step in steps[:-1]]
        assert steps[-1].after is reread(mail_id).state
