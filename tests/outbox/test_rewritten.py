"""A From that had to be rewritten is never rewritten silently."""

from __future__ import annotations

import pytest

from modules.mail_config.senders.service import save_own_sender
from modules.outbox import service
from modules.outbox.delivery.run import deliver
from tests.outbox.conftest import draft, make_ready, make_server

pytestmark = [pytest.mark.smtp]


def test_a_rewritten_from_is_told_in_the_composer_and_on_the_mail(lab, company, seller, sign_in, quotation):
    make_ready(make_server(lab, name="House", from_filter=company.email))
    save_own_sender(seller, address=seller.login, name="", own_server=False)
    browser = sign_in(seller)
    page = browser.get(f"/outbox/compose/{quotation.id}").text
    said = f"may not send from {seller.login}, so From is {company.email}"
    assert said in page
    mail = service.submit(draft(company, "client@example.com"), seller)
    assert said in browser.get(f"/outbox/mails/{mail.id}").text, "while it waits"
    deliver([mail.id])
    page = browser.get(f"/outbox/mails/{mail.id}").text
    assert "From was rewritten" in page
    assert f"could not send from {seller.login}" in page
