"""Accounts at Google and Microsoft: connected by whoever they belong to, or by an administrator for a company."""

from __future__ import annotations

from functools import partial
from typing import Any
from urllib.parse import urlsplit

from flask import abort, flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from flask_wtf import FlaskForm
from wtforms import BooleanField, EmailField, PasswordField, StringField

from core.auth.permissions import requires, signed_in, signed_in_user
from core.db import db
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.pickers import CompanyField
from core.web.forms import at_most, required, submit
from core.web.record_form import RecordForm, Shown, record_form
from modules.mail_config.account_models import AccountProvider, OAuthClient
from modules.mail_config.accounts import clients, consents
from modules.mail_config.accounts.mailboxes import may_be_read
from modules.mail_config.blueprint import blueprint
from modules.mail_config.models import SMTP, MailServer
from modules.mail_config.senders import service as senders
from modules.mail_config.senders.views.mine import OWN
from modules.mail_config.servers import circuit_breaker, connecting
from modules.mail_config.servers.place import SET_UP, TEST_NOW

ANSWER = ("state", "code", "error", "error_description")
"""What a provider sends a person back with (RFC 6749 §4.1.2)."""


class ConnectForm(FlaskForm):  # type: ignore[misc]
    """The account that a person is about to connect."""

    address = EmailField(_l("Address of the account"), [*required(), at_most(254)])
    api = BooleanField(
        _l("Send without SMTP"),
        description=_l(
            "By the provider's own interface: where SMTP is switched off for the account. It asks for the permission "
            "to send and no more; at Microsoft an email may then have about 3 MB."
        ),
    )


class HouseConnectForm(ConnectForm):
    """The account of the house that an administrator connects."""

    reads = BooleanField(
        _l("Read its mailbox as well"),
        description=_l(
            "For bounces and answers, under “Incoming email”. It asks for the permission to read the mailbox; Envoi "
            "deletes and moves nothing there."
        ),
    )


class NewHouseConnectForm(HouseConnectForm):
    """The same, for a company or for all."""

    company_id = CompanyField(_l("Company"))


class ClientForm(RecordForm):
    """Who this installation is at a provider."""

    client_id = StringField(
        _l("Client ID"),
        [at_most(200)],
        render_kw={"autocomplete": "off", "spellcheck": "false"},
        description=_l("Empty: forget it"),
    )
    secret = PasswordField(
        _l("Client secret"), [at_most(300)], render_kw={"autocomplete": "new-password"}, description=""
    )


class TenantForm(ClientForm):
    """The same at Microsoft."""

    tenant = StringField(
        _l("Tenant"),
        [at_most(120)],
        description=_l(
            "The ID of your organization, so that only its accounts can be connected; empty for all"
        ),
    )


def _provider(name: str) -> AccountProvider:
    try:
        return AccountProvider(name)
    except ValueError:
        abort(404)


def _names(provider: AccountProvider) -> dict[str, Any]:
    return {"provider": provider, "title": clients.TITLES[provider], "house": clients.HOUSES[provider]}


def _redirect() -> dict[str, Any]:
    """Return where providers send people back, and why that may not work."""
    uri, doubts = clients.redirect_uri(), []
    place = urlsplit(uri)
    if place.scheme != "https" and place.hostname not in {"localhost", "127.0.0.1", "::1"}:
        doubts.append(
            gettext("Google and Microsoft accept only addresses that begin with https:// (ENVOI_BASE_URL).")
        )
    if place.netloc != request.host:
        doubts.append(
            gettext(
                "You have opened Envoi as %(here)s, but people are sent back to %(there)s, where they have to be "
                "signed in as well. Open that one, or correct ENVOI_BASE_URL.",
                here=request.host[:120],
                there=place.netloc,
            )
        )
    return {"redirect_uri": uri, "redirect_doubts": doubts}


# -- connecting ----------------------------------------------------------------------------------------


@blueprint.route("/accounts/<provider>/connect", methods=["GET", "POST"])
@requires(OWN)
def account_connect(provider: str) -> ResponseReturnValue:
    """Send a person to a provider to connect the own account."""
    user, which = signed_in_user(), _provider(provider)
    server, sender = senders.own_server(user), senders.own_sender(user)
    known = server.account.address if server is not None and server.account is not None else ""
    form = ConnectForm(
        address=known or (sender.address if sender is not None else user.login),
        api=server is not None and bool(known) and server.transport != SMTP,
    )
    return _leave(form, which, own=True, server=server if known else None)


