"""The composer, in place or as a page of its own: open, change the template, send, undo."""

from __future__ import annotations

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from markupsafe import Markup

from core.auth.permissions import requires, signed_in_user
from core.companies.models import Company
from core.db import db
from core.documents.models import Document
from core.documents.service import get_readable, keeps_addresses_private
from core.errors import UserError
from modules.mail_config.mail_templates.selection import offered
from modules.mail_config.models import MailTemplate
from modules.mail_config.senders.service import route_for
from modules.outbox.access import mail_or_404
from modules.outbox.blueprint import blueprint
from modules.outbox.compose import actions, autosave
from modules.outbox.compose.draft import copy_of, frame_without_document, may_copy, may_send
from modules.outbox.compose.form import ComposeForm, fresh_form, read_form
from modules.outbox.compose.further import as_posted, write_anew
from modules.outbox.compose.recipients import Proposal
from modules.outbox.compose.uploads import Origin
from modules.outbox.document_check import document_problem
from modules.outbox.limits import attachment_limit
from modules.outbox.models import InboundMessage, KeptDraft, OutgoingMail
from modules.outbox.states import MailState


@blueprint.get("/compose/<int:document_id>")
@requires("outbox.mail.send")
def compose(document_id: int) -> ResponseReturnValue:
    """Open the composer: as it was kept, or filled in anew."""
    document, user = sendable(document_id), signed_in_user()
    wanted = request.args.get("template", type=int)
    kept = autosave.kept_draft(autosave.About(document.id), user)
    form = None
    if kept is not None and wanted is None and not request.args.get("fresh"):
        form = actions.restored_form(document, user)
    if form is None:
        # Started anew, it is another opening of the letter that is kept, and takes its place once it is written.
        former = autosave.token_kept(autosave.About(document.id), user) if request.args.get("fresh") else ""
        form = actions.open_form(document, _template(document, wanted), user)
        form.resumed, form.token = former, autosave.new_token(autosave.lineage_of(former))
        kept = None
    return show(document, form, kept=kept)


@blueprint.post("/compose/<int:document_id>")
@requires("outbox.mail.send")
def compose_send(document_id: int) -> ResponseReturnValue:
    """Send, or show again what was typed with what is wrong."""
    document, user = sendable(document_id), signed_in_user()
    form = actions.posted_form(document, request.form, user)
    add_posted_files(form)
    mail = actions.send(form)
    if mail is None:
        return show(document, form), 422
    actions.keep_sent(form, mail, request.form)
    tell_sent(mail)
    return go(url_for("core.document", document_id=document.id))


@blueprint.post("/compose/<int:document_id>/template")
@requires("outbox.mail.send")
def compose_template(document_id: int) -> ResponseReturnValue:
    """Fill the composer in by another template."""
    document, user = sendable(document_id), signed_in_user()
    form = actions.posted_form(document, request.form, user)
    template = _template(document, request.form.get("template", type=int))
    if template is None:
        return show(document, form), 422
    keep_mine = request.form.get("keep_mine") == "1"
    new = actions.open_form(document, template, user)
    return show(document, actions.change_template(form, new, keep_mine=keep_mine))


@blueprint.post("/compose/<int:document_id>/discard")
@requires("outbox.mail.send")
def compose_discard(document_id: int) -> ResponseReturnValue:
    """Forget what was written."""
    document = sendable(document_id)
    autosave.discard(autosave.About(document.id), signed_in_user(), request.form.get("token", "")[:64])
    return go(url_for("core.document", document_id=document.id), stay=True)


@blueprint.post("/compose/<int:document_id>/check")
@requires("outbox.mail.send")
def compose_check(document_id: int) -> ResponseReturnValue:
    """Look through what stands in the composer."""
    document = sendable(document_id)
    form = actions.posted_form(document, request.form, signed_in_user())
    actions.look_through(form)
    # Once the document has changed, the PDF that is shown is not the one that would leave: it is made again.
    outdated = form.pdf is not None and form.pdf.revision != document.revision
    return render_template(
        "outbox/compose/_findings.html",
        findings=form.findings,
        document=document,
        draft=form.draft,
        outdated=outdated,
    )


