"""Lists of documents by what became of their emails: the filters say what the badges say."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from flask.testing import FlaskClient

from core import clock
from core.auth.models import User
from core.companies.models import Company
from core.documents.models import Document
from core.partners.models import Partner
from modules.outbox import service
from modules.outbox.badges import badges_for
from modules.outbox.handed_over.service import hand_over
from modules.outbox.models import OutgoingMail, Way
from modules.outbox.states import MailState
from modules.sales.service import orders
from modules.sales.service.lines import LineValues
from tests.outbox.conftest import draft
from tests.outbox.mails import accepted, become, refused


@pytest.fixture
def quote(company: Company, customer: Partner, seller: User) -> Callable[[], Document]:
    lines = [LineValues("Lamp", Decimal(2), Decimal("50.00"))]
    values = orders.QuotationValues(customer.id, clock.day_in("UTC"), lines)
    return lambda: orders.create_quotation(company, values, seller).document


@pytest.mark.both_databases
def test_lists_of_documents_are_narrowed_by_what_became_of_their_emails(
    company: Company,
    seller: User,
    sign_in: Callable[[User], FlaskClient],
    quote: Callable[[], Document],
) -> None:
    def mailed(document: Document, address: str = "client@example.com") -> OutgoingMail:
        return service.submit(draft(company, address, document=document), seller)

    never, canceled, sent, waits, fails, again, by_post, answered = (quote() for _ in range(8))
    become(mailed(canceled), state=MailState.CANCELED)
    accepted(mailed(sent))
    become(mailed(waits), state=MailState.DEFERRED)
    refused(mailed(fails))
    accepted(mailed(fails, "somebody.else@example.com"))
    refused(mailed(again))
    accepted(mailed(again))
    refused(mailed(by_post))
    hand_over([by_post.id], Way.POST, seller)
    become(mailed(answered), state=MailState.SENT, answers_id=7)
    client = sign_in(seller)

    def shown(*names: str, page: str = "/sales/quotations") -> set[str]:
        html = client.get(page, query_string={"f": [f"outbox.{name}" for name in names]}).text
        return {part.split("</a>")[0].split(">")[-1] for part in html.split('class="row-link"')[1:]}

    assert shown("not_sent") == {never.number, canceled.number, answered.number}
    assert shown("failed") == {fails.number}
    assert shown("waiting") == {waits.number}
    assert shown("failed", "waiting") == {fails.number, waits.number}
    assert shown("failed", page="/sales/orders") == set()
    red = {
        number
        for number, badge in badges_for(
            [row.id for row in (never, canceled, sent, waits, fails, again, by_post, answered)]
        ).items()
        if badge.tone == "danger"
    }
    assert red == {fails.id}
    assert "Email failed" in client.get("/sales/invoices").text
