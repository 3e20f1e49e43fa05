"""A mail about no document: to a customer from its page, or to anybody."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.auth.models import User
from core.companies.models import Company
from core.companies.service import companies_for, current_company
from core.mail.draft import MailDraft
from core.partners.models import Partner
from core.partners.service import contacts_of, customer_of
from modules.mail_config.mail_templates.service import language_of, templates_for
from modules.mail_config.models import MailTemplate
from modules.mail_config.template_language.customer_mail import CustomerMail
from modules.mail_config.template_language.render import BadTemplateError
from modules.outbox.compose.draft import files_of, signature_of, take_options, take_text
from modules.outbox.compose.form import ComposeForm, fresh_form, read_form
from modules.outbox.compose.recipients import MAX_CHOICES, Proposal, recipient_of
from modules.outbox.limits import Finding

if TYPE_CHECKING:
    from werkzeug.datastructures import MultiDict


def companies_of(user: User, partner: Partner | None) -> list[Company]:
    """Return the companies in whose name a user may write, to a customer or to anybody; the usual one first.

    Raises:
        UserError: The user works for no active company.
    """
    usual = current_company(user)
    only = partner.company_id if partner is not None else None
    found = [company for company in companies_for(user) if only in {None, company.id}]
    return sorted(found, key=lambda company: company.id != usual.id)


def open_letter(letter: CustomerMail, user: User, template: MailTemplate | None = None) -> ComposeForm:
    """Return the composer for a mail about no document, with the signature of who writes.

    Args:
        letter: What it is about.
        user: Who writes.
        template: By which it is filled in, or None for an empty text: no template applies by itself.
    """
    proposal = proposal_for(letter.partner)
    draft = _blank(letter)
    problem = ""
    if template is not None:
        _take_all(draft, template, letter)
        try:
            take_text(draft, template, letter, user)
        except BadTemplateError as error:
            problem = str(error.message)
    if not draft.body_html:
        draft.body_html = signature_of(user)
    draft.recipients = list(proposal.recipients)
    form = fresh_form(draft, user, None, proposal)
    if problem:
        form.error("", problem)
    return form


def draft_by(template: MailTemplate, letter: CustomerMail, user: User) -> MailDraft:
    """Return a mail about no document as a template says, without recipients.

    Raises:
        UserError: The template is broken.
    """
    draft = _blank(letter)
    _take_all(draft, template, letter)
    take_text(draft, template, letter, user)
    return draft


def _take_all(draft: MailDraft, template: MailTemplate, letter: CustomerMail) -> None:
    take_options(draft, template)
    draft.attachments = files_of(template)
    draft.template_id, draft.keep_days = template.id, template.keep_days
    draft.language = language_of(template, letter)


def posted_letter(letter: CustomerMail, posted: MultiDict[str, str], user: User) -> ComposeForm:
    """Return the composer of such a mail as a page has posted it."""
    draft = _blank(letter)
    template = template_of(letter, posted.get("template", type=int), user)
    if template is not None:
        draft.template_id, draft.keep_days = template.id, template.keep_days
    return read_form(draft, posted, user, None, proposal_for(letter.partner))


def told_too_early(form: ComposeForm, finding: Finding) -> bool:
    """Return True for what is told of an empty field where the person has not been yet.

    All is empty at first. A document fills the composer in, and what it lacks is worth telling at once.
    """
    empty = {
        "subject": not form.draft.subject.strip(),
        "recipients": not form.draft.recipients,
        "body": finding.key == "empty_text",
    }
    return empty.get(finding.field or "", False) and finding.field not in form.visited | form.changed


def template_of(letter: CustomerMail, template_id: int | None, user: User) -> MailTemplate | None:
    """Return one of the templates that a user is offered for such a mail, or None when it is none of them."""
    return next((row for row in templates_for(letter, user) if row.id == template_id), None)


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


def _blank(letter: CustomerMail) -> MailDraft:
    return MailDraft(
        document_id=None,
        document_revision=0,
        company_id=letter.company.id,
        language=letter.language,
        subject="",
        body_html="",
    )
