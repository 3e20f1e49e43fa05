"""The composer of a mail about no document: open, look through, recipients as chips, send."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from flask import abort, jsonify, render_template, request, send_file, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from core.auth.permissions import requires, signed_in_user
from core.config import SUPPORTED_LANGUAGES
from core.errors import UserError
from core.mail.addresses import InvalidAddressError, parse_addresses
from core.mail.draft import RecipientField, safe_file_name
from core.partners.reach import partner_for
from modules.mail_config.mail_templates.selection import language_name, offered
from modules.mail_config.template_language.customer_mail import CustomerMail
from modules.outbox.blueprint import blueprint
from modules.outbox.compose import actions, autosave
from modules.outbox.compose.form import VISITED, ComposeForm
from modules.outbox.compose.letters import (
    companies_of,
    open_letter,
    posted_letter,
    proposal_for,
    template_of,
    told_too_early,
)
from modules.outbox.compose.mail_program import link_of, take_along
from modules.outbox.compose.recipient_chips import chips_of
from modules.outbox.compose.recipients import recognize
from modules.outbox.compose.views.page import add_posted_files, go, show, tell_sent
from modules.outbox.compose.views.recipients import address_book
from modules.outbox.limits import MAX_RECIPIENTS
from modules.outbox.models import KeptDraft


@blueprint.get("/compose/new")
@requires("outbox.mail.send")
def compose_new() -> ResponseReturnValue:
    """Open the composer, for the customer `partner` or for nobody in particular."""
    letter, user = _letter(), signed_in_user()
    about = _about(letter)
    kept = autosave.kept_draft(about, user)
    if kept is not None and not request.args.get("fresh"):
        contents = autosave.contents_of(kept)
        letter = _letter(contents.get("company", type=int))
        return _show(letter, actions.reopened(posted_letter(letter, contents, user)), kept)
    form = open_letter(letter, user)
    # Started anew, it is another opening of what is kept, and takes its place once it is written.
    form.resumed = autosave.token_kept(about, user)
    form.token = autosave.new_token(autosave.lineage_of(form.resumed))
    return _show(letter, form)


@blueprint.post("/compose/new")
@requires("outbox.mail.send")
def compose_new_send() -> ResponseReturnValue:
    """Send, or show again what was typed with what is wrong."""
    letter = _letter()
    form = posted_letter(letter, request.form, signed_in_user())
    add_posted_files(form)
    mail = actions.send(form)
    if mail is None:
        form.visited = set(VISITED)
        return _show(letter, form), 422
    autosave.discard(_about(letter), form.user, form.token)
    tell_sent(mail)
    return go(_back(letter, mail.id))


@blueprint.post("/compose/new/template")
@requires("outbox.mail.send")
def compose_new_template() -> ResponseReturnValue:
    """Fill the composer in by a template."""
    letter, user = _letter(), signed_in_user()
    form = posted_letter(letter, request.form, user)
    template = template_of(letter, request.form.get("template", type=int), user)
    if template is None:
        return _show(letter, form), 422
    new = open_letter(letter, user, template)
    return _show(letter, actions.change_template(form, new, keep_mine=request.form.get("keep_mine") == "1"))


@blueprint.post("/compose/new/keep")
@requires("outbox.mail.send")
def compose_new_keep() -> ResponseReturnValue:
    """Keep what stands in the composer."""
    letter, user = _letter(), signed_in_user()
    form = posted_letter(letter, request.form, user)
    problem, kept = "", None
    try:
        kept = autosave.keep(
            _about(letter), user, request.form, actions.hashes_of(form), worth=form.worth_keeping
        )
    except UserError as error:
        problem = str(error.message)
    return render_template(
        "outbox/compose/_presence.html",
        url_anew=_url(letter, "outbox.compose_new", fresh=1),
        kept=kept.touched_at if kept is not None and form.worth_keeping else None,
        problem=problem,
        presence=[],
    )


@blueprint.post("/compose/new/discard")
@requires("outbox.mail.send")
def compose_new_discard() -> ResponseReturnValue:
    """Forget what was written."""
    letter = _letter()
    autosave.discard(_about(letter), signed_in_user(), request.form.get("token", "")[:64])
    return go(_back(letter), stay=True)


@blueprint.post("/compose/new/mail-program")
@requires("outbox.mail.send")
def compose_new_mail_program() -> ResponseReturnValue:
    """Hand the mail over to the person's own mail program: as a link where it has no file, else as a file."""
    letter = _letter()
    form = posted_letter(letter, request.form, signed_in_user())
    try:
        if link := link_of(form):
            return jsonify(link=link)
        data = take_along(form)
    except UserError as error:
        form.error(error.field or "", error.message)
        return _show(letter, form), 422
    name = safe_file_name(f"{form.draft.subject.strip()[:80]}.eml", fallback="mail.eml")
    return send_file(BytesIO(data), mimetype="message/rfc822", as_attachment=True, download_name=name)


