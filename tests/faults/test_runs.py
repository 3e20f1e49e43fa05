"""A run of many documents while its workers are killed and its queue is emptied: each goes once, and none is lost."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from flask import Flask
from sqlalchemy import func, select, update

from core import clock, jobs
from core.auth.models import User
from core.companies.models import Company
from core.db import db, transaction
from core.documents.models import Document
from core.partners.models import Partner
from core.partners.service import save_partner
from core.registry import current_registry
from core.selection import Selection
from core.testing.services import SmtpLab
from modules.mail_config.models import MailServer
from modules.outbox.delivery import sweep as sweeping
from modules.outbox.models import ItemState, OutgoingMail, Run, RunItem, RunState
from modules.outbox.runs import service, work
from modules.sales.service import orders
from modules.sales.service.lines import LineValues
from tests.outbox.processes import Worker, acceptances, eventually, sweep

pytestmark = [pytest.mark.smtp, pytest.mark.both_databases]

LINES = [LineValues("Lamp", Decimal(2), Decimal("50.00"))]


def _counts(run_id: int) -> tuple[int, RunState]:
    """Return how many documents of a run have a mail, and the state of the run."""
    db.session.rollback()
    written = db.session.scalar(
        select(func.count()).where(RunItem.run_id == run_id, RunItem.state == ItemState.SUBMITTED)
    )
    state = db.session.get_one(Run, run_id, populate_existing=True).state
    db.session.rollback()
    return written or 0, state


def _asked_again(run_id: int) -> tuple[int, RunState]:
    with transaction() as session:
        # As if the half minute had passed after which a run counts as lost.
        session.execute(
            update(Run).where(Run.id == run_id).values(touched_at=clock.now() - work.LOST_AFTER * 2)
        )
    sweep()
    return _counts(run_id)


def test_workers_are_killed_in_the_middle_of_a_run_and_the_queue_is_emptied(
    app: Flask,
    company: Company,
    lab: SmtpLab,
    server: MailServer,
    make_user: Callable[..., User],
    hire: Callable[..., Worker],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    count = 100 if db.engine.dialect.name == "sqlite" else 50
    monkeypatch.setattr(sweeping, "GRACE", sweeping.GRACE * 0)
    monkeypatch.setattr(sweeping, "LONG_QUEUE", 10_000)
    seller = make_user()
    customers: list[Partner] = [
        save_partner(None, {"name": f"Customer {n}", "email": f"c{n}@example.com", "language": "en"})
        for n in range(count)
    ]
    for customer in customers:
        orders.create_quotation(
            company, orders.QuotationValues(customer.id, clock.day_in("UTC"), LINES), seller
        )
    run = service.prepare(Selection(current_registry().lists["sales.quotations"], None), seller)
    while not work.look(run.id, 100):
        pass
    run_id = run.id
    service.start(run, seller)

    first = hire()
    eventually(lambda: _counts(run_id)[0] >= work.WRITTEN_AT, "some mails are written", pause=0.005)
    first.kill()
    first.end_connections()
    jobs.queue_for(app).empty()
    before = _counts(run_id)[0]
    assert before

    second = hire()
    eventually(lambda: _asked_again(run_id) and len(lab.accepted) >= 10, "some are accepted", pause=0.2)
    second.kill()
    second.end_connections()
    jobs.queue_for(app).empty()

    hire()
    eventually(lambda: _asked_again(run_id) == (count, RunState.DONE), "the run has ended", pause=0.3)

    mails = list(db.session.scalars(select(OutgoingMail).where(OutgoingMail.run_id == run_id)))
    documents = set(db.session.scalars(select(Document.id)))
    assert len(documents) == count
    # One mail for each document, and each mail of the run is some document's.
    assert {mail.document_id for mail in mails} == documents
    assert len(mails) == count
    assert set(db.session.scalars(select(RunItem.mail_id))) == {mail.id for mail in mails}
    # By the server's own record.
    taken = acceptances(lab)
    assert max(taken.values()) == 1
    by_id = dict(taken.keys())
    states = {mail.message_id: mail.state.value for mail in mails}
    assert set(by_id) <= set(states)
    assert {state for message_id, state in states.items() if message_id not in by_id} <= {"uncertain"}
    # What was in flight when a worker was killed, nobody sends again unasked; everybody else has it.
    uncertain = [message_id for message_id, state in states.items() if state == "uncertain"]
    assert len(uncertain) <= 2 * 8
    assert all(state in {"sent", "uncertain"} for state in states.values())
    assert len(set(by_id.values())) >= count - len(uncertain)