@blueprint.post("/compose/<int:document_id>/keep")
@requires("outbox.mail.send")
def compose_keep(document_id: int) -> ResponseReturnValue:
    """Keep what stands in the composer, and tell who else writes about the document."""
    document, user = sendable(document_id), signed_in_user()
    problem = ""
    kept = None
    try:
        kept = actions.keep_form(document, request.form, user)
    except UserError as error:
        problem = str(error.message)
    return render_template(
        "outbox/compose/_presence.html",
        url_anew=url_for("outbox.compose", document_id=document.id, fresh=1),
        kept=kept,
        problem=problem,
        presence=autosave.others_writing(document.id, user),
    )


@blueprint.post("/mails/<int:mail_id>/undo")
@requires("outbox.mail.send")
def mail_undo(mail_id: int) -> ResponseReturnValue:
    """Call back a mail that has not left, and open its composer again."""
    mail, user = mail_or_404(mail_id), signed_in_user()
    if mail.submitted_by_id != user.id:
        abort(404)
    if not actions.call_back(mail, user) and mail.state is not MailState.CANCELED:
        flash(gettext("Too late: the email is on its way."), "warning")
        return go(url_for("outbox.mail", mail_id=mail.id))
    flash(gettext("The email was not sent. Here it is again, as you wrote it."), "success")
    if autosave.draft_of_mail(mail, user) is None:
        anew = 1 if mail.further_count and document_problem(mail) is not None else None
        return go(url_for("outbox.compose_again", mail_id=mail.id, anew=anew))
    return go(url_for("outbox.compose", document_id=mail.document_id))


@blueprint.get("/compose/again/<int:mail_id>")
@requires("outbox.mail.send")
def compose_again(mail_id: int) -> ResponseReturnValue:
    """Open the composer with the contents of a mail; a mail about a document leads to one about it again.

    With `anew`, the text of one about several documents is written from what they say now.
    """
    mail, user = _copyable(mail_id), signed_in_user()
    try:
        draft, others = copy_of(mail, user)
        if "anew" in request.args and mail.document is not None and draft.further:
            draft = write_anew(draft, mail.document, user)
    except UserError as error:
        flash(str(error.message), "warning")
        return go(url_for("outbox.mail", mail_id=mail.id))
    form = fresh_form(draft, user, mail.document, Proposal(choices=others), origin=Origin.ADDED)
    form.changed = {"subject", "body", "options"}
    form.proposed = []  # whom that mail went to was decided then
    return show(mail.document, form, copied=mail)


@blueprint.post("/compose/again/<int:mail_id>")
@requires("outbox.mail.send")
def compose_again_send(mail_id: int) -> ResponseReturnValue:
    """Send the new mail that was made of one without a document, or show again what was typed."""
    copied = _copyable(mail_id)
    if copied.document is not None:
        abort(404)  # its composer posts to the document's
    form = read_form(frame_without_document(copied), request.form, signed_in_user())
    add_posted_files(form)
    mail = actions.send(form)
    if mail is None:
        return show(None, form, copied=copied), 422
    tell_sent(mail)
    return go(url_for("outbox.mail", mail_id=mail.id))


def add_posted_files(form: ComposeForm) -> None:
    """Take files that were posted with the form itself, by a browser without script."""
    actions.add_uploads(form, request.files.getlist("files"))


def tell_sent(mail: OutgoingMail) -> None:
    """Say that a mail is sent, and let it be called back for some seconds."""
    seconds = actions.seconds_to_undo(mail)
    if seconds:
        flash(Markup(render_template("outbox/compose/_undo.html", mail=mail, seconds=seconds)), "undo")  # noqa: S704 (escaped by the template)
    elif mail.state is MailState.SCHEDULED:
        flash(gettext("The email is scheduled."), "success")
    elif mail.state is not MailState.CANCELED:  # a worker may have it already
        flash(gettext("The email is in the queue."), "success")