@blueprint.get("/compose/new/addresses")
@requires("outbox.mail.send")
def compose_new_addresses() -> ResponseReturnValue:
    """Show the addresses of the customer, or of customers that are looked for, side by side."""
    letter = _letter()
    text = request.args.get("q", "").strip()[:100]
    return address_book(text, signed_in_user(), letter.partner, letter.company.id)


@blueprint.post("/compose/new/check")
@requires("outbox.mail.send")
def compose_new_check() -> ResponseReturnValue:
    """Look through what stands in the composer."""
    form = posted_letter(_letter(), request.form, signed_in_user())
    actions.look_through(form)
    form.findings = [finding for finding in form.findings if not told_too_early(form, finding)]
    return render_template(
        "outbox/compose/_findings.html", findings=form.findings, document=None, draft=form.draft
    )


@blueprint.post("/compose/new/chips")
@requires("outbox.mail.send")
def compose_new_chips() -> ResponseReturnValue:
    """Make chips of typed or pasted text; what is no address comes back as it was, with a sentence."""
    letter, user = _letter(), signed_in_user()
    try:
        field = RecipientField(request.form.get("field", "to"))
    except ValueError:
        field = RecipientField.TO
    addresses, problems = parse_addresses(request.form.get("text", ""))
    if len(addresses) > MAX_RECIPIENTS:
        words = gettext(
            "An email has at most %(count)s recipients; these are too many.", count=MAX_RECIPIENTS
        )
        left = "; ".join(str(address) for address in addresses[MAX_RECIPIENTS:])
        problems.append(InvalidAddressError(words, left))
    wanted = [(address, field) for address in addresses[:MAX_RECIPIENTS]]
    recipients = recognize(wanted, None, proposal_for(letter.partner), user)
    chips = chips_of(recipients, user, of_customer=False)
    return render_template("outbox/compose/_chips.html", chips=chips, field=field.value, problems=problems)


def _letter(company_id: int | None = None) -> CustomerMail:
    """Return what the mail of the request is about; abort with 404 where it is out of the user's reach."""
    user = signed_in_user()
    partner_id = request.args.get("partner", type=int)
    partner = partner_for(user, partner_id) if partner_id is not None else None
    if "partner" in request.args and partner is None:
        abort(404)
    companies = companies_of(user, partner)
    wanted = request.values.get("company", company_id, type=int)
    company = next((one for one in companies if wanted in {None, one.id}), None)
    if company is None:
        abort(404)
    return CustomerMail(company, user, partner)


def _about(letter: CustomerMail) -> autosave.About:
    return autosave.About(None, letter.partner.id if letter.partner is not None else None)


def _url(letter: CustomerMail, endpoint: str, **more: Any) -> str:
    """Return the address of a page of this composer."""
    # A value that is None is left out of an address.
    return url_for(endpoint, partner=letter.partner.id if letter.partner is not None else None, **more)


def _back(letter: CustomerMail, mail_id: int | None = None) -> str:
    if letter.partner is not None:
        return url_for("core.partner", partner_id=letter.partner.id)
    return url_for("outbox.mail", mail_id=mail_id) if mail_id is not None else url_for("outbox.mails")


def _show(letter: CustomerMail, form: ComposeForm, kept: KeptDraft | None = None) -> str:
    partner = letter.partner
    return show(
        None,
        form,
        kept=kept,
        letter=letter,
        action=_url(letter, "outbox.compose_new_send"),
        back=_back(letter),
        about=f"customer-{partner.id}" if partner is not None else "anybody",
        url_here=_url(letter, "outbox.compose_new"),
        url_anew=_url(letter, "outbox.compose_new", fresh=1),
        url_keep=_url(letter, "outbox.compose_new_keep"),
        url_discard=_url(letter, "outbox.compose_new_discard"),
        url_addresses=_url(letter, "outbox.compose_new_addresses"),
        url_check=_url(letter, "outbox.compose_new_check"),
        url_chips=_url(letter, "outbox.compose_new_chips"),
        url_template=_url(letter, "outbox.compose_new_template"),
        url_mail_program=_url(letter, "outbox.compose_new_mail_program"),
        offers=offered(letter, signed_in_user()),
        companies=companies_of(signed_in_user(), letter.partner),
        languages=[(code, language_name(code)) for code in SUPPORTED_LANGUAGES],
    )
