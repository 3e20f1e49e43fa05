"""The mail of one document of a run, or why there is none.

The dry run, the worker that writes the mails and the page that shows them all ask here, so that what was shown is what
is sent.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import select

from core.auth.models import User
from core.auth.permissions import within_reach
from core.db import db
from core.documents.models import Document
from core.documents.service import behavior_of, keeps_addresses_private, readable_by
from core.errors import UserError
from core.mail.addresses import parse_address
from core.mail.draft import MailDraft, Purpose, RecipientField
from core.registry import current_registry
from modules.mail_config.mail_templates.service import templates_for
from modules.mail_config.models import MailTemplate
from modules.outbox.about import pairs
from modules.outbox.badges import WAY_TITLES
from modules.outbox.compose.around import Around, around, around_each
from modules.outbox.compose.draft import blank_draft, fill_in
from modules.outbox.compose.recipient_chips import opted_out_among
from modules.outbox.compose.recipients import default_recipients, recognize
from modules.outbox.dead_addresses import dead_among
from modules.outbox.models import HeldReason, OutgoingMail, Run, RunItem
from modules.outbox.private_addresses import chosen_addresses
from modules.outbox.queries import handed_over
from modules.outbox.runs.bundles import template_of_several
from modules.outbox.runs.held import Destination, HeldError
from modules.outbox.runs.mailing import CustomerFacts, customer_draft, customer_facts
from modules.outbox.states import MailState

SEND = "outbox.mail.send"
_NOT_GONE = (MailState.CANCELED, MailState.FAILED)
"""States of a mail that nobody got, nor will by itself: its document may be sent again."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of the documents of some items, by a fixed number of queries.

    Attributes:
        documents: The documents, by id.
        allowed: Ids of those that the person may send.
        sent: Those that have been sent as they are now, and how, see `sent_as_they_are`.
        customers: What is known where the items are customers.
        around: Who and what is around each document that may be sent.
    """

    documents: Mapping[int, Document]
    allowed: Collection[int]
    sent: Mapping[int, str]
    customers: CustomerFacts
    around: Mapping[int, Around]


def facts_of(items: Sequence[RunItem], user: User) -> Facts:
    """Return what is known of the documents of some items."""
    ids = [item.document_id for item in items if item.document_id is not None]
    query = select(Document).where(Document.id.in_(ids)).execution_options(populate_existing=True)
    rows = db.session.scalars(query).unique().all()
    documents = {row.id: row for row in rows}
    within = within_reach(user, SEND, owner=Document.owner_id, company=Document.company_id)
    allowed = set(
        db.session.scalars(select(Document.id).where(Document.id.in_(ids), within, readable_by(user)))
    )
    return Facts(
        documents,
        allowed,
        sent_as_they_are(documents),
        customer_facts(items, user),
        around_each([row for row in rows if row.id in allowed]),
    )


def sent_as_they_are(documents: Mapping[int, Document]) -> dict[int, str]:
    """Return which documents have reached their customers as they are now, or are on their way.

    Returns:
        By the id of the document: how it was handed over, in words, or "" for a mail.
    """
    gone = pairs(
        OutgoingMail.state.not_in(_NOT_GONE),
        OutgoingMail.answers_id.is_(None),  # carries no document
    )
    mails = db.session.execute(select(gone.c.document_id, gone.c.revision), {"documents": list(documents)})
    by_hand = {
        number: str(WAY_TITLES[word.way])
        for number, word in handed_over(documents).items()
        if word.revision == documents[number].revision
    }
    by_mail = {
        number: ""
        for number, revision in mails
        if number is not None and revision in {0, documents[number].revision}
    }
    return by_hand | by_mail


def destination_of(item: RunItem, facts: Facts, run: Run, user: User) -> Destination:
    """Return by which template and to whom the document of an item would go.

    Raises:
        HeldError: It would not go.
    """
    document = facts.documents.get(item.document_id or 0)
    if document is None or document.kind not in current_registry().kinds:
        raise HeldError(HeldReason.GONE)
    if document.id not in facts.allowed:
        raise HeldError(HeldReason.NOT_ALLOWED)
    unsendable = behavior_of(document).why_not_sendable(document)
    if unsendable is not None:
        raise HeldError(HeldReason.NOT_SENDABLE, str(unsendable))
    if document.id in facts.sent and not item.anyway:
        raise HeldError(HeldReason.SENT_BEFORE, facts.sent[document.id])
    known = facts.around[document.id]
    if known.wish is not None and known.wish.paper_only and not item.despite_opt_out:
        raise HeldError(HeldReason.WANTS_PAPER, known.wish.why)
    return addressed(item, document, known, run, user)


def addressed(item: RunItem, document: Document, known: Around, run: Run, user: User) -> Destination:
    """Return what `destination_of` does for a document of which is known that it can be sent.

    Raises:
        HeldError: It would not go, for its template or its recipients.
    """
    found = _recipients(item, document, known, _template(document, run, user), user)
    if run.packs:
        found = replace(found, of_several=template_of_several(run, document, user))
    if not item.despite_opt_out:
        out = opted_out_among(found.recipients, user)
        if out:
            names = ", ".join(sorted({partner.name for partner in out.values()}))
            raise HeldError(HeldReason.OPTED_OUT, names, found.proposal)
    return found


def shown(item: RunItem, document: Document, facts: Facts, run: Run, user: User) -> Destination:
    """Return what the page says of a document that was looked through, without asking again what was found then.

    The template is the one that applied then: a page has forty documents, and finding it again costs as much as all
    the rest. Where another one applies by now, its mail is not written, see `work`.

    Raises:
        HeldError: It would not go, for its template or its recipients.
    """
    number = item.seen_template.partition(".")[0]
    template = db.session.get(MailTemplate, int(number)) if number else None
    known = facts.around.get(document.id) or around(document)
    return _recipients(item, document, known, template or _template(document, run, user), user)


def _recipients(
    item: RunItem, document: Document, known: Around, template: MailTemplate, user: User
) -> Destination:
    proposal = default_recipients(document, template, user, known)
    recipients = list(proposal.recipients)
    choice = chosen_addresses(item.encrypted_choice)
    if choice:
        wanted = [(parse_address(text), RecipientField.TO) for text in choice]
        recipients = recognize(wanted, document, proposal, user)
    elif proposal.without_address or not recipients:
        # Others may follow it as well: the customer would get nothing, and nobody would know.
        reason = HeldReason.SEVERAL_ADDRESSES if proposal.choices else HeldReason.NO_ADDRESS
        skipped = [f"{name} ({why})" for name, why in proposal.skipped]
        raise HeldError(reason, ", ".join([*proposal.without_address, *skipped]), proposal, template)
    return Destination(template, recipients, proposal)


def _template(document: Document, run: Run, user: User) -> MailTemplate:
    # Where documents go together, what was chosen is the template of several: one alone has that which applies to it.
    chosen = run.template_id if not run.packs else None
    offered = templates_for(document, user if chosen is not None else None)
    found = next((row for row in offered if chosen is None or row.id == chosen), None)
    if found is None:
        raise HeldError(HeldReason.NO_TEMPLATE)
    return found


def draft_of(item: RunItem, facts: Facts, run: Run, user: User) -> tuple[MailDraft, Destination]:
    """Return the mail of the document of an item, of the revision that the document has now, and where it goes.

    Raises:
        HeldError: There is none.
    """
    if run.of_customers:
        return customer_draft(item, facts.customers, run, user)
    found = destination_of(item, facts, run, user)
    document = facts.documents[item.document_id or 0]
    try:
        draft = blank_draft(document)
        fill_in(draft, found.template, document, user)
    except UserError as error:
        raise HeldError(HeldReason.TEMPLATE_BROKEN, str(error.message), template=found.template) from error
    draft.recipients = found.recipients
    draft = replace(draft, private=keeps_addresses_private(document), purpose=Purpose.BATCH)
    return draft, found


def drafts_of(
    items: Sequence[RunItem], facts: Facts, run: Run, user: User
) -> dict[int, tuple[MailDraft, Destination] | HeldError]:
    """Return for each of some items what `draft_of` does, or why there is none; asked at once is who is dead."""
    found: dict[int, tuple[MailDraft, Destination] | HeldError] = {}
    for item in items:
        try:
            found[item.id] = draft_of(item, facts, run, user)
        except HeldError as error:
            found[item.id] = error
    drafts = {number: made for number, made in found.items() if not isinstance(made, HeldError)}
    dead = dead_among(
        recipient.address.addr_spec for draft, _where in drafts.values() for recipient in draft.recipients
    )
    for item in items if dead else ():
        draft, where = drafts.get(item.id, (None, None))
        if draft is None or where is None or item.despite_dead:
            continue
        if any(recipient.address.addr_spec in dead for recipient in draft.recipients):
            # The page names the address; nothing is written down of it here.
            found[item.id] = HeldError(HeldReason.DEAD_ADDRESS, "", where.proposal, where.template)
    return found
