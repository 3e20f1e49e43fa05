"""What goes by itself: written down when a document is issued, stopped in time, done once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask

from core import clock
from core.auth.models import User
from core.db import db, transaction
from core.documents.models import Document
from core.errors import UserError
from core.installation import service as installation
from core.installation.models import Sign
from core.partners.models import Partner
from core.partners.service import save_partner
from modules.distribution import dispatches as verbs
from modules.distribution.models import Rule
from modules.outbox import service as outbox
from modules.outbox.compose.draft import draft_for
from modules.outbox.models import OutgoingMail
from modules.outbox.restored import service as restored
from modules.sales.models import Invoice, Order
from modules.sales.service import invoices, orders
from tests.distribution.conftest import dispatches, states

pytestmark = pytest.mark.both_databases
MakeRule = Callable[..., Rule]
Post = Callable[..., Document]


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let some minutes pass."""
    now = clock.now

    def pass_by(minutes: int) -> None:
        monkeypatch.setattr(clock, "now", lambda: now() + dt.timedelta(minutes=minutes))

    return pass_by


def _mails() -> list[OutgoingMail]:
    db.session.rollback()
    return list(db.session.query(OutgoingMail).order_by(OutgoingMail.id))


def test_a_posted_invoice_goes_once_after_its_time_of_grace(
    app: Flask, contact: Partner, rule: MakeRule, posted: Post, later: Callable[[int], None]
) -> None:
    rule(kind="sales.invoice", function_codes=["FACT"], automatic=True, grace_minutes=15)
    document = posted()
    verbs.go()
    assert states() == [("mail", "due")]
    assert not _mails()
    later(16)
    verbs.go()
    verbs.go()
    (mail,) = _mails()
    assert (mail.document_id, [one.addr_spec for one in mail.recipients]) == (
        document.id,
        ["anna@example.com"],
    )
    assert [(row.state, row.mail_id) for row in dispatches()] == [("done", mail.id)]


def test_what_is_not_automatic_waits_for_a_person(app: Flask, rule: MakeRule, posted: Post) -> None:
    rule(to_main=True)
    posted()
    assert states() == []


def test_it_can_be_stopped_and_stays_stopped(
    app: Flask, rule: MakeRule, posted: Post, seller: User, later: Callable[[int], None]
) -> None:
    rule(to_main=True, automatic=True)
    posted()
    (row,) = dispatches()
    verbs.stop(row, seller)
    later(60)
    verbs.go()
    assert (states(), _mails()) == ([("mail", "stopped")], [])
    with pytest.raises(UserError):
        verbs.let_go(row, seller)


def test_what_is_asked_before_goes_when_a_person_says_so(
    app: Flask, rule: MakeRule, posted: Post, seller: User, later: Callable[[int], None]
) -> None:
    rule(to_main=True, automatic=True, ask_first=True)
    posted()
    later(600)
    verbs.go()
    assert states() == [("mail", "asked")]
    verbs.let_go(dispatches()[0], seller)
    verbs.go()
    assert (states(), len(_mails())) == ([("mail", "done")], 1)


def test_what_a_person_has_sent_meanwhile_does_not_go_again(
    app: Flask, rule: MakeRule, posted: Post, seller: User, later: Callable[[int], None]
) -> None:
    rule(to_main=True, automatic=True)
    document = posted()
    outbox.submit(draft_for(document, None, seller), seller)
    later(60)
    verbs.go()
    assert (states(), len(_mails())) == ([("mail", "stopped")], 1)


@pytest.mark.parametrize("what", ["paper", "customer", "user"])
def test_what_has_changed_before_it_is_due_holds_it_and_says_why(
    app: Flask,
    rule: MakeRule,
    posted: Post,
    customer: Partner,
    seller: User,
    later: Callable[[int], None],
    what: str,
) -> None:
    rule(to_main=True, automatic=True)
    posted()
    if what == "paper":
        rule(partner_id=customer.id, on_paper=True)
    elif what == "customer":
        save_partner(customer, {"active": False})
    else:
        with transaction():
            db.session.get_one(User, seller.id).active = False
    later(60)
    verbs.go()
    assert (states(), _mails()) == ([("mail", "held")], [])
    says = {"paper": "on paper", "customer": "is archived", "user": "may not send"}
    assert says[what] in dispatches()[0].detail


def test_an_order_confirmed_again_goes_again_and_what_waited_does_not(
    app: Flask, rule: MakeRule, quotation: Document, seller: User, later: Callable[[int], None]
) -> None:
    rule(kind="sales.order", to_main=True, automatic=True)
    order = db.session.get_one(Order, quotation.id)
    for _ in range(2):
        orders.confirm(order, seller)
        orders.cancel(order)
        orders.reopen(order)
    orders.confirm(order, seller)
    later(60)
    verbs.go()
    assert states() == [("mail", "stopped"), ("mail", "stopped"), ("mail", "done")]


def test_in_a_restored_copy_a_person_decides_about_each(
    app: Flask, rule: MakeRule, posted: Post, seller: User
) -> None:
    rule(to_main=True, automatic=True, grace_minutes=0)
    posted()
    installation.hold_back(Sign.TOLD)
    verbs.go()
    assert (states(), _mails()) == ([("mail", "asked")], [])
    assert "restored" in dispatches()[0].detail
    restored.decide(None, seller)
    verbs.go()
    assert _mails() == []
    verbs.let_go(dispatches()[0], seller)
    verbs.go()
    assert (states(), len(_mails())) == ([("mail", "done")], 1)


def test_a_posting_that_is_rolled_back_leaves_nothing(
    app: Flask, rule: MakeRule, draft_invoice: Callable[..., Invoice], seller: User
) -> None:
    rule(to_main=True, automatic=True)
    invoice = draft_invoice()

    def post_and_fail() -> None:
        with transaction():
            invoices.post(invoice, seller)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        post_and_fail()
    assert states() == []


def test_paper_waits_and_the_archive_is_written(
    app: Flask, rule: MakeRule, posted: Post, archive_dir: Path, later: Callable[[int], None]
) -> None:
    rule(
        on_paper=True,
        archived=True,
        archive_folder="{company}/{year}",
        archive_name="{number}",
        automatic=True,
    )
    document = posted()
    later(60)
    verbs.go()
    assert sorted(states()) == [("archive", "done"), ("paper", "due")]
    (file,) = [one for one in archive_dir.rglob("*") if one.is_file()]
    assert file.name == f"{document.number.replace('/', '-')}.pdf"
    assert file.read_bytes().startswith(b"%PDF-")
    assert file.parent.name == str(document.date.year)


def test_a_folder_that_is_away_holds_the_file_and_nothing_else(
    app: Flask, rule: MakeRule, posted: Post, archive_dir: Path, seller: User, later: Callable[[int], None]
) -> None:
    rule(to_main=True, archived=True, automatic=True)
    posted()
    archive_dir.rmdir()
    later(60)
    verbs.go()
    assert sorted(states()) == [("archive", "held"), ("mail", "done")]
    held = next(row for row in dispatches() if row.way == "archive")
    assert held.detail == "The folder of the archive is not there."
    archive_dir.mkdir()
    verbs.let_go(held, seller)
    verbs.go()
    assert sorted(states()) == [("archive", "done"), ("mail", "done")]
