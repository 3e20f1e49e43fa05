"""A mail that no longer says what its document says reaches nobody, whichever button is pressed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal

import pytest
from click.testing import CliRunner
from sqlalchemy import delete

from core import cli, clock
from core.db import db, transaction
from core.mail.outcomes import FailureKind
from core.web.listing import Criteria
from modules.outbox import service
from modules.outbox.delivery.run import deliver
from modules.outbox.delivery.sweep import sweep
from modules.outbox.mail_list import bulk_actions
from modules.outbox.mail_list.bulk_actions import Action, Done
from modules.outbox.models import OutgoingMail
from modules.outbox.states import MailState
from modules.sales.models import Line, Order
from modules.sales.service import orders
from modules.sales.service.lines import LineValues
from tests.outbox.conftest import draft
from tests.outbox.mails import become, refused
from tests.outbox.test_views_actions import buttons, press

pytestmark = pytest.mark.smtp

SENTENCE = "no longer says what the document says"


def change(order: Order) -> None:
    """Somebody else writes 99 instead of 2."""
    lines = [LineValues("Lamp", Decimal(99), Decimal("50.00"))]
    orders.change_quotation(
        order, orders.QuotationValues(order.document.partner_id, order.document.date, lines), None
    )


CHANGES = [change, orders.confirm, orders.cancel]


@pytest.fixture
def order(quotation) -> Order:
    return db.session.get_one(Order, quotation.id)


@pytest.fixture
def write(company, quotation, seller) -> Callable[..., OutgoingMail]:
    """Submit a mail about the quotation."""

    def submit(*addresses: str, **values: object) -> OutgoingMail:
        made = draft(company, *addresses, document=quotation)
        return service.submit(made, seller, **values)

    return submit


@pytest.fixture
def browser(seller, sign_in):
    return sign_in(seller)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("what", ["resend", "send-now"])
def test_a_mail_whose_document_has_changed_is_not_retried(browser, write, order, lab, server, change, what):
    mail = write("one@example.com", not_before=clock.now() + dt.timedelta(hours=1))
    change(order)
    service.release_due([mail.id])
    become(mail, next_attempt_at=clock.now() - dt.timedelta(seconds=1), state=MailState.QUEUED)
    deliver([mail.id])
    become(mail)
    assert (mail.state, mail.failure_kind) == (MailState.FAILED, FailureKind.DOCUMENT_CHANGED)
    offered = buttons(browser, mail)
    assert "Send again" not in offered
    assert "Send now" not in offered
    assert ("Write anew" in offered) is (change is not orders.cancel)
    assert SENTENCE in press(browser, mail, what)
    deliver([mail.id])
    assert (become(mail).state, lab.accepted) == (MailState.FAILED, [])


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("state", [MailState.SCHEDULED, MailState.DEFERRED, MailState.CANCELED])
def test_what_waits_or_was_canceled_is_not_sent_now(browser, write, order, lab, change, state):
    mail = become(write("one@example.com"), state=state, next_attempt_at=clock.now() + dt.timedelta(hours=1))
    change(order)
    assert not {"Send again", "Send now"} & set(buttons(browser, mail))
    for what in ("resend", "send-now"):
        assert SENTENCE in press(browser, mail, what)
    assert become(mail).state is state
    assert service.resend([mail.id]) == service.retry_now([mail.id]) == []


@pytest.mark.parametrize("change", CHANGES)
def test_whoever_did_not_get_it_gets_no_older_state_than_the_document_has(
    browser, write, order, lab, server, change
):
    mail = write("ann@example.com", "refused+bob@example.com")
    deliver([mail.id])
    assert become(mail).state is MailState.PARTIAL
    change(order)
    path = f"recipients/{mail.recipients[1].id}"
    words = press(browser, mail, path, address="bob@example.com", resend="1")
    assert SENTENCE in words
    assert become(mail).state is MailState.PARTIAL
    assert [message.recipients for message in lab.accepted] == [("ann@example.com",)]


def test_what_has_begun_to_arrive_arrives_at_the_others_by_itself(write, order, lab, server, monkeypatch):
    mail = write("ann@example.com", "later+bob@example.com")
    deliver([mail.id])
    assert (become(mail).state, mail.accepted_count) == (MailState.DEFERRED, 1)
    change(order)
    later = clock.now() + dt.timedelta(hours=2)
    monkeypatch.setattr(clock, "now", lambda: later)
    sweep()
    deliver([mail.id])
    assert become(mail).failure_kind is not FailureKind.DOCUMENT_CHANGED
    assert mail.attempts == 2


@pytest.mark.parametrize("change", CHANGES)
def test_what_nobody_has_is_not_tried_again_by_itself(write, order, lab, server, monkeypatch, change):
    mail = write("later+bob@example.com")
    deliver([mail.id])
    assert become(mail).state is MailState.DEFERRED
    change(order)
    later = clock.now() + dt.timedelta(hours=2)
    monkeypatch.setattr(clock, "now", lambda: later)
    sweep()
    deliver([mail.id])
    assert (become(mail).state, mail.failure_kind) == (MailState.FAILED, FailureKind.DOCUMENT_CHANGED)


@pytest.mark.parametrize("change", CHANGES)
def test_a_mail_that_leaves_at_once_is_asked_about_as_well(write, order, lab, server, change):
    mail = write("one@example.com")
    change(order)
    deliver([mail.id])
    assert (become(mail).state, mail.failure_kind) == (MailState.FAILED, FailureKind.DOCUMENT_CHANGED)
    assert lab.accepted == []


def test_of_many_those_that_documents_have_left_behind_are_counted_and_left(
    write, send, order, make_user, seller, sign_in
):
    old, waiting = refused(write("one@example.com")), become(write("b@example.com"), state=MailState.DEFERRED)
    other = refused(send("two@example.com", by=seller))
    change(order)
    support = make_user("support", login="support@maison.example.com")
    done = bulk_actions.act(Action.RETRY, [old.id, waiting.id, other.id], support)
    assert done == Done(changed=1, outdated=2)
    assert (become(old).state, become(waiting).state) == (MailState.FAILED, MailState.DEFERRED)
    assert become(other).state is MailState.QUEUED
    page = sign_in(support).post(
        "/outbox/mails/bulk",
        data={"action": "retry", "id": [old.id, waiting.id]},
        follow_redirects=True,
    )
    assert "2 no longer say what their documents say" in page.text
    bulk_actions.act_on_all(Action.NOW, Criteria("", (), {}), support)
    assert become(waiting).state is MailState.DEFERRED


def test_the_command_line_tells_of_them(app, monkeypatch, write, order):
    monkeypatch.setattr(cli, "_application", [app])
    mail = refused(write("one@example.com"))
    change(order)
    result = CliRunner().invoke(cli.cli, ["outbox", "retry", str(mail.id)])
    assert result.output.splitlines() == [
        "0 of 1 on the queue again.",
        "1 no longer say what their documents say: write those anew.",
    ]


@pytest.mark.parametrize("change", CHANGES)
def test_the_document_tells_of_a_mail_that_it_has_left_behind_and_offers_to_take_it_back(
    browser, write, order, quotation, change
):
    mail = write("one@example.com", not_before=clock.now() + dt.timedelta(hours=1))
    words = "An email waits that shows this document as it was before it was changed."
    page = f"/sales/orders/{quotation.id}"
    assert words not in browser.get(page).text
    change(order)
    html = browser.get(page, follow_redirects=True).text
    assert words in html
    assert "it will not be sent" in html
    verb = "cancel" if change is orders.cancel else "undo"
    assert f'action="/outbox/mails/{mail.id}/{verb}"' in html
    answer = browser.post(f"/outbox/mails/{mail.id}/{verb}", data={"back": "document"})
    assert answer.location.startswith("/documents/" if verb == "cancel" else "/outbox/compose")
    assert become(mail).state is MailState.CANCELED
    assert words not in browser.get(page, follow_redirects=True).text


def test_whose_mail_it_is_is_named_to_whom_may_not_take_it_back(sign_in, make_user, write, order, quotation):
    write("one@example.com", not_before=clock.now() + dt.timedelta(hours=1))
    change(order)
    colleague = sign_in(make_user(login="colleague@maison.example.com"))
    html = colleague.get(f"/sales/orders/{quotation.id}", follow_redirects=True).text
    assert "An email waits that shows this document" in html
    assert "who sent it." in html
    assert "Take the email back" not in html


def test_a_document_that_is_gone_has_no_mail_that_can_be_sent_again(browser, write, order, quotation):
    mail = refused(write("one@example.com"))
    with transaction() as session:
        session.execute(delete(Line).where(Line.document_id == quotation.id))
        session.delete(order)
        session.flush()
        session.delete(quotation)
    assert become(mail).document_id is None
    assert not {"Send again", "Send now"} & set(buttons(browser, mail))
    assert service.resend([mail.id]) == []
