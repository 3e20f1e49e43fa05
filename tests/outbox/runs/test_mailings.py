"""Mailings: customers in place of documents, only to who has opted in, each with a mail of their own."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.datastructures import MultiDict

from core.auth.models import User
from core.companies.models import Company
from core.companies.service import save_company
from core.db import db, end_reading
from core.errors import UserError
from core.mail.draft import Purpose
from core.partners.lists import service as lists
from core.partners.lists.models import ListKind
from core.partners.merging import merge
from core.partners.models import Partner
from core.partners.service import save_contact, save_partner
from core.registry import current_registry
from core.selection import Selection
from modules.mail_config.mail_templates.service import save_template
from modules.mail_config.models import MailTemplate
from modules.mail_config.template_language.customer_mail import CUSTOMER
from modules.outbox.models import ItemState, Run, RunItem
from modules.outbox.runs import looking, service, work, writing
from modules.outbox.states import MailState
from modules.outbox.unsubscribe.service import BY_LINK, opt_out
from tests.forms import form_of
from tests.outbox.pages import changed
from tests.outbox.promotions import WILLING
from tests.outbox.runs.conftest import mails

MakePartner = Callable[..., Partner]


@pytest.fixture
def template(company: Company) -> MailTemplate:
    texts = {"en": ("News for {{ customer.name }}", "<div>From {{ company.name }}</div>")}
    return save_template(None, kind=CUSTOMER, values={"name": "News"}, texts=texts)


def select_customers(ids: list[int] | None = None) -> Selection:
    return Selection(current_registry().lists["core.partners"], None if ids is None else tuple(ids))


def prepared(seller: User, *partners: Partner) -> Run:
    run = service.prepare_mailing(select_customers([partner.id for partner in partners]), seller)
    while not looking.look(run.id, 100):
        pass
    return run


def outcomes(run: Run) -> dict[str, str]:
    """Return by customer the state of each item, or why it is held."""
    db.session.rollback()
    rows = db.session.scalars(select(RunItem).where(RunItem.run_id == run.id))
    return {
        item.partner.name if item.partner else "": str(
            item.reason if item.state is ItemState.HELD else item.state
        )
        for item in rows
    }


def written(run: Run, seller: User) -> None:
    service.start(run, seller)
    end_reading()
    work.work(run.id)
    db.session.expire_all()


@pytest.mark.both_databases
def test_who_has_opted_in_gets_one_and_the_others_are_told_why_not(
    seller: User, partner: MakePartner, template: MailTemplate
) -> None:
    yes, no, never = partner(**WILLING), partner(), partner(consent="none")
    lost, archived = partner("", **WILLING), partner(**WILLING)
    save_partner(archived, {"active": False})
    run = prepared(seller, yes, no, never, lost, archived)
    assert outcomes(run) == {
        yes.name: "ready",
        no.name: "not_opted_in",
        never.name: "not_opted_in",
        lost.name: "no_address",
        archived.name: "gone",
    }
    held = db.session.scalars(select(RunItem).where(RunItem.partner_id == no.id)).one()
    service.send_anyway(held)  # nobody's word but the customer's makes it wanted
    assert outcomes(run)[no.name] == "not_opted_in"
    written(run, seller)
    (mail,) = mails()
    assert (mail.subject, mail.promotional, mail.purpose, mail.document_id) == (
        f"News for {yes.name}",
        True,
        Purpose.BATCH,
        None,
    )
    assert [row.partner_id for row in mail.recipients] == [yes.id]


def test_a_service_email_goes_to_all_but_who_wants_none(
    seller: User, partner: MakePartner, template: MailTemplate
) -> None:
    yes, no, never = partner(**WILLING), partner(), partner(consent="none")
    run = prepared(seller, yes, no, never)
    service.choose_promotional(run, promotional=False)
    assert outcomes(run) == {yes.name: "ready", no.name: "ready", never.name: "opted_out"}
    written(run, seller)
    assert [mail.promotional for mail in mails()] == [False, False]


@pytest.mark.both_databases
def test_who_opts_out_while_it_goes_is_told_on_the_item(
    seller: User, partner: MakePartner, template: MailTemplate, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = partner(**WILLING), partner(**WILLING)
    run = prepared(seller, first, second)
    monkeypatch.setattr(writing, "WRITTEN_AT", 1)
    monkeypatch.setattr(work, "STEPS_A_JOB", 1)
    written(run, seller)
    (mail,) = mails()
    save_partner(second, {"consent": "necessary"})
    end_reading()
    work.work(run.id)
    assert outcomes(run) == {first.name: "submitted", second.name: "not_opted_in"}
    # The one that is written already, and has not left, is canceled.
    opt_out(mail.recipients[0].id, BY_LINK)
    assert mails()[0].state is MailState.CANCELED


@pytest.mark.both_databases
def test_of_two_that_are_merged_while_it_waits_one_is_written(
    seller: User, make_user: Callable[..., User], partner: MakePartner, template: MailTemplate
) -> None:
    one, other = partner(**WILLING), partner(**WILLING)
    run = prepared(seller, one, other)
    merge(one.id, other.id, make_user("administrator"))
    written(run, seller)
    assert [mail.recipients[0].partner_id for mail in mails()] == [one.id]


def test_a_customer_with_several_addresses_waits_for_a_choice(
    seller: User, partner: MakePartner, template: MailTemplate
) -> None:
    firm = partner("", **WILLING)
    save_contact(firm, "Ann", "ann@example.com")
    run = prepared(seller, firm)
    service.choose_promotional(run, promotional=False)
    assert outcomes(run) == {firm.name: "several_addresses"}
    (item,) = db.session.scalars(select(RunItem).where(RunItem.run_id == run.id))
    service.choose(item, ["ann@example.com"], seller)
    assert outcomes(run) == {firm.name: "ready"}


def test_nobody_found_prepares_nothing(seller: User) -> None:
    with pytest.raises(UserError, match="Select"):
        service.prepare_mailing(select_customers(), seller)
    assert db.session.scalars(select(Run)).all() == []


def test_a_customer_of_another_company_gets_none(
    seller: User,
    make_user: Callable[..., User],
    company: Company,
    partner: MakePartner,
    template: MailTemplate,
) -> None:
    other = save_company(
        None, {"name": "Other", "email": "o@example.com", "currency": "EUR", "language": "en"}
    )
    both = make_user(login="both@maison.example.com", company_ids=[company.id, other.id])
    theirs = partner(company_id=other.id, **WILLING)
    run = prepared(both, theirs)
    assert outcomes(run) == {theirs.name: "not_allowed"}


def test_from_the_list_of_customers_to_the_end_by_forms(
    app: Flask, seller: User, sign_in, partner: MakePartner, template: MailTemplate
) -> None:
    yes, no = partner(**WILLING), partner()
    browser = sign_in(seller)
    assert "/outbox/runs/to/core.partners" in browser.get("/partners").text
    made = browser.post("/outbox/runs/to/core.partners", data={"id": [yes.id, no.id]})
    here = made.location
    page = browser.get(here).text
    assert "Has not agreed to promotional emails" in page
    (item,) = db.session.scalars(select(RunItem).where(RunItem.partner_id == yes.id))
    shown = browser.get(f"{here}/items/{item.id}/preview").text
    assert f"News for {yes.name}" in shown
    assert "From Maison Test" in shown
    test = browser.post(f"{here}/items/{item.id}/test")
    assert f"[Test] News for {yes.name}" in browser.get(test.location).text
    (sample,) = mails()
    assert [row.addr_spec for row in sample.recipients] == [seller.login]
    assert not sample.promotional
    browser.post(f"{here}/promotional", data={"promotional": "0"})
    assert outcomes(db.session.scalars(select(Run)).one()) == {yes.name: "ready", no.name: "ready"}
    browser.post(f"{here}/start")
    end_reading()
    work.work(db.session.scalars(select(Run.id)).one())
    assert len(mails()) == 3
    assert yes.name in browser.get(here).text
    assert yes.name in browser.post(f"{here}/table", data={"as": "csv"}).get_data(as_text=True)
    assert browser.get(f"{here}?q={no.name.rpartition(' ')[2]}").status_code == 200


# -- the text of a mailing -----------------------------------------------------------------------------------


def text_page(browser: FlaskClient, run: Run) -> MultiDict[str, str]:
    return form_of(browser.get(f"/outbox/runs/{run.id}/text").text, "subject_en")


def test_its_writer_writes_it_and_nothing_that_is_not_saved_is_lost(
    app: Flask, seller: User, template: MailTemplate, partner: MakePartner, sign_in, make_user
) -> None:
    run = prepared(seller, partner(**WILLING), partner(**WILLING))
    browser, address = sign_in(seller), f"/outbox/runs/{run.id}"
    assert "Write the text…" in browser.get(address).text
    for _twice in range(2):
        assert browser.post(f"{address}/text/begin").location == f"{address}/text"
    own = db.session.scalars(select(MailTemplate).where(MailTemplate.owner_id == seller.id)).one()
    assert own.text("en").subject == "News for {{ customer.name }}"  # it begins as the one that was chosen
    form = text_page(browser, run)
    wrong = changed(
        form,
        subject_en="Hello {{ nobody.knows }}",
        mode_en="source",
        body_en="<p>Now {{ customer.name }}</p>",
    )
    # Kept with whatever is wrong with it; said by the mailing only once it is saved.
    assert browser.post(f"{address}/text/keep", data=wrong).status_code == 200
    assert text_page(browser, run)["subject_en"] == "Hello {{ nobody.knows }}"
    assert "There is something that you have not saved." in browser.get(address).text
    assert browser.post(f"{address}/text", data=wrong).status_code == 422
    with pytest.raises(UserError, match="not saved"):
        service.start(run, seller)
    good = changed(wrong, subject_en="Hello {{ customer.name }}")
    assert browser.post(f"{address}/text", data=good).location == address
    # Another window, or what comes late, does not undo it unseen.
    assert browser.post(f"{address}/text", data=good).status_code == 422
    assert browser.post(f"{address}/text/keep", data=good).status_code == 422
    while not looking.look(run.id, 100):
        pass
    first, second = db.session.scalars(select(RunItem).where(RunItem.run_id == run.id).order_by(RunItem.id))
    page = browser.get(f"{address}/items/{first.id}/preview").text
    assert ("Hello Customer 0" in page, f"items/{second.id}/preview" in page) == (True, True)
    assert f"items/{first.id}/preview" in browser.get(f"{address}/items/{second.id}/preview").text
    # Nobody else writes it; and once it has begun, nobody.
    other = sign_in(make_user("administrator", login="root@maison.example.com"))
    for path in ("text", "text/keep", "text/begin", "text/discard"):
        assert other.post(f"{address}/{path}").status_code == 404
    service.start(run, seller)
    assert browser.get(f"{address}/text").status_code == 404


def test_without_any_template_it_begins_with_a_few_words(
    app: Flask, company: Company, seller: User, partner: MakePartner, sign_in
) -> None:
    run = prepared(seller, partner(**WILLING))
    assert outcomes(run) == {"Customer 0": "no_template"}
    browser = sign_in(seller)
    browser.post(f"/outbox/runs/{run.id}/text/begin")
    while not looking.look(run.id, 100):
        pass
    assert outcomes(run) == {"Customer 0": "ready"}
    browser.post(f"/outbox/runs/{run.id}/text/keep", data={"subject_en": "x"})
    browser.post(f"/outbox/runs/{run.id}/text/discard")
    assert text_page(browser, run)["subject_en"] == "News from {{ company.name }}"


def test_a_list_of_customers_names_the_mailing(
    app: Flask, seller: User, template: MailTemplate, partner: MakePartner, sign_in
) -> None:
    willing, unwilling = partner(**WILLING), partner()
    partner(**WILLING)
    with app.test_request_context():
        lists.add_members(seller, [willing.id, unwilling.id])
        kept = lists.save(seller, "Spring", ListKind.FIXED, company_id=None, owner_id=seller.id)
    browser = sign_in(seller)
    page = browser.get("/partner-lists").text
    assert f"list={kept.id}&amp;all=1" in page
    answer = browser.post(
        "/outbox/runs/to/core.partners", data={"all": "1", "criteria": f"list={kept.id}&all=1"}
    )
    run = db.session.scalars(select(Run)).one()
    assert answer.location == f"/outbox/runs/{run.id}"
    assert outcomes(run) == {"Customer 0": "ready", "Customer 1": "not_opted_in"}
    assert "Spring: 2" in browser.get(answer.location).text
    # A list that is gone is nobody, and never everybody.
    browser.post("/outbox/runs/to/core.partners", data={"all": "1", "criteria": "list=999&all=1"})
    assert len(db.session.scalars(select(Run)).all()) == 1
