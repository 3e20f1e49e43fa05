from __future__ import annotations

import pytest
from flask import Flask

from core.documents.behavior import FieldValue, ShippedTemplate
from modules.mail_config.template_language.render import render
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
