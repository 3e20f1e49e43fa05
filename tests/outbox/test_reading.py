"""Who may read a document may read what became of its mails, whoever sent them, and is told when one fails."""

from __future__ import annotations

import pytest
from sqlalchemy import delete, select, update

from core.auth.models import Grant, User, user_company
from core.companies.service import save_company
from core.contract import Scope
from core.db import db, transaction
from core.followers.models import Follower, FollowReason
from core.followers.service import follow, unfollow
from core.mail.addresses import parse_address
from core.mail.draft import DraftRecipient, RecipientField
from core.mail.outcomes import FailureKind
from core.partners.service import save_partner
from modules.outbox import service
from modules.outbox.alert_rows import write_alerts
from modules.outbox.alerts import service as alerts
from modules.outbox.badges import badges_for
from modules.outbox.delivery.run import deliver
from modules.outbox.models import Alert, OutgoingMail
from modules.outbox.private_addresses import hash_in
from modules.outbox.states import MailState
from tests.outbox.conftest import draft
from tests.outbox.mails import accepted, become, refused
from tests.outbox.test_views_actions import buttons

WORDS = "550 5.1.1 <secret@example.com>: no such mailbox"


@pytest.fixture
def boss(make_user):
    return make_user("administrator", login="boss@maison.example.com")


@pytest.fixture
def write(company, quotation, boss):
    """Submit a mail about the quotation of the seller, in the name of the administrator."""

    def submit(*addresses, bcc=(), by=boss, partner=None, document=quotation):
        made = draft(company, document=document)
        whose = partner.id if partner is not None else None
        fields = [(RecipientField.TO, addresses), (RecipientField.BCC, bcc)]
        made.recipients = [
            DraftRecipient(parse_address(one), field, partner_id=whose)
            for field, some in fields
            for one in some
        ]
        return service.submit(made, by)

    return submit


def told(mail: OutgoingMail) -> set[str]:
    """Return the logins of those who are told that a mail failed, and have not looked."""
    rows = db.session.scalars(select(Alert).where(Alert.mail_id == mail.id, Alert.seen_at.is_(None)))
    return {db.session.get_one(User, row.user_id).login for row in rows}


# -- reading ---------------------------------------------------------------------------------------------


def test_whose_document_it_is_reads_why_its_mail_failed_whoever_sent_it(sign_in, seller, write, quotation):
    mail = refused(write("one@example.com"), sender_address="sales@maison.example.com")
    browser = sign_in(seller)
    page = browser.get(f"/outbox/mails/{mail.id}").text
    assert "Address unknown" in page
    assert "550 5.1.1 no such mailbox" in page
    assert f"/outbox/mails/{mail.id}" in browser.get(f"/documents/{quotation.id}", follow_redirects=True).text
    for path in ("html", "eml", "head", "?tab=timeline", "?tab=message", "?tab=recipients"):
        assert browser.get(f"/outbox/mails/{mail.id}/{path}".replace("/?", "?")).status_code == 200
    # To act upon it stays the business of its sender and of support.
    assert not {"Send again", "Send now", "Cancel"} & set(buttons(browser, mail))
    for verb in ("resend", "send-now", "cancel", "mark", "undo", f"recipients/{mail.recipients[0].id}"):
        assert browser.post(f"/outbox/mails/{mail.id}/{verb}").status_code == 404


@pytest.mark.parametrize("tab", ["", "?tab=recipients", "?tab=message", "?tab=reason", "?tab=timeline"])
@pytest.mark.smtp
def test_blind_copies_of_others_are_not_shown(sign_in, seller, boss, write, quotation, customer, server, tab):
    mail = write("refused+one@example.com", bcc=["refused+secret@example.com"], partner=customer)
    deliver([mail.id])
    assert become(mail).state is MailState.FAILED
    theirs, mine = sign_in(seller), sign_in(boss)
    page = theirs.get(f"/outbox/mails/{mail.id}{tab}")
    assert page.status_code == 200
    assert "secret" not in page.text
    if tab != "?tab=timeline":
        assert "secret" in mine.get(f"/outbox/mails/{mail.id}{tab}").text
    for path in (
        f"/outbox/documents/{quotation.id}/panel",
        f"/outbox/partners/{customer.id}/panel",
        "/outbox/alerts",
    ):
        shown = theirs.get(path)
        assert shown.status_code == 200
        assert "secret" not in shown.text
    assert "secret" not in theirs.get(f"/outbox/mails/{mail.id}/eml").text