@blueprint.route("/servers/accounts/<provider>/connect", methods=["GET", "POST"])
@requires(SET_UP)
def house_account_connect(provider: str) -> ResponseReturnValue:
    """Send an administrator to a provider to connect an account of the house, a new one or one that has ended."""
    which = _provider(provider)
    server = None
    if asked := request.args.get("server", ""):
        server = db.session.get(MailServer, int(asked)) if asked.isascii() and asked.isdigit() else None
        if server is None or server.owner_id is not None or server.account is None:
            abort(404)
    if server is not None and server.account is not None:
        form = HouseConnectForm(
            address=server.account.address, api=server.transport != SMTP, reads=may_be_read(server.account)
        )
        return _leave(form, which, own=False, server=server)
    return _leave(NewHouseConnectForm(), which, own=False, server=None)


def _leave(
    form: ConnectForm, provider: AccountProvider, *, own: bool, server: MailServer | None
) -> ResponseReturnValue:
    """Show what is about to happen, or send the person to the provider."""
    places: list[str] = []
    company_id = form.company_id.data if isinstance(form, NewHouseConnectForm) else None
    reads = form.reads.data if isinstance(form, HouseConnectForm) else False

    def begin() -> None:
        server_id = server.id if server is not None and not own else None
        target = consents.Target(form.address.data or "", own, server_id, company_id, form.api.data, reads)
        places.append(consents.begin(signed_in_user(), provider, target))

    if submit(form, begin):
        # A page between: the policy of our pages lets no form lead elsewhere.
        return render_template("mail_config/senders/leaving.html", url=places[0], **_names(provider))
    return render_template(
        "mail_config/senders/connect.html",
        form=form,
        server=server,
        own=own,
        registered=clients.client_of(provider) is not None,
        may_register=signed_in_user().can(SET_UP),
        **_redirect(),
        **_names(provider),
    )


@blueprint.get("/accounts/connected")
@signed_in
def account_connected() -> ResponseReturnValue:
    """Take a person back from a provider: the page posts what it was called with, since nothing changes by GET.

    It is the address that providers know.
    """
    answer = {name: request.args[name] for name in ANSWER if name in request.args}
    return render_template("mail_config/senders/arriving.html", answer=answer)


@blueprint.post("/accounts/connected")
@signed_in
def account_save() -> ResponseReturnValue:
    """Save what a person has allowed, or tell why nothing is saved; what is posted is signed, and counts once."""
    place = _saved({name: request.form[name] for name in ANSWER if name in request.form})
    if request.headers.get("HX-Request"):
        # A whole page comes next, with its styles.
        return "", 204, {"HX-Redirect": place}
    return redirect(place)


def _saved(answer: dict[str, str]) -> str:
    """Save what a person has allowed, and return where they go on."""
    user = signed_in_user()
    may_own, may_set_up = user.can(OWN), user.can(SET_UP)
    try:
        consent = consents.finish(user, answer)
        if not (may_own if consent.target.own else may_set_up):
            abort(403)
        server = connecting.connect(user, consent)
    except UserError as error:
        flash(str(error.message), "danger")
        return url_for("mail_config.my_mail" if may_own or not may_set_up else "mail_config.servers")
    circuit_breaker.resume(server.id)
    flash(gettext("%(address)s is connected.", address=consent.target.address), "success")
    session[TEST_NOW] = server.id
    if consent.target.own:
        return url_for("mail_config.my_mail", _anchor="test")
    return url_for("mail_config.server", server_id=server.id, _anchor="test")


# -- registration --------------------------------------------------------------------------------------


@blueprint.route("/servers/accounts/<provider>", methods=["GET", "POST"])
@requires(SET_UP)
def account_client(provider: str) -> ResponseReturnValue:
    """Say who this installation is at a provider, and how to register it there."""
    which = _provider(provider)
    row = db.session.get(OAuthClient, which)
    by_settings = clients.set_by_installation(which)
    form = _client_form(which, row)
    if row is not None:
        form = record_form(row, partial(_client_form, which, row), behind=lambda: {"secret": row.secret})
    if not by_settings and submit(form, lambda: _save_client(which, form)):
        flash(gettext("The registration was saved."), "success")
        return redirect(url_for("mail_config.account_client", provider=which.value))
    return render_template(
        "mail_config/senders/client.html",
        form=form,
        by_settings=by_settings,
        **_redirect(),
        **_names(which),
    )


def _client_form(provider: AccountProvider, row: OAuthClient | None, **how: Any) -> ClientForm:
    kind = TenantForm if provider is AccountProvider.MICROSOFT else ClientForm
    form = kind(obj=Shown(row, secret="") if row is not None else None, **how)
    if row is not None and row.secret:
        form.secret.description = gettext("A secret is saved. Leave empty to keep it.")
    return form


def _save_client(provider: AccountProvider, form: ClientForm) -> None:
    clients.save_client(
        provider,
        client_id=form.client_id.data or "",
        secret=form.secret.data or None,
        tenant=(form.tenant.data or "") if isinstance(form, TenantForm) else "",
    )
