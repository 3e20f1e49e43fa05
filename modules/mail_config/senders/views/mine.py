"""*My mail*: a user's own sender and own server, and which way the own mails leave."""

from __future__ import annotations

from functools import partial

from flask import abort, flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from markupsafe import Markup
from wtforms import EmailField, RadioField, SelectChoice, StringField

from core.auth.models import User
from core.auth.permissions import requires, signed_in_user
from core.companies.service import companies_for
from core.contract import TransportSpec
from core.i18n import lazy_gettext as _l
from core.mail.explanations import EXPLANATIONS
from core.web.forms import at_most, submit
from core.web.record_form import RecordForm, Shown, record_form
from modules.mail_config.accounts import clients
from modules.mail_config.blueprint import blueprint
from modules.mail_config.models import SMTP, MailServer
from modules.mail_config.senders import service as senders
from modules.mail_config.servers import circuit_breaker, connecting, health, service
from modules.mail_config.servers.access import offered_transports
from modules.mail_config.servers.forms import OwnServerForm, own_server_form, values_of
from modules.mail_config.servers.guess import Guess, guess
from modules.mail_config.servers.place import TEST_NOW, kinds_for
from modules.mail_config.servers.providers import provider_of
from modules.mail_config.servers.status import status_of
from modules.mail_config.servers.test_advice import STEP_TITLES, copy_sentences, sentences

OWN = "mail_config.sender.own"


class SenderForm(RecordForm):
    """The own sender."""

    address = EmailField(
        _l("Send from"),
        [at_most(254)],
        description=_l("Your address; empty to send from the company's, answers come to you in any case"),
    )
    name = StringField(
        _l("Name"), [at_most(120)], description=_l("As recipients read it; empty for your name")
    )
    way = RadioField(
        _l("Send by"),
        choices=[
            SelectChoice("company", _l("the company's mail server")),
            SelectChoice("own", _l("my own mail server")),
        ],
        default="company",
    )


def menu_entry() -> str:
    """Return the entry of the user's menu."""
    if not signed_in_user().can(OWN):
        return ""
    return render_template("mail_config/senders/_menu_entry.html")


def _form(user: User, **how: None) -> SenderForm:
    row = senders.own_sender(user)
    values = {
        "address": row.address if row else "",
        "name": row.name if row else "",
        "way": "own" if row and row.own_server else "company",
    }
    return SenderForm(obj=Shown(None, **values), **how)


def _page(user: User, form: SenderForm, report: service.TestReport | None = None) -> str:
    server = senders.own_server(user)
    return render_template(
        "mail_config/senders/mine.html",
        form=form,
        sender=senders.own_sender(user),
        signature=Markup(user.signature_html),  # noqa: S704 (cleaned when it was saved)
        server=server,
        status=status_of(server, health.health_of(server.id)) if server else None,
        routes=[(company, senders.route_for(company, user)) for company in companies_for(user)],
        provider=provider_of(server.host) if server else None,
        connectable=clients.TITLES,
        test_now=server is not None and session.pop(TEST_NOW, None) == server.id,
        explanations=EXPLANATIONS,
        report=report,
        step_titles=STEP_TITLES,
        sentences=sentences(report.failure, server, report.certificate) if report and report.failure else [],
        copy_sentences=copy_sentences(report.copy_failure) if report and report.copy_failure else [],
    )


@blueprint.route("/mine", methods=["GET", "POST"])
@requires(OWN)
def my_mail() -> ResponseReturnValue:
    """Show and change the own sender."""
    user = signed_in_user()
    form = record_form(user, partial(_form, user))
    if submit(form, lambda: _save(user, form)):
        if form.way.data == "own" and senders.own_server(user) is None:
            flash(gettext("Your sender was saved. Now set up your mail server."), "success")
            return redirect(url_for("mail_config.my_server"))
        flash(gettext("Your sender was saved."), "success")
        return redirect(url_for("mail_config.my_mail"))
    return _page(user, form)


