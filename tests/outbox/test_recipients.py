"""Who a mail about a document goes to, and why."""

from __future__ import annotations

import pytest

from core.auth.models import User
from core.db import db, guards, transaction
from core.documents.models import Document
from core.followers.service import follow, followers_of, unfollow
from core.mail.addresses import Address, parse_address
from core.mail.draft import DraftRecipient, Reason, RecipientField
from core.partners.labels import LabelKind, save_label
from core.partners.models import Partner, PartnerType
from core.partners.service import save_contact, save_partner
from modules.mail_config.models import MailTemplate, RecipientRule, TemplateRecipient
from modules.outbox.compose.recipient_chips import opted_out_among
from modules.outbox.compose.recipients import MAX_CHOICES, default_recipients, reason_text, recognize
from modules.sales.models import Order
from modules.sales.service import invoices, orders


def contact(customer, name, email, **values):
    return save_partner(None, {"name": name, "email": email, "parent_id": customer.id, **values})


def template_with(*rules: tuple[RecipientRule, RecipientField, str]) -> MailTemplate:
    template = MailTemplate(kind="sales.quotation", name="Offer")
    template.recipients = [
        TemplateRecipient(position=number, rule=rule, field=field, value=value)
        for number, (rule, field, value) in enumerate(rules)
    ]
    return template


def shown(recipients):
    return [(r.address.addr_spec, r.field.value, r.reason) for r in recipients]


TO, CC, BCC = RecipientField.TO, RecipientField.CC, RecipientField.BCC


def test_without_rules_the_followers_get_it_and_who_writes_does_not(quotation, seller, make_user):
    colleague = make_user(login="colleague@maison.example.com")
    follow(quotation.id, user_id=colleague.id, by=seller)
    proposal = default_recipients(quotation, None, seller)
    assert shown(proposal.recipients) == [
        ("client@example.com", "to", Reason.CUSTOMER),
        ("colleague@maison.example.com", "to", Reason.FOLLOWER),
    ]
    assert proposal.recipients[1].reason_detail == seller.name


def test_who_follows_in_the_application_only_gets_no_mail(quotation, seller):
    friend = save_partner(None, {"name": "Friend", "email": "friend@example.com"})
    follow(quotation.id, partner_id=friend.id, by=seller, by_mail=False)
    assert "friend@example.com" not in str(default_recipients(quotation, None, seller))


def test_each_rule_names_whom_it_says_in_its_field(quotation, customer, seller):
    contact(customer, "Bill", "bill@example.com", type=PartnerType.BILLING)
    contact(customer, "Dora", "dora@example.com", type=PartnerType.DELIVERY)
    contact(customer, "Maya", "maya@example.com", is_main=True)
    contact(customer, "Paul", "paul@example.com", function="Purchasing")
    template = template_with(
        (RecipientRule.BILLING, TO, ""),
        (RecipientRule.CUSTOMER, CC, ""),
        (RecipientRule.DELIVERY, CC, ""),
        (RecipientRule.MAIN, BCC, ""),
        (RecipientRule.FUNCTION, TO, " purchasing "),
        (RecipientRule.FIXED, BCC, "Archive <archive@maison.example.com>"),
    )
    proposal = default_recipients(quotation, template, seller)
    assert shown(proposal.recipients) == [
        ("bill@example.com", "to", Reason.BILLING),
        ("client@example.com", "cc", Reason.CUSTOMER),
        ("dora@example.com", "cc", Reason.DELIVERY),
        ("maya@example.com", "bcc", Reason.MAIN),
        ("paul@example.com", "to", Reason.FUNCTION),
        ("archive@maison.example.com", "bcc", Reason.FIXED),
    ]
    assert reason_text(Reason.FIXED, proposal.recipients[-1].reason_detail) == "named by the template “Offer”"


def test_an_address_named_by_two_rules_is_there_once(quotation, seller):
    template = template_with((RecipientRule.FOLLOWERS, TO, ""), (RecipientRule.CUSTOMER, CC, ""))
    assert shown(default_recipients(quotation, template, seller).recipients) == [
        ("client@example.com", "to", Reason.CUSTOMER)
    ]


