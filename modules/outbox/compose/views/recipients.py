"""Recipients in the composer: chips, suggestions, the address book, new contacts."""

from __future__ import annotations

from collections.abc import Sequence

from flask import abort, jsonify, render_template, request
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from core.auth.models import User
from core.auth.permissions import requires, signed_in_user
from core.documents.models import Document
from core.errors import UserError
from core.mail.addresses import Address, InvalidAddressError, parse_address, parse_addresses
from core.mail.draft import DraftRecipient, RecipientField
from core.partners.models import Partner, PartnerType
from core.partners.reach import EDIT, READ, partner_for
from core.partners.search import search_people
from core.partners.service import contacts_of, customer_of, find_partners, save_contact
from modules.outbox.blueprint import blueprint
from modules.outbox.compose.recipient_chips import chips_of
from modules.outbox.compose.recipients import default_recipients, recipient_of, recognize
from modules.outbox.compose.views.page import sendable
from modules.outbox.limits import MAX_RECIPIENTS

SUGGESTIONS = 12  # below a field: what fits without scrolling
MAX_FOUND = 20  # partners looked at for them, since some have no address
MAX_CONTACTS = 100
"""Contacts of one customer that the address book shows; the others are found by typing."""


def _field() -> RecipientField:
    try:
        return RecipientField(request.form.get("field", "to"))
    except ValueError:
        return RecipientField.TO


def _chips(
    recipients: list[DraftRecipient],
    document: Document,
    field: RecipientField,
    problems: Sequence[InvalidAddressError] = (),
) -> str:
    of_customer = document.partner_id is not None
    chips = chips_of(recipients, signed_in_user(), of_customer=of_customer)
    return render_template("outbox/compose/_chips.html", chips=chips, field=field.value, problems=problems)


@blueprint.post("/compose/<int:document_id>/chips")
@requires("outbox.mail.send")
def compose_chips(document_id: int) -> ResponseReturnValue:
    """Make chips of typed or pasted text; what is no address comes back as it was, with a sentence."""
    document, field, user = sendable(document_id), _field(), signed_in_user()
    addresses, problems = parse_addresses(request.form.get("text", ""))
    known = default_recipients(document, None, user)
    recipients = recognize(
        [(address, field) for address in addresses[:MAX_RECIPIENTS]], document, known, user
    )
    if len(addresses) > MAX_RECIPIENTS:
        left = "; ".join(str(address) for address in addresses[MAX_RECIPIENTS:])
        words = gettext(
            "An email has at most %(count)s recipients; these are too many.", count=MAX_RECIPIENTS
        )
        problems.append(InvalidAddressError(words, left))
    return _chips(recipients, document, field, problems)


@blueprint.post("/compose/people")
@requires("outbox.mail.send")
def compose_people() -> ResponseReturnValue:
    """Suggest customers, contacts and colleagues with an address.

    By POST: what is typed may be an address that nobody may keep, and proxies write the addresses of pages into logs.
    """
    text = request.form.get("q", "").strip()[:100]
    user = signed_in_user()
    people = search_people(text, user, limit=SUGGESTIONS * 2) if text and user.can(READ) else []
    return jsonify(
        [
            {
                "text": str(Address(person.email, person.name)),
                "name": person.name,
                "email": person.email,
                "detail": person.detail,
                "problem": gettext("opted out of emails") if person.opted_out else "",
            }
            for person in people
            if person.email
        ][:SUGGESTIONS]
    )


@blueprint.get("/compose/<int:document_id>/addresses")
@requires("outbox.mail.send")
def compose_addresses(document_id: int) -> ResponseReturnValue:
    """Show the addresses of the customer, or of customers that are looked for, side by side."""
    document, user = sendable(document_id), signed_in_user()
    text = request.args.get("q", "").strip()[:100]
    return address_book(text, user, document.partner, document.company_id)


def address_book(text: str, user: User, partner: Partner | None, company_id: int) -> str:
    """Return the addresses of a customer, or of those who are looked for, side by side.

    Args:
        text: What is looked for, or "" for the customer itself.
        user: Who looks.
        partner: The customer, or contact, that the mail is about, or None.
        company_id: In whose name it is written.
    """
    if text and user.can(READ):
        found = find_partners(text, user, limit=MAX_FOUND, company_id=company_id)
        customers = list({customer.id: customer for customer in map(customer_of, found)}.values())
    else:
        customers = [customer_of(partner)] if partner is not None else []
    book = [_entry(customer, of_customer=partner is not None) for customer in customers]
    return render_template("outbox/compose/_addresses.html", book=book, q=text)


def _entry(customer: Partner, *, of_customer: bool) -> dict[str, object]:
    """Return the addresses of a customer by what they are for; one that is missing is there as well."""
    columns: dict[str, list[dict[str, object]]] = {"contact": [], "billing": [], "delivery": []}
    contacts = contacts_of(customer)
    more, contacts = len(contacts) > MAX_CONTACTS, contacts[:MAX_CONTACTS]
    people = [(person, recipient_of(person)) for person in (customer, *contacts)]
    shown = [recipient for _person, recipient in people if recipient is not None]
    chips = iter(chips_of(shown, signed_in_user(), of_customer=of_customer))
    for person, recipient in people:
        column = person.type.value if person.type.value in columns else "contact"
        columns[column].append({"person": person, "chip": next(chips) if recipient is not None else None})
    return {"customer": customer, "columns": columns, "more": more, "several": len(shown) > 1}


@blueprint.post("/compose/<int:document_id>/contact")
@requires("core.partner.edit")
def compose_contact(document_id: int) -> ResponseReturnValue:
    """Keep a typed address as a contact of the customer; answer with its chip."""
    document, field = sendable(document_id), _field()
    if document.partner is None:
        raise UserError(gettext("This document has no customer."))
    if partner_for(signed_in_user(), document.partner.id, EDIT) is None:
        abort(404)
    address = parse_address(request.form.get("text", ""))
    name = request.form.get("name", "").strip() or address.display_name or address.addr_spec
    try:
        kind = PartnerType(request.form.get("type", PartnerType.CONTACT))
    except ValueError:
        kind = PartnerType.CONTACT
    contact = save_contact(
        customer_of(document.partner),
        name=name,
        email=address.addr_spec,
        type=PartnerType.CONTACT if kind is PartnerType.CUSTOMER else kind,
    )
    recipient = recipient_of(contact, field)
    return _chips([recipient] if recipient else [], document, field)
