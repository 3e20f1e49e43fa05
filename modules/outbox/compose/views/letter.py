"""The composer of a mail about no document: open, look through, recipients as chips, send."""

from __future__ import annotations

from flask import abort, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from core.auth.permissions import requires, signed_in_user
from core.config import SUPPORTED_LANGUAGES
from core.mail.addresses import InvalidAddressError, parse_addresses
from core.mail.draft import RecipientField
from core.partners.reach import partner_for
from modules.mail_config.mail_templates.selection import language_name, offered
from modules.mail_config.template_language.customer_mail import CustomerMail
from modules.outbox.blueprint import blueprint
from modules.outbox.compose import actions
from modules.outbox.compose.form import ComposeForm
from modules.outbox.compose.letters import companies_of, open_letter, posted_letter, proposal_for, template_of
from modules.outbox.compose.recipient_chips import chips_of
from modules.outbox.compose.recipients import recognize
from modules.outbox.compose.views.page import add_posted_files, go, show, tell_sent
from modules.outbox.limits import MAX_RECIPIENTS


@blueprint.get("/compose/new")
@requires("outbox.mail.send")
def compose_new() -> ResponseReturnValue:
    """Open the composer, for the customer `partner` or for nobody in particular."""
    letter = _letter()
    return _show(letter, open_letter(letter, signed_in_user()))


@blueprint.post("/compose/new")
@requires("outbox.mail.send")
def compose_new_send() -> ResponseReturnValue:
    """Send, or show again what was typed with what is wrong."""
    letter = _letter()
    form = posted_letter(letter, request.form, signed_in_user())
    add_posted_files(form)
    mail = actions.send(form)
    if mail is None:
        return _show(letter, form), 422
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


@blueprint.post("/compose/new/check")
@requires("outbox.mail.send")
def compose_new_check() -> ResponseReturnValue:
    """Look through what stands in the composer."""
    form = posted_letter(_letter(), request.form, signed_in_user())
    actions.look_through(form)
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


def _letter() -> CustomerMail:
    """Return what the mail of the request is about; abort with 404 where it is out of the user's reach."""
    user = signed_in_user()
    partner_id = request.args.get("partner", type=int)
    partner = partner_for(user, partner_id) if partner_id is not None else None
    if "partner" in request.args and partner is None:
        abort(404)
    companies = companies_of(user, partner)
    wanted = request.values.get("company", type=int)
    company = next((one for one in companies if wanted in {None, one.id}), None)
    if company is None:
        abort(404)
    return CustomerMail(company, user, partner)


def _back(letter: CustomerMail, mail_id: int | None = None) -> str:
    if letter.partner is not None:
        return url_for("core.partner", partner_id=letter.partner.id)
    return url_for("outbox.mail", mail_id=mail_id) if mail_id is not None else url_for("outbox.mails")


def _show(letter: CustomerMail, form: ComposeForm) -> str:
    # One that is None is left out of an address.
    partner = letter.partner.id if letter.partner is not None else None
    return show(
        None,
        form,
        letter=letter,
        action=url_for("outbox.compose_new_send", partner=partner),
        back=_back(letter),
        url_check=url_for("outbox.compose_new_check", partner=partner),
        url_chips=url_for("outbox.compose_new_chips", partner=partner),
        url_template=url_for("outbox.compose_new_template", partner=partner),
        offers=offered(letter, signed_in_user()),
        companies=companies_of(signed_in_user(), letter.partner),
        languages=[(code, language_name(code)) for code in SUPPORTED_LANGUAGES],
    )
