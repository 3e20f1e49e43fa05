from __future__ import annotations

import dataclasses
import datetime as dt
import io
import re
import secrets
from collections.abc import Callable
from decimal import Decimal

import pytest
from flask.testing import FlaskClient
from flask_babel import force_locale
from PIL import Image
from pypdf import PdfReader

from core.auth.models import User
from core.companies.models import Company
from core.companies.service import save_company
from core.documents import pdf
from core.documents.glyphs import unprintable
from core.documents.models import Document
from core.documents.pdf import RenderError, html_to_pdf, render_document
from core.documents.service import behavior_of
from core.partners.models import Partner
from core.partners.service import save_partner
from core.products.models import Product, Tax
from core.products.service import save_product, save_tax
from modules.sales.behavior import order as order_behavior
from modules.sales.models import Invoice, Order
from modules.sales.pdf import document_html
from modules.sales.service import invoices, orders
from modules.sales.service.lines import LineValues
from tests.sales.conftest import TODAY

MakeOrder = Callable[..., Order]
MakeInvoice = Callable[..., Invoice]


def _pages(document: Document, language: str | None = None) -> list[str]:
    reader = PdfReader(io.BytesIO(render_document(document, language=language)))
    return [re.sub(r"\s+", " ", page.extract_text()) for page in reader.pages]


def _text(document: Document) -> str:
    return " ".join(_pages(document))


def test_a_british_company_writes_as_in_britain(
    make_quotation: MakeOrder, company: Company, customer: Partner, line: LineValues
) -> None:
    save_company(company, {"country": "GB", "city": "Bristol", "zip_code": "BS1 4QA", "currency": "GBP"})
    british = {"country": "GB", "city": "Manchester", "zip_code": "M12 6JH", "language": "en"}
    save_partner(customer, british)
    order = make_quotation(lines=[dataclasses.replace(line, discount=Decimal("2.5"))])
    text = _text(order.document)
    for words in ("12 Mar 2026", "Manchester M12 6JH", "Bristol BS1 4QA", "20%", "2.5%", "£97.50"):
        assert words in text, (words, text)
    values = order_behavior.fields(order.document)
    assert (values["customer.zip_code"], values["customer.city"]) == ("M12 6JH", "Manchester")


@pytest.fixture
def lamp(company: Company, vat: Tax) -> Product:
    save_tax(vat, {"translations": {"en": {"name": "VAT 20%"}}})
    return save_product(
        None,
        {
            "name": "Lampe", "description": "En laiton", "unit": "pce", "unit_price": Decimal("50.00"),
            "company_id": company.id, "tax_id": vat.id,
            "translations": {"en": {"name": "Lamp", "description": "Made of brass", "unit": "pc"}},
        },
    )  # fmt: skip


def test_a_document_speaks_of_products_units_and_taxes_in_its_language(
    make_quotation: MakeOrder, line: LineValues, lamp: Product
) -> None:
    order = make_quotation(lines=[dataclasses.replace(line, product_id=lamp.id)], language="en")
    english, french = _text(order.document), " ".join(_pages(order.document, "fr"))
    for words in ("Lamp Made of brass", "2 pc ", "VAT 20%"):
        assert words in english, (words, english)
    for words in ("Lampe En laiton", "2 pce", "TVA 20 %"):
        assert words not in english
        assert words in french, (words, french)
    # What was agreed stays as it was said.
    save_product(lamp, {"translations": {"en": {"name": "Torch"}}, "company_id": lamp.company_id})
    assert "Lamp Made of brass" in _text(order.document)


def test_what_a_person_has_typed_is_not_translated(
    make_quotation: MakeOrder, line: LineValues, lamp: Product
) -> None:
    typed = dataclasses.replace(line, product_id=lamp.id, description="Lampe\nEn laiton, signée", unit="lot")
    text = _text(make_quotation(lines=[typed], language="en").document)
    for words in ("Lampe En laiton, signée", "2 lot", "VAT 20%"):
        assert words in text, (words, text)


