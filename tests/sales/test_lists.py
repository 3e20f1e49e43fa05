from __future__ import annotations

import csv
import datetime as dt
import io
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_babel import force_locale
from sqlalchemy import Select, insert, select, text

from core.auth.models import User
from core.auth.service import set_preferences
from core.companies.models import Company
from core.companies.service import save_company
from core.db import db, transaction
from core.documents.models import Document
from core.followers.service import follow, unfollow
from core.partners.models import Partner
from core.partners.service import save_partner
from core.web import criteria
from core.web.criteria import Criteria, narrow
from modules.sales import queries
from modules.sales.models import Invoice, Order
from modules.sales.pdf import document_html
from modules.sales.service import invoices, orders
from modules.sales.states import CREDIT_NOTE, INVOICE, ORDER, QUOTATION
from tests.sales.conftest import TODAY
from tests.statements import statements

KINDS = (QUOTATION, ORDER, INVOICE, CREDIT_NOTE)
Make = Callable[..., Order]
SignIn = Callable[[User], FlaskClient]


def _fill(company: Company, customer: Partner, count: int = 1500) -> None:
    """Write many documents at once, as rows."""
    with transaction() as session:
        session.execute(
            insert(Document),
            [
                {
                    "kind": KINDS[n % 4],
                    "number": f"N{n:06d}",
                    "company_id": company.id,
                    "partner_id": customer.id,
                    "language": "fr",
                    "date": TODAY - dt.timedelta(days=n % 200),
                    "currency": "EUR",
                    "total": Decimal(n),
                }
                for n in range(count)
            ],
        )
        session.execute(
            text(
                "INSERT INTO sales_order (document_id, state, payment_terms, note)"
                " SELECT id, 'quotation', '', '' FROM core_document WHERE kind IN ('sales.quotation', 'sales.order')"
            )
        )
        session.execute(
            text(
                "INSERT INTO sales_invoice (document_id, state, date_chosen, payment_terms, note, customer_name,"
                " customer_address, customer_vat, issuer)"
                " SELECT id, 'posted', 0, '', '', '', '', '', '' FROM core_document"
                " WHERE kind IN ('sales.invoice', 'sales.credit_note')"
            )
        )
        session.execute(text("ANALYZE"))


def _plan(statement: Select[Any]) -> str:
    sql = str(statement.compile(db.engine, compile_kwargs={"literal_binds": True}))
    return "\n".join(str(row[3]) for row in db.session.execute(text(f"EXPLAIN QUERY PLAN {sql}")))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("role", ["salesperson", "administrator"])
def test_each_order_of_the_documents_walks_its_index(
    company: Company, customer: Partner, make_user: Callable[..., User], kind: str, role: str
) -> None:
    _fill(company, customer)
    user = make_user(role)
    spec = queries.list_spec(user, kind)
    for sort in spec.sorts:
        if sort.name == "customer":
            continue  # whose name stands in another table
        statement = queries.documents(user, kind).order_by(sort.expression.desc(), spec.identity.desc())
        plan = _plan(statement.limit(41))
        assert f"ix_core_document_kind_{sort.name}_id (kind=?)" in plan, plan
        assert "TEMP B-TREE" not in plan, plan
        assert "SCAN core_document" not in plan, plan
        assert "SCAN sales_" not in plan, plan


@pytest.mark.parametrize(
    ("kind", "name", "index"),
    [
        (ORDER, "invoiced", "ix_sales_invoice_order_id"),
        (ORDER, "to-invoice", "ix_sales_invoice_order_id"),
        (INVOICE, "outbox.failed", "ix_outbox_mail_document_id"),
        (INVOICE, "outbox.waiting", "ix_outbox_mail_document_id"),
        (INVOICE, "outbox.not_sent", "ix_outbox_mail_document_id"),
    ],
)
def test_a_filter_reads_what_it_asks_for(
    company: Company, customer: Partner, make_user: Callable[..., User], kind: str, name: str, index: str
) -> None:
    _fill(company, customer)
    with transaction() as session:
        session.execute(text("DELETE FROM sqlite_stat1"))  # none of these is of an order
    db.engine.dispose()
    user = make_user("administrator")
    condition = next(entry.condition for entry in queries.list_spec(user, kind).filters if entry.name == name)
    plan = _plan(queries.documents(user, kind).where(condition).limit(41))
    assert index in plan, plan
    assert "SCAN sales_" not in plan, plan


