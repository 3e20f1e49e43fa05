"""The steps of the composer between opening and sending: refill, make the PDF, keep, send."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace

from flask import current_app
from werkzeug.datastructures import FileStorage, MultiDict

from core import clock
from core.auth.models import User
from core.companies.models import Company
from core.db import db, transaction
from core.documents.models import Document
from core.documents.pdf import render_for_reader
from core.documents.service import keeps_addresses_private
from core.errors import UserError
from core.jobs import enqueue_after_commit
from core.mail.draft import MailDraft, safe_file_name
from modules.mail_config.mail_templates.service import templates_for
from modules.mail_config.models import MailTemplate
from modules.mail_config.senders.rule import Route
from modules.mail_config.senders.service import route_for
from modules.mail_config.template_language.render import BadTemplateError
from modules.outbox.compose import autosave
from modules.outbox.compose.checks import findings_of, open_questions
from modules.outbox.compose.draft import (
    blank_draft,
    copy_of,
    fill_in,
    frame_without_document,
    signature_of,
    take_settings,
)
from modules.outbox.compose.form import (
    OF_TEMPLATE,
    ComposeForm,
    complete_draft,
    fresh_form,
    read_form,
)
from modules.outbox.compose.further import read_further
from modules.outbox.compose.recipients import Proposal, default_recipients
from modules.outbox.compose.uploads import FormFile, Origin, put, store_upload
from modules.outbox.limits import attachment_limit
from modules.outbox.models import OutgoingMail
from modules.outbox.service import cancel, submit
from modules.outbox.service import replace as replace_waiting
from modules.outbox.states import MailState
from modules.outbox.typed_times import as_typed


def undo_seconds() -> float:
    """Return for how long Send can be taken back; 0 for not at all."""
    seconds = float(current_app.config["OUTBOX_UNDO_SECONDS"])
    return seconds if seconds >= 1 else 0.0


def seconds_to_undo(mail: OutgoingMail) -> float:
    """Return for how long a mail just sent can be called back; 0 for one that is scheduled for later, or gone."""
    seconds = undo_seconds()
    if mail.state is not MailState.SCHEDULED or mail.not_before is None:
        return 0.0
    left = (mail.not_before - clock.now()).total_seconds()
    return left if 0 < left <= seconds else 0.0


def add_uploads(form: ComposeForm, uploads: Iterable[FileStorage]) -> None:
    """Put files into the store that were posted with the form itself, and tell of those that do not fit."""
    # Reading stops at what is left: a file of 40 MB must not be stored only to be refused.
    room = attachment_limit() - sum(file.size for file in form.files)
    for upload in uploads:
        if not upload.filename:
            continue
        try:
            file = store_upload(upload, room=room)
        except UserError as error:
            form.error("files", error.message)
            continue
        room -= file.size
        form.files.append(file)
        form.draft.attachments.append(file.attachment)


def open_form(document: Document, template: MailTemplate | None, user: User) -> ComposeForm:
    """Return the composer for a document, filled in by a template.

    Args:
        document: The document.
        template: The template, or None for the one that applies.
        user: Who writes.

    Raises:
        UserError: The document cannot be sent in its present state.
    """
    template = template or next(iter(templates_for(document, user)), None)
    draft = blank_draft(document)
    proposal = default_recipients(document, template, user)
    problem: BadTemplateError | None = None
    if template is not None:
        try:
            fill_in(draft, template, document, user)
        except BadTemplateError as error:
            # A broken template must not keep anybody from writing: say so, and leave the text to the person.
            problem = error
    if not draft.body_html:
        draft.body_html = signature_of(user)
    draft.recipients, draft.without_address = list(proposal.recipients), proposal.without_address
    form = fresh_form(draft, user, document, proposal)
    if problem is not None:
        form.error("", problem.message)
    return form


def posted_form(document: Document, posted: MultiDict[str, str], user: User) -> ComposeForm:
    """Return the composer of a document as a page has posted it, or as it was kept.

    Raises:
        UserError: The document cannot be sent in its present state.
    """
    base = blank_draft(document)
    template = template_of(document, posted.get("template", type=int), user)
    if template is not None:
        # The text is the person's by now: a template that was deleted or broken meanwhile does not matter.
        with suppress(UserError):
            take_settings(base, template, document)
    base.further, problems = read_further(document, posted, user)
    base.zip_name = safe_file_name(posted.get("zip_name", ""), fallback="") if base.further else ""
    form = read_form(base, posted, user, document, default_recipients(document, template, user))
    for problem in problems:
        form.error("files", problem)
    return form


def template_of(document: Document, template_id: int | None, user: User) -> MailTemplate | None:
    """Return one of the templates that a user is offered for a document, or None when it is none of them."""
    return next((row for row in templates_for(document, user) if row.id == template_id), None)


def change_template(form: ComposeForm, new: ComposeForm, *, keep_mine: bool) -> ComposeForm:
    """Return the composer filled in by another template.

    Subject, text, files and recipients that came from the former template are replaced. What the person has
    written stays where `keep_mine` says so; whom they added, and what they attached, stays in any case.

    Args:
        form: As it was posted.
        new: As it would be opened with the other template.
        keep_mine: Whether what the person has written stays.
    """
    # What the former template had filled in, by where it stood: the rest is the person's own.
    filled = {key: where for where, _colon, key in (text.partition(":") for text in form.proposed)}
    own = [recipient for recipient in form.draft.recipients if recipient.address.key not in filled]
    moved = {
        recipient.address.key: recipient.field
        for recipient in form.draft.recipients
        if filled.get(recipient.address.key, recipient.field.value) != recipient.field.value
    }
    aside = {recipient.address.key for recipient in form.put_aside}
    taken = [
        replace(recipient, field=moved.get(recipient.address.key, recipient.field))
        for recipient in new.proposal.recipients
        if recipient.address.key not in aside
    ]
    there = {recipient.address.key for recipient in taken}
    new.draft.recipients = [*taken, *(recipient for recipient in own if recipient.address.key not in there)]
    kept_aside = {recipient.address.key for recipient in new.put_aside}
    new.put_aside += [r for r in form.put_aside if r.address.key not in kept_aside | there]
    new.files += [file for file in form.files if file.origin is Origin.ADDED]
    new.typed = form.typed
    new.token, new.resumed = form.token, form.resumed
    new.send_at, new.not_before = form.send_at, form.not_before
    new.draft.promotional = form.draft.promotional
    new.draft.further, new.draft.zip_name = form.draft.further, form.draft.zip_name
    new.draft.document_revision = form.draft.document_revision
    # Of the text, only what stays is still the person's; the rest stays where it is in any case.
    new.changed = {"template"} | (form.changed if keep_mine else form.changed - set(OF_TEMPLATE))
    if keep_mine:
        if "subject" in form.changed:
            new.draft.subject = form.draft.subject
        if "body" in form.changed:
            # The language goes with the text: what was written stays in the one it was written in.
            new.draft.body_html, new.draft.language = form.draft.body_html, form.draft.language
        if "reply_to" in form.changed:
            new.reply_to, new.draft.reply_to = form.reply_to, form.draft.reply_to
        if "options" in form.changed:
            new.draft.priority = form.draft.priority
            new.draft.delivery_receipt = form.draft.delivery_receipt
            new.draft.read_receipt = form.draft.read_receipt
    if form.pdf is not None and form.pdf.language == new.draft.language:
        new.pdf = form.pdf
    return new


def restored_form(document: Document, user: User) -> ComposeForm | None:
    """Return the composer as it was kept, or None when nothing was."""
    kept = autosave.kept_draft(autosave.About(document.id), user)
    return reopened(posted_form(document, autosave.contents_of(kept), user)) if kept is not None else None


def reopened(form: ComposeForm) -> ComposeForm:
    """Return a form that was read from what is kept, as another opening of the same letter."""
    # What has become wrong meanwhile is told when it is looked at again, not as an answer to opening.
    form.errors = {name: sentences for name, sentences in form.errors.items() if name == "files"}
    form.resumed, form.token = form.token, autosave.new_token(autosave.lineage_of(form.token))
    form.pdf = None  # customer or company may have changed: it is made again beside
    return form


def keep_form(document: Document, posted: MultiDict[str, str], user: User) -> dt.datetime | None:
    """Keep what stands in a composer; return when, or None where nothing was changed yet.

    Raises:
        UserError: It is too long to be kept.
    """
    form = posted_form(document, posted, user)
    worth = form.worth_keeping
    private = keeps_addresses_private(document)
    kept = autosave.keep(
        autosave.About(document.id), user, posted, hashes_of(form), worth=worth, private=private
    )
    return kept.touched_at if worth else None


def keep_sent(form: ComposeForm, mail: OutgoingMail, posted: MultiDict[str, str]) -> None:
    """Keep what a mail was made of, so that the composer can open again with it when its sending is undone."""
    if form.document is None:
        return  # undone, it opens again as the mail itself says
    whole = MultiDict(posted)
    whole.setlist("file", [file.token for file in form.files])
    with suppress(UserError):  # too long: then the mail itself is what the composer opens again with
        autosave.keep(
            autosave.About(form.document.id),
            form.user,
            whole,
            hashes_of(form),
            sent_as=mail.submission_token,
            private=mail.private,
        )


def hashes_of(form: ComposeForm) -> list[str]:
    """Return which files in the store a form refers to."""
    hashes = [file.sha256 for file in form.files] + ([form.pdf.sha256] if form.pdf else [])
    with suppress(UserError):  # a picture that is gone is told when the mail is sent
        hashes += [file.sha256 for file in complete_draft(form).attachments]
    return hashes


def make_pdf(document: Document, name: str, language: str) -> FormFile:
    """Make the PDF of a document as it is now, and keep its bytes for the mail.

    Args:
        document: The document.
        name: File name of the PDF.
        language: That of the text: a mail speaks one language.

    Raises:
        UserError: It could not be made, or stored.
    """
    data = render_for_reader(document, language)
    return put(name, "application/pdf", data, Origin.PDF, document, language)


def route_of(form: ComposeForm) -> Route:
    """Return how the mail would leave."""
    company = db.session.get_one(Company, form.draft.company_id)
    return route_for(company, form.user, form.draft.reply_to, purpose=form.draft.purpose)


def look_through(form: ComposeForm) -> None:
    """Find what is wrong with a mail as it stands."""
    draft = None
    with suppress(UserError):
        draft = complete_draft(form)
    form.findings = findings_of(form, route_of(form), draft)


def send(form: ComposeForm) -> OutgoingMail | None:
    """Send what stands in the composer; None when the person has to look again.

    Whoever presses Send twice sends once. The mail waits some seconds, in which it can be called back.
    """
    draft: MailDraft | None = None
    try:
        draft = complete_draft(form)
    except UserError as error:
        form.error(error.field or "", error.message)
    if (
        form.document is not None
        and f"changed:{form.document.revision}" in form.confirmed
        and draft is not None
    ):
        draft = replace(draft, document_revision=form.document.revision)
        form.draft.document_revision = form.document.revision
    token = _submission_token(form, draft) if draft is not None else ""
    # Of a form that is posted again the mail is there: asking "you sent this just now" would stop the answer.
    if not autosave.was_sent(token):
        form.findings = findings_of(form, route_of(form), draft)
    if draft is not None and form.document is not None and keeps_addresses_private(form.document):
        draft = replace(draft, private=True)
    if draft is None or open_questions(form.findings):
        _tell_beside_fields(form)
        return None
    seconds = undo_seconds()
    # The seconds of Undo are a scheduled mail: a worker that dies meanwhile changes nothing (ADR 0008).
    not_before = form.not_before or (clock.now() + dt.timedelta(seconds=seconds) if seconds else None)
    try:
        with transaction():
            if form.replaces is not None:
                mail = replace_waiting(
                    form.replaces, form.change, draft, form.user, not_before=not_before, token=token
                )
            else:
                mail = submit(draft, form.user, not_before=not_before, token=token)
            if mail.state is MailState.SCHEDULED and mail.not_before is not None:
                # To the second; the sweep would find it too, up to a minute later.
                enqueue_after_commit("outbox.release_mails", [mail.id], front=True, at=mail.not_before)
    except UserError as error:
        form.error(error.field or "", error.message)
        return None
    return mail


def change_form(mail: OutgoingMail, user: User) -> ComposeForm:
    """Return the composer with everything that a waiting mail has; `service.begin_change` has taken it for the user.

    Raises:
        UserError: Its contents were erased, or its document cannot be sent in its present state.
    """
    draft, others = copy_of(mail, user)
    form = fresh_form(draft, user, mail.document, Proposal(choices=others), origin=Origin.ADDED)
    form.proposed = []  # whom that mail goes to was decided then
    form.replaces, form.change = mail.id, mail.edit_token or ""
    if mail.not_before is not None and mail.not_before > clock.now() + dt.timedelta(seconds=undo_seconds()):
        form.not_before = mail.not_before
        form.send_at = as_typed(mail.not_before, user)
    return form


def posted_change(mail: OutgoingMail, change: str, posted: MultiDict[str, str], user: User) -> ComposeForm:
    """Return the composer of a waiting mail as a page has posted it.

    Raises:
        UserError: Its document cannot be sent in its present state.
    """
    if mail.document is not None:
        form = posted_form(mail.document, posted, user)
    else:
        form = read_form(frame_without_document(mail), posted, user)
    form.replaces, form.change = mail.id, change
    # What a mail is for, and how long it is kept, does not change with its text.
    form.draft.purpose, form.draft.keep_days = mail.purpose, mail.keep_days
    form.draft.private = mail.private
    return form


def _submission_token(form: ComposeForm, draft: MailDraft) -> str:
    """Return the token of a mail: the same for the same letter of the same opening, and for nothing else.

    A letter that was sent and called back is another one when it is sent again.
    """
    said = "\0".join(
        [
            form.token,
            str(form.user.id),
            str(draft.document_id),
            draft.zip_name,
            *(str(one.document_id) for one in draft.further),
            draft.subject,
            draft.body_html,
            form.reply_to,
            form.send_at,
            draft.priority,
            f"{draft.delivery_receipt}{draft.read_receipt}{draft.promotional}",
            *(f"{recipient.field}:{recipient.address}" for recipient in draft.recipients),
            *(f"{file.name}:{file.sha256}" for file in draft.attachments),
        ]
    )
    token = hashlib.sha256(said.encode()).hexdigest()
    while autosave.was_called_back(token):
        token = hashlib.sha256(token.encode()).hexdigest()
    return token


def _tell_beside_fields(form: ComposeForm) -> None:
    for finding in form.findings:
        if finding.severity.value == "block" and finding.field:
            form.error(finding.field, finding.text)


def call_back(mail: OutgoingMail, by: User) -> bool:
    """Undo a sending: the mail is canceled unless it is leaving already.

    Returns:
        True when it was canceled; its composer opens again with everything.
    """
    return mail.state is MailState.SCHEDULED and bool(cancel([mail.id], by=by))