def _save(user: User, form: SenderForm) -> None:
    senders.save_own_sender(
        user,
        address=form.address.data or "",
        name=form.name.data or "",
        own_server=form.way.data == "own",
    )


@blueprint.route("/mine/server", methods=["GET", "POST"])
@requires(OWN)
def my_server() -> ResponseReturnValue:
    """Set up or change the own server."""
    user = signed_in_user()
    row = senders.own_server(user)
    if row is not None and row.account is not None and request.method == "GET":
        # Nothing of it is typed.
        return redirect(url_for("mail_config.my_mail"))
    offered = offered_transports(personal=True)
    kinds = kinds_for(row, offered) if row is not None else offered
    asked, known = request.args.get("for", "")[:254].strip(), Guess()
    spec = kinds.get(request.args.get("kind", row.transport if row is not None else SMTP)) or abort(404)
    if row is not None:
        form = record_form(
            row,
            partial(own_server_form, row, spec),
            behind=lambda: {"password": row.secret, "forget": row.secret},
        )
    else:
        known = (guess(asked) if asked else _known_of(user)) if request.method == "GET" else Guess()
        form = own_server_form(None, spec, known.values)
    if submit(form, lambda: _save_server(user, row, spec, form)):
        flash(gettext("Your mail server was saved. Test it: until it passes, it sends nothing."), "warning")
        return redirect(url_for("mail_config.my_mail", _anchor="test"))
    return render_template(
        "mail_config/senders/my_server.html",
        form=form,
        title=gettext("My mail server"),
        server=row,
        kind=spec,
        kinds=[(one, url_for("mail_config.my_server", kind=one.name)) for one in kinds.values()],
        provider=provider_of((form.host.data or "") if "host" in form else spec.host),
        by_api="host" not in spec.fields,
        asked=asked,
        known=known,
    )


def _known_of(user: User) -> Guess:
    """Return what is known of the server of a user's own address: then only the password is left to type."""
    sender = senders.own_sender(user)
    return guess(sender.address if sender else user.login, ask=False)


def _save_server(user: User, row: MailServer | None, spec: TransportSpec, form: OwnServerForm) -> None:
    values, password = values_of(form)
    fixed = {"owner_id": user.id, "name": user.name[:80], "transport": spec.name}
    service.save_server(row, {**values, **fixed}, password)


def _mine(user: User) -> MailServer:
    return senders.own_server(user) or abort(404)


@blueprint.post("/mine/server/test")
@requires(OWN)
def my_server_test() -> ResponseReturnValue:
    """Walk the dialogue with the own server, and send the user a mail by it."""
    user = signed_in_user()
    row, sender = _mine(user), senders.own_sender(user)
    report = service.test_server(row, user.login, sender.address if sender else user.login)
    return _page(user, record_form(user, partial(_form, user, formdata=None)), report)


@blueprint.post("/mine/server/probe")
@requires(OWN)
def my_server_probe() -> ResponseReturnValue:
    """Try the own server now that is paused."""
    failure = circuit_breaker.probe_now(_mine(signed_in_user()).id)
    if failure is None:
        flash(gettext("The server works again. The emails that waited for it leave now."), "success")
    else:
        title = EXPLANATIONS[failure.kind].title
        flash(gettext("Still not: %(reason)s. Nothing was sent.", reason=title), "warning")
    return redirect(url_for("mail_config.my_mail"))


@blueprint.post("/mine/server/delete")
@requires(OWN)
def my_server_delete() -> ResponseReturnValue:
    """Forget the own server and its password; mails that wait for it look for another."""
    left = connecting.remove(_mine(signed_in_user()))
    flash(gettext("Your mail server was deleted. Your emails leave by the company's."), "success")
    if left:
        flash(left, "warning")
    return redirect(url_for("mail_config.my_mail"))
