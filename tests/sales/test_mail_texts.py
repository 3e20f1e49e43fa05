from __future__ import annotations

import re

import pytest
from flask import Flask

from core.documents.behavior import FieldValue, ShippedTemplate
from modules.mail_config.template_language.render import render
from modules.pos.behavior import TEMPLATES as RECEIPTS
from modules.sales import mail_texts
from modules.sales.behavior import invoice, order

TEMPLATES = [
    *mail_texts.QUOTATION,
    *mail_texts.ORDER,
    *mail_texts.INVOICE,
    *mail_texts.CREDIT_NOTE,
]


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.name)
def test_without_a_salesperson_the_company_signs(
    app: Flask, template: ShippedTemplate, language: str
) -> None:
    fields: dict[str, FieldValue] = {spec.name: "" for spec in (*order.catalogue, *invoice.catalogue)} | {
        "company.name": "Maison Test",
        "document.total": 1,
        "document.currency": "EUR",
    }
    subject, body = template.texts[language]
    assert "<p>Maison Test<br>Maison Test" in render(subject, body, fields).body_html
    assert "<p>Sophie<br>Maison Test" in render(subject, body, {**fields, "owner.name": "Sophie"}).body_html


INVOICE_FIELDS: dict[str, FieldValue] = {
    "company.name": "Maison Test",
    "company.bank_line": "IBAN FR76 3000",
    "document.number": "INV/2026/00005",
    "document.due_date": "X",
    "document.total": 1,
    "document.currency": "EUR",
}


@pytest.mark.parametrize(
    ("language", "bank", "sentence"),
    [
        ("en", "IBAN FR76 3000", "Please pay by X to: IBAN FR76 3000, quoting INV/2026/00005."),
        ("en", "", "Please pay by X, quoting INV/2026/00005."),
        (
            "fr",
            "IBAN FR76 3000",
            (
                "Merci de la régler au plus tard le X, en rappelant le numéro INV/2026/00005, "
                "par virement sur le compte&nbsp;: IBAN FR76 3000."
            ),
        ),
        ("fr", "", "Merci de la régler au plus tard le X, en rappelant le numéro INV/2026/00005."),
    ],
)
def test_the_payer_is_told_by_when_to_whom_and_what_to_quote(
    app: Flask, language: str, bank: str, sentence: str
) -> None:
    fields: dict[str, FieldValue] = {spec.name: "" for spec in invoice.catalogue}
    fields |= INVOICE_FIELDS | {"company.bank_line": bank}
    subject, body = mail_texts.INVOICE[0].texts[language]
    assert f"<p>{sentence}</p>" in render(subject, body, fields).body_html


def test_a_receipt_is_for_an_amount_and_the_purchase_on_a_day(app: Flask) -> None:
    _subject, body = RECEIPTS[0].texts["en"]
    assert "your purchase on {{ document.date }}" in body
    assert "for <strong>{{ document.total }}</strong> is attached" in body


@pytest.mark.parametrize("template", [*TEMPLATES, *RECEIPTS], ids=lambda template: template.name)
def test_french_signs_stand_after_a_no_break_space_and_a_day_is_never_excluded(
    template: ShippedTemplate,
) -> None:
    subject, body = template.texts["fr"]
    # The colon of a sentence, not that of a formula or an address.
    assert not re.search(r" [:;?!»]|« ", subject + re.sub(r"<[^>]*>|{[^}]*}", "", body))
    assert "avant le" not in body
