"""Mail servers: list, settings, test."""

from __future__ import annotations

from functools import partial

from flask import abort, flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from sqlalchemy import select

from core.auth.permissions import requires, signed_in_user
from core.begin.steps import LED
from core.companies.models import Company
from core.contract import TransportSpec
from core.db import db
from core.mail.advice import ADVICE, Advice
from core.mail.explanations import EXPLANATIONS
from core.web.forms import submit
from core.web.record_form import record_form
from modules.mail_config.accounts import clients
from modules.mail_config.blueprint import blueprint
from modules.mail_config.models import SMTP, MailServer, ServerHealth
from modules.mail_config.servers import (
    circuit_breaker,
    connecting,
    connection_limit,
    health,
    playground,
    service,
)
from modules.mail_config.servers.access import offered_transports
from modules.mail_config.servers.envelopes import signs_itself
from modules.mail_config.servers.forms import FIRST_ASKED, ServerForm, TestForm, server_form, values_of
from modules.mail_config.servers.guess import Guess, guess
from modules.mail_config.servers.place import SET_UP, TEST_NOW, kind_of, kinds_for
from modules.mail_config.servers.providers import Provider, provider_of
from modules.mail_config.servers.status import status_of
from modules.mail_config.servers.test_advice import STEP_TITLES, copy_sentences, sentences


def _server(server_id: int) -> MailServer:
    return db.session.get(MailServer, server_id) or abort(404)


def _editable(server_id: int) -> MailServer:
    """Return a server that administrators set up; one of a user's is that user's alone."""
    row = _server(server_id)
    return row if row.owner_id is None else abort(404)


@blueprint.get("/servers")
@requires(SET_UP)
def servers() -> ResponseReturnValue:
    """List mail servers."""
    rows = service.servers()
    known = {row.server_id: row for row in db.session.scalars(select(ServerHealth))}
    statuses = {row.id: status_of(row, known.get(row.id)) for row in rows}
    return render_template(
        "mail_config/servers/servers.html", servers=rows, statuses=statuses, explanations=EXPLANATIONS
    )


@blueprint.get("/servers/hint")
@requires(SET_UP)
def server_hint() -> ResponseReturnValue:
    """Say what is known about the limits of the host that is being typed."""
    provider = provider_of(request.args.get("host", "")[:253])
    return render_template("mail_config/servers/_hint.html", provider=provider)


@blueprint.route("/servers/new", methods=["GET", "POST"])
@requires(SET_UP)
def server_new() -> ResponseReturnValue:
    """Add a mail server of a `kind`; `for`, an address or a host, fills in what is known of it."""
    kinds = offered_transports()
    spec = kinds.get(request.args.get("kind", SMTP)) or abort(404)
    asked = request.args.get("for", "")[:254].strip() if "host" in spec.fields else ""
    known = guess(asked) if asked and request.method == "GET" else Guess()
    form = server_form(
        None, spec, known.values or ({} if spec.name == SMTP else {"name": gettext(spec.title)})
    )
    made: list[MailServer] = []
    if submit(form, lambda: made.append(_save(None, spec, form))):
        if session.get(LED):
            session[TEST_NOW] = made[0].id
        else:
            flash(gettext("The server was saved. Test it: until it passes, it sends nothing."), "warning")
        return redirect(url_for("mail_config.server", server_id=made[0].id))
    return render_template(
        "mail_config/servers/form.html",
        form=form,
        # On the first day only what a provider tells; what else there is can wait.
        first=FIRST_ASKED if session.get(LED) else (),
        title=gettext("New mail server"),
        server=None,
        connectable=clients.TITLES,
        houses=clients.HOUSES,
        asked=asked,
        known=known,
        kind=spec,
        kinds=[(one, url_for("mail_config.server_new", kind=one.name)) for one in kinds.values()],
        provider=known.provider or _provider(spec, form),
        by_api="host" not in spec.fields,
    )


def _save(row: MailServer | None, spec: TransportSpec, form: ServerForm) -> MailServer:
    values, password = values_of(form)
    return service.save_server(row, {**values, "transport": spec.name}, password)


def _provider(spec: TransportSpec, form: ServerForm) -> Provider | None:
    return provider_of((form.host.data or "") if "host" in form else spec.host)


