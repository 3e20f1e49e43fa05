"""Documents of one customer in one mail: what goes together, what leaves, and what each document says of it."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from core.auth.models import User
from core.contract import Scope
from core.db import db, transaction
from core.documents.models import Document
from core.documents.pdf import render_document
from core.documents.service import touch
from core.followers.service import follow
from core.mail.outcomes import FailureKind
from core.partners.models import Partner
from modules.distribution import history
from modules.mail_config.models import MailServer, MailTemplate
from modules.mail_config.template_language.documents_mail import DOCUMENTS
from modules.outbox import queries
from modules.outbox import service as mail_service
from modules.outbox.about import documents_of
from modules.outbox.badges import badges_for
from modules.outbox.delivery.jobs import deliver_mails
from modules.outbox.limits import ENCODED
from modules.outbox.message import build_message
from modules.outbox.models import ItemState, OutgoingMail, Packing, Run, RunState
from modules.outbox.runs import bundles, looking, service, telling, work, writing
from modules.outbox.runs.counts import counts_of
from modules.outbox.runs.drafting import sent_as_they_are
from modules.outbox.runs.service import rows
from modules.outbox.states import MailState
from tests.outbox.mails import accepted
from tests.outbox.pages import composer_of as fields
from tests.outbox.pages import press_send
from tests.outbox.runs.conftest import items, mails, outcomes, prepared, written

Quote = Callable[..., Document]
MakePartner = Callable[..., Partner]


def packed(seller: User, ids: list[int], packing: Packing = Packing.TOGETHER) -> Run:
    """Return a run whose documents go together, looked through."""
    run = prepared(seller, ids)
    service.choose_packing(run, packing)
    while not looking.look(run.id, 100):
        pass
    return run


def carried(mail: OutgoingMail) -> list[int]:
    """Return the ids of the documents of a mail."""
    return [document.id for document in documents_of(mail)]


def files_of(mail: OutgoingMail) -> list[EmailMessage]:
    """Return the files of a mail as its message carries them."""
    mail.sender_address = mail.sender_address or "shop@example.com"
    message = message_from_bytes(build_message(mail), policy=default)
    return list(message.iter_attachments())


@pytest.mark.both_databases
def test_documents_of_one_customer_leave_in_one_mail_and_each_says_so(
    app: Flask, seller: User, quote: Quote, partner: MakePartner
) -> None:
    many, one = partner(), partner()
    ids = [quote(many).id, quote(one).id, quote(many).id, quote(many).id]
    run = packed(seller, ids)
    assert counts_of(run.id).ready == 2
    service.start(run, seller)
    first, second = sorted(written(app, run), key=lambda mail: -mail.further_count)
    of_many = [ids[3], ids[2], ids[0]]  # in the order of the list
    assert (carried(first), carried(second)) == (of_many, [ids[1]])
    numbers = [db.session.get_one(Document, number).number for number in of_many]
    assert first.subject.endswith(f"documents {', '.join(numbers)}")
    assert all(number in first.body_text for number in numbers)
    assert "£300.00" in first.body_text or "300.00" in first.body_text
    assert [part.get_filename() for part in files_of(first)] == [
        f"Quotation_{number}.pdf" for number in numbers
    ]
    assert all(part.get_content().startswith(b"%PDF") for part in files_of(first))
    # Each document knows the mail as its own.
    assert set(badges_for(ids)) == set(ids)
    for number in of_many:
        assert [mail.id for mail in queries.document_mails(number, seller).mails] == [first.id]
    rows = list(db.session.scalars(select(Document).where(Document.id.in_(ids))))
    assert set(sent_as_they_are({row.id: row for row in rows})) == set(ids)
    assert outcomes(packed(seller, ids)) == ["sent_before"] * 4
    with app.test_request_context():
        lines, _after = history.page(history.Asked(), seller)
    each = [[line.document.id for line in entry.each() if line.document] for entry in lines]
    assert sorted(each) == sorted([of_many, [ids[1]]])
    # The run counts both, truthfully.
    counts = counts_of(run.id)
    assert (counts.of("submitted"), counts.moving, counts.under_way) == (4, 2, 4)
    for mail in mails(run):
        accepted(mail)
    work.work(run.id)
    assert telling.outcome_sentence(run.id) == "2 emails were accepted. They carry 4 documents."


def test_who_would_not_get_a_document_by_itself_gets_none_with_others(
    app: Flask, seller: User, quote: Quote, partner: MakePartner, make_user: Callable[..., User]
) -> None:
    customer = partner()
    ids = [quote(customer).id for _ in range(3)]
    follow(ids[1], user_id=make_user("administrator").id, by=seller)
    french = quote(customer)
    with transaction():
        db.session.get_one(Document, french.id).language = "fr"
    run = packed(seller, [*ids, french.id])
    service.start(run, seller)
    assert sorted(carried(mail) for mail in written(app, run)) == sorted(
        [[ids[2], ids[0]], [ids[1]], [french.id]]
    )


def test_what_is_too_large_for_one_mail_goes_in_several(
    app: Flask,
    seller: User,
    server: MailServer,
    quote: Quote,
    partner: MakePartner,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    customer = partner()
    ids = [quote(customer).id for _ in range(5)]
    sizes = [len(render_document(db.session.get_one(Document, number))) for number in ids]
    limit = int((max(sizes) * 2 + 100) * ENCODED) + bundles.TEXT_OCTETS
    with transaction():
        server.size_limit = limit
    run = packed(seller, ids)
    service.start(run, seller)
    made = written(app, run)
    assert sorted(len(carried(mail)) for mail in made) == [1, 2, 2]
    monkeypatch.setattr(bundles, "MOST_TOGETHER", 4)
    others = [quote(customer).id for _ in range(5)]
    with transaction():
        server.size_limit = None
    run = packed(seller, others)
    service.start(run, seller)
    assert sorted(len(carried(mail)) for mail in written(app, run)) == [1, 4]


def test_one_zip_file_holds_them_all_the_same_octets_each_time(
    app: Flask, seller: User, quote: Quote, partner: MakePartner
) -> None:
    customer = partner(name="Café")
    ids = [quote(customer).id for _ in range(2)]
    run = packed(seller, ids, Packing.ZIP)
    service.start(run, seller)
    (mail,) = written(app, run)
    (file,) = files_of(mail)
    assert file.get_content_type() == "application/zip"
    assert (file.get_filename() or "").endswith(".zip")
    with zipfile.ZipFile(io.BytesIO(file.get_content())) as archive:
        assert archive.namelist() == [row.name for row in mail.attachments]
        assert archive.testzip() is None
    assert build_message(mail) == build_message(mail)
    # Whoever prepares the next batch finds it so.
    assert prepared(seller, ids).packing is Packing.ZIP


@pytest.mark.both_databases
def test_a_document_that_changes_before_it_leaves_keeps_the_mail_back(
    app: Flask, seller: User, quote: Quote, partner: MakePartner
) -> None:
    customer = partner()
    ids = [quote(customer).id for _ in range(3)]
    run = packed(seller, ids)
    with transaction():
        touch(db.session.get_one(Document, ids[0]))
    service.start(run, seller)
    (mail,) = written(app, run)
    assert sorted(outcomes(run)) == ["changed", "submitted", "submitted"]  # told, and the others go
    assert carried(mail) == [ids[2], ids[1]]
    with transaction():
        touch(db.session.get_one(Document, ids[1]))
    assert [one.id for one in queries.outdated_waiting(ids[2])] == [mail.id]
    assert queries.outdated([mail.id]) == [mail.id]
    deliver_mails([mail.id])
    db.session.rollback()
    mail = db.session.get_one(OutgoingMail, mail.id, populate_existing=True)
    assert (mail.state, mail.failure_kind) == (MailState.FAILED, FailureKind.DOCUMENT_CHANGED)
    assert mail_service.resend([mail.id], by=seller) == []
    again = packed(seller, ids)
    assert outcomes(again) == ["ready"] * 3  # nobody has got them


@pytest.mark.both_databases
def test_without_a_template_for_several_a_document_alone_still_goes(
    app: Flask, seller: User, quote: Quote, partner: MakePartner, sign_in: Callable[[User], FlaskClient]
) -> None:
    several, one = partner(), partner()
    ids = [quote(several).id, quote(one).id, quote(several).id]
    with transaction() as session:
        of_several = session.scalars(select(MailTemplate).where(MailTemplate.kind == DOCUMENTS)).all()
        for template in of_several:
            template.active = False
    run = prepared(seller, ids)
    service.choose_packing(run, Packing.TOGETHER)
    while not looking.look(run.id, 1):  # what was found first is held as well
        pass
    assert outcomes(run) == ["no_template", "ready", "no_template"]
    browser = sign_in(seller)
    here = f"/outbox/runs/{run.id}"
    page = browser.get(here).text
    assert "No template for several documents is active." in page
    assert "Send 1 email" in page
    assert page.count("<tr") == 3  # the head, and a line for each mail
    # Of two, one is left out: the other one goes alone. Taken back in, both are held.
    first = next(item for item in items(run) if item.document_id == ids[0])
    browser.post(f"{here}/items/{first.id}/decide", data={"decision": "out", "alone": "1"})
    assert outcomes(run) == ["left_out", "ready", "ready"]
    browser.post(f"{here}/items/{first.id}/decide", data={"decision": "in"})
    assert outcomes(run) == ["no_template", "ready", "no_template"]
    service.start(run, seller)
    (mail,) = written(app, run)
    assert carried(mail) == [ids[1]]
    # It goes missing once all was looked through: the run asks, and then sends what can be sent.
    with transaction():
        for template in of_several:
            template.active = True
    run = packed(seller, ids)
    service.send_anyway(next(item for item in items(run) if item.reason == "sent_before"))
    assert outcomes(run) == ["ready"] * 3
    with transaction():
        for template in of_several:
            template.active = False
    service.start(run, seller)
    work.work(run.id)
    db.session.refresh(run)
    assert (run.state, run.paused_why) == (RunState.PAUSED, writing.TEMPLATE_CHANGED)
    service.go_on(run, seller)
    written(app, run)
    assert outcomes(run) == ["no_template", "submitted", "no_template"]


def test_one_address_repairs_all_that_lack_it(
    app: Flask, seller: User, quote: Quote, partner: MakePartner, sign_in: Callable[[User], FlaskClient]
) -> None:
    nobody, other = partner(""), partner()
    ids = [quote(nobody).id, quote(nobody).id, quote(other).id, quote(other).id, quote(other).id]
    browser = sign_in(seller)
    here = f"/outbox/runs/{prepared(seller, ids).id}"
    page = browser.get(here).text
    assert "One email per customer" in page
    browser.post(f"{here}/packing", data={"packing": "together"})
    page = browser.get(here).text
    assert page.count("<tr") == 3  # the head, and a line for each mail
    assert "Send 1 email" in page
    run = db.session.scalars(select(Run).order_by(Run.id.desc())).first()
    assert run is not None
    held = next(item for item in items(run) if item.reason == "no_address")
    browser.post(f"{here}/items/{held.id}/address", data={"address": "typed@example.com"})
    assert outcomes(run) == ["ready"] * 5
    assert "Send 2 emails" in browser.get(here).text
    # One document of a line is left out alone, the line as a whole; it is found by any of its documents.
    left = next(item for item in items(run) if item.document_id == ids[3])
    browser.post(f"{here}/items/{left.id}/decide", data={"decision": "out", "alone": "1"})
    assert outcomes(run) == ["ready", "ready", "ready", "left_out", "ready"]
    number = db.session.get_one(Document, ids[2]).number
    assert number in browser.get(f"{here}?q={number}").text.partition("<tbody")[2]
    first = next(item for item in items(run) if item.document_id == ids[0])
    browser.post(f"{here}/items/{first.id}/decide", data={"decision": "out"})
    assert outcomes(run) == ["left_out", "left_out", "ready", "left_out", "ready"]
    assert browser.post(f"{here}/packing", data={"packing": "folded"}).status_code == 400
    assert "2 documents" in browser.get(here).text


def test_whoever_may_not_read_all_sees_that_it_went_and_no_more(
    app: Flask,
    seller: User,
    quote: Quote,
    partner: MakePartner,
    make_user: Callable[..., User],
    sign_in: Callable[[User], FlaskClient],
) -> None:
    customer = partner()
    ids = [quote(customer).id for _ in range(2)]
    run = packed(seller, ids)
    service.start(run, seller)
    (mail,) = written(app, run)
    own = make_user("salesperson", login="own@maison.example.com")
    with transaction():
        for role in own.roles:
            for grant in role.grants:
                grant.scope = Scope.OWN
        db.session.get_one(Document, ids[0]).owner_id = own.id
    assert badges_for(ids[:1])
    panel = queries.document_mails(ids[0], own)
    assert (panel.mails, panel.others) == ([], 1)
    browser = sign_in(own)
    assert browser.get(f"/outbox/mails/{mail.id}").status_code == 404
    with transaction():
        db.session.get_one(Document, ids[1]).owner_id = own.id
    assert browser.get(f"/outbox/mails/{mail.id}").status_code == 200


def test_its_page_names_all_its_documents_and_a_change_or_copy_keeps_them(
    app: Flask, seller: User, quote: Quote, partner: MakePartner, sign_in: Callable[[User], FlaskClient]
) -> None:
    customer = partner()
    ids = [quote(customer).id for _ in range(3)]
    run = packed(seller, ids, Packing.ZIP)
    service.start(run, seller)
    (mail,) = written(app, run)
    browser = sign_in(seller)
    numbers = [db.session.get_one(Document, number).number for number in ids]
    shown = browser.get(f"/outbox/mails/{mail.id}").text
    assert all(f"/documents/{number}" in shown for number in ids)
    listed = browser.get("/outbox/mails").text
    assert ">+2<" in listed
    assert "3 documents" in browser.get(f"/outbox/documents/{ids[0]}/panel").text
    assert mail.zip_name in browser.get(f"/outbox/mails/{mail.id}?tab=message").text
    # Changed while it waits: what takes its place carries them all, and the run knows it.
    opened = browser.post(f"/outbox/mails/{mail.id}/change")
    form = fields(browser.get(opened.location).text)
    assert len(form.getlist("also")) == 2
    form["subject"] = "All of them"
    saved = press_send(browser, opened.location, form)
    assert saved.status_code == 302, saved.text
    latest = mails()[-1]
    assert (latest.subject, latest.zip_name, len(carried(latest))) == ("All of them", mail.zip_name, 3)
    assert {item.mail_id for item in items(run)} == {latest.id}
    # Written anew once a document has changed: with what they say now.
    with transaction():
        touch(db.session.get_one(Document, ids[1]))
    deliver_mails([latest.id])
    page = browser.get(f"/outbox/mails/{latest.id}").text
    assert f"/outbox/compose/again/{latest.id}?anew=1" in page
    form = fields(browser.get(f"/outbox/compose/again/{latest.id}?anew=1").text)
    assert form["subject"].endswith(", ".join(numbers[::-1]))
    form["also"] = f"{ids[0]}:7:x.pdf"  # of another revision
    lead = latest.document_id
    refused = browser.post(f"/outbox/compose/{lead}", data=form)
    assert refused.status_code == 422
    assert "has changed since you began to write" in refused.text
    form["also"] = "999999:1:x.pdf"
    assert browser.post(f"/outbox/compose/{lead}", data=form).status_code == 422


def test_a_copy_of_a_document_of_somebody_else_is_refused(
    app: Flask, seller: User, quote: Quote, partner: MakePartner, sign_in: Callable[[User], FlaskClient]
) -> None:
    mine, other = quote(partner()), quote(partner())
    browser = sign_in(seller)
    form = fields(browser.get(f"/outbox/compose/{mine.id}").text)
    form["also"] = f"{other.id}:{other.revision}:other.pdf"
    answer = browser.post(f"/outbox/compose/{mine.id}", data=form)
    assert answer.status_code == 422
    assert "cannot be sent with this email" in answer.text
    assert not mails()


@pytest.mark.parametrize("packing", [Packing.TOGETHER, Packing.EACH])
def test_what_was_found_before_a_choice_is_not_written_down_after_it(
    seller: User, quote: Quote, monkeypatch: pytest.MonkeyPatch, packing: Packing
) -> None:
    (former,) = {Packing.TOGETHER, Packing.EACH} - {packing}
    run = packed(seller, [quote().id, quote().id], former)
    find = looking._found

    def choose_meanwhile(*args: Any) -> Any:
        found = find(*args)
        monkeypatch.undo()
        monkeypatch.setattr(rows, "LOOKED_AT_ONCE", 0)
        service.choose_packing(run, packing)
        return found

    rows.look_again(run.id)
    monkeypatch.setattr(looking, "_found", choose_meanwhile)
    assert not looking.look(run.id, 100)
    assert {item.state for item in items(run)} == {ItemState.UNCHECKED}
    while not looking.look(run.id, 100):
        pass
    assert {item.state for item in items(run)} == {ItemState.READY}
    assert len({item.bundle for item in items(run)} - {""}) == (packing is Packing.TOGETHER)