def test_an_invoice_says_its_lines_as_the_order_did(
    make_quotation: MakeOrder, line: LineValues, lamp: Product, salesperson: User
) -> None:
    order = make_quotation(lines=[dataclasses.replace(line, product_id=lamp.id)], language="en")
    orders.confirm(order)
    invoice = invoices.invoice_order(order, salesperson)
    save_product(lamp, {"translations": {}, "company_id": lamp.company_id})
    assert "Lamp Made of brass" in _text(invoice.document)


def test_a_french_quotation_says_everything(make_quotation: MakeOrder, company: Company) -> None:
    save_company(
        company, {"legal_line": "SAS au capital de 1 000 €", "vat": "FR40303265045", "phone": "+33 1 00"}
    )
    order = make_quotation(
        validity_date=TODAY + dt.timedelta(days=30), note="Merci.", payment_terms="30 jours"
    )
    text = _text(order.document)
    for words in (
        "Devis S00001",
        "Maison Test",
        "1 rue Neuve",
        "Dupont & Fils",
        "4 rue du Bac",
        "75007 Paris",
        "12 mars 2026",
        "11 avr. 2026",
        "Désignation",
        "Lampe",
        "En laiton",
        "2 pce",
        "50,00 €",
        "Total HT 100,00 €",
        "TVA 20 %",
        "20,00 €",
        "Total TTC 120,00 €",
        "Merci.",
        "30 jours",
        "SAS au capital de 1 000 €",
        "Bon pour accord",
        "page 1",
    ):
        assert words in text, (words, text)


def test_an_english_invoice_says_everything(make_invoice: MakeInvoice, company: Company) -> None:
    save_company(company, {"bank_line": "IBAN FR76 1234"})
    invoice = make_invoice(language="en")
    text = _text(invoice.document)
    for words in (
        "Invoice INV/2026/00001",
        "12 Mar 2026",
        "11 Apr 2026",
        "S00001",
        "€100.00",
        "Total to pay €120.00",
        "IBAN FR76 1234",
        "Please quote INV/2026/00001",
        "VAT no. FR40303265045",
    ):
        assert words in text, (words, text)


def test_a_credit_note_names_its_invoice(make_invoice: MakeInvoice, salesperson: User) -> None:
    note = invoices.create_credit_note(make_invoice(), salesperson)
    assert "Brouillon" in _text(note.document)
    invoices.post(note)
    text = _text(note.document)
    assert "Avoir RINV/2026/00001" in text
    assert "INV/2026/00001" in text
    assert "Brouillon" not in text


def test_a_draft_and_a_canceled_document_say_so(make_invoice: MakeInvoice, make_quotation: MakeOrder) -> None:
    assert "ne vaut pas facture" in _text(make_invoice(posted=False).document)
    order = make_quotation()
    orders.cancel(order)
    assert "Annulé" in _text(order.document)


def test_a_posted_invoice_prints_the_customer_of_that_day(
    make_invoice: MakeInvoice, customer: Partner
) -> None:
    invoice = make_invoice()
    save_partner(customer, {"name": "Dupont SARL", "street": "99 avenue Neuve"})
    text = _text(invoice.document)
    assert "Dupont & Fils" in text
    assert "99 avenue Neuve" not in text


def test_a_posted_invoice_or_credit_note_prints_the_company_of_that_day(
    make_invoice: MakeInvoice, make_quotation: MakeOrder, salesperson: User, company: Company
) -> None:
    before = {
        "street": "1 rue d'Avant",
        "zip_code": "69001",
        "city": "Lyon",
        "vat": "FR40303265045",
        "legal_line": "SARL d'avant, RCS Lyon",
        "bank_line": "IBAN FR76 1111",
        "email": "avant@example.com",
        "phone": "+33 1 11",
        "website": "avant.example.com",
        "accent": "#111111",
    }
    save_company(company, before)
    posted, draft, order = make_invoice(), make_invoice(posted=False), make_quotation()
    note = invoices.create_credit_note(posted, salesperson)
    invoices.post(note)
    htmls = [document_html(row.document) for row in (posted, note)]
    after = {name: value.replace("1", "2").replace("vant", "près") for name, value in before.items()}
    save_company(company, {**after, "vat": "FR19812345676", "name": "Maison d'après"})
    assert [document_html(row.document) for row in (posted, note)] == htmls
    for words in ("IBAN FR76 1111", "SARL d&#39;avant", "1 rue d&#39;Avant", "#111111", "Maison Test"):
        assert words in htmls[0]
    for row in (draft, order):
        html = document_html(row.document)
        assert "SARL d&#39;après" in html
        assert "Maison d&#39;après" in html


