"""What can be done about one mail, by whom, and what is said afterwards."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from core import clock
from core.auth.models import Grant, Role, User
from core.companies.service import save_company
from core.contract import Scope
from core.db import db, transaction
from core.mail.outcomes import RecipientState
from modules.outbox import service
from modules.outbox.models import MailAttachment, OutgoingMail
from modules.outbox.states import MailState
from tests.outbox.conftest import draft, with_file
from tests.outbox.mails import accepted, become, recipient_becomes, refused, uncertain

Send = Callable[..., OutgoingMail]


@pytest.fixture
def seller(make_user: Callable[..., User]) -> User:
    return make_user()


@pytest.fixture
def browser(seller: User, sign_in: Callable[[User], FlaskClient]) -> FlaskClient:
    return sign_in(seller)


@pytest.fixture
def mail(send: Send, seller: User) -> OutgoingMail:
    return send("one@example.com", by=seller)


def press(browser: FlaskClient, mail: OutgoingMail, what: str, **fields: object) -> str:
    """Press a button of a mail's page, and return what is said afterwards."""
    response = browser.post(f"/outbox/mails/{mail.id}/{what}", data=fields, follow_redirects=True)
    assert response.status_code == 200, response.text
    become(mail)
    return said(response.text)


def said(html: str) -> str:
    flashes = re.findall(r'<div\s+class="alert [^>]*role="(?:status|alert)"\s*>(.*?)<button', html, re.DOTALL)
    return " ".join(" ".join(flashes).split())


def buttons(browser: FlaskClient, mail: OutgoingMail) -> list[str]:
    html = browser.get(f"/outbox/mails/{mail.id}").text
    line = html.partition('id="mail-actions"')[2].partition("</div>")[0]
    return [
        " ".join(re.sub("<[^>]+>", " ", b).split())
        for b in re.findall(r"<(?:button|a)\b.*?</(?:button|a)>", line, re.DOTALL)
    ]


# -- which -----------------------------------------------------------------------------------------------


def test_each_state_offers_what_it_allows(browser, mail):
    again = ["Send again"]
    waits = ["Change…", "Move", "Cancel", "Duplicate"]
    assert buttons(browser, mail) == waits
    assert buttons(browser, become(mail, state=MailState.SENDING)) == ["Duplicate"]
    assert buttons(browser, become(mail, state=MailState.DEFERRED)) == ["Send now", *waits]
    assert buttons(browser, become(mail, state=MailState.SCHEDULED)) == ["Send now", *waits]
    assert buttons(browser, become(mail, state=MailState.CANCELED)) == [*again, "Duplicate"]
    become(mail, sender_address="sales@maison.example.com")
    assert buttons(browser, refused(mail)) == [*again, "Dismiss", "Duplicate", "Download .eml"]
    assert buttons(browser, uncertain(mail)) == [
        "Mark as sent",
        "Mark as not received",
        *again,
        "Dismiss",
        "Duplicate",
        "Download .eml",
    ]
    assert buttons(browser, accepted(mail)) == ["Duplicate", "Download .eml"]


def test_who_may_only_read_gets_no_buttons(sign_in, make_user, mail):
    reader = make_user("cashier", login="reader@maison.example.com")
    with transaction() as session:
        role = Role(code="reader", name="Reader")
        role.grants = [Grant(permission="outbox.mail.read", scope=Scope.ALL)]
        session.add(role)
        reader.roles = [role]
    browser = sign_in(reader)
    assert buttons(browser, refused(mail, sender_address="a@example.com")) == ["Download .eml"]
    assert "resend-form" not in browser.get(f"/outbox/mails/{mail.id}?tab=recipients").text
    for what in ("resend", "send-now", "cancel", "mark", f"recipients/{mail.recipients[0].id}"):
        assert browser.post(f"/outbox/mails/{mail.id}/{what}").status_code == 403
    assert browser.get(f"/outbox/compose/again/{mail.id}").status_code == 403
    assert become(mail).state is MailState.FAILED


# -- retry, send now, cancel -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "words"), [("resend", "in the queue again"), ("send-now", "first on the queue")]
)
def test_a_failed_mail_goes_back_to_the_queue_once(browser, mail, seller, what, words):
    refused(mail)
    assert words in press(browser, mail, what)
    assert mail.state is MailState.QUEUED
    assert mail.events[-1].by_user_id == seller.id
    # Pressed twice, or by two people.
    assert press(browser, mail, what) == "Nothing was changed: the email is on its way already."
    assert [event.verb for event in mail.events].count("resend") == 1


def test_a_waiting_mail_leaves_without_its_delay(browser, mail):
    become(mail, state=MailState.DEFERRED)
    assert "first on the queue" in press(browser, mail, "send-now")
    assert mail.state is MailState.QUEUED


