"""A failure about which nothing has to be done is put aside with a note, is found, and comes back; a wrong address in
several mails is corrected once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from core.auth.models import User
from core.companies.models import Company
from core.documents.models import Document
from modules.outbox import figures, service
from modules.outbox.badges import badges_for
from modules.outbox.models import OutgoingMail
from modules.outbox.states import MailState
from tests.outbox.conftest import draft
from tests.outbox.mails import become, recipient_becomes, refused

both = pytest.mark.both_databases


@pytest.fixture
def browser(seller: User, sign_in: Callable[[User], FlaskClient]) -> FlaskClient:
    return sign_in(seller)


@pytest.fixture
def mail(company: Company, quotation: Document, seller: User) -> Callable[..., OutgoingMail]:
    def submit(*addresses: str) -> OutgoingMail:
        return refused(service.submit(draft(company, *addresses, document=quotation), seller))

    return submit


@both
def test_a_failure_is_dismissed_with_a_note_found_and_taken_back(
    browser: FlaskClient, mail: Callable[..., OutgoingMail], quotation: Document
) -> None:
    row = mail("gone@example.com")
    link = f'id="mail-link-{row.id}"'

    def shown(filter_name: str) -> bool:
        return link in browser.get(f"/outbox/mails?f={filter_name}").text

    def failures() -> float:
        return figures.metrics(None)[0].values["failed"]

    assert failures() == 1
    browser.post(f"/outbox/mails/{row.id}/dismiss", data={"note": "Sent by post <b>today</b>"})
    page = browser.get(f"/outbox/mails/{row.id}").text
    assert "Sent by post &lt;b&gt;today&lt;/b&gt;" in page
    assert "Dismiss…" not in page
    assert (shown("failed"), shown("dismissed")) == (False, True)
    assert failures() == 0  # nobody is woken
    assert badges_for([quotation.id])[quotation.id].tone == "neutral"
    assert quotation.number not in browser.get("/sales/quotations?f=outbox.failed").text
    assert (
        "nothing was changed"
        in browser.post(f"/outbox/mails/{row.id}/dismiss", follow_redirects=True).text.casefold()
    )

    browser.post(f"/outbox/mails/{row.id}/undismiss")
    assert (shown("failed"), shown("dismissed")) == (True, False)
    assert badges_for([quotation.id])[quotation.id].tone == "danger"
    # Whoever sends it again wants to hear of it again.
    browser.post(f"/outbox/mails/{row.id}/dismiss")
    browser.post(f"/outbox/mails/{row.id}/resend")
    assert become(row).dismissed_at is None
    verbs = [event.verb for event in row.events]
    assert verbs == ["submit", "dismiss", "undismiss", "dismiss", "resend"]


@both
def test_the_same_wrong_address_is_corrected_once_for_all(
    browser: FlaskClient, mail: Callable[..., OutgoingMail], make_user: Callable[..., User]
) -> None:
    first, second, third = mail("jon@example.com"), mail("jon@example.com"), mail("jon@example.com")
    got = mail("jon@example.com")
    recipient_becomes(got, state="accepted")
    become(got, state=MailState.SENT, accepted_count=1)
    there = mail("jon@example.com", "john@example.com")
    url = f"/outbox/mails/{first.id}"
    assert "Correct it in 3 other emails as well" in browser.get(f"{url}?tab=recipients").text
    data = {"address": "john@example.com", "everywhere": "1", "resend": "1"}
    html = browser.post(f"{url}/recipients/{first.recipients[0].id}", data=data, follow_redirects=True).text
    assert "Corrected in 2 other emails. 2 emails are in the queue again." in html
    for row in (first, second, third):
        assert become(row).state is MailState.QUEUED
        assert row.recipients[0].addr_spec == "john@example.com"
    assert become(got).recipients[0].addr_spec == "jon@example.com"
    # The right address is among its recipients already: nobody gets it twice.
    assert become(there).recipients[0].addr_spec == "jon@example.com"


def test_a_mail_that_not_all_have_got_shows_who_has_not(
    browser: FlaskClient, mail: Callable[..., OutgoingMail]
) -> None:
    row = mail("first@example.com", "second@example.com")
    recipient_becomes(row, state="accepted")
    recipient_becomes(row, 1, state="refused", failure_kind="recipient_unknown")
    become(row, state=MailState.PARTIAL, accepted_count=1)
    line = browser.get("/outbox/mails").text.partition(f'id="mail-{row.id}"')[2].partition("</tr>")[0]
    assert "second@example.com" in line
    assert "first@example.com" not in line


@both
def test_the_page_of_a_mail_leads_back_to_its_place_in_the_list_and_to_its_neighbors(
    browser: FlaskClient, mail: Callable[..., OutgoingMail]
) -> None:
    rows = [mail(f"number{number}@example.com") for number in range(4)]
    become(rows[2], state=MailState.SENT)
    html = browser.get("/outbox/mails?f=failed&q=number").text
    come_from = "in=f%3Dfailed%26q%3Dnumber"
    assert f'href="/outbox/mails/{rows[3].id}?{come_from}"' in html
    page = browser.get(f"/outbox/mails/{rows[3].id}?{come_from}").text
    assert 'href="/outbox/mails?f=failed&amp;q=number"' in page
    assert f'href="/outbox/mails/{rows[3].id}?tab=timeline&amp;{come_from}"' in page

    def beside(row: OutgoingMail, way: str) -> str:
        return browser.get(f"/outbox/mails/{row.id}/{way}?{come_from}").location

    # The newest first; what the filter leaves out is passed over, also when it is open.
    assert beside(rows[3], "next") == f"/outbox/mails/{rows[1].id}?{come_from}"
    assert beside(rows[1], "previous") == f"/outbox/mails/{rows[3].id}?{come_from}"
    assert beside(rows[2], "next") == f"/outbox/mails/{rows[1].id}?{come_from}"
    assert beside(rows[0], "next") == f"/outbox/mails/{rows[0].id}?{come_from}"
    assert "last email of the list" in browser.get(f"/outbox/mails/{rows[0].id}?{come_from}").text
    # What is pressed there comes back there.
    address = f"http://localhost/outbox/mails/{rows[1].id}?tab=reason&{come_from}"
    answer = browser.post(f"/outbox/mails/{rows[1].id}/resend", headers={"Referer": address})
    assert answer.location == f"/outbox/mails/{rows[1].id}?{come_from}"