@pytest.mark.parametrize(
    ("kind", "name", "index"),
    [
        (INVOICE, "outbox.failed", "ix_outbox_mail_failed"),
        (INVOICE, "outbox.waiting", "ix_outbox_mail_due"),
        (INVOICE, "canceled", "ix_sales_invoice_state_document_id"),
        (QUOTATION, "open", "ix_sales_order_state_document_id"),
        (QUOTATION, "mine", "ix_core_document_owner_id_kind"),
    ],
)
def test_a_list_begins_with_the_few_that_a_filter_keeps(
    company: Company,
    customer: Partner,
    make_user: Callable[..., User],
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    name: str,
    index: str,
) -> None:
    _fill(company, customer)
    user = make_user("administrator")
    spec = queries.list_spec(user, kind)
    among = next(entry.among for entry in spec.filters if entry.name == name)
    assert among is not None
    plan = _plan(among())
    assert f"USING INDEX {index}" in plan or f"USING COVERING INDEX {index}" in plan, plan
    statement, chosen = queries.documents(user, kind), Criteria(filters=(name,))
    few = narrow(spec, statement, chosen, spec.sorts[0])
    number = len(db.session.scalars(among()).all())
    assert few.few is (number <= criteria.FEW)
    if few.few:
        ordered = few.statement.order_by(few.in_order_of(spec.sorts[0].expression).desc()).limit(41)
        plan = _plan(ordered.with_only_columns(spec.identity, maintain_column_froms=True))
        assert "core_document USING INTEGER PRIMARY KEY" in plan, plan
        assert "ix_core_document_kind_date_id" not in plan, plan
    monkeypatch.setattr(criteria, "FEW", number)
    exactly = narrow(spec, statement, chosen, spec.sorts[0])
    monkeypatch.setattr(criteria, "FEW", number - 1)
    assert exactly.few
    assert not narrow(spec, statement, chosen, spec.sorts[0]).few


def test_two_filters_of_a_group_keep_more_than_each(company: Company, make_user: Callable[..., User]) -> None:
    spec = queries.list_spec(make_user("administrator"), INVOICE)
    statement = queries.documents(make_user("salesperson", "b@maison.example.com"), INVOICE)
    alone = narrow(spec, statement, Criteria(filters=("canceled", "mine")), spec.sorts[0])
    both = narrow(spec, statement, Criteria(filters=("canceled", "posted")), spec.sorts[0])
    assert alone.few
    assert not both.few


def test_a_list_costs_the_same_number_of_queries_for_one_row_and_for_many(
    app: Flask, make_quotation: Make, salesperson: User, sign_in: SignIn
) -> None:
    client = sign_in(salesperson)
    client.get("/sales/quotations")
    counts = []
    for _ in range(2):
        make_quotation()
        with statements() as asked:
            response = client.get("/sales/quotations")
        counts.append(len(asked))
        for _ in range(8):
            make_quotation()
    assert response.status_code == 200
    assert counts[0] == counts[1]


def test_pages_by_key_show_every_row_once(
    company: Company, customer: Partner, salesperson: User, sign_in: SignIn
) -> None:
    _fill(company, customer, 400)
    client = sign_in(salesperson)
    seen: list[str] = []
    address: str | None = "/sales/quotations?sort=total&dir=asc"
    while address:
        html = client.get(address).text
        seen += _numbers(html)
        address = next(
            (
                part.split('href="')[1].split('"')[0].replace("&amp;", "&")
                for part in [html.partition('rel="next"')[2]]
                if part
            ),
            None,
        )
    assert seen == [f"N{n:06d}" for n in range(0, 400, 4)]


def _numbers(html: str) -> list[str]:
    return [part.split("</a>")[0].split(">")[-1].strip() for part in html.split('class="row-link"')[1:]]


def test_search_and_filters(
    make_quotation: Make, salesperson: User, sign_in: SignIn, make_user: Callable[..., User]
) -> None:
    other = save_partner(None, {"name": "100 % Bois", "language": "fr"})
    make_quotation()
    make_quotation(partner_id=other.id)
    colleague = make_user("salesperson", "paul@maison.example.com")
    make_quotation(by=colleague)
    orders.cancel(make_quotation())
    client = sign_in(salesperson)

    def shown(query: str) -> list[str]:
        return sorted(_numbers(client.get(f"/sales/quotations{query}").text))

    assert shown("") == ["S00001", "S00002", "S00003", "S00004"]
    assert shown("?q=bois") == ["S00002"]
    assert shown("?q=%25") == ["S00002"]  # a sign of LIKE is only a sign
    assert shown("?q=s00003") == ["S00003"]
    assert shown("?f=canceled") == ["S00004"]
    assert shown("?f=open&f=mine") == ["S00001", "S00002"]
    assert shown("?f=mine&f=followed") == ["S00001", "S00002", "S00004"]
    theirs = db.session.scalars(select(Document).where(Document.number == "S00003")).one()
    follower = follow(theirs.id, user_id=salesperson.id, by_mail=False)
    assert shown("?f=open&f=followed") == ["S00001", "S00002", "S00003"]
    unfollow(follower)
    assert shown("?f=open&f=followed") == ["S00001", "S00002"]
    assert shown("?sort=customer") == ["S00001", "S00002", "S00003", "S00004"]


def test_search_minds_neither_case_nor_accents_nor_the_order_of_words(
    make_invoice: Callable[..., Invoice], salesperson: User, sign_in: SignIn
) -> None:
    """In every list alike, and by the name that an invoice was printed with."""
    customer = save_partner(None, {"name": "LEFÈVRE & Œuvres d’Été", "language": "fr"})
    invoice = make_invoice(partner_id=customer.id)
    client = sign_in(salesperson)
    with transaction():
        customer.name = "Maison Ångström"
    for words in ("lefevre", "ÉTÉ lefèvre", "ete", "angstrom maison"):
        assert _numbers(client.get("/sales/invoices", query_string={"q": words}).text) == [
            invoice.document.number
        ], words
    assert _numbers(client.get("/sales/orders?q=angstrom").text) == ["S00001"]
    assert _numbers(client.get("/sales/orders?q=angstrom zzz").text) == []


