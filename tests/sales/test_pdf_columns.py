"""Figures of neighboring columns do not run together, in any currency."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest

from core.companies.models import Company
from core.db import transaction
from core.documents.pdf import render_document
from modules.sales.models import Order
from modules.sales.service.lines import LineValues
from tests.pdf_text import gaps


@pytest.mark.parametrize("language", ["fr", "en"])
@pytest.mark.parametrize("currency", ["EUR", "XOF", "KWD", "HUF", "CHF"])
@pytest.mark.parametrize(("price", "discount"), [("1250000.5", "0"), ("999999999.9999", "33.33")])
def test_a_figure_is_apart_from_its_neighbor(
    make_quotation: Callable[..., Order],
    company: Company,
    vat,
    customer,
    language: str,
    currency: str,
    discount: str,
    price: str,
) -> None:
    with transaction():
        company.currency = currency
    line = LineValues(
        "Lamp\nmade of brass", Decimal(1), Decimal(price), Decimal(discount), "pce", tax_id=vat.id
    )
    order = make_quotation(lines=[line], language=language)
    pdf = render_document(order.document)
    # None touches another. Where figures of two columns meet is no space as between thousands, of at most 4 points.
    found = gaps(pdf)
    assert min(gap for gap, _letters in found) > -1
    assert len([gap for gap, _letters in found if gap > 8]) >= 8
    assert not [letters for gap, letters in found if letters[1].isdigit() and 4 < gap < 8]