def test_unit_prices_are_printed_with_all_of_their_decimals(
    make_quotation: MakeOrder, line: LineValues
) -> None:
    small = dataclasses.replace(line, quantity=Decimal(1000), unit_price=Decimal("0.0049"))
    text = _text(make_quotation(lines=[small, line]).document)
    assert "0,0049 €" in text
    assert "4,90 €" in text
    assert "50,00 €" in text


def test_sixty_lines_repeat_their_head_and_keep_their_foot(
    make_invoice: MakeInvoice, line: LineValues
) -> None:
    many = [dataclasses.replace(line, description=f"Article {n:02d}\nsuite") for n in range(60)]
    pages = _pages(make_invoice(lines=many).document)
    assert len(pages) > 2
    for number, page in enumerate(pages[:-1], 1):
        assert "Désignation" in page
        assert f"page {number}" in page
    everything = " ".join(pages)
    assert all(f"Article {n:02d}" in everything for n in range(60))
    assert "7 200,00 €" in everything.replace("\u202f", " ").replace("\u00a0", " ")


def test_totals_never_stand_alone_on_a_page(make_quotation: MakeOrder, line: LineValues) -> None:
    on_the_last: set[int] = set()
    for count in range(17, 31):  # around the end of the first page
        lines = [dataclasses.replace(line, description=f"Article {number}") for number in range(count)]
        pages = _pages(make_quotation(lines=lines).document)
        page = next(page for page in pages if "Total without tax" in page or "Total HT" in page)
        assert f"Article {count - 1} " in page, (count, page)
        on_the_last.add(page.count("Article "))
        if 1 in on_the_last:
            break
    assert 1 in on_the_last, "the last line alone has gone with them, below its heads"


@pytest.mark.parametrize("name", ["Αφοί Παπαδόπουλοι", "Привет ООО", "Łódź Žižka", "Œuvre & Cie €"])
def test_other_scripts_are_printed(make_quotation: MakeOrder, customer: Partner, name: str) -> None:
    save_partner(customer, {"name": name})
    assert name in _text(make_quotation().document)


HOSTILE = [
    '<img src="file:///etc/passwd">',
    "<pdf:include src='file:///etc/passwd'/><pdf:nextpage/>",
    '<link rel="stylesheet" href="http://127.0.0.1:9/x.css">',
    "</td></tr></table><script>alert(1)</script>",
    "{{ config.SECRET_KEY }}",
    "a-font-to-be-chosen",
    "&#60;b&#62;",
    "\x00\x01\x1b[31m",
]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_markup_that_people_typed_is_printed_not_obeyed(
    make_quotation: MakeOrder, customer: Partner, company: Company, line: LineValues, hostile: str
) -> None:
    save_partner(customer, {"name": hostile, "street": hostile})
    save_company(company, {"legal_line": hostile, "website": hostile})
    bad = dataclasses.replace(line, description=f"{hostile}\n{hostile}", unit=hostile[:20])
    order = make_quotation(lines=[bad], note=hostile, payment_terms=hostile)
    pages = _pages(order.document)
    assert len(pages) == 1
    assert "root:" not in pages[0]
    if hostile.isprintable() and "<" in hostile:
        squeezed = pages[0].replace(" ", "")
        assert hostile.replace(" ", "")[:12] in squeezed


