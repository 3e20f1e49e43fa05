"""A mail about no document: to a customer from its page, or to anybody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.auth.models import User
from core.companies.models import Company
from core.companies.service import companies_for, current_company
from core.mail.draft import MailDraft
from core.partners.models import Partner
from core.partners.service import contacts_of, customer_of
from modules.outbox.compose.draft import signature_of
from modules.outbox.compose.form import ComposeForm, fresh_form, read_form
from modules.outbox.compose.recipients import MAX_CHOICES, Proposal, recipient_of

if TYPE_CHECKING:
    from werkzeug.datastructures import MultiDict


@dataclass(frozen=True, slots=True)
class Letter:
    """What such a mail is about.

    Attributes:
        company: Whose mail it is.
        partner: The customer or contact it is to, or None where nobody is chosen yet.
    """

    company: Company
    partner: Partner | None = None


def companies_of(user: User, partner: Partner | None) -> list[Company]:
    """Return the companies in whose name a user may write, to a customer or to anybody; the usual one first.

    Raises:
        UserError: The user works for no active company.
    """
    usual = current_company(user)
    only = partner.company_id if partner is not None else None
    found = [company for company in companies_for(user) if only in {None, company.id}]
    return sorted(found, key=lambda company: company.id != usual.id)


def open_letter(letter: Letter, user: User) -> ComposeForm:
    """Return the composer for a mail about no document, with the signature of who writes."""
    proposal = proposal_for(letter.partner)
    draft = _blank(letter)
    draft.body_html = signature_of(user)
    draft.recipients = list(proposal.recipients)
    return fresh_form(draft, user, None, proposal)


def posted_letter(letter: Letter, posted: MultiDict[str, str], user: User) -> ComposeForm:
    """Return the composer of such a mail as a page has posted it."""
    return read_form(_blank(letter), posted, user, None, proposal_for(letter.partner))


def proposal_for(partner: Partner | None) -> Proposal:
    """Return who a mail to a customer goes to, and who else it could go to: the customer and its contacts."""
    proposal = Proposal()
    if partner is None:
        return proposal
    named = recipient_of(partner)
    if named is not None:
        proposal.add(named)
    customer = customer_of(partner)
    others = [recipient_of(person) for person in (customer, *contacts_of(customer)[:MAX_CHOICES])]
    there = proposal.keys
    for other in others:
        if other is not None and other.address.key not in there:
            there.add(other.address.key)
            proposal.choices.append(other)
    return proposal


def _blank(letter: Letter) -> MailDraft:
    speaks = letter.partner or letter.company
    return MailDraft(
        document_id=None,
        document_revision=0,
        company_id=letter.company.id,
        language=speaks.language,
        subject="",
        body_html="",
    )
