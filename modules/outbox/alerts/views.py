"""The list behind the bell."""

from __future__ import annotations

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from core.auth.permissions import signed_in, signed_in_user
from core.mail.explanations import EXPLANATIONS
from core.web.listing import paginate
from modules.outbox.alerts import service
from modules.outbox.alerts.bell import failure_bell
from modules.outbox.blueprint import blueprint
from modules.outbox.queries import badge_of


@blueprint.get("/alerts")
@signed_in
def alerts() -> ResponseReturnValue:
    """List what the user was told of, newest first."""
    user = signed_in_user()
    page = paginate(service.alerts_of(user.id), service.alert_list())
    wanted = service.wants_mail(user.id)
    return render_template(
        "outbox/alerts/alerts.html",
        page=page,
        unseen=service.count_unseen(user.id),
        explanations=EXPLANATIONS,
        badge_of=badge_of,
        paused=service.paused_since([row.server_id for row in page.rows if row.server_id is not None]),
        wants_mail=wanted,
        mail_waits=wanted and service.company_that_can_send(user) is None,
        manages_servers=user.can(service.MANAGES_SERVERS),
    )


@blueprint.post("/alerts/seen")
@signed_in
def alerts_seen() -> ResponseReturnValue:
    """Remember what the user has seen: one mail, one server, or everything."""
    user = signed_in_user()
    mail_id = request.form.get("mail_id", type=int)
    server_id = request.form.get("server_id", type=int)
    if max(mail_id or 0, server_id or 0) >= 2**31 or min(mail_id or 0, server_id or 0) < 0:
        abort(404)
    if mail_id is not None:
        service.seen_mail(user.id, mail_id)
    elif server_id is not None:
        service.seen_server(user.id, server_id)
    else:
        service.seen_all(user.id)
    if request.headers.get("HX-Request"):
        return failure_bell()
    return redirect(url_for("outbox.alerts"))


@blueprint.post("/alerts/preference")
@signed_in
def alerts_preference() -> ResponseReturnValue:
    """Keep whether the user wants to be told by mail as well."""
    user = signed_in_user()
    wanted = "by_mail" in request.form
    service.set_wants_mail(user.id, wanted)
    if wanted:
        message = gettext("You will also be told by mail, to %(address)s.", address=user.login)
    else:
        message = gettext("You will no longer be told by mail; the bell stays.")
    flash(message, "success")
    return redirect(url_for("outbox.alerts"))
