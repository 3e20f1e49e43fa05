"""The code on a receipt, read as a scanner reads it: from the picture of the paper."""

from __future__ import annotations

import pypdfium2
import pytest
import zxingcpp

from core.documents.pdf import render_document
from modules.pos.states import ReceiptFormat
from tests.pos.conftest import line

DOTS_PER_POINT = 203 / 72
"""What a receipt printer prints."""


@pytest.mark.parametrize("paper", list(ReceiptFormat))
@pytest.mark.parametrize("lines", [1, 40])
def test_the_code_of_a_ticket_can_be_scanned_from_the_paper(sell, paper, lines):
    ticket = sell(*[line() for _ in range(lines)], receipt_format=paper)
    pdf = pypdfium2.PdfDocument(render_document(ticket.document))
    found = [
        code.text
        for page in pdf
        for code in zxingcpp.read_barcodes(page.render(scale=DOTS_PER_POINT).to_pil())
    ]
    assert found == ["C1-000001"]
