"""A mail that is changed while a worker takes it, or by two people at once: one version leaves, the other is told."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest
from flask import Flask

from core import clock
from core.auth.models import User
from core.companies.models import Company
from core.db import db
from core.errors import UserError
from modules.outbox import service
from modules.outbox.delivery.claims import claim
from modules.outbox.models import OutgoingMail
from modules.outbox.states import MailState
from tests.at_once import at_once
from tests.outbox.conftest import draft

pytestmark = pytest.mark.both_databases

TURNS = 6


def test_who_saves_and_the_worker_that_takes_it_at_that_moment(
    app: Flask, company: Company, make_user: Callable[..., User]
) -> None:
    seller = make_user()
    seller_id = seller.id

    made = draft(company, "ann@example.com")

    def save(former: int, change: str) -> int:
        return service.replace(former, change, made, db.session.get_one(User, seller_id)).id

    for turn in range(TURNS):
        mail = service.submit(draft(company, "ann@example.com"), seller)
        change = service.begin_change(mail.id, seller)
        service.end_change(mail.id, seller, token=change)  # "Back", and forward again
        former = mail.id
        saved, taken = at_once(
            app,
            lambda former=former, change=change: save(former, change),
            lambda former=former: claim([former]),
        )
        state = db.session.get_one(OutgoingMail, former, populate_existing=True).state
        if isinstance(saved, UserError):
            assert (taken is not None, state) == (True, MailState.SENDING), turn
        else:
            assert (taken, state) == (None, MailState.CANCELED), turn
            assert db.session.get_one(OutgoingMail, saved).state is MailState.QUEUED


def test_two_people_who_open_it_at_once(app: Flask, company: Company, make_user: Callable[..., User]) -> None:
    ids = [make_user("administrator", login=f"a{number}@maison.example.com").id for number in range(3)]
    for _turn in range(TURNS):
        later = clock.now() + dt.timedelta(hours=1)
        mail_id = service.submit(draft(company, "ann@example.com"), None, not_before=later).id

        def change(user_id: int, mail_id: int = mail_id) -> str:
            return service.begin_change(mail_id, db.session.get_one(User, user_id))

        results = at_once(app, *(lambda number=number: change(number) for number in ids))
        opened = [result for result in results if isinstance(result, str)]
        assert len(opened) == 1, results
        assert sum(isinstance(result, UserError) for result in results) == len(ids) - 1
