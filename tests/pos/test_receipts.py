"""The receipt: its paper, its name, and its mail, truthfully and privately."""

from __future__ import annotations

import io
from decimal import Decimal

import pytest
from PIL import Image
from pypdf import PdfReader
from sqlalchemy import func, select

from core.companies.service import save_company
from core.db import db, transaction
from core.documents.pdf import render_document
from core.documents.service import behavior_of
from core.errors import UserError
from core.mail.addresses import Address
from core.partners.models import PartnerType
from core.partners.service import save_partner
from core.products.service import save_product, save_tax
from modules.mail_config.mail_templates.selection import offered
from modules.mail_config.mail_templates.service import delete_template, save_template, templates_for
from modules.mail_config.mail_templates.shipped import install
from modules.mail_config.models import MailTemplate
from modules.outbox.badges import badges_for
from modules.outbox.delivery.run import deliver
from modules.outbox.models import OutgoingMail
from modules.outbox.privacy import retention
from modules.outbox.private_addresses import hash_in
from modules.outbox.states import MailState
from modules.pos.service.registers import (
    check_pattern,
    receipt_name,
    save_register,
    save_settings,
    ticket_templates,
)
from modules.pos.service.sale import SaleLine
from modules.pos.service.tickets import change_format, ring_up
from modules.pos.states import TICKET, ReceiptFormat
from tests.outbox.test_private import is_nowhere
from tests.pdf_text import gaps
from tests.pos.conftest import line, paid, sale

MM = 72 / 25.4
WALK_IN = "Jeanne.Passage@walk-in.example.com"


@pytest.fixture(autouse=True)
def _templates(app):
    install(app)


def pages(ticket):
    return PdfReader(io.BytesIO(render_document(ticket.document))).pages


@pytest.mark.parametrize(("paper", "width"), [(ReceiptFormat.ROLL_80, 80), (ReceiptFormat.ROLL_58, 58)])
def test_a_roll_is_as_wide_as_its_paper_and_as_long_as_needed(sell, paper, width):
    short = sell(receipt_format=paper)
    long = sell(*[line() for _ in range(40)], payments=[paid("500")], receipt_format=paper)
    heights = []
    for ticket in (short, long):
        (page,) = pages(ticket)
        assert round(float(page.mediabox.width) / MM) == width
        heights.append(float(page.mediabox.height) / MM)
        assert ticket.document.number in page.extract_text()
    assert 70 < heights[0] < 180
    assert heights[1] > heights[0] + 100


def test_a_ticket_of_five_hundred_lines_fits(sell):
    ticket = sell(*[line("2", discount=Decimal(0)) for _ in range(500)], payments=[paid("12500")])
    assert sum(page.extract_text().count("Lamp") for page in pages(ticket)) == 500


@pytest.mark.parametrize("paper", list(ReceiptFormat))
@pytest.mark.parametrize("language", ["fr", "en"])
def test_figures_stand_apart_and_long_words_end_before_their_price(sell, paper, language):
    taxed = {"tax_name": "TVA 20 %", "tax_rate": Decimal(20)}
    ticket = sell(
        SaleLine("Lampadaire" * 4, Decimal(1), Decimal("12345678.90"), **taxed),
        SaleLine("W" * 60, Decimal(1), Decimal("12345678.90"), **taxed),
        line("3", "0.10"),
    )
    change_format(ticket, paper)
    found = gaps(render_document(ticket.document, language=language))
    assert min(gap for gap, _letters in found) > -1
    # Of thousands: 4.6 points at most, in the total. Two columns: more.
    assert not [letters for gap, letters in found if letters[1].isdigit() and 4.6 < gap < 7]


def test_a4_and_everything_that_the_law_wants(sell, company):
    with transaction():
        company.legal_line = "SARL au capital de 1 000 €"
        company.vat = "FR12 345"
    save_settings(company.id, {"footer": "Thank you & <b>goodbye</b>"})
    ticket = sell(line("2"), payments=[paid("30")], receipt_format=ReceiptFormat.A4)
    (page,) = pages(ticket)
    assert round(float(page.mediabox.height) / MM) == 297
    text = page.extract_text()
    for words in ("Maison Test", "FR12 345", "SARL au capital", "TVA 20 %", "20,83", "4,17", "25,00", "5,00",
                  "Thank you & <b>goodbye</b>", "C1-000001"):  # fmt: skip
        assert words in text, words


def test_a_receipt_shows_the_logo_on_a4_and_says_nothing_of_late_payment(sell, company):
    picture = io.BytesIO()
    Image.new("RGB", (120, 40), "#1f5f8b").save(picture, "PNG")
    save_company(company, {"logo": picture.getvalue(), "late_payment_line": "Indemnité forfaitaire : 40 €"})
    ticket = sell(receipt_format=ReceiptFormat.A4)
    (page,) = pages(ticket)
    assert [image.image.size for image in page.images] == [(120, 40)]
    assert "Indemnité" not in page.extract_text()
    change_format(ticket, ReceiptFormat.ROLL_80)
    assert not pages(ticket)[0].images


