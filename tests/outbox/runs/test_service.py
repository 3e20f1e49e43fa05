"""Runs: what is looked through and held, what is written once, paused, stopped, and told at the end."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from core import clock
from core.auth.models import User
from core.companies.models import Company
from core.companies.service import save_company
from core.db import db, transaction
from core.documents.models import Document
from core.errors import UserError
from core.followers.service import follow
from core.installation import service as installation
from core.installation.models import Sign
from core.mail.outcomes import FailureKind
from core.partners.merging import merge
from core.partners.models import Partner
from core.partners.service import save_contact, save_partner
from modules.mail_config.mail_templates.service import templates_for
from modules.mail_config.models import MailTemplate
from modules.outbox import service as mail_service
from modules.outbox.alert_rows import write_alerts
from modules.outbox.inbound.intake import take
from modules.outbox.mail_list.jobs import sweep
from modules.outbox.models import MAILS, Alert, Run, RunItem, RunState
from modules.outbox.privacy.person import erase
from modules.outbox.private_addresses import chosen_addresses
from modules.outbox.restored import service as restored
from modules.outbox.runs import filling, lines, looking, service, work, writing
from modules.outbox.runs.counts import counts_of
from modules.outbox.runs.service import preparing
from modules.outbox.service import submit as send_mail
from modules.outbox.states import MailState
from modules.sales.models import Order
from modules.sales.service import orders
from tests.at_once import at_once
from tests.outbox.coming_back import report
from tests.outbox.conftest import draft
from tests.outbox.mails import accepted
from tests.outbox.runs.conftest import items, mails, outcomes, prepared, select_quotations, written

pytestmark = pytest.mark.both_databases

Quote = Callable[..., Document]
MakePartner = Callable[..., Partner]


def _state(run: Run) -> RunState:
    db.session.rollback()
    return db.session.get_one(Run, run.id, populate_existing=True).state


def test_every_document_is_written_once_and_the_person_is_told(
    app: Flask, seller: User, quote: Quote, partner: MakePartner
) -> None:
    ids = [quote(partner()).id for _ in range(4)]
    run = prepared(seller, ids)
    assert outcomes(run) == ["ready"] * 4
    assert not mails()
    service.start(run, seller)
    service.start(run, seller)  # pressed twice
    assert [mail.document_id for mail in written(app, run)] == ids[::-1]  # in the order of the list
    assert outcomes(run) == ["submitted"] * 4
    assert {mail.submitted_by_id for mail in mails(run)} == {seller.id}
    assert len({item.mail_id for item in items(run)}) == 4
    assert _state(run) is RunState.RUNNING  # its mails are on their way
    _sent(run)
    work.work(run.id)
    assert _state(run) is RunState.DONE
    (alert,) = db.session.scalars(select(Alert).where(Alert.user_id == seller.id))
    assert (alert.run_id, alert.words) == (run.id, "Quotations: 4 – 4 emails were accepted.")
    work.work(run.id)
    assert len(mails()) == 4


def _sent(run: Run, state: MailState = MailState.SENT) -> None:
    """Let all mails of a run have left."""
    ids = [mail.id for mail in mails(run)]
    with transaction() as session:
        session.execute(update(MAILS).where(MAILS.c.id.in_(ids)).values(state=state))


def test_what_would_not_go_says_why(app: Flask, seller: User, quote: Quote, partner: MakePartner) -> None:
    nobody, several, one, out = partner(""), partner(""), partner(""), partner(consent="none")
    for number in range(5):
        save_contact(several, f"Contact {number}", f"contact{number}@example.com")
    save_contact(one, "Only", "only@example.com")
    documents = [quote(row) for row in (nobody, several, one, out)]
    canceled, sent = quote(partner()), quote(partner())
    orders.cancel(db.session.get_one(Order, canceled.id))
    first = prepared(seller, [sent.id])
    service.start(first, seller)
    written(app, first)
    run = prepared(seller, [*(row.id for row in documents), canceled.id, sent.id])
    assert outcomes(run) == [
        "no_address",
        "several_addresses",
        "ready",
        "opted_out",
        "not_sendable",
        "sent_before",
    ]
    assert items(run)[4].detail == "A canceled document is not sent."
    service.start(run, seller)
    assert [mail.document_id for mail in written(app, run)] == [documents[2].id]
    assert mails(run)[0].recipients[0].addr_spec == "only@example.com"


def test_a_customer_without_an_address_is_told_although_a_colleague_would_get_it(
    app: Flask, seller: User, quote: Quote, partner: MakePartner, make_user: Callable[..., User]
) -> None:
    document = quote(partner(""))
    follow(document.id, user_id=make_user("administrator").id, by=seller)
    run = prepared(seller, [document.id])
    assert outcomes(run) == ["no_address"]


def test_an_address_that_is_dead_is_told_before_and_mended_or_sent_all_the_same(
    app: Flask, company: Company, seller: User, quote: Quote, partner: MakePartner
) -> None:
    dead = accepted(send_mail(draft(company, "dead@example.com"), seller))
    take(report(dead, ("dead@example.com", "failed")))
    customer = partner("dead@example.com")
    run = prepared(seller, [quote(customer).id, quote(customer).id, quote(customer).id, quote(partner()).id])
    assert outcomes(run) == ["dead_address"] * 3 + ["ready"]
    first, _second, third, _fine = items(run)
    with app.test_request_context():
        (row,) = lines.rows_of(run, [first], seller)
    assert row.detail.startswith("An email to dead@example.com came back on")
    service.choose(first, ["dead@example.com"], seller)  # the same again is no other
    assert outcomes(run)[0] == "dead_address"
    service.choose(items(run)[0], ["alive@example.com"], seller)
    service.send_anyway(items(run)[1])
    assert outcomes(run) == ["ready", "ready", "dead_address", "ready"]
    service.start(run, seller)
    found = sorted(mail.recipients[0].addr_spec for mail in written(app, run))
    assert found[:2] == ["alive@example.com", "c1@example.com"]
    assert found[2:] == ["dead@example.com"]
    assert {mail.state for mail in mails(run)} == {MailState.QUEUED}
    assert third.id not in {item.id for item in items(run) if item.mail_id}


def test_an_address_that_dies_after_the_dry_run_is_held_when_it_is_written(
    app: Flask, company: Company, seller: User, quote: Quote, partner: MakePartner
) -> None:
    run = prepared(seller, [quote(partner("dead@example.com")).id])
    assert outcomes(run) == ["ready"]
    dead = accepted(send_mail(draft(company, "dead@example.com"), seller))
    take(report(dead, ("dead@example.com", "failed")))
    service.start(run, seller)
    assert not written(app, run)
    assert outcomes(run) == ["dead_address"]


def test_what_was_mended_elsewhere_is_looked_at_again(
    app: Flask, seller: User, quote: Quote, partner: MakePartner
) -> None:
    first, second, third = partner(""), partner(""), partner("")
    run = prepared(seller, [quote(row).id for row in (first, second, third)])
    for row in (first, second):
        save_partner(row, {"email": f"now{row.id}@example.com"})
    service.look_at_held(run, items(run)[0])
    assert outcomes(run) == ["ready", "no_address", "no_address"]
    service.look_at_held(run)
    assert outcomes(run) == ["ready", "ready", "no_address"]
    service.stop(run, seller)
    with pytest.raises(UserError):
        service.look_at_held(run)


def test_whoever_prepared_it_is_told_what_somebody_else_does_and_the_rest_can_be_sent(
    app: Flask,
    seller: User,
    quote: Quote,
    partner: MakePartner,
    make_user: Callable[..., User],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(writing, "WRITTEN_AT", 1)
    monkeypatch.setattr(work, "STEPS_A_JOB", 1)
    boss = make_user("administrator", name="Boss")
    run = prepared(seller, [quote(row).id for row in (partner(""), partner(), partner(""), partner())])
    service.choose(items(run)[0], ["typed@example.com"], seller)
    service.leave_out(items(run)[1])
    service.start(run, seller)
    work.work(run.id)  # the last of the list is the first to go
    _sent(run)
    service.pause(run, boss)
    service.go_on(run, boss)
    service.stop(run, boss)
    written(app, run)
    assert _state(run) is RunState.STOPPED
    told = db.session.scalars(select(Alert.words).where(Alert.user_id == seller.id).order_by(Alert.id))
    assert [words.partition(" – ")[2] for words in told] == [
        "Boss has paused it.",
        "Boss has continued it.",
        "Boss has stopped it. 1 email was accepted. 2 documents were not sent.",
    ]
    assert (run.acted_by, bool(run.acted_at)) == (boss, True)
    rest = service.send_rest(run, seller)
    assert outcomes(rest) == ["ready", "no_address"]
    assert chosen_addresses(items(rest)[0].encrypted_choice) == ["typed@example.com"]
    service.discard(rest)
    assert not db.session.scalars(select(RunItem).where(RunItem.run_id == rest.id)).all()
    for act in (lambda: service.discard(run), lambda: service.send_rest(prepared(seller), seller)):
        with pytest.raises(UserError):
            act()
    # The addresses are kept as long as a draft.
    later = clock.now() + work.KEEP_DRAFTS + dt.timedelta(days=1)
    monkeypatch.setattr(clock, "now", lambda: later)
    work.forget_drafts()
    assert all(item.encrypted_choice is None for item in items(run))


def test_what_fails_in_a_batch_is_told_once_at_its_end(
    app: Flask, seller: User, quote: Quote, partner: MakePartner, make_user: Callable[..., User]
) -> None:
    document = quote(partner())
    colleague = make_user("salesperson", login="colleague@example.com")
    follow(document.id, user_id=colleague.id, by=seller)
    run = prepared(seller, [document.id])
    service.start(run, seller)
    (mail,) = written(app, run)
    with transaction() as session:
        write_alerts(session, mail.id, FailureKind.MAILBOX_FULL, "")
    told = select(Alert.user_id).where(Alert.mail_id == mail.id)
    assert list(db.session.scalars(told)) == [colleague.id]
    _sent(run, MailState.FAILED)
    work.work(run.id)
    (alert,) = db.session.scalars(select(Alert).where(Alert.user_id == seller.id))
    assert alert.words == "Quotations: 1 – 0 emails were accepted. 1 was not."
    with transaction() as session:  # one that comes back later
        write_alerts(session, mail.id, FailureKind.MAILBOX_FULL, "")
    assert set(db.session.scalars(told)) == {colleague.id, seller.id}


def test_what_was_not_accepted_is_offered_again_and_nothing_else(
    app: Flask, seller: User, quote: Quote, partner: MakePartner
) -> None:
    ids = [quote(partner()).id for _ in range(3)]
    run = prepared(seller, ids)
    service.start(run, seller)
    first, second, third = written(app, run)
    with transaction() as session:
        session.execute(update(MAILS).where(MAILS.c.id == first.id).values(state=MailState.SENT))
        session.execute(update(MAILS).where(MAILS.c.id == second.id).values(state=MailState.FAILED))
        session.execute(update(MAILS).where(MAILS.c.id == third.id).values(state=MailState.UNCERTAIN))
    assert outcomes(prepared(seller, ids)) == ["sent_before", "ready", "sent_before"]
    assert service.resend_failed(run, seller) == 1
    assert [mail.state for mail in mails(run)] == [MailState.SENT, MailState.QUEUED, MailState.UNCERTAIN]


def test_an_address_typed_on_the_spot_is_used_once_or_kept(
    app: Flask, seller: User, quote: Quote, partner: MakePartner
) -> None:
    nobody, other = partner(""), partner("")
    ids = [quote(nobody).id, quote(nobody).id, quote(other).id]
    run = prepared(seller, ids)
    assert outcomes(run) == ["no_address"] * 3
    with pytest.raises(UserError):
        service.choose(items(run)[2], ["not an address"], seller)
    service.choose(items(run)[2], ["once@example.com"], seller)
    assert chosen_addresses(items(run)[2].encrypted_choice) == ["once@example.com"]
    assert b"once" not in (items(run)[2].encrypted_choice or b"")
    # Kept with the customer, it helps the other document of the same one.
    service.choose(items(run)[0], ["kept@example.com"], seller, keep=True)
    assert outcomes(run) == ["ready"] * 3
    assert (db.session.get_one(Partner, nobody.id).email, db.session.get_one(Partner, other.id).email) == (
        "kept@example.com",
        "",
    )
    service.start(run, seller)
    assert [mail.recipients[0].addr_spec for mail in written(app, run)] == [
        "once@example.com",
        "kept@example.com",
        "kept@example.com",
    ]
    assert all(item.encrypted_choice is None for item in items(run))


def test_rows_are_left_out_and_taken_back_in(
    app: Flask, seller: User, quote: Quote, partner: MakePartner
) -> None:
    run = prepared(seller, [quote(partner()).id for _ in range(3)])
    service.leave_out(items(run)[0])
    service.leave_out(items(run)[1])
    service.leave_out(items(run)[1], out=False)
    assert outcomes(run) == ["left_out", "ready", "ready"]
    service.start(run, seller)
    assert len(written(app, run)) == 2
    with pytest.raises(UserError):
        service.leave_out(items(run)[1])


def test_a_document_that_changes_after_the_dry_run_is_told_and_not_sent(
    app: Flask, seller: User, quote: Quote, partner: MakePartner
) -> None:
    changed, gone, same = quote(partner()), quote(partner()), quote(partner())
    run = prepared(seller, [changed.id, gone.id, same.id])
    with transaction() as session:
        session.get_one(Order, changed.id).note = "Another note"
    service.start(run, seller)
    with transaction() as session:
        session.execute(update(RunItem).where(RunItem.document_id == gone.id).values(document_id=None))
    assert [mail.document_id for mail in written(app, run)] == [same.id]
    assert sorted(outcomes(run)) == ["changed", "gone", "submitted"]
    held = next(item for item in items(run) if item.document_id == changed.id)
    service.send_anyway(held)  # what it says now
    assert changed.id in [mail.document_id for mail in written(app, run)]


def test_a_customer_that_loses_its_address_meanwhile_is_told(
    app: Flask, seller: User, quote: Quote, partner: MakePartner
) -> None:
    lost, archived = partner(), partner()
    documents = [quote(lost), quote(archived)]
    run = prepared(seller, [row.id for row in documents])
    service.start(run, seller)
    save_partner(lost, {"email": ""})
    save_partner(archived, {"active": False})
    assert not written(app, run)
    assert outcomes(run) == ["no_address", "several_addresses"]  # an archived one is asked about


@pytest.mark.both_databases
def test_a_process_that_dies_while_it_prepares_loses_nothing_of_what_was_selected(
    app: Flask, seller: User, quote: Quote, partner: MakePartner, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [quote(partner()).id for _ in range(5)]
    monkeypatch.setattr(filling, "ADDED_AT_ONCE", 2)

    def die(*_args: Any) -> None:
        raise KeyboardInterrupt  # as a kill between two transactions

    with monkeypatch.context() as half:
        half.setattr(looking, "look", die)
        with pytest.raises(KeyboardInterrupt):
            service.prepare(select_quotations(ids), seller)
    db.session.rollback()
    run = db.session.scalars(select(Run)).one()
    counts = counts_of(run.id)
    assert (counts.total, counts.of("unchecked")) == (5, 5)  # the page says how far it is
    while not looking.look(run.id, 100):
        pass
    assert outcomes(run) == ["ready", "ready"]
    with pytest.raises(UserError, match="being looked through"):
        service.start(run, seller)  # a part does not pass for the whole
    with transaction() as session:
        session.execute(update(Run).values(touched_at=clock.now() - dt.timedelta(minutes=5)))
    assert work.resume_lost() == 1
    # Two workers go on at once; and what is gone since is not counted.
    with transaction():
        db.session.get_one(Run, run.id).to_add = filling.packed([*ids[:2], 999_999])
    assert at_once(app, *[partial(work.work, run.id)] * 2) == [None, None]
    assert {item.document_id for item in items(run)} == {*ids[:2], *ids[3:]}  # newest first
    assert outcomes(run) == ["ready"] * 4
    assert counts_of(run.id).total == db.session.get_one(Run, run.id).item_count == 4
    service.start(run, seller)


def _merged(customer: Partner, other: Partner, by: User, document: Document) -> None:
    merge(other.id, customer.id, by)


def _moved(customer: Partner, other: Partner, by: User, document: Document) -> None:
    save_partner(customer, {"email": "moved@example.com"})


def _followed(customer: Partner, other: Partner, by: User, document: Document) -> None:
    follow(document.id, partner_id=other.id, by=by)


@pytest.mark.parametrize("fate", [_merged, _moved, _followed])
def test_who_would_get_it_is_who_was_shown(
    app: Flask,
    seller: User,
    quote: Quote,
    partner: MakePartner,
    make_user: Callable[..., User],
    fate: Callable[..., None],
) -> None:
    customer, other = partner(), partner()
    document, same = quote(customer), quote(partner())
    run = prepared(seller, [document.id, same.id])
    service.start(run, seller)
    fate(customer, other, make_user("administrator"), document)
    assert [mail.document_id for mail in written(app, run)] == [same.id]
    held = items(run)[0]
    assert outcomes(run)[0] in {"recipients_changed", "changed"}
    service.send_anyway(held)  # to whom it goes now
    (made,) = [mail for mail in written(app, run) if mail.document_id == document.id]
    addresses = {row.addr_spec for row in made.recipients}
    assert addresses & {other.email, "moved@example.com"}


def test_a_yes_belongs_to_its_question(app: Flask, seller: User, quote: Quote, partner: MakePartner) -> None:
    customer = partner()
    document = quote(customer)
    first = prepared(seller, [document.id])
    service.start(first, seller)
    written(app, first)
    run = prepared(seller, [document.id])
    assert outcomes(run) == ["sent_before"]
    save_partner(customer, {"consent": "none"})
    service.send_anyway(items(run)[0])  # once more; of the consent nobody has said a word
    assert outcomes(run) == ["opted_out"]
    service.send_anyway(items(run)[0])
    assert outcomes(run) == ["ready"]


@pytest.mark.parametrize("again", ["opted_out", "changed"])
def test_a_document_that_has_changed_is_looked_through_as_any_other(
    app: Flask, seller: User, quote: Quote, partner: MakePartner, again: str
) -> None:
    customer = partner()
    document, same = quote(customer), quote(partner())  # on its way, the other keeps the run from ending
    run = prepared(seller, [document.id, same.id])
    service.start(run, seller)
    with transaction() as session:
        session.get_one(Document, document.id).revision += 1
    assert [mail.document_id for mail in written(app, run)] == [same.id]
    assert outcomes(run) == ["changed", "submitted"]
    if again == "opted_out":
        save_partner(customer, {"consent": "none"})
    service.send_anyway(items(run)[0])
    assert outcomes(run)[0] == {"opted_out": "opted_out", "changed": "ready"}[again]


@pytest.mark.parametrize("fate", ["changed", "deactivated"])
def test_a_template_that_nobody_has_chosen_may_change_as_well(
    app: Flask, seller: User, quote: Quote, partner: MakePartner, monkeypatch, fate: str
) -> None:
    monkeypatch.setattr(writing, "WRITTEN_AT", 1)
    monkeypatch.setattr(work, "STEPS_A_JOB", 1)
    documents = [quote(partner()) for _ in range(2)]
    applies = templates_for(documents[0])[0]
    run = prepared(seller, [row.id for row in documents])
    service.start(run, seller)
    work.work(run.id)
    with transaction() as session:
        row = session.get_one(MailTemplate, applies.id)
        if fate == "changed":
            row.revision += 1
        else:
            row.active = False
    work.work(run.id)
    assert len(mails(run)) == 1
    if fate == "deactivated":
        assert sorted(outcomes(run)) == ["no_template", "submitted"]
        return
    assert _state(run) is RunState.PAUSED
    assert db.session.get_one(Run, run.id).paused_why == writing.TEMPLATE_CHANGED
    service.go_on(run, seller)
    assert len(written(app, run)) == 2


def test_of_two_runs_of_the_same_documents_each_is_sent_by_one(
    app: Flask, seller: User, quote: Quote, partner: MakePartner, make_user: Callable[..., User]
) -> None:
    ids = [quote(partner()).id for _ in range(3)]
    other = make_user("administrator")
    mine, theirs = prepared(seller, ids), prepared(other, ids)
    assert outcomes(mine) == outcomes(theirs) == ["ready"] * 3
    service.start(mine, seller)
    service.start(theirs, other)
    written(app, theirs)
    written(app, mine)
    assert sorted(mail.document_id for mail in mails()) == ids
    assert outcomes(mine) == ["sent_before"] * 3


@pytest.mark.parametrize("meanwhile", ["another run", "another worker", "pause", "stop", "change"])
def test_what_happens_between_the_text_and_its_row_is_seen(
    app: Flask,
    seller: User,
    quote: Quote,
    partner: MakePartner,
    monkeypatch: pytest.MonkeyPatch,
    meanwhile: str,
) -> None:
    documents = [quote(partner()) for _ in range(3)]
    ids = [row.id for row in documents]
    run, other = prepared(seller, ids), prepared(seller, ids)
    service.start(run, seller)
    service.start(other, seller)
    write = writing._submit

    def after(*args: Any) -> None:
        monkeypatch.setattr(writing, "_submit", write)
        if meanwhile == "another run":
            work.work(other.id)
        elif meanwhile == "another worker":
            work.work(run.id)
        elif meanwhile == "change":
            with transaction() as session:
                session.get_one(Order, ids[0]).note = "Another note"
        else:
            service.pause(run, seller) if meanwhile == "pause" else service.stop(run, seller)
        write(*args)

    monkeypatch.setattr(writing, "_submit", after)
    work.work(run.id)
    sent = [mail.document_id for mail in mails()]
    assert len(sent) == len(set(sent))
    assert (
        sorted(outcomes(run))
        == {
            "another run": ["sent_before"] * 3,
            "another worker": ["submitted"] * 3,
            "pause": ["ready"] * 3,
            "stop": ["ready"] * 3,
            "change": ["changed", "submitted", "submitted"],
        }[meanwhile]
    )


def test_a_run_is_paused_continued_and_stopped_once_however_often_it_is_pressed(
    app: Flask, seller: User, quote: Quote, partner: MakePartner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "WRITTEN_AT", 2)
    monkeypatch.setattr(work, "STEPS_A_JOB", 1)
    run = prepared(seller, [quote(partner()).id for _ in range(7)])
    service.start(run, seller)
    work.work(run.id)
    service.pause(run, seller)
    service.pause(run, seller)
    work.work(run.id)
    assert len(mails(run)) == 2
    service.go_on(run, seller)
    service.go_on(run, seller)
    work.work(run.id)
    assert len(mails(run)) == 4
    with transaction() as session:
        session.execute(update(MAILS).where(MAILS.c.id == mails(run)[0].id).values(state=MailState.SENT))
    assert service.stop(run, seller) == 3
    assert service.stop(run, seller) == 0
    written(app, run)
    assert [mail.state for mail in mails(run)] == [MailState.SENT, *[MailState.CANCELED] * 3]
    assert _state(run) is RunState.STOPPED
    for act in (lambda: service.start(run, seller), lambda: service.leave_out(items(run)[6])):
        with pytest.raises(UserError):
            act()
    service.go_on(run, seller)
    assert _state(run) is RunState.STOPPED
    # Another run offers what has not gone.
    again = prepared(seller, [item.document_id or 0 for item in items(run)])
    assert outcomes(again).count("ready") == 6


def test_it_begins_at_its_time(
    app: Flask, seller: User, quote: Quote, partner: MakePartner, monkeypatch
) -> None:
    run = prepared(seller, [quote(partner()).id])
    at = clock.now() + dt.timedelta(hours=2)
    with pytest.raises(UserError):
        service.start(run, seller, not_before=clock.now() - dt.timedelta(minutes=1))
    service.start(run, seller, not_before=at)
    assert not written(app, run)
    assert work.resume_lost() == 0
    assert run.scheduled
    with pytest.raises(UserError):
        service.move(run, seller, clock.now() - dt.timedelta(minutes=1))
    service.move(run, seller, at + dt.timedelta(hours=1))
    later = at + dt.timedelta(minutes=1)
    monkeypatch.setattr(clock, "now", lambda: later)
    assert not written(app, run)
    service.move(run, seller, None)  # now
    assert len(written(app, run)) == 1
    with pytest.raises(UserError):
        service.move(run, seller, None)


def test_nothing_is_started_that_is_not_looked_through_or_anothers(
    app: Flask, seller: User, quote: Quote, partner: MakePartner, make_user: Callable[..., User], monkeypatch
) -> None:
    monkeypatch.setattr(preparing, "LOOKED_AT_ONCE", 1)
    run = service.prepare(select_quotations([quote(partner()).id, quote(partner()).id]), seller)
    assert sorted(outcomes(run)) == ["ready", "unchecked"]
    with pytest.raises(UserError, match="being looked through"):
        service.start(run, seller)
    with transaction() as session:
        session.execute(update(Run).values(touched_at=clock.now() - dt.timedelta(minutes=5)))
    sweep()  # nobody works on it: it is asked for again
    work.work(run.id)
    assert outcomes(run) == ["ready", "ready"]
    with pytest.raises(UserError, match="in their name"):
        service.start(run, make_user("administrator"))
    with pytest.raises(UserError, match="at least one"):
        service.prepare(select_quotations([]), seller)


def test_an_address_that_is_erased_is_no_choice_any_more(
    app: Flask, seller: User, quote: Quote, partner: MakePartner
) -> None:
    run = prepared(seller, [quote(partner("")).id])
    service.choose(items(run)[0], ["Walk.In@example.com"], seller)
    assert outcomes(run) == ["ready"]
    erase("walk.in@example.com", seller)
    looking.look(run.id, 10)
    assert outcomes(run) == ["no_address"]


def test_a_mail_goes_where_was_decided_while_it_was_being_made(
    app: Flask, seller: User, quote: Quote, partner: MakePartner, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = prepared(seller, [quote(partner("former@example.com")).id])
    service.start(run, seller)
    make = writing.drafts_of

    def decide_meanwhile(*args: Any) -> Any:
        made = make(*args)
        monkeypatch.undo()
        service.choose(items(run)[0], ["chosen@example.com"], seller)
        return made

    monkeypatch.setattr(writing, "drafts_of", decide_meanwhile)
    (mail,) = written(app, run)
    assert [row.addr_spec for row in mail.recipients] == ["chosen@example.com"]


def test_a_run_that_nobody_starts_is_forgotten(
    app: Flask, seller: User, quote: Quote, partner: MakePartner
) -> None:
    kept, old = prepared(seller, [quote(partner()).id]), prepared(seller, [quote(partner()).id])
    with transaction() as session:
        long_ago = clock.now() - work.KEEP_DRAFTS - dt.timedelta(days=1)
        session.execute(update(Run).where(Run.id == old.id).values(touched_at=long_ago))
    sweep()
    assert list(db.session.scalars(select(Run.id))) == [kept.id]
    assert len(items(kept)) == 1


def test_a_run_in_a_restored_copy_writes_nothing_until_a_person_says_so(
    app: Flask, seller: User, quote: Quote, partner: MakePartner
) -> None:
    run = prepared(seller, [quote(partner()).id])
    service.start(run, seller)
    installation.hold_back(Sign.TOLD)
    assert not written(app, run)
    restored.decide(None, seller)
    assert not written(app, run)
    assert _state(run) is RunState.PAUSED
    assert db.session.get_one(Run, run.id).paused_why == restored.RESTORED
    service.go_on(run, seller)
    assert len(written(app, run)) == 1


@pytest.mark.parametrize("fate", ["deleted", "changed", "deactivated"])
def test_a_template_that_goes_or_changes_in_the_middle_pauses_the_run(
    app: Flask, seller: User, quote: Quote, partner: MakePartner, monkeypatch, fate: str
) -> None:
    monkeypatch.setattr(writing, "WRITTEN_AT", 1)
    monkeypatch.setattr(work, "STEPS_A_JOB", 1)
    documents = [quote(partner()) for _ in range(2)]
    chosen = templates_for(documents[0])[0]
    run = prepared(seller, [row.id for row in documents])
    assert chosen.id in dict(service.templates_of(run))
    service.choose_template(run, chosen.id)
    service.start(run, seller)
    work.work(run.id)
    with transaction() as session:
        row = session.get_one(MailTemplate, chosen.id)
        if fate == "deleted":
            session.delete(row)
        elif fate == "changed":
            row.revision += 1
        else:
            row.active = False
    work.work(run.id)
    assert len(mails(run)) == 1
    assert _state(run) is RunState.PAUSED
    assert db.session.get_one(Run, run.id).paused_why in {writing.TEMPLATE_GONE, writing.TEMPLATE_CHANGED}
    if fate == "deleted":
        with pytest.raises(UserError):
            service.go_on(run, seller)
        service.choose_template(run, None)
    if fate != "deactivated":
        service.go_on(run, seller)
        assert len(written(app, run)) in {1, 2}


def test_whoever_may_not_send_any_more_sends_nothing(
    app: Flask, seller: User, quote: Quote, partner: MakePartner
) -> None:
    run = prepared(seller, [quote(partner()).id])
    service.start(run, seller)
    with transaction() as session:
        session.get_one(User, seller.id).active = False
    assert not written(app, run)
    assert _state(run) is RunState.PAUSED


def test_a_run_is_its_persons_and_of_whoever_reads_the_mails_of_its_company(
    app: Flask, seller: User, quote: Quote, partner: MakePartner, make_user: Callable[..., User]
) -> None:
    run = prepared(seller, [quote(partner()).id])
    other = save_company(None, {"name": "Other", "email": "x@other.example.com"})
    stranger = make_user(login="stranger@other.example.com", company_ids=[other.id])
    colleague = make_user(login="colleague@maison.example.com")
    support = make_user("support")
    for user, found in ((seller, True), (stranger, False), (colleague, False), (support, True)):
        assert (service.run_for(user, run.id) is not None) is found
    assert db.session.scalar(service.items_of(run, stranger)) is None


def test_mails_of_a_run_stand_behind_a_persons_single_mail(
    app: Flask, seller: User, quote: Quote, partner: MakePartner, monkeypatch: Any
) -> None:
    asked: list[tuple[list[int], bool]] = []
    monkeypatch.setattr(
        mail_service, "enqueue_delivery", lambda ids, *, front=False: asked.append((list(ids), front))
    )
    run = prepared(seller, [quote(partner()).id for _ in range(3)])
    service.start(run, seller)
    made = written(app, run)
    assert [entry for entry in asked if entry[0]] == [([mail.id for mail in made], False)]


def test_no_item_has_the_mail_of_another(app: Flask, company: Company, seller: User, quote: Quote) -> None:
    run = prepared(seller, [quote().id, quote().id])
    service.start(run, seller)
    written(app, run)
    first, second = items(run)
    with pytest.raises(IntegrityError), transaction() as session:
        session.execute(update(RunItem).where(RunItem.id == second.id).values(mail_id=first.mail_id))