def test_a_mail_about_no_document_stays_its_senders(sign_in, seller, write):
    mail = write("one@example.com", document=None)
    assert sign_in(seller).get(f"/outbox/mails/{mail.id}").status_code == 404


def test_a_document_out_of_reach_keeps_its_mails_out_of_reach(sign_in, make_user, write):
    mail = write("one@example.com")
    other = save_company(None, {"name": "Other", "email": "o@other.example.com", "language": "en"})
    stranger = sign_in(make_user(login="stranger@example.com", company_ids=[other.id]))
    assert stranger.get(f"/outbox/mails/{mail.id}").status_code == 404


def test_the_customers_page_says_that_there_are_others(sign_in, seller, write, customer):
    mail = write("one@example.com", document=None, partner=customer)
    panel = sign_in(seller).get(f"/outbox/partners/{customer.id}/panel").text
    assert f"/outbox/mails/{mail.id}" not in panel
    assert "1 email by others, which you may not read." in panel
    assert "No email to this customer yet." not in panel


def test_the_customers_page_does_not_tell_of_blind_copies(sign_in, seller, write, customer):
    write(bcc=["secret@example.com"], partner=customer)
    write(bcc=["secret@example.com"], partner=customer, document=None)
    panel = sign_in(seller).get(f"/outbox/partners/{customer.id}/panel").text
    assert "No email to this customer yet." in panel


# -- alerts ----------------------------------------------------------------------------------------------


@pytest.mark.both_databases
@pytest.mark.smtp
def test_the_owner_and_the_followers_of_a_document_are_told(make_user, boss, write, quotation, server):
    follower = make_user(login="follower@maison.example.com")
    former = make_user(login="former@maison.example.com")
    gone = make_user(login="gone@maison.example.com")
    make_user(login="nobody@maison.example.com")
    for user in (follower, former, gone):
        follow(quotation.id, user_id=user.id, reason=FollowReason.ADDED, by=boss, by_mail=False)
    with transaction():
        gone.active = False
    unfollow(next(row for row in db.session.scalars(select(Follower)) if row.user_id == former.id))
    mail = write("refused+one@example.com")
    deliver([mail.id])
    assert told(mail) == {
        "boss@maison.example.com",
        "salesperson@maison.example.com",
        "follower@maison.example.com",
    }
    assert alerts.count_unseen(follower) == 1
    service.resend([mail.id])
    assert told(mail) == set()


def test_whoever_may_not_read_it_any_more_is_not_told(make_user, boss, write, quotation, seller):
    mail = refused(write("one@example.com"))
    with transaction() as session:
        write_alerts(session, mail.id, FailureKind.RECIPIENT_UNKNOWN, WORDS)
    assert alerts.count_unseen(seller) == 1
    with transaction() as session:
        session.execute(delete(user_company).where(user_company.c.user_id == seller.id))
    db.session.expire_all()
    assert alerts.count_unseen(seller) == 0
    assert list(db.session.scalars(alerts.alerts_of(seller))) == []
    assert alerts.count_unseen(boss) == 1


def test_the_words_of_the_server_are_told_to_whom_they_may_name_a_blind_copy(boss, write, seller):
    mail = refused(write("one@example.com"))
    with transaction() as session:
        write_alerts(session, mail.id, FailureKind.RECIPIENT_UNKNOWN, WORDS)
    assert [row.words for row in alerts.newest_unseen(boss)] == [WORDS]
    assert [row.words for row in alerts.newest_unseen(seller)] == [""]