def test_a_receipt_speaks_the_language_of_its_customer(sell, lamp):
    save_tax(lamp.tax, {"translations": {"en": {"name": "VAT 20%"}}})
    save_product(
        lamp,
        {
            "translations": {"en": {"name": "Table light"}},
            "company_id": lamp.company_id,
            "tax_id": lamp.tax_id,
        },
    )
    customer = save_partner(None, {"name": "Kestrel", "language": "en", "country": "GB"})
    ticket = sell(
        line(product_id=lamp.id), line(product_id=lamp.id, tax_name="Other"), partner_id=customer.id
    )
    text = pages(ticket)[0].extract_text()
    assert text.count("Table light") == 2
    assert "VAT 20%" in text
    assert "Other" in text, "a tax that the till still had, and the product no longer, stays as it was"
    save_product(lamp, {"translations": {}, "company_id": lamp.company_id, "tax_id": lamp.tax_id})
    assert "Table light" in pages(ticket)[0].extract_text()
    assert "Table light" not in pages(sell(line(product_id=lamp.id)))[0].extract_text()


def test_a_hostile_name_is_printed_not_obeyed(sell):
    ticket = sell(line(tax_name="<img src=file:///etc/passwd>"))
    assert "passwd" in pages(ticket)[0].extract_text()


def test_the_file_is_named_by_the_pattern_of_the_register(sell, register, company):
    ticket = sell()
    assert receipt_name(ticket, "BRICO") == "C1-000001-BRICO.pdf"
    save_register(register, {"file_pattern": "{date} {number}/{company}"})
    assert receipt_name(ticket, "Brico & Co").endswith("Brico_&_Co.pdf")
    for wrong in ("{nope}", "{register", "{register.__class__}", "{0}", "  "):
        with pytest.raises(UserError):
            check_pattern(wrong)


def test_every_field_of_the_catalogue_has_a_value(sell):
    ticket = sell()
    behavior = behavior_of(ticket.document)
    fields = behavior.fields(ticket.document)
    assert set(fields) == {spec.name for spec in behavior.catalogue}
    assert all(spec.fits(fields[spec.name]) for spec in behavior.catalogue)


# -- by mail -------------------------------------------------------------------------------------------


def the_mail() -> OutgoingMail:
    return db.session.scalars(select(OutgoingMail).execution_options(populate_existing=True)).one()


@pytest.mark.smtp
@pytest.mark.usefixtures("server")
def test_a_walk_in_gets_the_receipt_and_is_not_kept(sell, settings, lab):
    ticket = sell(address=Address(WALK_IN))
    mail = the_mail()
    assert (mail.private, mail.recipients[0].addr_spec) == (True, hash_in(mail, WALK_IN))
    is_nowhere(settings, WALK_IN, "jeanne")
    deliver([mail.id])
    (message,) = lab.accepted
    assert message.recipients == (WALK_IN,)
    assert b"C1-000001-Maison_Test.pdf" in message.data
    assert the_mail().state is MailState.SENT
    assert badges_for([ticket.document_id])[ticket.document_id].tone == "success"
    is_nowhere(settings, WALK_IN, "jeanne")
    assert not list((settings.data_dir / "files").rglob("??/*")) or not any(
        path.is_file() for path in (settings.data_dir / "files").rglob("*")
    )


@pytest.mark.smtp
@pytest.mark.usefixtures("server")
def test_what_the_ticket_says_of_a_refused_receipt_is_true(sell, settings):
    ticket = sell(address=Address(f"refused+{WALK_IN}"))
    deliver([the_mail().id])
    db.session.expire_all()
    badge = badges_for([ticket.document_id])[ticket.document_id]
    assert badge.tone == "danger"
    is_nowhere(settings, "jeanne")


@pytest.fixture
def customer():
    row = save_partner(None, {"name": "Client SA", "email": "client@example.com", "language": "en"})
    save_partner(
        None,
        {
            "name": "Maya", "email": "maya@example.com", "parent_id": row.id, "is_main": True,
            "type": PartnerType.CONTACT,
        },
    )  # fmt: skip
    return row


