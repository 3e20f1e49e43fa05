"""A mail that waits: changed, left as it was, moved; it and what takes its place never both leave."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from core import clock
from core.auth.models import User
from core.companies.models import Company
from core.db import db
from core.documents.models import Document
from core.errors import UserError
from core.mail.draft import RecipientField
from modules.outbox import service
from modules.outbox.delivery.claims import claim
from modules.outbox.delivery.sweep import sweep
from modules.outbox.models import OutgoingMail
from modules.outbox.service.waiting import HOLD
from modules.outbox.states import MailState
from tests.outbox.conftest import draft, with_file
from tests.outbox.mails import accepted, become, recipient_becomes
from tests.outbox.pages import changed, composer_of, press_send

SOON = dt.timedelta(hours=3)


@pytest.fixture
def browser(seller: User, sign_in: Callable[[User], FlaskClient]) -> FlaskClient:
    return sign_in(seller)


def waiting(company: Company, by: User, **changes: Any) -> OutgoingMail:
    made = with_file(draft(company, "ann@example.com", "Bob <bob@example.com>", **changes), "plan.txt")
    return service.submit(made, by, not_before=clock.now() + SOON)


def change(browser: FlaskClient, mail: OutgoingMail, **data: object) -> str:
    """Press Change, and return the address of the composer that opens."""
    response = browser.post(f"/outbox/mails/{mail.id}/change", data=data)
    assert response.status_code == 302
    return str(response.location)


def mails() -> list[OutgoingMail]:
    db.session.rollback()
    return list(db.session.scalars(select(OutgoingMail).order_by(OutgoingMail.id)))


@pytest.mark.parametrize("about", [False, True], ids=["no document", "a document"])
def test_it_opens_as_it_was_and_what_is_saved_takes_its_place(
    browser: FlaskClient, company: Company, seller: User, quotation: Document, about: bool
) -> None:
    mail = waiting(company, seller, document=quotation if about else None)
    recipient_becomes(mail, 1, field=RecipientField.CC)
    assert f"/outbox/mails/{mail.id}/change" in browser.get(f"/outbox/mails/{mail.id}").text
    address = change(browser, mail)
    form = composer_of(browser.get(address).text)
    assert form["subject"] == "A subject"
    assert form["body"] == "<div>Hello <strong>you</strong></div>"
    assert form.getlist("cc") == ["Bob <bob@example.com>"]
    assert form["send_at"]
    response = press_send(browser, address, changed(form, subject="Another"))
    former, new = mails()
    assert response.location == f"/outbox/mails/{new.id}"
    assert (former.state, former.replaced_by_id) == (MailState.CANCELED, new.id)
    assert (new.state, new.subject) == (MailState.SCHEDULED, "Another")
    assert abs(new.not_before - former.not_before) < dt.timedelta(minutes=1)  # type: ignore[operator]
    assert [row.name for row in new.attachments if not row.generated] == ["plan.txt"]
    assert [(row.addr_spec, row.field) for row in new.recipients] == [
        ("ann@example.com", RecipientField.TO),
        ("bob@example.com", RecipientField.CC),
    ]
    page = browser.get(f"/outbox/mails/{former.id}").text
    assert f'href="/outbox/mails/{new.id}"' in page
    # Pressed twice.
    assert press_send(browser, address, changed(form, subject="Another")).location == response.location
    assert len(mails()) == 2


@pytest.mark.both_databases
@pytest.mark.parametrize("later", [False, True])
def test_left_without_saving_it_goes_back_to_its_place(company: Company, seller: User, later: bool) -> None:
    moment = clock.now() + SOON if later else None
    mail = service.submit(draft(company, "ann@example.com"), seller, not_before=moment)
    token = service.begin_change(mail.id, seller)
    assert claim([mail.id]) is None
    assert mail.state is MailState.SCHEDULED
    assert service.end_change(mail.id, seller, token=token)
    assert mail.state is (MailState.SCHEDULED if later else MailState.QUEUED)
    assert not service.end_change(mail.id, seller, token=token)
    if later:
        assert mail.next_attempt_at == moment
    else:
        assert claim([mail.id])


def test_a_browser_that_died_delays_it_and_no_more(
    company: Company, seller: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    mail = service.submit(draft(company, "ann@example.com"), seller)
    token = service.begin_change(mail.id, seller)
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now + HOLD / 2)
    service.prolong_change(mail.id, token, seller)
    monkeypatch.setattr(clock, "now", lambda: now + HOLD * 1.2)
    sweep()
    assert mails()[0].state is MailState.SCHEDULED
    monkeypatch.setattr(clock, "now", lambda: now + HOLD * 1.6)
    sweep()
    assert mails()[0].state is MailState.QUEUED
    # Still there, what is saved takes its place.
    new = service.replace(mail.id, token, draft(company, "ann@example.com"), seller)
    assert [row.state for row in mails()] == [MailState.CANCELED, MailState.QUEUED]
    assert new.id == mails()[1].id


def _claimed(mail: OutgoingMail, seller: User, other: User) -> None:
    service.retry_now([mail.id], by=seller)
    assert claim([mail.id])


def _sent(mail: OutgoingMail, seller: User, other: User) -> None:
    accepted(mail)


def _canceled(mail: OutgoingMail, seller: User, other: User) -> None:
    service.cancel([mail.id], by=other)


def _taken_over(mail: OutgoingMail, seller: User, other: User) -> None:
    service.begin_change(mail.id, other, take_over=True)


def _moved(mail: OutgoingMail, seller: User, other: User) -> None:
    service.reschedule(mail.id, clock.now() + SOON * 2, other)


@pytest.mark.both_databases
@pytest.mark.parametrize(
    ("meanwhile", "words"),
    [
        (_claimed, "on its way as it was"),
        (_sent, "on its way as it was"),
        (_canceled, "was canceled meanwhile"),
        (_taken_over, "Somebody else has gone on"),
        (_moved, "Somebody else has gone on"),
    ],
)
def test_who_comes_late_is_told_and_writes_nothing(
    company: Company, seller: User, make_user: Callable[..., User], meanwhile: Callable[..., None], words: str
) -> None:
    mail = waiting(company, seller)
    token = service.begin_change(mail.id, seller)
    meanwhile(mail, seller, make_user("administrator"))
    with pytest.raises(UserError) as refused:
        service.replace(mail.id, token, draft(company, "ann@example.com"), seller)
    assert words in str(refused.value)
    assert len(mails()) == 1


def test_the_composer_tells_who_came_late_and_keeps_what_they_wrote(
    browser: FlaskClient, company: Company, seller: User
) -> None:
    mail = waiting(company, seller)
    address = change(browser, mail)
    form = composer_of(browser.get(address).text)
    service.retry_now([mail.id], by=seller)
    assert claim([mail.id])
    response = press_send(browser, address, changed(form, subject="Too late for this"))
    assert response.status_code == 422
    assert "on its way as it was" in response.text
    assert 'value="Too late for this"' in response.text


def test_of_two_people_the_second_is_told_and_may_take_over(
    browser: FlaskClient, company: Company, seller: User, make_user: Callable[..., User], sign_in: Any
) -> None:
    mail = waiting(company, seller)
    mine = change(browser, mail)
    other = make_user("administrator")
    theirs = sign_in(other)
    assert change(theirs, mail) == f"/outbox/mails/{mail.id}"
    page = theirs.get(f"/outbox/mails/{mail.id}").text
    assert f"{seller.name} is changing" in page
    address = change(theirs, mail, take_over=1)
    form = composer_of(theirs.get(address).text)
    assert browser.get(mine).location == f"/outbox/mails/{mail.id}"
    assert press_send(theirs, address, changed(form, subject="Theirs")).status_code == 302
    assert [row.subject for row in mails() if row.state is not MailState.CANCELED] == ["Theirs"]
    # The beacon of the page that was left says nothing of the other's change.
    assert browser.post(f"/outbox/mails/{mail.id}/put-back", data={"token": mine[-32:]}).status_code == 302
    assert mails()[0].state is MailState.CANCELED


def test_what_somebody_has_already_is_not_changed(company: Company, seller: User) -> None:
    mail = become(waiting(company, seller), state=MailState.DEFERRED, accepted_count=1)
    for act in (
        lambda: service.begin_change(mail.id, seller),
        lambda: service.reschedule(mail.id, clock.now() + SOON, seller),
    ):
        with pytest.raises(UserError, match="have got this email already"):
            act()


@pytest.mark.both_databases
@pytest.mark.parametrize("state", [MailState.QUEUED, MailState.DEFERRED, MailState.SCHEDULED])
def test_it_is_moved_to_another_time(company: Company, seller: User, state: MailState) -> None:
    mail = become(waiting(company, seller), state=state, waits_for_server=state is MailState.DEFERRED)
    moment = clock.now() + SOON * 3
    service.reschedule(mail.id, moment, seller)
    (row,) = mails()
    assert (row.state, row.not_before, row.next_attempt_at) == (MailState.SCHEDULED, moment, moment)
    assert claim([mail.id]) is None
    for wrong in (clock.now() - SOON, clock.now() + dt.timedelta(days=400)):
        with pytest.raises(UserError):
            service.reschedule(mail.id, wrong, seller)


def test_the_page_moves_it_in_the_zone_of_the_reader(
    browser: FlaskClient, company: Company, seller: User
) -> None:
    mail = waiting(company, seller)
    seller.timezone = "Europe/Paris"
    db.session.commit()
    day = (clock.now() + dt.timedelta(days=40)).date()
    response = browser.post(f"/outbox/mails/{mail.id}/time", data={"not_before": f"{day}T08:00"})
    assert response.status_code == 302
    at = mails()[0].not_before
    assert at is not None
    assert at.hour in {6, 7}
    for wrong in ("", "yesterday", "2001-01-01T00:00"):
        browser.post(f"/outbox/mails/{mail.id}/time", data={"not_before": wrong})
        assert mails()[0].not_before == at


def test_only_whoever_may_decide_about_it_opens_it(
    company: Company,
    seller: User,
    quotation: Document,
    make_user: Callable[..., User],
    sign_in: Any,
    app: Flask,
) -> None:
    mail = waiting(company, seller, document=quotation)
    stranger = sign_in(make_user("cashier"))
    for path in ("change", "put-back", "time"):
        assert stranger.post(f"/outbox/mails/{mail.id}/{path}").status_code == 404
    assert mails()[0].edit_token is None
