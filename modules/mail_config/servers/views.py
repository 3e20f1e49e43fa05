"""Mail servers: list, settings, test."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import partial
from typing import Any

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from flask_wtf import FlaskForm
from sqlalchemy import select
from wtforms import (
    BooleanField,
    EmailField,
    IntegerField,
    PasswordField,
    SelectChoice,
    SelectField,
    StringField,
    TextAreaField,
)
from wtforms.validators import NumberRange, Optional

from core import clock
from core.auth.permissions import requires, signed_in_user
from core.companies.models import Company
from core.db import db, transaction
from core.i18n import lazy_gettext as _l
from core.mail.advice import ADVICE, Advice
from core.mail.explanations import EXPLANATIONS
from core.web.forms import at_most, required, submit
from core.web.record_form import RecordForm, Shown, record_form
from modules.mail_config.blueprint import blueprint
from modules.mail_config.models import Encryption, MailServer, ServerHealth
from modules.mail_config.servers import circuit_breaker, health, rate_limiter, service
from modules.mail_config.servers.providers import provider_of
from modules.mail_config.servers.test_advice import sentences

_PORT_RANGE = NumberRange(1, 65535, _l("A port is a number from 1 to 65535."))


class ServerForm(RecordForm):
    """A mail server; the password is written, never shown."""

    name = StringField(_l("Name"), [*required(), at_most(80)])
    host = StringField(
        _l("Host"), [*required(), at_most(253)], description=_l("For example smtp.example.com")
    )
    port = IntegerField(
        _l("Port"),
        [*required(), _PORT_RANGE],
        default=587,
        description=_l("Usual: 587 STARTTLS, 465 TLS, 25 none"),
    )
    encryption = SelectField(
        _l("Encryption"),
        choices=[
            SelectChoice(Encryption.STARTTLS.value, _l("STARTTLS: begins in the clear, then encrypts")),
            SelectChoice(Encryption.TLS.value, _l("TLS from the first byte")),
            SelectChoice(Encryption.NONE.value, _l("None: only inside your own network")),
        ],
    )
    username = StringField(
        _l("User name"),
        [at_most(254)],
        render_kw={"autocomplete": "off"},
        description=_l("Leave empty for no sign-in"),
    )
    password = PasswordField(
        _l("Password"), [at_most(500)], render_kw={"autocomplete": "new-password"}, description=""
    )
    forget = BooleanField(_l("Forget the saved password"))
    from_filter = TextAreaField(
        _l("From filter"),
        render_kw={"rows": 2},
        description=_l(
            "Addresses and domains that may send by this server, separated by commas; empty for all"
        ),
    )
    priority = IntegerField(
        _l("Priority"),
        [*required(), NumberRange(0, 9999)],
        default=10,
        description=_l("Lower numbers go first"),
    )
    size_limit_mb = IntegerField(
        _l("Size limit in MB"),
        [Optional(), NumberRange(1, 1000)],
        description=_l("Empty: what the server announces"),
    )
    rate_per_minute = IntegerField(
        _l("Emails a minute"),
        [Optional(), NumberRange(1, 100_000)],
        description=_l("The most that leave by this server; empty for no limit"),
    )
    rate_per_day = IntegerField(
        _l("Emails in 24 hours"),
        [Optional(), NumberRange(1, 10_000_000)],
        description=_l("Emails beyond wait and show when they leave; empty for no limit"),
    )
    bounce_address = StringField(
        _l("Bounces go to"),
        [at_most(254)],
        description=_l("The return path, in the domain of the From; empty for the From itself"),
    )
    bounce_tokens = BooleanField(
        _l("Put a token into it"),
        description=_l(
            "Sends as bounces+token@…, so that every bounce finds its recipient. The mailbox must take such addresses."
        ),
    )
    company_id = SelectField(_l("Company"), coerce=int)
    active = BooleanField(_l("Active"), default=True)


class TestForm(FlaskForm):  # type: ignore[misc]
    """The form of a test mail: its recipient and its From."""

    __test__ = False  # not a test of pytest

    from_address = EmailField(_l("From"), [*required(), at_most(254)])
    recipient = EmailField(_l("To"), [*required(), at_most(254)])


def _form(server: MailServer | None, **how: None) -> ServerForm:
    size = server.size_limit // 1_000_000 if server and server.size_limit else None
    company_id = server.company_id or 0 if server else 0
    form = ServerForm(obj=Shown(server, size_limit_mb=size, company_id=company_id), **how)
    rows = db.session.execute(select(Company.id, Company.name).order_by(Company.name))
    form.company_id.choices = [(0, gettext("All companies")), *((row.id, row.name) for row in rows)]
    form.host.render_kw = {
        "hx-get": url_for("mail_config.server_hint"),
        "hx-trigger": "input changed delay:400ms",
        "hx-target": "#provider-hint",
    }
    if server is None or not server.secret:
        del form.forget
    else:
        form.password.description = gettext("A password is saved. Leave empty to keep it.")
    return form


def _values(form: ServerForm) -> tuple[dict[str, Any], str | None]:
    data = form.data
    size = data.pop("size_limit_mb")
    forget = data.pop("forget", False)
    password = data.pop("password") or None
    data.pop("csrf_token", None)
    values = {
        **data,
        "size_limit": size * 1_000_000 if size else None,
        "company_id": data["company_id"] or None,
    }
    return values, "" if forget else password


@dataclass(frozen=True, slots=True)
class Status:
    """The health of a server, as its pages show it.

    Attributes:
        word: In a word or two, translated.
        tone: As the badge macro knows it.
        icon: Name of the icon.
        health: What is known, or None.
        paused: True while nothing leaves by it.
        slow_until: Until when it is sent less because it has asked for that, or None.
        interval: Seconds between two of its mails, where the rate is limited.
        last_slot: When the last of the mails that wait for their turn leaves, or None.
        day_ends: When the mails of 24 hours are counted anew, or None.
    """

    word: str
    tone: str
    icon: str
    health: ServerHealth | None = None
    paused: bool = False
    slow_until: dt.datetime | None = None
    interval: float = 0.0
    last_slot: dt.datetime | None = None
    day_ends: dt.datetime | None = None


def status_of(server: MailServer, known: ServerHealth | None) -> Status:
    """Return how a server fares."""
    now = clock.now()
    limit = rate_limiter.limit_of(server, known, now)
    steps = rate_limiter.throttle_steps(known, now)
    paused = known is not None and known.open_since is not None
    slow_until = (
        known.throttled_at + steps * rate_limiter.THROTTLE_FORGOTTEN
        if known and known.throttled_at and steps
        else None
    )
    began = known.day_started_at if known is not None else None
    last_slot = None
    if known is not None and known.next_slot_at is not None and limit.limited:
        last_slot = known.next_slot_at - limit.interval
    if not server.active:
        shown = (gettext("off"), "neutral", "circle")
    elif not server.ready:
        shown = (gettext("untested"), "warning", "exclamation-triangle-fill")
    elif paused:
        shown = (gettext("paused"), "danger", "pause-circle-fill")
    elif slow_until is not None:
        shown = (gettext("slowed down"), "warning", "speedometer2")
    else:
        shown = (gettext("in use"), "success", "check-circle-fill")
    return Status(
        *shown,
        health=known,
        paused=paused and server.active,
        slow_until=slow_until,
        interval=limit.interval.total_seconds(),
        last_slot=last_slot if last_slot is not None and last_slot > now else None,
        day_ends=began + rate_limiter.DAY
        if began is not None and began <= now < began + rate_limiter.DAY
        else None,
    )


def _server(server_id: int) -> MailServer:
    return db.session.get(MailServer, server_id) or abort(404)


@blueprint.get("/servers")
@requires("mail_config.server.edit")
def servers() -> ResponseReturnValue:
    """List mail servers."""
    rows = service.servers()
    known = {row.server_id: row for row in db.session.scalars(select(ServerHealth))}
    statuses = {row.id: status_of(row, known.get(row.id)) for row in rows}
    return render_template(
        "mail_config/servers/servers.html", servers=rows, statuses=statuses, explanations=EXPLANATIONS
    )


@blueprint.get("/servers/hint")
@requires("mail_config.server.edit")
def server_hint() -> ResponseReturnValue:
    """Say what is known about the limits of the host that is being typed."""
    provider = provider_of(request.args.get("host", "")[:253])
    return render_template("mail_config/servers/_hint.html", provider=provider)


@blueprint.route("/servers/new", methods=["GET", "POST"])
@requires("mail_config.server.edit")
def server_new() -> ResponseReturnValue:
    """Add a mail server."""
    form = _form(None)
    made: list[MailServer] = []
    if submit(form, lambda: made.append(service.save_server(None, *_values(form)))):
        flash(gettext("The server was saved. Test it: until it passes, it sends nothing."), "warning")
        return redirect(url_for("mail_config.server", server_id=made[0].id))
    return render_template(
        "mail_config/servers/form.html",
        form=form,
        title=gettext("New mail server"),
        server=None,
        provider=provider_of(form.host.data or ""),
    )


@blueprint.get("/servers/<int:server_id>")
@requires("mail_config.server.edit")
def server(server_id: int) -> ResponseReturnValue:
    """Show a mail server with its test."""
    row = _server(server_id)
    user = signed_in_user()
    form = TestForm(
        from_address=service.default_from(row.company or db.session.get(Company, user.company_id or 0)),
        recipient=user.login,
    )
    return _page(row, form)


def _page(row: MailServer, form: TestForm, report: service.TestReport | None = None) -> str:
    return render_template(
        "mail_config/servers/server.html",
        server=row,
        form=form,
        status=status_of(row, health.health_of(row.id)),
        provider=provider_of(row.host),
        report=report,
        explanations=EXPLANATIONS,
        advice=ADVICE,
        advices=frozenset(Advice),
        sentences=sentences(report.failure) if report and report.failure else [],
    )


@blueprint.route("/servers/<int:server_id>/edit", methods=["GET", "POST"])
@requires("mail_config.server.edit")
def server_edit(server_id: int) -> ResponseReturnValue:
    """Change a mail server."""
    row = _server(server_id)
    form = record_form(
        row, partial(_form, row), behind=lambda: {"password": row.secret, "forget": row.secret}
    )
    if submit(form, lambda: service.save_server(row, *_values(form))):
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
        provider=provider_of(form.host.data or ""),
    )


@blueprint.post("/servers/<int:server_id>/test")
@requires("mail_config.server.edit")
def server_test(server_id: int) -> ResponseReturnValue:
    """Walk the dialogue with a server, send a test mail, and say in words what is wrong."""
    row = _server(server_id)
    form = TestForm()
    reports: list[service.TestReport] = []
    submit(
        form, lambda: reports.append(service.test_server(row, form.recipient.data, form.from_address.data))
    )
    return _page(_server(server_id), form, reports[0] if reports else None)


@blueprint.post("/servers/<int:server_id>/probe")
@requires("mail_config.server.edit")
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
@requires("mail_config.server.edit")
def server_delete(server_id: int) -> ResponseReturnValue:
    """Delete a mail server; mails that waited for it look for another."""
    row = _server(server_id)
    with transaction() as session:
        session.delete(row)
    flash(gettext("The server was deleted."), "success")
    return redirect(url_for("mail_config.servers"))
