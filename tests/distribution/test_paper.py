"""Paper: one PDF of many documents, in order, with its list; marked as printed and taken back; a worker that dies."""

from __future__ import annotations

import html
import io
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pypdf import PdfReader

from core import clock
from core.auth.models import User
from core.companies.models import Company
from core.companies.service import save_company
from core.db import db, end_reading
from core.documents import pdf
from core.documents.models import Document
from core.errors import UserError
from core.live.states import outdated, topic_of
from core.partners.models import Partner
from core.partners.service import save_partner
from modules.distribution import paper
from modules.distribution.models import Print, PrintOrder, PrintState
from modules.outbox import erasure
from modules.sales.models import Invoice
from tests.distribution.conftest import dispatches, states

Post = Callable[..., Document]


@pytest.fixture
def customers(app: Flask) -> list[Partner]:
    """Customers in three places, one of them with a name that would be a formula."""
    return [
        save_partner(None, {"name": name, "language": "en", "zip_code": code, "city": "X", "country": "FR"})
        for name, code in (("=1+1", "75011"), ("Dupont <b>", "13001"), ("Łódź", "44 000"))
    ]


def _texts(row: Print) -> list[str]:
    reader = PdfReader(io.BytesIO(paper.store().get(row.sha256)))
    return [page.extract_text() for page in reader.pages]


def _made(
    documents: list[Document], by: User, order: PrintOrder = PrintOrder.LIST, *, double: bool = False
) -> Print:
    row = paper.choose([one.id for one in documents], by)
    paper.make(row, order, double_sided=double)
    paper.run(row.id)
    db.session.rollback()
    return db.session.get_one(Print, row.id, populate_existing=True)


@pytest.mark.both_databases
def test_one_pdf_in_the_order_of_the_list_with_its_list_first(
    app: Flask, customers: list[Partner], posted: Post, seller: User
) -> None:
    documents = [posted(one) for one in customers]
    row = _made(documents[::-1], seller)
    assert (row.state, row.made, row.pages) == (PrintState.READY, 3, 4)
    cover, *pages = _texts(row)
    assert all(one.number in cover and one.partner.zip_code in cover for one in documents if one.partner)
    assert "Łódź" in cover
    assert [one.number in page for one, page in zip(documents[::-1], pages, strict=True)] == [True] * 3


def test_in_the_order_of_postcodes(app: Flask, customers: list[Partner], posted: Post, seller: User) -> None:
    documents = [posted(one) for one in customers]
    _cover, *pages = _texts(_made(documents, seller, PrintOrder.POSTCODE))
    in_order = [documents[1], documents[2], documents[0]]
    assert [one.number in page for one, page in zip(in_order, pages, strict=True)] == [True] * 3


def test_on_both_sides_each_document_begins_a_sheet(
    app: Flask, customers: list[Partner], posted: Post, seller: User
) -> None:
    documents = [posted(one) for one in customers]
    pages = _texts(_made(documents, seller, double=True))
    assert [documents[n].number in pages[2 + 2 * n] for n in range(3)] == [True] * 3
    assert [pages[n].strip() for n in (1, 3, 5, 7)] == [""] * 4


def test_printed_is_marked_and_taken_back(app: Flask, posted: Post, seller: User) -> None:
    row = _made([posted(), posted()], seller)
    assert paper.mark(row, seller) == 2
    assert states() == [("paper", "done")] * 2
    assert {one.by_user_id for one in dispatches()} == {seller.id}
    assert db.session.scalars(paper.waiting(seller)).all() == []
    with pytest.raises(UserError):
        paper.mark(row, seller)
    with pytest.raises(UserError):
        paper.make(row, PrintOrder.LIST, double_sided=False)
    assert paper.take_back(row, seller) == 2
    assert states() == [("paper", "due")] * 2
    assert len(db.session.scalars(paper.waiting(seller)).all()) == 2