@pytest.mark.both_databases
@pytest.mark.smtp
def test_whoever_wants_is_told_of_every_failure_that_they_may_read(
    make_user, sign_in, company, write, seller, server
):
    other = save_company(None, {"name": "Other", "email": "o@other.example.com", "language": "en"})
    support = make_user("support", login="support@maison.example.com")
    afar = make_user("support", login="afar@other.example.com", company_ids=[other.id])
    silent = make_user("support", login="silent@maison.example.com")
    colleague = make_user(login="colleague@maison.example.com")
    with transaction() as session:
        session.execute(
            update(Grant)
            .where(Grant.permission == "outbox.mail.read", Grant.role_id.in_([r.id for r in support.roles]))
            .values(scope=Scope.COMPANY)
        )
    db.session.expire_all()
    for user in (support, afar):
        page = sign_in(user)
        assert "Tell me of every email that fails for good" in page.get("/outbox/alerts").text
        answer = page.post("/outbox/alerts/preference", data={"every_failure": "1"}, follow_redirects=True)
        assert "You will be told of every email that fails for good" in answer.text
    page = sign_in(colleague)
    assert "Tell me of every email" not in page.get("/outbox/alerts").text
    page.post("/outbox/alerts/preference", data={"every_failure": "1"})
    assert not alerts.preference_of(colleague.id).every_failure
    mail = write("refused+one@example.com", document=None, by=seller)
    deliver([mail.id])
    assert told(mail) == {"salesperson@maison.example.com", "support@maison.example.com"}
    assert alerts.count_unseen(silent) == 0
    answer = sign_in(support).post("/outbox/alerts/preference", data={}, follow_redirects=True)
    assert "You will be told only of failures that concern you." in answer.text


def test_a_mail_by_nobody_is_told_to_whose_document_it_is(write, seller):
    mail = refused(write("one@example.com", by=None))
    with transaction() as session:
        write_alerts(session, mail.id, FailureKind.RECIPIENT_UNKNOWN, WORDS)
    assert told(mail) == {"salesperson@maison.example.com"}


# -- the badge -------------------------------------------------------------------------------------------


def badge(quotation):
    return badges_for([quotation.id])[quotation.id]


def test_the_badge_names_who_has_not_got_it(write, quotation, customer):
    refused(write("one@example.com", partner=customer))
    accepted(write("colleague@example.com"))
    assert (badge(quotation).tone, badge(quotation).word) == ("danger", "customer: refused")
    assert badge(quotation).reason == "Address unknown"
    contact = save_partner(None, {"name": "Jo <b>", "email": "jo@example.com", "parent_id": customer.id})
    refused(write("jo@example.com", partner=contact))
    accepted(write("colleague@example.com"))
    assert badge(quotation).word == "2 have not got it"
    assert badge(quotation).title == "customer: refused, Jo <b>: refused"
    accepted(write("new@example.com", partner=customer))
    assert badge(quotation).word == "Jo <b>: refused"
    accepted(write("JO@example.com"))
    assert (badge(quotation).tone, badge(quotation).word) == ("success", "sent")


def test_an_address_that_was_typed_counts_as_well(write, quotation):
    refused(write("typed@example.com"))
    accepted(write("colleague@example.com"))
    assert badge(quotation).word == "typed@example.com: refused"
    become(write("typed@example.com"), state=MailState.QUEUED)
    assert badge(quotation).word == "queued", "it is on its way to them again"


def test_what_is_on_its_way_to_others_hides_no_failure(write, quotation):
    refused(write("typed@example.com"))
    write("colleague@example.com")
    assert (badge(quotation).tone, badge(quotation).waiting) == ("danger", True)


def test_a_canceled_mail_goes_to_nobody(write, quotation):
    refused(write("typed@example.com"))
    become(write("typed@example.com"), state=MailState.CANCELED)
    assert badge(quotation).tone == "danger"


def test_the_badge_names_no_walk_in(write, quotation):
    mail = refused(write("typed@example.com"))
    with transaction():
        mail.recipients[0].addr_spec = hash_in(mail, "typed@example.com")
    accepted(write("colleague@example.com"))
    assert badge(quotation).word == "walk-in: refused"
