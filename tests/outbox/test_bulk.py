"""Actions on many mails: selected ones, all that match, in the request and by a worker, step by step."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from decimal import Decimal

import pytest
from sqlalchemy import select, update

from core import clock
from core.companies.service import save_company
from core.db import db, transaction
from core.errors import EnvoiError
from core.mail.outcomes import FailureKind, RecipientState
from core.web.listing import Criteria
from modules.outbox.mail_list import bulk_actions
from modules.outbox.mail_list.bulk_words import MANY, Action, Done, Left, sentence
from modules.outbox.mail_list.jobs import sweep
from modules.outbox.models import BulkRun, MailRecipient, OutgoingMail
from modules.outbox.service import decisions
from modules.outbox.states import MailState
from modules.sales.service import orders
from modules.sales.service.lines import LineValues
from tests.outbox.many import write
from tests.statements import statements

pytestmark = pytest.mark.both_databases

FAILED = {"state": MailState.FAILED, "failure_kind": FailureKind.MAILBOX_FULL}
UNCERTAIN = {"state": MailState.UNCERTAIN, "failure_kind": FailureKind.OUTCOME_UNKNOWN}
DEFERRED = {"state": MailState.DEFERRED, "failure_kind": FailureKind.MAILBOX_FULL}
MIXED = [
    FAILED,
    UNCERTAIN,
    DEFERRED,
    {"state": MailState.SENT},
    {"state": MailState.CANCELED},
    {"state": MailState.QUEUED},
    {"state": MailState.SENDING},
    {"state": MailState.SCHEDULED},
]


@pytest.fixture
def support(make_user):
    return make_user("support")


@pytest.fixture
def client(support, sign_in):
    return sign_in(support)


@pytest.fixture
def steps_of(monkeypatch):
    """Let a step take some mails only."""

    def take(count: int) -> None:
        monkeypatch.setattr(bulk_actions, "STEP", count)

    return take


def states():
    db.session.rollback()
    return list(db.session.scalars(select(OutgoingMail.state).order_by(OutgoingMail.id)))


def the_run():
    db.session.rollback()
    return db.session.scalars(select(BulkRun).order_by(BulkRun.id.desc())).first()


def post(client, query="", **form):
    return client.post(f"/outbox/mails/bulk{query}", data=form)


def flashed(client):
    return client.get("/outbox/mails").text


def test_what_a_person_selects_is_retried_and_uncertain_mails_are_left_alone(company, client):
    ids = write(company, MIXED)
    post(client, action="retry", id=ids)
    queued = MailState.QUEUED
    assert states() == [
        queued,
        MailState.UNCERTAIN,
        queued,
        MailState.SENT,
        queued,  # selected by a person, one by one
        queued,
        MailState.SENDING,
        queued,
    ]
    html = flashed(client)
    assert "4 emails are in the queue again." in html
    assert "1 is uncertain and was left alone: open it and decide whether to send it again." in html
    assert "2 are being sent already. 1 has been sent already." in html


def test_send_now_puts_them_before_all_others(company, client, monkeypatch):
    asked = []
    monkeypatch.setattr(decisions, "enqueue_delivery", lambda ids, *, front=False: asked.append((ids, front)))
    ids = write(company, [FAILED, DEFERRED])
    post(client, action="now", id=ids)
    assert [entry for entry in asked if entry[0]] == [([1], True), ([2], True)]


def test_canceling_stops_what_has_not_left(company, client):
    ids = write(company, MIXED)
    post(client, action="cancel", id=ids)
    assert states().count(MailState.CANCELED) == 4
    assert states()[6] is MailState.SENDING
    html = flashed(client)
    assert "3 emails were canceled." in html
    # Also where it is none: why.
    assert "1 is being sent already." in html
    assert "1 has been sent already." in html
    assert "1 was canceled before." in html
    assert "2 do not wait any more: they have failed." in html


def test_uncertain_ones_are_decided_together_and_taken_back_one_by_one(company, client):
    ids = write(company, [*MIXED, UNCERTAIN])
    with transaction() as session:
        unknown = [ids[1], ids[8]]
        session.execute(
            update(MailRecipient)
            .where(MailRecipient.mail_id.in_(unknown))
            .values(state=RecipientState.UNCERTAIN)
        )
    assert "Mark as not received" not in client.get("/outbox/mails").text
    assert "Mark as not received" in client.get("/outbox/mails?f=uncertain").text
    post(client, action="arrived", id=ids[:4])
    assert states()[1] is MailState.SENT
    html = flashed(client)
    assert "1 email is marked as sent." in html
    assert "3 are not uncertain." in html
    post(client, action="lost", all=1)
    assert states()[8] is MailState.FAILED
    for mail_id in (ids[1], ids[8]):
        assert "Take the mark back" in client.get(f"/outbox/mails/{mail_id}").text
        client.post(f"/outbox/mails/{mail_id}/unmark")
    assert [states()[1], states()[8]] == [MailState.UNCERTAIN] * 2
    mail = db.session.get_one(OutgoingMail, ids[1])
    assert (mail.accepted_count, mail.failure_kind) == (0, FailureKind.OUTCOME_UNKNOWN)
    assert [event.verb for event in mail.events[-2:]] == ["mark", "unmark"]
    assert mail.events[-1].by_user is not None
    assert "nothing to take back" in client.post(f"/outbox/mails/{ids[1]}/unmark", follow_redirects=True).text


def test_who_decides_meanwhile_ends_no_step(company, support, monkeypatch):
    ids = write(company, [UNCERTAIN] * 3)
    mark = decisions.mark

    def after_a_colleague(mail_ids, **given):
        mark(mail_ids[:1], accepted=False)
        return mark(mail_ids, **given)

    monkeypatch.setattr(bulk_actions.service, "mark", after_a_colleague)
    assert bulk_actions.act(Action.ARRIVED, ids, support) == Done(2, why={Left.CERTAIN: 1})
    # Of a recipient to whom nothing was handed over the word says nothing: these were not even begun.
    assert set(states()) == {MailState.FAILED}
    assert [event.by_user is not None for event in db.session.get_one(OutgoingMail, ids[0]).events] == [False]


@pytest.mark.parametrize(
    ("action", "values"),
    [
        (Action.ARRIVED, UNCERTAIN),
        (Action.LOST, UNCERTAIN),
        (Action.CANCEL, DEFERRED),
        (Action.RETRY, FAILED),
        (Action.NOW, DEFERRED),
    ],
)
def test_many_cost_as_many_statements_as_few(company, support, action, values):
    asked = []
    for count in (2, 2, 40):  # the first time something is looked up that is known then
        ids = write(company, [values] * count)
        with statements() as seen:
            assert bulk_actions.act(action, ids, support).changed == count
        asked.append(len(seen))
    assert asked[2] <= asked[1], Counter(seen).most_common(3)


def test_the_documents_of_many_are_asked_about_at_once(company, customer, seller, support):
    asked = []
    for count in (2, 2, 20):
        values = []
        for _ in range(count):
            quoted = orders.QuotationValues(
                customer.id, clock.day_in("UTC"), [LineValues("Lamp", Decimal(1), Decimal(5))]
            )
            document = orders.create_quotation(company, quoted, seller).document
            values.append({**FAILED, "document_id": document.id, "document_kind": document.kind})
        ids = write(company, values)
        with statements() as seen:
            assert bulk_actions.act(Action.RETRY, ids, support).changed == count
        asked.append(len(seen))
    assert asked[2] <= asked[1], Counter(seen).most_common(3)


def test_sending_many_again_can_be_called_back(app, company, client, monkeypatch):
    app.config["OUTBOX_UNDO_SECONDS"] = 10.0
    ids = write(company, [FAILED] * (MANY + 1))
    post(client, action="retry", id=ids)
    assert set(states()) == {MailState.FAILED}
    (run,) = db.session.scalars(select(BulkRun))
    assert "11 emails are about to be sent again." in client.get("/outbox/mails").text
    # A worker that comes too early waits.
    bulk_actions.work(run.id)
    assert set(states()) == {MailState.FAILED}
    client.post(f"/outbox/bulk/{run.id}/stop")
    assert "Called back: nothing was sent again." in client.get("/outbox/mails").text
    later = clock.now() + dt.timedelta(seconds=11)
    monkeypatch.setattr(clock, "now", lambda: later)
    bulk_actions.work(run.id)
    assert set(states()) == {MailState.FAILED}
    post(client, action="retry", id=ids[:MANY])
    assert states().count(MailState.QUEUED) == MANY


def test_ids_beyond_the_reach_are_left_out_silently(company, make_user, sign_in):
    other = save_company(None, {"name": "Other Ltd", "email": "x@other.example.com"})
    anna = make_user("salesperson")
    own = write(company, [{**FAILED, "submitted_by_id": anna.id}, FAILED])
    ids = own + write(other, [{**FAILED, "submitted_by_id": anna.id}])
    client = sign_in(anna)
    post(client, action="retry", id=[*ids, "nonsense", "-1", 10**30, 4711])
    assert states() == [MailState.QUEUED, MailState.FAILED, MailState.FAILED]
    assert "left" not in flashed(client).partition('id="flashes"')[2].partition("</div>")[0]
    post(client, action="retry", all=1)
    assert states() == [MailState.QUEUED, MailState.FAILED, MailState.FAILED]


def test_nonsense_is_refused_and_leads_nowhere_else(company, client):
    write(company, MIXED)
    assert post(client, action="nonsense", id=[1]).status_code == 400
    assert post(client, id=[1]).status_code == 400
    for back in ("https://evil.example/", "//evil.example", "/outbox/mailsx", ""):
        assert post(client, action="retry", back=back).location == "/outbox/mails"
    assert post(client, action="retry", back="/outbox/mails?f=failed").location == "/outbox/mails?f=failed"


def test_all_that_match_are_those_that_the_list_is_narrowed_to(company, client):
    write(company, [*MIXED, {**FAILED, "failure_kind": FailureKind.AUTH_FAILED}])
    post(client, "?kind=auth_failed", action="retry", all=1)
    assert states()[8] is MailState.QUEUED
    assert states()[0] is MailState.FAILED
    post(client, "?q=client1@", action="retry", all=1)
    assert states()[0] is MailState.QUEUED
    post(client, action="retry", all=1)
    # Whoever resends "all" does not mean what somebody has stopped.
    assert states()[4] is MailState.CANCELED
    post(client, "?state=canceled", action="retry", all=1)
    assert states()[4] is MailState.QUEUED
    assert states()[1] is MailState.UNCERTAIN


def test_many_are_worked_off_step_by_step(company, support, client, steps_of):
    steps_of(3)
    write(company, [FAILED] * 7 + [UNCERTAIN])
    post(client, "?f=failed", action="retry", all=1)
    run = the_run()
    assert (run.total, run.changed, run.ended_at) == (8, 0, None)
    assert "Putting many emails on the queue" in flashed(client)
    assert f"/outbox/bulk/{run.id}" in flashed(client)  # the page can be left and come back to
    assert bulk_actions._step(run.id)
    assert (the_run().changed, states().count(MailState.QUEUED)) == (3, 3)
    later = write(company, [FAILED])
    bulk_actions.work(run.id)
    run = the_run()
    assert (run.changed, run.left_uncertain, run.left_other, run.error) == (7, 1, 0, "")
    assert run.ended_at is not None
    assert db.session.get_one(OutgoingMail, later[0]).state is MailState.FAILED  # came after it was asked for
    html = client.get(f"/outbox/bulk/{run.id}").text
    assert "7 emails are in the queue again. 1 is uncertain" in html
    assert "hx-trigger" not in html  # nothing more to ask for


def test_many_ids_are_worked_off_the_same_way(company, client, steps_of):
    steps_of(2)
    ids = write(company, [FAILED] * 5)
    post(client, action="retry", id=ids[1:])
    bulk_actions.work(the_run().id)
    assert states() == [MailState.FAILED, *[MailState.QUEUED] * 4]


def test_a_run_is_stopped_by_its_owner_alone(company, client, make_user, sign_in, steps_of):
    steps_of(2)
    write(company, [FAILED] * 6)
    post(client, "?f=failed", action="retry", all=1)
    run = the_run()
    bulk_actions._step(run.id)
    other = sign_in(make_user("administrator"))
    assert other.get(f"/outbox/bulk/{run.id}").status_code == 404
    assert other.post(f"/outbox/bulk/{run.id}/stop").status_code == 404
    assert the_run().ended_at is None
    client.post(f"/outbox/bulk/{run.id}/stop")
    bulk_actions.work(run.id)
    assert the_run().stopped
    assert states().count(MailState.QUEUED) == 2
    assert "Stopped." in client.get(f"/outbox/bulk/{run.id}").text
    assert client.get("/outbox/bulk/4711").status_code == 404


def test_a_run_goes_on_after_its_job_was_lost(company, support, steps_of, monkeypatch):
    steps_of(2)
    write(company, [FAILED] * 5)
    run = bulk_actions.act_on_all(Action.RETRY, Criteria("", ("failed",)), support)
    assert isinstance(run, BulkRun)
    bulk_actions._step(run.id)  # then the worker is killed, and the queue emptied
    asked = []
    monkeypatch.setattr(bulk_actions, "enqueue_after_commit", lambda *job: asked.append(job))
    assert bulk_actions.resume_lost() == 0  # somebody may be working on it
    monkeypatch.setattr(clock, "now", lambda: dt.datetime.now(dt.UTC) + dt.timedelta(minutes=2))
    assert bulk_actions.resume_lost() == 1
    assert bulk_actions.resume_lost() == 0  # asked for once
    assert asked == [("outbox.bulk", run.id)]
    bulk_actions.work(run.id)
    assert states() == [MailState.QUEUED] * 5


def test_two_workers_on_one_run_do_nothing_twice(company, support, steps_of, monkeypatch):
    steps_of(2)
    write(company, [FAILED] * 6)
    run = bulk_actions.act_on_all(Action.RETRY, Criteria("", ("failed",)), support)
    real, calls = bulk_actions.act, []
    monkeypatch.setattr(
        bulk_actions, "act", lambda action, ids, by: (calls.append(ids), real(action, ids, by))[1]
    )
    while bulk_actions._step(run.id) or bulk_actions._step(run.id):
        pass
    assert sorted(mail_id for ids in calls for mail_id in ids) == [1, 2, 3, 4, 5, 6]


def test_a_run_keeps_to_the_reach_that_its_owner_has_by_now(company, make_user, steps_of):
    steps_of(2)
    anna = make_user("support")
    write(company, [FAILED] * 5)
    run = bulk_actions.act_on_all(Action.RETRY, Criteria("", ("failed",)), anna)
    bulk_actions._step(run.id)
    with transaction():
        anna.roles = []
    bulk_actions.work(run.id)
    assert the_run().error == bulk_actions.NOT_ANY_MORE
    assert states().count(MailState.QUEUED) == 2


def test_an_error_ends_a_run_and_keeps_what_was_done(company, support, client, steps_of, monkeypatch):
    steps_of(2)
    write(company, [FAILED] * 5)
    run = bulk_actions.act_on_all(Action.RETRY, Criteria("", ("failed",)), support)
    bulk_actions._step(run.id)

    def fail(*_arguments):
        raise EnvoiError("something")

    monkeypatch.setattr(bulk_actions, "act", fail)
    bulk_actions.work(run.id)
    assert the_run().error == bulk_actions.FAILED
    assert states().count(MailState.QUEUED) == 2
    assert "Stopped by an error" in client.get(f"/outbox/bulk/{run.id}").text


def test_days_do_not_move_on_while_a_run_lasts(support, monkeypatch):
    monkeypatch.setattr(clock, "now", lambda: dt.datetime(2026, 3, 9, 12, tzinfo=dt.UTC))
    kept = json.loads(bulk_actions._kept(support, Criteria("x", ("failed", "today"), {"server": "3"})))
    assert kept == {
        "search": "x",
        "filters": ["failed"],
        "facets": {"server": "3", "period": "2026-03-09..2026-03-09"},
    }
    kept = json.loads(bulk_actions._kept(support, Criteria("", (), {"period": "7d"})))
    assert kept["facets"] == {"period": "2026-03-03.."}


def test_the_sentence_says_what_became_of_them():
    words = sentence(Action.RETRY, Done(changed=2, uncertain=1, outdated=3, why={Left.ARRIVED: 1}))
    assert words.startswith("2 emails are in the queue again. 1 is uncertain")
    assert "3 no longer say what their documents say" in words
    assert words.endswith("1 has been sent already.")


def test_the_sweep_asks_again_for_a_run_that_nobody_works_on(app, monkeypatch):
    asked: list[bool] = []
    monkeypatch.setattr(bulk_actions, "resume_lost", lambda: asked.append(True))
    sweep()
    assert asked == [True]
