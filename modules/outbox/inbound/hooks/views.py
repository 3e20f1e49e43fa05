"""The pages of web hooks, and the address to which relays post."""

from __future__ import annotations

from functools import partial
from typing import Any

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from sqlalchemy import select
from sqlalchemy.orm import joinedload
from wtforms import BooleanField, PasswordField, SelectChoice, SelectField, StringField

from core import clock
from core.auth.permissions import from_anywhere, public, requires
from core.db import db, transaction
from core.i18n import lazy_gettext as _l
from core.registry import current_settings
from core.web.forms import at_most, required, submit
from core.web.record_form import RecordForm, record_form
from modules.outbox.blueprint import blueprint
from modules.outbox.inbound.hooks import service
from modules.outbox.inbound.hooks.signatures import HookRefusedError, Refusal
from modules.outbox.inbound.views import MANAGE, NATURES, PROVIDERS, VERDICTS
from modules.outbox.models import InboundMessage, RelayHook, RelayProvider

MAX_OCTETS = 4 * 1024 * 1024  # of one request; SendGrid, which bundles, sends 768 KB at most
SHOWN = 20  # of the last events

STEPS = {
    RelayProvider.SENDGRID: _l(
        "At SendGrid: Settings, Mail Settings, Event Webhooks. Enter the address, choose the deliverability events "
        "and spam reports, and enable the signed event webhook."
    ),
    RelayProvider.MAILGUN: _l(
        "At Mailgun: Send, Sending, Webhooks. Add the address for delivered messages, permanent and temporary "
        "failures, and spam complaints."
    ),
    RelayProvider.POSTMARK: _l(
        "At Postmark: your server, the message stream, Webhooks. Enter the address, user and password of the basic "
        "authentication, and choose delivery, bounce and spam complaint."
    ),
    RelayProvider.SES: _l(
        "At Amazon: create a standard topic in SNS, subscribe the address to it by HTTPS, and let SES publish bounces, "
        "complaints and deliveries to the topic. The subscription confirms itself."
    ),
    RelayProvider.BREVO: _l(
        "At Brevo: Transactional, Settings, Webhook. Enter the address, choose the token as authentication, and choose "
        "delivered, bounces, deferred, blocked, error and complaint."
    ),
}
REFUSALS = {
    Refusal.FORGED: _l(
        "The signature or the password is wrong. Compare what is saved here with what the relay shows."
    ),
    Refusal.TOO_OLD: _l("The signature is too old. Check the clock of this machine."),
    Refusal.MALFORMED: _l("It is not what this provider sends. Check that the right provider is chosen."),
    Refusal.OTHER: _l("It came from another topic than the one that is saved here."),
}


class HookForm(RecordForm):
    """A web hook; what the provider signs by is written, never shown."""

    name = StringField(_l("Name"), [*required(), at_most(80)])
    provider = SelectField(
        _l("Provider"), choices=[SelectChoice(one.value, title) for one, title in PROVIDERS.items()]
    )
    secret = PasswordField(
        _l("Signing key or password"),
        [at_most(2000)],
        render_kw={"autocomplete": "new-password"},
        description=_l(
            "SendGrid: the verification key. Mailgun: the HTTP webhook signing key. Postmark: user:password of your "
            "choice. Amazon SES: the ARN of the topic. Brevo: a token of your choice."
        ),
    )
    active = BooleanField(_l("Active"), default=True)


def _values(form: HookForm) -> tuple[dict[str, Any], str | None]:
    data = form.data
    secret = (data.pop("secret") or "").strip() or None
    data.pop("csrf_token", None)
    return data, secret


def _form(row: RelayHook | None, **how: None) -> HookForm:
    form = HookForm(obj=row, **how)
    if row is not None:
        form.secret.description = gettext("It is saved, encrypted. Leave empty to keep it.")
    return form


def _hook(hook_id: int) -> RelayHook:
    return db.session.get(RelayHook, hook_id) or abort(404)