@pytest.mark.parametrize(
    "address",
    ["file:///etc/passwd", "/etc/passwd", "http://127.0.0.1:9/x.png", "data:text/html,x", "../x.png"],
)
def test_the_engine_reads_nothing_but_its_own_pictures(address: str, app: object) -> None:
    with pytest.raises(RenderError):
        html_to_pdf(f'<p>x</p><img src="{address}">')


def test_a_bad_accent_color_or_logo_costs_only_itself(make_quotation: MakeOrder, company: Company) -> None:
    order = make_quotation()
    save_company(company, {"accent": "red;}<x>"[:7], "logo": b"no picture"})
    assert "S00001" in _text(order.document)
    picture = io.BytesIO()
    Image.new("RGB", (480, 200), "red").save(picture, "JPEG")
    save_company(company, {"logo": picture.getvalue()})
    reader = PdfReader(io.BytesIO(render_document(order.document)))
    assert len(reader.pages[0].images) == 1


def test_a_pdf_has_no_scripts_or_actions(make_quotation: MakeOrder) -> None:
    data = render_document(make_quotation().document)
    for word in (b"/JavaScript", b"/JS", b"/OpenAction", b"/Launch", b"/EmbeddedFile"):
        assert word not in data


def test_the_longest_texts_are_printed_on_as_many_pages_as_they_need(
    make_quotation: MakeOrder, line: LineValues
) -> None:
    tall = dataclasses.replace(line, description="Titre\n" + "x\n" * 990)
    wide = dataclasses.replace(line, description="W" * 2000)
    order = make_quotation(lines=[tall, wide, line], note="Mot " * 900)
    assert "S00001" in _text(order.document)


def test_every_field_of_the_catalogue_has_a_plain_value(
    make_quotation: MakeOrder, make_invoice: MakeInvoice, salesperson: User
) -> None:
    posted = make_invoice()
    for document in (
        make_quotation().document,
        posted.document,
        invoices.create_credit_note(posted, salesperson).document,
    ):
        behavior = behavior_of(document)
        fields = behavior.fields(document)
        assert set(fields) == {spec.name for spec in behavior.catalogue}
        assert all(type(value) in {str, Decimal, dt.date, int} for value in fields.values())
    fields = behavior_of(posted.document).fields(posted.document)
    assert fields["document.total"] == Decimal("120.00")
    assert (fields["document.number"], fields["document.due_date"]) == (
        "INV/2026/00001",
        dt.date(2026, 4, 11),
    )
    assert (fields["customer.name"], fields["document.order_number"]) == ("Dupont & Fils", "S00001")
    with force_locale("fr"):
        assert behavior_of(posted.document).fields(posted.document)["document.title"] == "Facture"


def test_a_document_without_owner_customer_mail_or_dates_has_empty_fields(make_quotation: MakeOrder) -> None:
    order = make_quotation(by=None)
    fields = behavior_of(order.document).fields(order.document)
    assert fields["owner.name"] == fields["owner.email"] == fields["document.validity"] == ""


def test_what_is_not_final_is_not_sent(make_quotation: MakeOrder, make_invoice: MakeInvoice) -> None:
    order, draft, posted = make_quotation(), make_invoice(posted=False), make_invoice()
    assert behavior_of(order.document).why_not_sendable(order.document) is None
    assert behavior_of(posted.document).why_not_sendable(posted.document) is None
    assert "Issue it first" in str(behavior_of(draft.document).why_not_sendable(draft.document))
    orders.cancel(order)
    invoices.cancel(draft)
    for document in (order.document, draft.document):
        assert "canceled" in str(behavior_of(document).why_not_sendable(document))


def test_the_page_shows_the_pdf_of_what_one_may_read(
    make_quotation: MakeOrder, make_user: Callable[..., User], sign_in: Callable[[User], FlaskClient]
) -> None:
    order = make_quotation()
    response = sign_in(make_user("administrator")).get(f"/documents/{order.document_id}/pdf")
    assert response.mimetype == "application/pdf"
    assert response.data.startswith(b"%PDF-")
    assert sign_in(make_user("cashier")).get(f"/documents/{order.document_id}/pdf").status_code == 404