def test_a_number_that_is_none_of_this_list_is_found_in_its_neighbors(
    make_invoice: Callable[..., Invoice], salesperson: User, sign_in: SignIn
) -> None:
    number = make_invoice().document.number
    client = sign_in(salesperson)
    html = client.get("/sales/orders", query_string={"q": number}).text
    link = f"/sales/invoices?q={number}&amp;all=1"
    assert f'<a href="{link}">1 in Invoices</a>' in html
    assert "1 in Quotations" not in html
    # A filter of the list itself hides it as well.
    html = client.get("/sales/invoices", query_string={"q": number, "f": "draft"}).text
    assert "1 in Invoices" in html
    assert "Found in other lists" not in client.get("/sales/orders?q=zzz").text


def test_documents_out_of_reach_are_not_listed(
    make_quotation: Make, make_user: Callable[..., User], sign_in: SignIn, salesperson: User
) -> None:
    other = save_company(None, {"name": "Other Ltd"})
    make_quotation(company=other, lines=())
    make_quotation(lines=())
    make_quotation(lines=())
    assert _numbers(sign_in(salesperson).get("/sales/quotations").text) == ["S00002", "S00001"]
    support = make_user("support")
    assert len(_numbers(sign_in(support).get("/sales/quotations").text)) == 3


def test_an_empty_list_says_what_to_do(salesperson: User, sign_in: SignIn) -> None:
    client = sign_in(salesperson)
    for page, words in {
        "quotations": "No quotations yet",
        "orders": "No orders yet",
        "invoices": "No invoices yet",
        "credit-notes": "No credit notes yet",
    }.items():
        assert words in client.get(f"/sales/{page}").text
    assert "Nothing matches" in client.get("/sales/orders?q=zzz").text


def _of(client: FlaskClient, name: str, chip: str) -> tuple[str, str, str]:
    """Return what a list calls a state: its filter, the badge in a line, and the cell of its table."""
    page = client.get(f"/sales/{name}").text
    filter_word = re.search(rf'\?f={chip}"\s*>\s*(?:<i[^>]*></i>)?\s*([^<]+?)\s*</a>', page)
    badge = re.search(r'<span class="state [^>]*><i[^>]*></i>\s*([^<]+?)\s*</span>', page)
    assert filter_word is not None, page
    assert badge is not None, page
    table = client.post(f"/lists/sales.{name.replace('-', '_')}/table", data={"all": "1", "as": "csv"})
    *_more, last = csv.reader(io.StringIO(table.data.decode("utf-8-sig")), delimiter=";")
    return filter_word[1], badge[1], last[-1]


def test_a_state_is_called_one_thing_in_the_gender_of_the_kind(
    make_quotation: Make, make_invoice: Callable[..., Invoice], salesperson: User, sign_in: SignIn
) -> None:
    set_preferences(salesperson, language="fr")
    orders.cancel(make_quotation())
    invoice = make_invoice()
    client = sign_in(salesperson)
    assert _of(client, "quotations", "canceled") == ("Annulé",) * 3
    assert _of(client, "invoices", "posted") == ("Validée",) * 3
    invoices.post(invoices.create_credit_note(invoice, salesperson))
    assert _of(client, "credit-notes", "posted") == ("Validé",) * 3


def test_a_canceled_order_is_called_so_on_its_page_and_its_pdf(
    make_quotation: Make, salesperson: User, sign_in: SignIn
) -> None:
    set_preferences(salesperson, language="fr")
    order = make_quotation()
    orders.confirm(order)
    orders.cancel(order)
    page = sign_in(salesperson).get(f"/sales/orders/{order.document_id}").text
    assert '<li aria-current="step">Annulée</li>' in page
    with force_locale("fr"):
        assert "Annulée" in document_html(order.document)


@pytest.mark.parametrize("name", ["quotations", "orders", "invoices"])
def test_who_works_for_several_companies_sees_whose_a_document_is(
    name: str,
    company: Company,
    make_invoice: Callable[..., Invoice],
    make_quotation: Make,
    make_user: Callable[..., User],
    sign_in: SignIn,
) -> None:
    make_quotation()
    invoice = make_invoice()
    other = save_company(None, {"name": "Other", "email": "x@other.example.com"})
    both = make_user("salesperson", "both@maison.example.com", company_ids=[company.id, other.id])
    one = sign_in(make_user("salesperson", "one@maison.example.com"))
    column = f'<td data-label="Company">{company.name}</td>'
    assert column in sign_in(both).get(f"/sales/{name}").text
    assert f"<dt>Company</dt><dd>{company.name}</dd>" in (
        sign_in(both).get(f"/sales/invoices/{invoice.document_id}").text
    )
    assert column not in one.get(f"/sales/{name}").text