@blueprint.route("/hooks/new", methods=["GET", "POST"])
@requires(MANAGE)
def hook_new() -> ResponseReturnValue:
    """Add a web hook."""
    form = _form(None)
    made: list[RelayHook] = []
    if submit(form, lambda: made.append(service.save_hook(None, *_values(form)))):
        flash(gettext("The webhook was saved. Now enter its address at the relay."), "success")
        return redirect(url_for("outbox.hook", hook_id=made[0].id))
    return render_template("outbox/hooks/form.html", form=form, title=gettext("New webhook"), hook=None)


@blueprint.get("/hooks/<int:hook_id>")
@requires(MANAGE)
def hook(hook_id: int) -> ResponseReturnValue:
    """Show a web hook: its address, what to do at the relay, and what came last."""
    row = _hook(hook_id)
    came = (
        select(InboundMessage)
        .where(InboundMessage.hook_id == row.id)
        .options(joinedload(InboundMessage.mail))
        .order_by(InboundMessage.id.desc())
        .limit(SHOWN)
    )
    return render_template(
        "outbox/hooks/hook.html",
        hook=row,
        address=f"{current_settings().base_url}{url_for('outbox.hook_post', token=row.token)}",
        old_until=row.old_until if row.old_until is not None and row.old_until > clock.now() else None,
        provider=PROVIDERS[row.provider],
        steps=STEPS[row.provider],
        refusal=REFUSALS[Refusal(row.refused_why)] if row.refused_why else "",
        came=db.session.scalars(came).all(),
        natures=NATURES,
        verdicts=VERDICTS,
    )


@blueprint.route("/hooks/<int:hook_id>/edit", methods=["GET", "POST"])
@requires(MANAGE)
def hook_edit(hook_id: int) -> ResponseReturnValue:
    """Change a web hook."""
    row = _hook(hook_id)
    form = record_form(row, partial(_form, row), behind=lambda: {"secret": row.secret})
    if submit(form, lambda: service.save_hook(row, *_values(form))):
        flash(gettext("The webhook was saved."), "success")
        return redirect(url_for("outbox.hook", hook_id=row.id))
    return render_template("outbox/hooks/form.html", form=form, title=gettext("Edit"), hook=row)


@blueprint.post("/hooks/<int:hook_id>/move")
@requires(MANAGE)
def hook_move(hook_id: int) -> ResponseReturnValue:
    """Give a web hook another secret address, and let the one before be good for a day or not at all."""
    row, at_once = _hook(hook_id), request.form.get("at_once") == "1"
    service.move_hook(row, at_once=at_once)
    if at_once:
        words = gettext("The previous address no longer works. Enter the new one at the relay now.")
    else:
        words = gettext(
            "Enter the new address at the relay within 24 hours; until then the previous one works too."
        )
    flash(words, "success")
    return redirect(url_for("outbox.hook", hook_id=row.id))


@blueprint.post("/hooks/<int:hook_id>/delete")
@requires(MANAGE)
def hook_delete(hook_id: int) -> ResponseReturnValue:
    """Take a web hook away; what was told by it stays with the emails."""
    row = _hook(hook_id)
    with transaction() as session:
        session.delete(row)
    flash(gettext("Nothing is taken at that address any more. Remove it at the relay as well."), "success")
    return redirect(url_for("outbox.mailboxes"))


@blueprint.post("/hooks/post/<token>")
@public
@from_anywhere
def hook_post(token: str) -> ResponseReturnValue:
    """Take what a relay posts. Whoever cannot prove to be it learns nothing but that."""
    row = service.hook_at(token[:64]) or abort(404)
    if (request.content_length or 0) > MAX_OCTETS:
        abort(413)
    try:
        taken = service.receive(row, request.headers, request.get_data(cache=False)[:MAX_OCTETS])
    except HookRefusedError:
        return {"error": "not accepted"}, 403
    return {"taken": len(taken)}, 200