def test_who_was_removed_from_the_followers_gets_nothing_by_a_rule_either(quotation, seller):
    (follower,) = [f for f in followers_of(quotation.id) if f.partner_id]
    unfollow(follower)
    proposal = default_recipients(quotation, template_with((RecipientRule.CUSTOMER, TO, "")), seller)
    assert proposal.recipients == []
    assert shown(proposal.left_out) == [("client@example.com", "to", Reason.CUSTOMER)]


def test_nor_by_a_fixed_address(quotation, seller):
    for follower in followers_of(quotation.id):
        if follower.partner_id:
            unfollow(follower)
    proposal = default_recipients(
        quotation, template_with((RecipientRule.FIXED, BCC, "CLIENT@example.com")), seller
    )
    assert proposal.recipients == []
    assert shown(proposal.left_out) == [("CLIENT@example.com", "bcc", Reason.FIXED)]


def test_the_only_address_of_a_customer_is_simply_taken(quotation, customer, seller):
    with transaction():
        customer.email = ""
    contact(customer, "Bill", "bill@example.com", type=PartnerType.BILLING)
    proposal = default_recipients(quotation, None, seller)
    assert shown(proposal.recipients) == [("bill@example.com", "to", Reason.BILLING)]
    assert proposal.without_address == []
    assert proposal.choices == []


def test_of_several_addresses_the_person_chooses(quotation, customer, seller):
    with transaction():
        customer.email = ""
    contact(customer, "Bill", "bill@example.com", type=PartnerType.BILLING)
    contact(customer, "Dora", "dora@example.com", type=PartnerType.DELIVERY)
    proposal = default_recipients(quotation, None, seller)
    assert proposal.recipients == []
    assert proposal.without_address == ["Client SA"]
    assert [r.address.addr_spec for r in proposal.choices] == ["bill@example.com", "dora@example.com"]


def test_an_invalid_address_of_a_follower_is_named_with_what_stands_there(quotation, customer, seller):
    with transaction() as session:
        guards.remove(session.connection())  # as a release wrote it that had none
        customer.email = "no address"
    assert default_recipients(quotation, None, seller).without_address == ["Client SA (no address)"]


def test_a_broken_fixed_address_is_named(quotation, seller):
    template = template_with((RecipientRule.FIXED, TO, "nonsense"))
    assert default_recipients(quotation, template, seller).without_address == ["nonsense"]


def test_a_document_without_customer_has_no_one_by_the_rules(quotation, seller):
    with transaction():
        quotation.partner_id = None
    template = template_with((RecipientRule.CUSTOMER, TO, ""), (RecipientRule.MAIN, TO, ""))
    assert default_recipients(quotation, template, seller).recipients == []


def test_posted_addresses_are_recognized_by_what_is_known_of_them(quotation, customer, seller, make_user):
    make_user(login="colleague@maison.example.com")
    other = save_partner(None, {"name": "Other SA", "email": "other@example.com"})
    contact(other, "Olga", "olga@example.com")
    bill = contact(customer, "Bill", "bill@example.com", type=PartnerType.BILLING)
    texts = ["CLIENT@example.com", "Bill@example.com", "olga@example.com", "other@example.com",
             "colleague@maison.example.com", "Nobody <nobody@example.com>"]  # fmt: skip
    found = recognize(
        [(parse_address(text), CC) for text in texts],
        quotation,
        default_recipients(quotation, None, seller),
        seller,
    )
    assert [(r.reason, r.reason_detail) for r in found] == [
        (Reason.CUSTOMER, ""),
        (Reason.BILLING, ""),
        (Reason.CONTACT, "Other SA"),
        (Reason.CONTACT, "Other SA"),
        (Reason.COLLEAGUE, ""),
        (Reason.TYPED, ""),
    ]
    assert {r.field for r in found} == {CC}
    assert found[1].partner_id == bill.id
    assert found[5].address == Address("nobody@example.com", "Nobody")


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_words(app, reason):
    with app.test_request_context():
        assert reason_text(reason, "")
        assert reason_text(reason, "x")