@blueprint.post("/servers/playground")
@requires(SET_UP)
def server_playground() -> ResponseReturnValue:
    """Send by the mailbox of the playground, to try things out: it takes every email and delivers none."""
    if not playground.is_there():
        abort(404)
    playground.use()
    flash(gettext("Emails go to the test mailbox now, and reach nobody."), "success")
    return redirect(url_for("core.first_steps"))


@blueprint.get("/servers/<int:server_id>")
@requires(SET_UP)
def server(server_id: int) -> ResponseReturnValue:
    """Show a mail server with its test."""
    row = _server(server_id)
    user = signed_in_user()
    form = TestForm(
        from_address=row.own_address
        or service.default_from(row.company or db.session.get(Company, user.company_id or 0)),
        recipient=user.login,
    )
    return _page(row, form)


def _page(row: MailServer, form: TestForm, report: service.TestReport | None = None) -> str:
    return render_template(
        "mail_config/servers/server.html",
        server=row,
        test_now=session.pop(TEST_NOW, None) == row.id,
        form=form,
        status=status_of(row, health.health_of(row.id)),
        provider=provider_of(row.host),
        by_api="host" not in kind_of(row).fields,
        mails_per_connection=connection_limit.mails_of(row),
        report=report,
        signs_itself=signs_itself,
        step_titles=STEP_TITLES,
        explanations=EXPLANATIONS,
        advice=ADVICE,
        advices=frozenset(Advice),
        sentences=sentences(report.failure, row, report.certificate) if report and report.failure else [],
        copy_sentences=copy_sentences(report.copy_failure) if report and report.copy_failure else [],
    )


@blueprint.route("/servers/<int:server_id>/edit", methods=["GET", "POST"])
@requires(SET_UP)
def server_edit(server_id: int) -> ResponseReturnValue:
    """Change a mail server, also into one of another `kind`: then the fields of that are asked for."""
    row = _editable(server_id)
    kinds = kinds_for(row, offered_transports())
    spec = kinds.get(request.args.get("kind", row.transport)) or abort(404)
    form = record_form(
        row, partial(server_form, row, spec), behind=lambda: {"password": row.secret, "forget": row.secret}
    )
    if submit(form, lambda: _save(row, spec, form)):
        if row.ready:
            flash(gettext("The server was saved."), "success")
        else:
            flash(gettext("The server was saved. Test it: until it passes, it sends nothing."), "warning")
        return redirect(url_for("mail_config.server", server_id=row.id))
    return render_template(
        "mail_config/servers/form.html",
        form=form,
        title=gettext("Edit"),
        server=row,
        kind=spec,
        kinds=[
            (one, url_for("mail_config.server_edit", server_id=row.id, kind=one.name))
            for one in kinds.values()
        ],
        provider=_provider(spec, form),
        by_api="host" not in spec.fields,
    )


@blueprint.post("/servers/<int:server_id>/test")
@requires(SET_UP)
def server_test(server_id: int) -> ResponseReturnValue:
    """Walk the dialogue with a server, send a test mail, and say in words what is wrong."""
    row = _editable(server_id)
    form = TestForm()
    reports: list[service.TestReport] = []
    submit(
        form, lambda: reports.append(service.test_server(row, form.recipient.data, form.from_address.data))
    )
    return _page(_server(server_id), form, reports[0] if reports else None)


@blueprint.post("/servers/<int:server_id>/probe")
@requires(SET_UP)
def server_probe(server_id: int) -> ResponseReturnValue:
    """Try a paused server now; it answers within seconds, or is still paused."""
    row = _server(server_id)
    failure = circuit_breaker.probe_now(row.id)
    if failure is None:
        flash(gettext("The server works again. The emails that waited for it leave now."), "success")
    else:
        title = EXPLANATIONS[failure.kind].title
        flash(gettext("Still not: %(reason)s. Nothing was sent.", reason=title), "warning")
    return redirect(url_for("mail_config.server", server_id=server_id))


@blueprint.post("/servers/<int:server_id>/delete")
@requires(SET_UP)
def server_delete(server_id: int) -> ResponseReturnValue:
    """Delete a mail server; mails that waited for it look for another."""
    left = connecting.remove(_server(server_id))
    flash(gettext("The server was deleted."), "success")
    if left:
        flash(left, "warning")
    return redirect(url_for("mail_config.servers"))