def test_what_everybody_has_is_not_sent_again(browser, mail):
    accepted(mail)
    assert press(browser, mail, "resend") == "Nothing was changed: everybody has got the email already."
    assert mail.state is MailState.SENT


def test_what_is_erased_is_not_sent_again(browser, mail):
    refused(mail, contents_erased_at=clock.now())
    assert "were erased, so it cannot be sent again" in press(browser, mail, "resend")
    assert mail.state is MailState.FAILED


def test_canceling_says_whether_it_came_in_time(browser, mail):
    assert press(browser, mail, "cancel") == "The email was canceled."
    assert press(browser, mail, "cancel") == "Nothing was changed: the email is canceled already."
    become(mail, state=MailState.SENDING)
    assert press(browser, mail, "cancel") == "Nothing was changed: the email is on its way already."


def test_giving_up_for_the_others_is_not_called_canceled(browser, send, seller):
    mail = send("one@example.com", "two@example.com", by=seller)
    recipient_becomes(mail, 0, state=RecipientState.ACCEPTED)
    recipient_becomes(mail, 1, state=RecipientState.DEFERRED)
    become(mail, state=MailState.DEFERRED, accepted_count=1)
    assert press(browser, mail, "cancel").startswith("Envoi has stopped trying.")
    assert mail.state is MailState.PARTIAL


def test_a_button_of_a_panel_leads_back_to_its_page(browser, mail, customer):
    refused(mail)
    response = browser.post(f"/outbox/mails/{mail.id}/resend", data={"back": f"partner-{customer.id}"})
    assert response.location == f"/partners/{customer.id}"
    for elsewhere in ("https://evil.example", "//evil.example", "partner-x", "partner-", "document", "\t//e"):
        response = browser.post(f"/outbox/mails/{mail.id}/resend", data={"back": elsewhere})
        assert response.location == f"/outbox/mails/{mail.id}"


# -- mark ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("accepted_", "state"), [("1", MailState.SENT), ("0", MailState.FAILED)])
def test_a_person_settles_what_is_uncertain(browser, mail, accepted_, state):
    uncertain(mail)
    assert press(browser, mail, "mark", accepted=accepted_).startswith("Noted:")
    assert mail.state is state
    # Somebody else was quicker.
    assert press(browser, mail, "mark", accepted="1") == "This email is no longer uncertain."
    assert mail.state is state


# -- resend to -------------------------------------------------------------------------------------------


def test_a_corrected_address_is_resent_to(browser, mail):
    refused(mail)
    recipient = mail.recipients[0]
    told = press(browser, mail, f"recipients/{recipient.id}", address="right@example.com", resend="1")
    assert told == "The address was corrected, and the email is in the queue again."
    assert mail.recipients[0].addr_spec == "right@example.com"
    assert mail.state is MailState.QUEUED


def test_correcting_alone_sends_nothing(browser, mail):
    refused(mail)
    path = f"recipients/{mail.recipients[0].id}"
    assert press(browser, mail, path, address="right@example.com") == "The address was corrected."
    assert mail.state is MailState.FAILED
    assert press(browser, mail, path, address="right@example.com") == "The address is the same as before."


def test_the_same_address_can_be_resent_to(browser, mail):
    refused(mail)
    told = press(browser, mail, f"recipients/{mail.recipients[0].id}", address="one@example.com", resend="1")
    assert told.startswith("The email is in the queue again.")
    assert "correct" not in [event.verb for event in mail.events]


def test_the_contact_is_corrected_when_ticked(browser, mail, customer):
    refused(mail)
    recipient_becomes(mail, partner_id=customer.id, addr_spec=customer.email)
    path = f"recipients/{mail.recipients[0].id}"
    told = press(browser, mail, path, address="right@example.com", keep="on", resend="1")
    assert told.startswith("Client SA has the address right@example.com now.")
    assert customer.email == "right@example.com"


def test_the_contact_stays_when_the_person_may_not_edit_it(sign_in, make_user, send, customer):
    cashier = make_user("cashier")
    assert not cashier.can("core.partner.edit")
    mail = refused(send(customer.email, by=cashier))
    recipient_becomes(mail, partner_id=customer.id)
    press(
        sign_in(cashier), mail, f"recipients/{mail.recipients[0].id}", address="right@example.com", keep="on"
    )
    assert customer.email == "client@example.com"