@pytest.mark.parametrize(
    ("asked", "word"), [("", "Devis"), ("?language=en", "Quotation"), ("?language=xx", "Devis")]
)
def test_a_pdf_is_looked_at_in_another_language(
    make_quotation: MakeOrder,
    sign_in: Callable[[User], FlaskClient],
    make_user: Callable[..., User],
    asked: str,
    word: str,
) -> None:
    order = make_quotation()
    data = sign_in(make_user("administrator")).get(f"/documents/{order.document_id}/pdf{asked}").data
    assert word in PdfReader(io.BytesIO(data)).pages[0].extract_text()


def test_the_same_page_is_laid_out_once_until_what_it_prints_changes(
    make_quotation: Callable[..., Order], monkeypatch: pytest.MonkeyPatch
) -> None:
    laid_out = []
    engine = pdf.html_to_pdf
    monkeypatch.setattr(pdf, "html_to_pdf", lambda html, **how: laid_out.append(html) or engine(html, **how))
    order = make_quotation()
    order.document.company.phone = f"+33 {secrets.randbelow(10**9)}"
    first = render_document(order.document)
    assert render_document(order.document) == first
    assert len(laid_out) == 1
    render_document(order.document, language="en")
    # Not a change of the document: its revision stays, and yet the page says something else.
    order.document.company.phone = "+33 4 11 22 33 44"
    assert (
        "+33 4 11 22 33 44" in PdfReader(io.BytesIO(render_document(order.document))).pages[0].extract_text()
    )
    assert len(laid_out) == 3


def test_every_font_is_in_the_pdf_itself(make_invoice: MakeInvoice) -> None:
    fonts = set()
    for page in PdfReader(io.BytesIO(render_document(make_invoice().document))).pages:
        resources = page["/Resources"].get_object()
        for font in resources["/Font"].get_object().values():
            found = font.get_object()
            fonts.add((str(found["/BaseFont"]), "/FontFile2" in found["/FontDescriptor"].get_object()))
    assert len(fonts) >= 2
    assert all(embedded for _name, embedded in fonts), fonts


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("Łódź & Ωmega Привет ₹", ""),
        ("山田商店", "山 田 商 店"),
        ("서울 상사", "서 울 상 사"),
        ("बाज़ार", "ब ा ज ़ र"),
        ("ร้าน", "ร ้ า น"),
        ("مكتب", "م ك ت ب"),  # in letters that do not join, from the left
    ],
)
def test_letters_that_cannot_be_printed_are_named(
    make_quotation: MakeOrder, customer: Partner, name: str, missing: str
) -> None:
    save_partner(customer, {"name": name})
    told = unprintable(make_quotation().document)
    assert (f": {missing}." in told) if missing else not told


def test_a_mark_of_windows_is_what_it_was_meant_to_be(make_quotation: MakeOrder, customer: Partner) -> None:
    save_partner(customer, {"name": "L\x92Atelier \x80"})
    order = make_quotation()
    assert unprintable(order.document) == ""
    assert "L’Atelier €" in _pages(order.document)[0]


def test_a_line_longer_than_a_page_begins_on_the_first(make_quotation: MakeOrder, line: LineValues) -> None:
    long = dataclasses.replace(line, description="Lampe " * 300 + "\n" + "Laiton " * 250)
    texts = _pages(make_quotation(lines=[long]).document)
    assert texts[0].count("Lampe") > 100
    assert sum(text.count("Lampe") for text in texts) == 300
    assert sum(text.count("Laiton") for text in texts) == 250
    assert sum("100,00" in text for text in texts) >= 1


def test_a_credited_invoice_says_by_what(make_invoice: MakeInvoice) -> None:
    invoice = make_invoice()
    note = invoices.create_credit_note(invoice, None)
    assert "Créditée par" not in _pages(invoice.document)[0]
    invoices.post(note)
    assert f"Créditée par {note.document.number}" in _pages(invoice.document)[0]