@pytest.mark.parametrize(
    ("settings_", "expected"),
    [
        ({}, [["client@example.com"]]),
        ({"to_main_contact": True}, [["client@example.com", "maya@example.com"]]),
        ({"to_customer": False, "to_main_contact": True}, [["maya@example.com"]]),
        # Each copy goes in a mail of its own: neither the customer nor the others learn who gets them.
        (
            {
                "fixed_addresses": "Books <books@example.com>; client@example.com; b@example.com",
                "keep_days": 30,
            },
            [["client@example.com"], ["books@example.com"], ["b@example.com"]],
        ),
        ({"to_customer": False, "fixed_addresses": "books@example.com"}, [["books@example.com"]]),
    ],
)
def test_receipts_of_known_customers_go_where_the_settings_say(sell, company, customer, settings_, expected):
    save_settings(company.id, settings_)
    sell(partner_id=customer.id, mail=True)
    mails = db.session.scalars(select(OutgoingMail).order_by(OutgoingMail.id)).all()
    assert [[row.addr_spec for row in mail.recipients] for mail in mails] == expected
    assert {(mail.private, mail.language, mail.keep_days) for mail in mails} == {
        (False, "en", settings_.get("keep_days"))
    }


@pytest.mark.smtp
@pytest.mark.usefixtures("server")
def test_fixed_addresses_get_a_copy_of_a_walk_ins_receipt_and_neither_learns_of_the_other(
    sell, company, settings, lab
):
    save_settings(company.id, {"fixed_addresses": "books@example.com", "keep_days": 400})
    sell(address=Address(WALK_IN))
    mails = db.session.scalars(select(OutgoingMail).order_by(OutgoingMail.id)).all()
    assert [(mail.private, mail.recipients[0].addr_spec) for mail in mails] == [
        (True, hash_in(mails[0], WALK_IN)),
        (False, "books@example.com"),
    ]
    deliver([mail.id for mail in mails])
    accepted = {message.recipients: message.data for message in lab.accepted}
    assert set(accepted) == {(WALK_IN,), ("books@example.com",)}
    assert b"books@example.com" not in accepted[WALK_IN,]
    assert WALK_IN.encode() not in accepted["books@example.com",]
    retention.apply(folders=())
    db.session.expire_all()
    assert all(mail.contents_erased_at is not None for mail in mails)
    is_nowhere(settings, WALK_IN, "jeanne")
    sell()
    assert db.session.scalar(select(func.count(OutgoingMail.id))) == 2  # nobody asked for a receipt


def test_a_walk_in_who_is_a_fixed_address_gets_the_receipt_once(sell, company):
    save_settings(company.id, {"fixed_addresses": WALK_IN.upper()})
    sell(address=Address(WALK_IN))
    assert the_mail().private


def test_receipts_are_on_the_paper_of_the_register_else_of_the_company(sell, register, company):
    assert sell().receipt_format is ReceiptFormat.ROLL_80
    save_settings(company.id, {"receipt_format": ReceiptFormat.A4})
    assert sell().receipt_format is ReceiptFormat.A4
    save_register(register, {"receipt_format": ReceiptFormat.ROLL_58})
    assert sell().receipt_format is ReceiptFormat.ROLL_58
    assert sell(receipt_format=ReceiptFormat.ROLL_80).receipt_format is ReceiptFormat.ROLL_80


def ticket_template(subject: str, **values: object) -> MailTemplate:
    return save_template(
        None, kind=TICKET, values={"name": subject, **values}, texts={"en": (subject, "<p>Hello</p>")}
    )


def test_the_settings_name_the_template_of_receipts(sell, company, customer):
    named = ticket_template("Named in the settings")
    ticket_template("Of the company", company_id=company.id, position=1)
    other = save_company(None, {"name": "Other", "email": "other@example.com"})
    assert (named.id, "Named in the settings") in ticket_templates(company.id)
    save_settings(company.id, {"template_id": named.id})
    ticket = sell(partner_id=customer.id, mail=True)
    mail = the_mail()
    assert mail.subject == "Named in the settings"
    first = offered(ticket.document)[0]
    assert (first.template, first.why) == (
        named,
        ["for everybody", "named in the settings", "in English, the language of the document"],
    )
    # One for the customer is nearer still.
    own = ticket_template("Of the customer", partner_id=customer.id)
    assert templates_for(ticket.document)[0] is own
    assert own.id not in dict(ticket_templates(company.id))
    # One that is gone, or another company's, is not chosen; and a setting that names one gone does no harm.
    with pytest.raises(UserError, match="not there any more"):
        save_settings(other.id, {"template_id": 987654})
    for row in (named, own):
        delete_template(row)
    assert templates_for(ticket.document)[0].name == "Of the company"


def test_a_fixed_address_that_is_none_is_told(company):
    with pytest.raises(UserError, match="nonsense"):
        save_settings(company.id, {"fixed_addresses": "books@example.com; nonsense"})


def test_a_sale_is_not_lost_for_want_of_an_address(sell, company):
    nobody = save_partner(None, {"name": "No address", "email": ""})
    ticket = sell(partner_id=nobody.id, mail=True)
    assert "no address" in ticket.mail_problem
    assert db.session.scalars(select(OutgoingMail)).all() == []


def test_the_same_ticket_posted_again_is_mailed_once(sell, register, cashier):
    posted = sale(address=Address(WALK_IN))
    ring_up(register, posted, cashier)
    ring_up(register, posted, cashier)
    the_mail()
