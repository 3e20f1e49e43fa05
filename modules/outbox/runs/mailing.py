"""The mail to one customer of a run, or why there is none; what `drafting` is for documents."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import func, select

from core.auth.models import User
from core.companies.service import companies_for
from core.db import db
from core.errors import UserError
from core.mail.addresses import parse_address
from core.mail.draft import MailDraft, Purpose, RecipientField
from core.partners.consent import promotional_among
from core.partners.models import Partner
from core.partners.reach import reachable
from modules.mail_config.models import MailTemplate
from modules.mail_config.template_language.customer_mail import CustomerMail
from modules.outbox.compose.letters import draft_by, proposal_for, template_of
from modules.outbox.compose.recipient_chips import opted_out_among
from modules.outbox.compose.recipients import recognize
from modules.outbox.models import HeldReason, Run, RunItem
from modules.outbox.private_addresses import chosen_addresses
from modules.outbox.runs.held import Destination, HeldError


@dataclass(frozen=True, slots=True)
class CustomerFacts:
    """What is known of the customers of some items, by a fixed number of queries.

    Attributes:
        partners: The customers and contacts, by id.
        allowed: Ids of those whom the person reaches, and for whose company they write.
        first: By customer, its first item: of two that were merged, one gets a mail.
        willing: Ids of those who accept what advertises.
    """

    partners: Mapping[int, Partner]
    allowed: Collection[int]
    first: Mapping[int, int]
    willing: Collection[int]


def customer_facts(items: Sequence[RunItem], user: User) -> CustomerFacts:
    """Return what is known of the customers of some items of one run."""
    ids = {item.partner_id for item in items if item.partner_id is not None}
    if not ids:
        return CustomerFacts({}, (), {}, ())
    rows = db.session.scalars(
        select(Partner).where(Partner.id.in_(ids)).execution_options(populate_existing=True)
    )
    partners = {row.id: row for row in rows}
    company_id = items[0].company_id
    mine = company_id in {company.id for company in companies_for(user)}
    within = select(Partner.id).where(Partner.id.in_(ids), reachable(user, company_id=company_id))
    first = db.session.execute(
        select(RunItem.partner_id, func.min(RunItem.id))
        .where(RunItem.run_id == items[0].run_id, RunItem.partner_id.in_(ids))
        .group_by(RunItem.partner_id)
    )
    return CustomerFacts(
        partners,
        set(db.session.scalars(within)) if mine else set(),
        {partner: item for partner, item in first if partner is not None},
        promotional_among(ids),
    )


def customer_destination(item: RunItem, facts: CustomerFacts, run: Run, user: User) -> Destination:
    """Return by which template and to whom the mail to a customer would go.

    Raises:
        HeldError: It would not go.
    """
    partner = facts.partners.get(item.partner_id or 0)
    if partner is None or not partner.active or run.company is None:
        raise HeldError(HeldReason.GONE)
    if partner.id not in facts.allowed:
        raise HeldError(HeldReason.NOT_ALLOWED)
    if facts.first.get(partner.id, item.id) != item.id:
        raise HeldError(HeldReason.SENT_BEFORE)
    template = template_of(letter_of(run, user, partner), run.template_id, user)
    if template is None:
        raise HeldError(HeldReason.NO_TEMPLATE)
    proposal = proposal_for(partner)
    recipients = list(proposal.recipients)
    choice = chosen_addresses(item.encrypted_choice)
    if choice:
        wanted = [(parse_address(text), RecipientField.TO) for text in choice]
        recipients = recognize(wanted, None, proposal, user)
    elif not recipients:
        reason = HeldReason.SEVERAL_ADDRESSES if proposal.choices else HeldReason.NO_ADDRESS
        raise HeldError(reason, "", proposal)
    if run.promotional:
        # Nobody's word overrules this: a person may only ask the customer.
        named = {recipient.partner_id for recipient in recipients}
        if named != {partner.id} or partner.id not in facts.willing:
            raise HeldError(HeldReason.NOT_OPTED_IN, "", proposal)
    elif not item.despite_opt_out and opted_out_among(recipients, user):
        raise HeldError(HeldReason.OPTED_OUT, partner.name, proposal)
    return Destination(template, recipients, proposal)


def letter_of(run: Run, user: User, partner: Partner) -> CustomerMail:
    """Return what the mail to a customer of a run is about."""
    assert run.company is not None  # noqa: S101 (a run of customers has one)
    return CustomerMail(run.company, user, partner)


def customer_draft(
    item: RunItem, facts: CustomerFacts, run: Run, user: User
) -> tuple[MailDraft, Destination]:
    """Return the mail to a customer of a run, and where it goes.

    Raises:
        HeldError: There is none.
    """
    found = customer_destination(item, facts, run, user)
    return written(run, found.template, facts.partners[item.partner_id or 0], user, found), found


def written(run: Run, template: MailTemplate, partner: Partner, user: User, found: Destination) -> MailDraft:
    """Return the mail of a run to a customer.

    Raises:
        HeldError: Its template is broken.
    """
    try:
        draft = draft_by(template, letter_of(run, user, partner), user)
    except UserError as error:
        raise HeldError(HeldReason.TEMPLATE_BROKEN, str(error.message), template=template) from error
    draft.recipients = found.recipients
    return replace(draft, promotional=run.promotional, purpose=Purpose.BATCH)