def test_one_that_cannot_be_made_costs_itself_and_is_told(
    app: Flask, posted: Post, seller: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = posted(), posted()
    render = pdf.render_document

    def fail(document: Document) -> bytes:
        if document.id == bad.id:
            raise pdf.RenderError("The PDF could not be made.")
        return render(document)

    monkeypatch.setattr(paper, "render_document", fail)
    row = _made([bad, good], seller)
    assert (row.state, row.made) == (PrintState.READY, 1)
    told = {one.document_id: (str(one.state), one.detail) for one in dispatches()}
    assert told == {bad.id: ("held", "The PDF could not be made."), good.id: ("due", "")}
    assert paper.mark(row, seller) == 1
    assert {one.document_id: str(one.state) for one in dispatches()} == {bad.id: "held", good.id: "done"}


def test_a_print_whose_worker_has_died_is_asked_for_again(
    app: Flask, posted: Post, seller: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(paper, "enqueue_after_commit", lambda _name, number: asked.append(number))
    row = paper.choose([posted().id], seller)
    paper.make(row, PrintOrder.LIST, double_sided=False)
    paper.resume_lost()
    assert asked == [row.id]  # once, by whoever has pressed
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now + paper.LOST_AFTER * 2)
    paper.resume_lost()
    assert asked == [row.id] * 2


def test_drafts_and_what_others_own_do_not_get_in(
    app: Flask,
    draft_invoice: Callable[..., Invoice],
    make_user: Callable[..., User],
    posted: Post,
    seller: User,
) -> None:
    with pytest.raises(UserError, match="None of these"):
        paper.choose([draft_invoice().document_id], seller)
    with pytest.raises(UserError, match="None of these"):
        paper.choose([posted().id], make_user("cashier"))
    assert states() == []


def test_more_than_a_hundred_from_a_list_by_its_button(
    app: Flask,
    customers: list[Partner],
    posted: Post,
    seller: User,
    sign_in: Callable[[User], FlaskClient],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    document = posted()
    client = sign_in(seller)
    chosen = client.post("/distribution/prints/of/sales.invoices", data={"id": document.id, "criteria": ""})
    (row,) = db.session.query(Print)
    assert chosen.headers["Location"] == f"/distribution/prints/{row.id}"
    client.post(f"/distribution/prints/{row.id}/make", data={"order": "postcode", "double_sided": "1"})
    here = f"/distribution/prints/{row.id}"
    assert "print-progress" in client.get(here).text
    # The page follows the row.
    shown = topic_of("distribution.print", row)
    progress = client.get(f"{here}/progress")
    assert f" {shown}." in html.unescape(progress.text)
    assert "HX-Trigger" not in progress.headers
    assert outdated([shown]) == frozenset()
    assert client.get(f"/distribution/prints/{row.id}/pdf").status_code == 404
    paper.run(row.id)
    assert outdated([shown]) == {shown}
    ended = client.get(f"{here}/progress")
    assert ended.headers["HX-Trigger"] == "page-anew"
    assert "data-live" not in ended.text
    assert client.get(f"/distribution/prints/{row.id}/pdf").data.startswith(b"%PDF-")
    client.post(f"/distribution/prints/{row.id}/mark")
    assert states() == [("paper", "done")]
    client.post(f"/distribution/prints/{row.id}/back")
    assert states() == [("paper", "due")]
    assert document.number in client.get("/distribution/to-print").text


@pytest.mark.parametrize("several", [True, False])
def test_who_works_for_several_companies_sees_whose_paper_it_is(
    app: Flask,
    company: Company,
    posted: Post,
    seller: User,
    make_user: Callable[..., User],
    sign_in: Callable[[User], FlaskClient],
    several: bool,
) -> None:
    row = _made([posted()], seller)
    paper.mark(row, seller)
    paper.take_back(row, seller)
    other = save_company(None, {"name": "Other", "email": "x@other.example.com"})
    ids = [company.id, other.id] if several else [company.id]
    page = (
        sign_in(make_user("administrator", "a@example.com", company_ids=ids))
        .get("/distribution/to-print")
        .text
    )
    assert (f'<td data-label="Company">{company.name}</td>' in page) is several


def test_nobody_opens_the_print_of_another(
    app: Flask,
    posted: Post,
    seller: User,
    make_user: Callable[..., User],
    sign_in: Callable[[User], FlaskClient],
) -> None:
    row = _made([posted()], seller)
    client = sign_in(make_user("administrator"))
    assert client.get(f"/distribution/prints/{row.id}").status_code == 404
    assert client.get(f"/distribution/prints/{row.id}/pdf").status_code == 404
    assert client.post(f"/distribution/prints/{row.id}/mark").status_code == 404


def test_a_pdf_is_kept_for_a_while(
    app: Flask, posted: Post, seller: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = _made([posted()], seller)
    sha256 = row.sha256
    now = clock.now()
    for later, kept in ((paper.KEEP / 2, 1), (paper.KEEP * 3, 0)):
        monkeypatch.setattr(clock, "now", lambda later=later: now + later)
        paper.forget_old()
        end_reading()
        # What the store does once a day with what nobody refers to.
        assert erasure.sweep_folder(sha256[:2]) == 1 - kept
        assert len(list(paper.store().names(sha256[:2]))) == kept
