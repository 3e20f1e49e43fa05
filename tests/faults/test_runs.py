"""Many documents sent together while web, workers and Redis are killed: each goes once, and the pages are true."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal

import pytest
from flask import Flask
from sqlalchemy import select

from core import clock
from core.auth.models import User
from core.companies.models import Company
from core.db import db
from core.partners.service import save_partner
from core.testing.services import RedisServer
from modules.mail_config.models import MailServer
from modules.outbox.delivery import sweep as sweeping
from modules.outbox.models import OutgoingMail
from modules.outbox.states import MailState
from modules.sales.service import orders
from modules.sales.service.lines import LineValues
from tests.faults.siege import LANES, Hesitant, Person, Siege, broken_promises, send_all_under_fire
from tests.outbox.conftest import make_ready, make_server
from tests.outbox.processes import Worker

pytestmark = [pytest.mark.smtp, pytest.mark.both_databases]

LINES = [LineValues("Lamp", Decimal(2), Decimal("50.00"))]
DOCUMENTS = 45
KILLS = 3


@pytest.fixture
def lab() -> Iterator[Hesitant]:
    with Hesitant() as lab:
        yield lab


@pytest.fixture
def server(lab: Hesitant, company: Company) -> MailServer:
    return make_ready(make_server(lab, connections=LANES))


def test_documents_sent_together_go_once_whatever_is_killed(
    app: Flask,
    company: Company,
    lab: Hesitant,
    server: MailServer,
    redis: RedisServer,
    make_user: Callable[..., User],
    hire: Callable[..., Worker],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The sweep of this process stands for the scheduler, in a hurry.
    monkeypatch.setattr(sweeping, "GRACE", sweeping.GRACE * 0)
    monkeypatch.setattr(sweeping, "ASK_AGAIN", sweeping.ASK_AGAIN / 60)
    monkeypatch.setattr(sweeping, "LONG_QUEUE", 10_000)
    users = make_user(), make_user("salesperson", "second@maison.example.com")
    for number in range(DOCUMENTS):
        if number % 6 in {0, 2, 5}:  # two documents of one customer, three of another one, one of a third
            customer = save_partner(
                None, {"name": f"Customer {number}", "email": f"c{number}@example.com", "language": "en"}
            )
        values = orders.QuotationValues(customer.id, clock.day_in("UTC"), LINES)
        orders.create_quotation(company, values, users[0])
    db.session.rollback()
    siege = Siege(app, hire, redis, lab, random.Random(7))  # noqa: S311 (no secret)
    siege.begin()
    people = Person(siege, users[0]), Person(siege, users[1])
    runs = send_all_under_fire(siege, people, DOCUMENTS, KILLS)
    assert broken_promises(siege, people, runs) == []
    # Only what was in flight when its worker died may be uncertain.
    states = Counter(db.session.scalars(select(OutgoingMail.state)))
    assert states[MailState.UNCERTAIN] <= LANES * (siege.kills["worker"] + siege.kills["redis"])