def go(target: str, *, stay: bool = False) -> ResponseReturnValue:
    """Lead the browser to another page, whether it has asked for a page or a script has asked for it."""
    if request.headers.get("HX-Request"):
        return ("", 204) if stay else ("", 204, {"HX-Redirect": target})
    return redirect(target)


def _copyable(mail_id: int) -> OutgoingMail:
    mail = mail_or_404(mail_id)
    if not may_copy(mail, signed_in_user()):
        abort(404)
    return mail


def sendable(document_id: int) -> Document:
    """Return a document that the user may send; abort with 404 or 403 otherwise."""
    document = get_readable(signed_in_user(), document_id)
    if document is None:
        abort(404)
    if not may_send(document, signed_in_user()):
        abort(403)
    return document


def _template(document: Document, template_id: int | None) -> MailTemplate | None:
    if template_id is None:
        return None
    template = actions.template_of(document, template_id, signed_in_user())
    if template is None:
        flash(gettext("This template no longer exists; the usual one is used."), "warning")
    return template


def show(
    document: Document | None,
    form: ComposeForm,
    *,
    copied: OutgoingMail | None = None,
    answered: InboundMessage | None = None,
    changes: OutgoingMail | None = None,
    kept: KeptDraft | None = None,
    **of_letter: object,
) -> str:
    """Return the composer: of a document, a mail made again, an answer, a mail that waits, or one about no document.

    Args:
        document: What the mail is about, or None.
        form: What stands in the composer.
        copied: The mail that is made again, or whose answer is answered.
        answered: The message that is answered.
        changes: The mail that waits and is changed.
        kept: The draft that was kept.
        of_letter: What the composer of a mail about no document has besides.
    """
    plain = document is not None and copied is None and changes is None
    in_place = bool(request.headers.get("HX-Request")) and plain
    name = "outbox/compose/dialog.html" if in_place else "outbox/compose/page.html"
    user = signed_in_user()
    places: dict[str, object] = {"url_check": "", "url_chips": "", "url_template": "", "offers": []}
    if document is not None:
        places = {
            "action": url_for("outbox.compose_send", document_id=document.id),
            "back": url_for("core.document", document_id=document.id),
            "url_check": url_for("outbox.compose_check", document_id=document.id),
            "url_chips": url_for("outbox.compose_chips", document_id=document.id),
            "url_template": url_for("outbox.compose_template", document_id=document.id),
            "url_addresses": url_for("outbox.compose_addresses", document_id=document.id),
            "about": document.id,
            "url_here": url_for("outbox.compose", document_id=document.id),
            "url_anew": url_for("outbox.compose", document_id=document.id, fresh=1),
            "url_keep": url_for("outbox.compose_keep", document_id=document.id),
            "url_discard": url_for("outbox.compose_discard", document_id=document.id),
            "offers": offered(document, user),
        }
    elif copied is not None:
        send_again = url_for("outbox.compose_again_send", mail_id=copied.id)
        places["action"] = (
            url_for("outbox.answer_send", inbound_id=answered.id) if answered is not None else send_again
        )
        places["back"] = url_for("outbox.mail", mail_id=copied.id)
    if changes is not None:
        # Who changes a mail has its text: another template would be another mail.
        places |= {
            "action": url_for("outbox.compose_change_save", mail_id=changes.id, token=form.change),
            "back": url_for("outbox.mail", mail_id=changes.id),
            "offers": [],
            "url_keep": "",
        }
    company = db.session.get_one(Company, form.draft.company_id)
    return render_template(
        name,
        document=document,
        copied=copied,
        changes=changes,
        outdated=changes is not None and document_problem(changes) is not None,
        answered=answered,
        dialog=in_place,
        private=document is not None and keeps_addresses_private(document),
        form=form,
        draft=form.draft,
        further=[(as_posted(one), one.pdf_name) for one in form.draft.further],
        route=route_for(company, user, form.draft.reply_to, purpose=form.draft.purpose),
        presence=autosave.others_writing(document.id, user) if document is not None else [],
        kept=kept.touched_at if kept is not None else None,
        undo_seconds=actions.undo_seconds(),
        limit=attachment_limit(),
        timezone=user.timezone,
        **{**places, **of_letter},
    )