@pytest.mark.both_databases
@pytest.mark.parametrize(
    ("kept", "typed"),
    [("Élan@example.com", "élan@example.com"), ("straße@example.com", "STRASSE@example.com")],
)
def test_who_wants_no_mails_is_known_in_every_spelling(quotation, seller, make_user, kept, typed):
    partner = save_partner(None, {"name": "Out", "email": kept, "consent": "none"})
    address = parse_address(typed)
    (stranger,) = recognize([(address, TO)], quotation, default_recipients(quotation, None, seller), seller)
    assert (stranger.reason, stranger.partner_id) == (Reason.CONTACT, partner.id)
    assert opted_out_among([stranger], seller) == {address.key: partner}
    assert opted_out_among([DraftRecipient(address)], seller) == {address.key: partner}


@pytest.mark.parametrize("typed", ["STRASSE@maison.example.com", "Straße@maison.example.com"])
def test_a_colleague_is_recognized_in_every_spelling(quotation, seller, make_user, typed):
    make_user(login=typed.lower(), name="Colleague")
    (found,) = recognize(
        [(parse_address(typed), TO)], quotation, default_recipients(quotation, None, seller), seller
    )
    assert found.reason is Reason.COLLEAGUE


def test_a_customer_removed_stays_removed_though_a_contact_with_the_address_follows_in_the_application(
    quotation, customer, seller
):
    twin = contact(customer, "Twin", "client@example.com")
    unfollow(followers_of(quotation.id)[0])
    follow(quotation.id, partner_id=twin.id, by=seller, by_mail=False)
    proposal = default_recipients(quotation, template_with((RecipientRule.CUSTOMER, TO, "")), seller)
    assert shown(proposal.recipients) == []
    assert [r.address.addr_spec for r in proposal.left_out] == ["client@example.com"]


def test_an_address_that_several_customers_share_is_filed_with_none_of_them(quotation, seller):
    for name in ("One", "Two"):
        save_partner(None, {"name": name, "email": "accountant@example.com"})
    known = default_recipients(quotation, None, seller)
    (found,) = recognize([(parse_address("accountant@example.com"), TO)], quotation, known, seller)
    assert (found.partner_id, found.reason) == (None, Reason.TYPED)


def test_a_customer_with_thousands_of_contacts_offers_some(quotation, customer, seller):
    with transaction() as session:
        session.add_all(
            Partner(name=f"C{n}", email=f"c{n}@example.com", parent_id=customer.id, type=PartnerType.CONTACT)
            for n in range(300)
        )
    assert len(default_recipients(quotation, None, seller).choices) == MAX_CHOICES


@pytest.mark.parametrize(
    ("kinds", "served"), [([], True), (["sales.quotation"], True), (["sales.order"], False)]
)
def test_a_template_names_contacts_by_their_function_code_for_its_kinds(
    quotation: Document, customer: Partner, seller: User, kinds: list[str], served: bool
) -> None:
    code = save_label(None, LabelKind.FUNCTION, {"name": "Invoices", "code": "FACT", "document_kinds": kinds})
    save_partner(save_contact(customer, "Anna", "anna@example.com"), {"label_ids": [code.id]})
    template = MailTemplate(
        name="T",
        recipients=[TemplateRecipient(rule=RecipientRule.FUNCTION, field=RecipientField.TO, value="fact")],
    )
    found = [one.address.addr_spec for one in default_recipients(quotation, template, seller).recipients]
    assert found == (["anna@example.com"] if served else [])


def test_a_bill_goes_to_the_billing_contact_in_place_of_the_customer(quotation, customer, seller):
    order = db.session.get_one(Order, quotation.id)
    orders.confirm(order)
    invoice = invoices.invoice_order(order, seller).document
    assert shown(default_recipients(invoice, None, seller).recipients) == [
        ("client@example.com", "to", Reason.CUSTOMER)
    ]
    bill = contact(customer, "Bill", "bill@example.com", type=PartnerType.BILLING)
    proposal = default_recipients(invoice, None, seller)
    assert shown(proposal.recipients) == [("bill@example.com", "to", Reason.BILLING)]
    # The customer is one click away; and what is no bill goes to the customer.
    assert [choice.address.addr_spec for choice in proposal.choices] == ["client@example.com"]
    assert shown(default_recipients(quotation, None, seller).recipients)[0][0] == "client@example.com"
    # Whoever is taken off the followers gets nothing, also in another's place.
    unfollow(follow(invoice.id, partner_id=bill.id, by=seller))
    assert shown(default_recipients(invoice, None, seller).recipients) == [
        ("client@example.com", "to", Reason.CUSTOMER)
    ]