@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize(
    ("typed", "complaint"),
    [
        ("not an address", "is not a valid email address"),
        ("", "is not a valid email address"),
        ("two@example.com", "among the recipients already"),
        ("x" * 5000 + "@example.com", "is not a valid email address"),
    ],
)
def test_a_wrong_address_is_told_beside_its_field_and_kept(browser, send, seller, typed, complaint, in_place):
    mail = refused(send("one@example.com", "two@example.com", by=seller))
    recipient = mail.recipients[0]
    response = browser.post(
        f"/outbox/mails/{mail.id}/recipients/{recipient.id}",
        data={"address": typed, "resend": "1"},
        headers={"HX-Request": "true"} if in_place else {},
    )
    assert response.status_code == 422
    assert complaint in response.text
    assert f'value="{typed[:1000]}"' in response.text
    assert f'id="address-{recipient.id}-error"' in response.text
    assert response.text.lstrip().startswith("<form" if in_place else "<!doctype")
    assert become(mail).state is MailState.FAILED
    assert mail.recipients[0].addr_spec == "one@example.com"


def test_in_place_a_good_address_leads_to_the_page(browser, mail):
    refused(mail)
    response = browser.post(
        f"/outbox/mails/{mail.id}/recipients/{mail.recipients[0].id}",
        data={"address": "right@example.com", "resend": "1"},
        headers={"HX-Request": "true"},
    )
    assert response.status_code == 204
    assert response.headers["HX-Redirect"] == f"/outbox/mails/{mail.id}?tab=recipients"


def test_correcting_an_uncertain_mail_does_not_send_it_again(browser, send, seller):
    mail = uncertain(send("one@example.com", "two@example.com", by=seller))
    recipient_becomes(mail, 1, state=RecipientState.REFUSED)
    told = press(
        browser, mail, f"recipients/{mail.recipients[1].id}", address="right@example.com", resend="1"
    )
    assert "First say whether the email has arrived" in told
    assert mail.state is MailState.UNCERTAIN


def test_who_has_got_it_is_not_corrected(browser, mail):
    accepted(mail)
    response = browser.post(
        f"/outbox/mails/{mail.id}/recipients/{mail.recipients[0].id}", data={"address": "right@example.com"}
    )
    assert response.status_code == 422
    assert become(mail).recipients[0].addr_spec == "one@example.com"


# -- what is not yours -----------------------------------------------------------------------------------


def every_path(mail: OutgoingMail) -> dict[str, list[str]]:
    here = f"/outbox/mails/{mail.id}"
    attachment = f"{here}/attachments/{mail.attachments[0].id}"
    return {
        "get": [here, f"{here}?tab=timeline", f"{here}/html", f"{here}/eml", f"{here}/head", attachment,
                f"/outbox/compose/again/{mail.id}"],
        "post": [f"{here}/resend", f"{here}/send-now", f"{here}/cancel", f"{here}/mark",
                 f"{here}/recipients/{mail.recipients[0].id}", f"/outbox/compose/again/{mail.id}"],
    }  # fmt: skip


@pytest.mark.parametrize("stranger", ["colleague", "elsewhere"])
def test_what_is_not_yours_is_not_there(sign_in, make_user, company, seller, stranger):
    mail = service.submit(with_file(draft(company, "one@example.com")), seller)
    refused(mail, sender_address="sales@maison.example.com")
    other = save_company(None, {"name": "Other", "email": "o@other.example.com", "language": "en"})
    where = {"colleague": company.id, "elsewhere": other.id}[stranger]
    browser = sign_in(make_user(login="stranger@example.com", company_ids=[where]))
    paths = every_path(mail)
    for path in paths["get"]:
        assert browser.get(path).status_code == 404, path
    for path in paths["post"]:
        assert browser.post(path, data={"address": "x@example.com", "accepted": "1"}).status_code == 404, path
    assert become(mail).state is MailState.FAILED


def test_every_part_is_there_for_who_may_read(browser, company, seller):
    mail = service.submit(with_file(draft(company, "one@example.com")), seller)
    refused(mail, sender_address="sales@maison.example.com")
    for path in every_path(mail)["get"]:
        assert browser.get(path).status_code == 200, path


def test_parts_of_another_mail_are_not_there(browser, company, seller, send):
    mine = refused(send("one@example.com", by=seller))
    other = service.submit(with_file(draft(company, "two@example.com")), None)
    paths = [f"recipients/{other.recipients[0].id}", f"recipients/{2**62}"]
    for path in paths:
        assert (
            browser.post(f"/outbox/mails/{mine.id}/{path}", data={"address": "x@y.example"}).status_code
            == 404
        )
    for attachment in (other.attachments[0].id, 2**62):
        assert browser.get(f"/outbox/mails/{mine.id}/attachments/{attachment}").status_code == 404


def test_nothing_is_changed_by_a_link(browser, mail):
    for path in every_path(with_attachment(refused(mail)))["post"][:-1]:
        assert browser.get(path).status_code == 405, path


def with_attachment(mail: OutgoingMail) -> OutgoingMail:
    with transaction() as session:
        session.add(MailAttachment(mail_id=mail.id, name="a", media_type="text/plain", sha256="0" * 64))
    db.session.expire_all()
    return mail
