"""Check my domain: what stands about it in the DNS, the records to publish, and the keys by which emails are signed."""

from __future__ import annotations

from collections.abc import Mapping

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from flask_wtf import FlaskForm
from wtforms import StringField

from core.auth.permissions import requires
from core.db import db
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.mail.dkim import Algorithm
from core.vault import readable
from core.web.forms import at_most, required, submit
from modules.mail_config.blueprint import blueprint
from modules.mail_config.domains.check import check_domain
from modules.mail_config.domains.findings import (
    TOPIC_TITLES,
    Record,
    Verdict,
    trouble_sentence,
)
from modules.mail_config.domains.senders import domains_in_use, servers_for
from modules.mail_config.models import DomainKey
from modules.mail_config.servers.place import SET_UP
from modules.mail_config.signing import keys
from modules.mail_config.signing_models import KeyState
from modules.mail_config.transports.name_service import NameServiceError, name_service

ALGORITHM_TITLES: Mapping[Algorithm, str] = {Algorithm.RSA: "RSA 2048", Algorithm.ED25519: "Ed25519"}

STATE_TITLES: Mapping[KeyState, tuple[object, str, str]] = {
    KeyState.WAITING: (_l("waits for its record"), "neutral", "hourglass-split"),
    KeyState.SIGNING: (_l("signs"), "success", "check-circle-fill"),
    KeyState.RETIRED: (_l("signs no more"), "neutral", "pause-circle"),
    KeyState.DISPENSABLE: (_l("may be deleted"), "neutral", "trash"),
}
"""Each with the tone and the shape of its badge."""

MARKS: Mapping[Verdict, str] = {
    Verdict.FOUND: "check-circle-fill text-success",
    Verdict.MISSING: "exclamation-triangle-fill text-warning",
    Verdict.WRONG: "x-octagon-fill text-danger",
    Verdict.UNKNOWN: "question-circle text-muted",
}


class DomainForm(FlaskForm):  # type: ignore[misc]
    """Which domain is looked at."""

    domain = StringField(
        _l("Domain"),
        [*required(), at_most(254)],
        render_kw={"autocomplete": "off", "spellcheck": "false"},
        description=_l("What follows the @ of the From, for example example.com"),
    )


def _domain(text: str) -> str:
    """Return the domain that a page is about; one spelled otherwise is not there."""
    try:
        return text if keys.clean_domain(text) == text else abort(404)
    except UserError:
        abort(404)


def _key(key_id: int) -> DomainKey:
    return db.session.get(DomainKey, key_id) or abort(404)


def _back(domain: str) -> ResponseReturnValue:
    return redirect(url_for("mail_config.domain", domain=domain))


@blueprint.route("/domains", methods=["GET", "POST"])
@requires(SET_UP)
def domains() -> ResponseReturnValue:
    """Choose the domain to check."""
    form = DomainForm()
    found: list[str] = []
    if request.method == "POST" and submit(
        form, lambda: found.append(keys.clean_domain(form.domain.data or ""))
    ):
        return _back(found[0])
    return render_template("mail_config/domains/domains.html", form=form, domains=domains_in_use())


@blueprint.get("/domains/<domain>")
@requires(SET_UP)
def domain(domain: str) -> ResponseReturnValue:
    """Show the keys of a domain, and check it."""
    name = _domain(domain)
    # Without scripts the link to the check shows it in this page.
    report = check_domain(name) if "check" in request.args else None
    rows = keys.keys_of(name)
    return render_template(
        "mail_config/domains/domain.html",
        domain=name,
        keys=[(row, Record(row.record_name, row.record_text), readable(row.secret)) for row in rows],
        waiting=any(row.state is KeyState.WAITING for row in rows),
        signed_by_themselves=[one.name for one in servers_for(name) if one.signs],
        algorithms=ALGORITHM_TITLES,
        states=STATE_TITLES,
        **_shown(),
        report=report,
    )


@blueprint.get("/domains/<domain>/report")
@requires(SET_UP)
def domain_report(domain: str) -> ResponseReturnValue:
    """Check a domain: the part of its page that takes a while."""
    return render_template(
        "mail_config/domains/_report.html", report=check_domain(_domain(domain)), **_shown()
    )


def _shown() -> dict[str, object]:
    return {"topics": TOPIC_TITLES, "marks": MARKS}


@blueprint.post("/domains/<domain>/keys")
@requires(SET_UP)
def domain_keys_make(domain: str) -> ResponseReturnValue:
    """Make a pair of keys: RSA, which everybody knows, and Ed25519 beside it."""
    name = _domain(domain)
    keys.make_keys(name, tuple(Algorithm))
    flash(gettext("The keys are made. Publish their records; they sign nothing before."), "success")
    return _back(name)


@blueprint.post("/domains/keys/<int:key_id>/sign")
@requires(SET_UP)
def domain_key_sign(key_id: int) -> ResponseReturnValue:
    """Let a key sign, if its record is found."""
    key = _key(key_id)
    name = key.domain
    try:
        if keys.start_signing(key, name_service()):
            flash(
                gettext("The record was found. Emails from %(domain)s are signed by this key.", domain=name),
                "success",
            )
        else:
            flash(
                gettext(
                    "The record was not found, so nothing has changed. After a change in the DNS it may take an hour."
                ),
                "warning",
            )
    except NameServiceError as error:
        flash(trouble_sentence(error), "danger")
    return _back(name)


@blueprint.post("/domains/keys/<int:key_id>/stop")
@requires(SET_UP)
def domain_key_stop(key_id: int) -> ResponseReturnValue:
    """Let a key sign no more."""
    key = _key(key_id)
    name = key.domain
    keys.stop_signing(key)
    flash(gettext("The key signs no more. Leave its record for now."), "success")
    return _back(name)


@blueprint.post("/domains/keys/<int:key_id>/delete")
@requires(SET_UP)
def domain_key_delete(key_id: int) -> ResponseReturnValue:
    """Delete a key that signs nothing."""
    key = _key(key_id)
    name = key.domain
    keys.delete_key(key)
    flash(gettext("The key was deleted."), "success")
    return _back(name)
