"""The pages of runs: what they show and do, what they cost, and the button @ in the line of a document."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, insert, select, text

from core import clock
from core.auth.models import User
from core.companies.models import Company
from core.companies.service import save_company
from core.db import db, transaction
from core.documents.models import Document
from core.partners.models import Partner
from core.partners.service import save_contact, save_partner
from modules.mail_config.models import MailServer
from modules.outbox.models import MAILS, RUN_ITEMS, ItemState, OutgoingMail, Run, RunState
from modules.outbox.runs import service, summary, work
from modules.outbox.runs.counts import counts_of
from modules.outbox.states import MailState
from tests.outbox.many import write
from tests.outbox.runs.conftest import items, mails, outcomes, prepared, written
from tests.statements import statements

Quote = Callable[..., Document]
MakePartner = Callable[..., Partner]


@pytest.fixture
def client(seller: User, sign_in: Callable[[User], FlaskClient]) -> FlaskClient:
    return sign_in(seller)


def _run() -> Run:
    db.session.rollback()
    return db.session.scalars(select(Run).order_by(Run.id.desc())).first()  # type: ignore[return-value]


def test_from_the_list_to_the_end_by_forms(
    app: Flask, client: FlaskClient, quote: Quote, partner: MakePartner
) -> None:
    nobody = partner("")
    ids = [quote(partner()).id, quote(nobody).id, quote(partner()).id]
    page = client.get("/sales/quotations").text
    assert 'formaction="/outbox/runs/of/sales.quotations"' in page
    made = client.post("/outbox/runs/of/sales.quotations", data={"id": ids})
    here = made.headers["Location"]
    shown = client.get(here).text
    assert "Send 2 emails" in shown
    assert "No address" in shown
    held = next(item for item in items(_run()) if item.state is ItemState.HELD)
    form = {"address": "found@example.com", "keep": "1"}
    client.post(f"{here}/items/{held.id}/address", data=form)
    assert db.session.get_one(Partner, nobody.id).email == "found@example.com"
    first = items(_run())[0]
    client.post(f"{here}/items/{first.id}/decide", data={"decision": "out"})
    assert outcomes(_run()) == ["left_out", "ready", "ready"]
    client.post(f"{here}/start")
    made_mails = written(app, _run())
    assert sorted(mail.recipients[0].addr_spec for mail in made_mails)[1] == "found@example.com"
    progress = client.get(f"{here}/progress").text
    assert 'hx-trigger="live, every 60s"' in progress
    assert 'http-equiv="refresh"' in client.get(here).text  # where there is no script
    assert "2 are on their way." in progress
    client.post(f"{here}/pause")
    assert _run().state is RunState.PAUSED
    assert client.get(f"{here}/progress?seen=running").headers["HX-Trigger"] == "page-anew"
    client.post(f"{here}/continue")
    client.post(f"{here}/stop")
    work.work(_run().id)
    assert {mail.state for mail in mails(_run())} == {MailState.CANCELED}
    stopped = client.get(here).text
    assert "2 emails were canceled." in stopped
    assert "Stopped by" in stopped
    assert here.rpartition("/")[2] in client.get("/outbox/runs").text
    rest = client.post(f"{here}/rest").headers["Location"]
    assert rest != here
    assert "Send 2 emails" in client.get(rest).text
    client.post(f"{rest}/discard")
    assert client.get(rest).status_code == 404


def test_one_that_is_scheduled_says_when_and_can_be_moved_or_sent_now(
    app: Flask, client: FlaskClient, seller: User, quote: Quote, partner: MakePartner
) -> None:
    run = prepared(seller, [quote(partner()).id, quote(partner("")).id])
    here = f"/outbox/runs/{run.id}"
    year = clock.now().year + 1
    day = (clock.now() + dt.timedelta(days=9)).date()
    client.post(f"{here}/start", data={"not_before": f"{day}T09:00"})
    for page in (client.get(here).text, client.get("/outbox/runs").text):
        assert "scheduled" in page
    shown = client.get(here).text
    assert "was not sent" not in shown
    assert f'value="{day}T09:00"' in shown
    client.post(f"{here}/move", data={"not_before": ""})
    client.post(f"{here}/move", data={"not_before": f"{year + 9}-01-01T00:00"})
    client.post(f"{here}/move", data={"not_before": f"{day}T10:30"})
    assert f'value="{day}T10:30"' in client.get(here).text
    assert not written(app, _run())
    client.post(f"{here}/move", data={"now": "1", "not_before": f"{day}T10:30"})
    assert len(written(app, _run())) == 1
    assert "scheduled" not in client.get(f"{here}/progress").text


def test_a_line_that_is_held_leads_to_what_mends_it(
    client: FlaskClient, seller: User, quote: Quote, partner: MakePartner
) -> None:
    nobody = partner("")
    run = prepared(seller, [quote(nobody).id])
    here = f"/outbox/runs/{run.id}"
    shown = client.get(here).text
    assert f'href="/partners/{nobody.id}"' in shown
    assert f"Open {nobody.name}" in shown
    save_partner(nobody, {"email": "now@example.com"})
    client.post(f"{here}/items/{items(run)[0].id}/decide", data={"decision": "look"})
    assert outcomes(run) == ["ready"]
    save_partner(nobody, {"email": ""})
    client.post(f"{here}/look")  # nothing is held
    assert outcomes(run) == ["ready"]


def test_what_became_of_each_is_exported_harmlessly(
    app: Flask, client: FlaskClient, seller: User, quote: Quote, partner: MakePartner
) -> None:
    bad = save_partner(None, {"name": "=cmd|' /C calc'!A0", "email": "bad@example.com", "language": "en"})
    run = prepared(seller, [quote(bad).id, quote(partner("")).id])
    service.start(run, seller)
    (mail,) = written(app, run)
    values = {"state": MailState.FAILED, "failure_kind": "mailbox_full", "failure_reason": "=1+1"}
    with transaction() as session:
        session.execute(MAILS.update().where(MAILS.c.id == mail.id).values(**values))
    data = client.post(f"/outbox/runs/{run.id}/table", data={"as": "csv"}).data
    head, *rows = list(csv.reader(io.StringIO(data.decode("utf-8-sig"))))
    assert head[:4] == ["Document", "Customer", "Result", "Reason"]
    by_number = {row[0]: row for row in rows}
    assert by_number["S00001"][1:5] == ["'=cmd|' /C calc'!A0", "failed", "Mailbox full", "'=1+1"]
    assert by_number["S00002"][2:4] == ["held", "No address"]
    client.post(f"/outbox/runs/{run.id}/resend")
    assert mails(run)[0].state is MailState.QUEUED


def test_a_run_of_others_is_not_there(
    client: FlaskClient, seller: User, quote: Quote, make_user: Callable[..., User], sign_in: Any
) -> None:
    run = prepared(seller, [quote().id])
    other = save_company(None, {"name": "Other", "email": "x@other.example.com"})
    stranger = sign_in(make_user("administrator", login="s@other.example.com"))
    assert stranger.get(f"/outbox/runs/{run.id}").status_code == 200  # an administrator reaches all
    clerk = sign_in(make_user(login="clerk@other.example.com", company_ids=[other.id]))
    for address in ("", "/progress"):
        assert clerk.get(f"/outbox/runs/{run.id}{address}").status_code == 404
    actions = "start pause continue stop template resend table move look rest discard items/1/decide"
    for action in actions.split():
        assert clerk.post(f"/outbox/runs/{run.id}/{action}", data={"as": "csv"}).status_code == 404
    assert client.post("/outbox/runs/of/core.partners", data={"id": 1}).status_code == 404
    assert client.post(f"/outbox/runs/{run.id}/items/1/decide", data={"decision": "x"}).status_code == 400


@pytest.mark.parametrize("typed", ["nothing", "2026-13-01T00:00", "9999-12-31T23:59", "1999-01-01T00:00"])
def test_a_moment_that_is_none_starts_nothing(
    client: FlaskClient, seller: User, quote: Quote, partner: MakePartner, typed: str
) -> None:
    run = prepared(seller, [quote(partner()).id])
    client.post(f"/outbox/runs/{run.id}/start", data={"not_before": typed})
    assert _run().state is RunState.DRAFT


def test_the_last_one_leaves_at_the_pace_of_the_server(
    app: Flask, seller: User, server: MailServer, quote: Quote, partner: MakePartner
) -> None:
    run = prepared(seller, [quote(partner()).id for _ in range(7)])
    (free,) = summary.forecast(run, seller)
    assert (free.count, free.until) == (7, None)
    with transaction():
        server.rate_per_minute = 2
    asked = clock.now()
    (slow,) = summary.forecast(run, seller)
    assert slow.until is not None
    assert asked + dt.timedelta(minutes=2, seconds=50) < slow.until
    assert slow.until < clock.now() + dt.timedelta(minutes=3, seconds=10)
    with transaction():
        server.rate_per_minute, server.rate_per_day = None, 3
    (days,) = summary.forecast(run, seller)
    assert days.until is not None
    assert (days.until - clock.now()).days in {1, 2}


@contextmanager
def _counted() -> Iterator[list[tuple[str, Any]]]:
    said: list[tuple[str, Any]] = []

    def note(*given: Any) -> None:
        said.append((given[2], given[3]))

    event.listen(db.engine, "before_cursor_execute", note)
    with statements():  # whose clock stands still for what is kept for a moment
        yield said
    event.remove(db.engine, "before_cursor_execute", note)


def _big(company: Company, seller: User, customer: Partner, count: int) -> Run:
    """Write a run with many documents, most of which were sent."""
    with transaction() as session:
        run = Run(list_name="sales.quotations", by_user_id=seller.id, company_id=company.id, item_count=count)
        run.state, run.started_at = RunState.RUNNING, clock.now()
        session.add(run)
        session.flush()
        first = session.scalar(select(Document.id).order_by(Document.id.desc()).limit(1)) or 0
        document = {
            "kind": "sales.quotation",
            "company_id": company.id,
            "partner_id": customer.id,
            "owner_id": seller.id,
            "language": "en",
            "date": clock.day_in("UTC"),
            "currency": "EUR",
            "total": 0,
        }
        numbers = range(first + 1, first + count + 1)
        session.execute(insert(Document), [{**document, "id": n, "number": f"N{n}"} for n in numbers])
        session.execute(
            text(
                "INSERT INTO sales_order (document_id, state, payment_terms, note)"
                " SELECT id, 'quotation', '', '' FROM core_document WHERE number LIKE 'N%'"
                " AND id NOT IN (SELECT document_id FROM sales_order)"
            )
        )
        run_id = run.id
    ids = write(company, [{"run_id": run_id, "submitted_by_id": seller.id} for _ in numbers])
    with transaction() as session:
        item = {"run_id": run_id, "company_id": company.id, "revision": 1, "detail": "", "anyway": False}
        session.execute(
            insert(RUN_ITEMS),
            [
                {**item, "document_id": n, "state": ItemState.SUBMITTED, "reason": None, "mail_id": mail_id}
                for n, mail_id in zip(numbers, ids, strict=True)
            ],
        )
    return db.session.get_one(Run, run_id)


def test_the_page_of_a_run_costs_the_same_however_many_documents_it_has(
    company: Company, customer: Partner, seller: User, client: FlaskClient
) -> None:
    small, large = _big(company, seller, customer, 45), _big(company, seller, customer, 900)
    costs = {}
    for address in ("", "/progress"):
        for run in (small, large):
            client.get(f"/outbox/runs/{run.id}{address}")
            with _counted() as said:
                assert client.get(f"/outbox/runs/{run.id}{address}").status_code == 200
            costs[run.id, address] = len(said)
    assert costs[small.id, ""] == costs[large.id, ""]
    assert costs[small.id, "/progress"] == costs[large.id, "/progress"] <= 18


def test_a_run_is_counted_and_worked_through_by_its_indexes(
    company: Company, customer: Partner, seller: User
) -> None:
    run = _big(company, seller, customer, 500)
    with transaction() as session:
        session.execute(text("ANALYZE"))
    with _counted() as said:
        counts_of(run.id)
        work.resume_lost()
    plans = [
        str(row[3])
        for statement, values in said
        if statement.startswith("SELECT")
        for row in db.session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
    ]
    everything = "\n".join(plans)
    assert "COVERING INDEX ix_outbox_run_item_state (run_id=?)" in everything
    assert "COVERING INDEX ix_outbox_mail_run_id (run_id=?)" in everything
    assert "SCAN outbox_mail" not in everything
    assert "SCAN outbox_run_item" not in everything


def test_a_search_in_a_run_looks_at_what_its_items_name(
    company: Company, customer: Partner, seller: User, client: FlaskClient
) -> None:
    run = _big(company, seller, customer, 3)
    with _counted() as said:
        assert client.get(f"/outbox/runs/{run.id}?q={customer.name[:4]}").status_code == 200
    plans = "\n".join(
        str(row[3])
        for statement, values in said
        if "GLOB" in statement
        for row in db.session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
    )
    assert "SEARCH core_document USING INTEGER PRIMARY KEY" in plans
    assert "SEARCH core_partner USING INTEGER PRIMARY KEY" in plans
    assert "SCAN core_" not in plans


def test_at_sends_to_the_one_address_at_once_and_can_be_called_back(
    app: Flask, client: FlaskClient, server: MailServer, quote: Quote, partner: MakePartner
) -> None:
    app.config["OUTBOX_UNDO_SECONDS"] = 30.0
    document = quote(partner("one@example.com"))
    assert f'hx-post="/outbox/documents/{document.id}/send"' in client.get("/sales/quotations").text
    htmx = {"HX-Request": "true"}
    answer = client.post(f"/outbox/documents/{document.id}/send", headers=htmx)
    assert (answer.status_code, answer.headers["HX-Refresh"]) == (204, "true")
    (mail,) = mails()
    assert (mail.state, mail.recipients[0].addr_spec) == (MailState.SCHEDULED, "one@example.com")
    assert "data-undo-mail" in client.get("/sales/quotations").text
    # Pressed again, it asks first.
    again = client.post(f"/outbox/documents/{document.id}/send", headers=htmx)
    assert "This is scheduled for one@example.com already." in again.text
    client.post(f"/outbox/mails/{mail.id}/undo", headers=htmx)
    assert [row.state for row in mails()] == [MailState.CANCELED]


def test_at_asks_where_there_are_several_addresses_or_none(
    app: Flask, client: FlaskClient, server: MailServer, quote: Quote, partner: MakePartner
) -> None:
    several = partner("several@example.com")
    save_contact(several, "Other", "other@example.com")
    for customer in (several, partner("")):
        document = quote(customer)
        answer = client.post(f"/outbox/documents/{document.id}/send", headers={"HX-Request": "true"})
        assert answer.status_code == 200
        assert "data-compose" in answer.text or "composer" in answer.text
        plain = client.post(f"/outbox/documents/{document.id}/send")
        assert plain.headers["Location"].endswith(f"/outbox/compose/{document.id}")
    assert not db.session.scalars(select(OutgoingMail)).all()


def test_the_dry_run_asks_about_all_its_lines_at_once(
    client: FlaskClient, seller: User, quote: Quote, partner: MakePartner
) -> None:
    costs = []
    for count in (5, 25):
        run = prepared(seller, [quote(partner()).id for _ in range(count)])
        client.get(f"/outbox/runs/{run.id}")
        with _counted() as said:
            assert client.get(f"/outbox/runs/{run.id}").text.count("<tr") >= count
        costs.append(len(said))
        assert sum("FROM mail_config_template " in statement for statement, _values in said) <= 3
    # Who follows them, who was removed, the contacts of their customers, and what was agreed with these.
    assert costs[0] == costs[1]
