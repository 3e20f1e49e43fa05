"""The list behind the bell."""

from __future__ import annotations

from functools import partial

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from core.auth.permissions import signed_in, signed_in_user
from core.mail.explanations import EXPLANATIONS
from core.web.listing import paginate
from modules.outbox.alerts import service
from modules.outbox.alerts.bell import about_named, failure_bell
from modules.outbox.alerts.held_back import held_for
from modules.outbox.badges import badge_of, came_back_among
from modules.outbox.blueprint import blueprint


@blueprint.get("/alerts")
@signed_in
def alerts() -> ResponseReturnValue:
    """List what the user was told of, newest first."""
    user = signed_in_user()
    page = paginate(service.alerts_of(user), service.alert_list())
    preference = service.preference_of(user.id)
    servers = [row.server_id for row in page.rows if row.server_id is not None]
    return render_template(
        "outbox/alerts/alerts.html",
        page=page,
        unseen=service.count_unseen(user),
        explanations=EXPLANATIONS,
        badge_of=partial(badge_of, came_back=came_back_among(row.mail for row in page.rows if row.mail)),
        paused=service.paused_since(servers),
        failing_folders=service.folders_failing_since(servers),
        preference=preference,
        reads_mails_of_others=service.reads_mails_of_others(user),
        mail_waits=preference.by_mail and service.company_that_can_send(user) is None,
        held_minutes=round(held_for().total_seconds() / 60),
    )


@blueprint.get("/alerts/bell")
@signed_in
def alerts_bell() -> str:
    """Show the bell of a page that is open, since there is something new."""
    return failure_bell()


@blueprint.post("/alerts/seen")
@signed_in
def alerts_seen() -> ResponseReturnValue:
    """Remember what the user has seen: one mail, server, run or mailbox, or everything."""
    user = signed_in_user()
    about = about_named()
    if about:
        service.seen_about(user.id, *next(iter(about.items())))
    elif any(name in request.form for name in service.ABOUT):
        abort(404)
    else:
        service.seen_all(user.id)
    if request.headers.get("HX-Request"):
        return failure_bell()
    return redirect(url_for("outbox.alerts"))


@blueprint.post("/alerts/preference")
@signed_in
def alerts_preference() -> ResponseReturnValue:
    """Keep how the user wants to be told."""
    user = signed_in_user()
    before = service.preference_of(user.id)
    by_mail, every, held = before.by_mail, before.every_failure, before.held_back
    answers = before.answers
    service.set_preference(
        user,
        by_mail="by_mail" in request.form,
        every_failure="every_failure" in request.form,
        answers="answers" in request.form,
        held_back="held_back" in request.form,
    )
    now = service.preference_of(user.id)
    if now.by_mail and not by_mail:
        flash(gettext("You will also be told by email, to %(address)s.", address=user.login), "success")
    elif by_mail and not now.by_mail:
        flash(gettext("You will no longer be told by email; the bell stays."), "success")
    if now.every_failure and not every:
        flash(gettext("You will be told of every email that fails for good, whoever sent it."), "success")
    elif every and not now.every_failure:
        flash(gettext("You will be told only of failures that concern you."), "success")
    if now.answers != answers:
        words = (
            gettext("You will be told of every answer about your documents, and about those that you follow.")
            if now.answers
            else gettext("You will be told only of answers to emails that you have sent.")
        )
        flash(words, "success")
    if now.held_back != held:
        words = (
            gettext("You will be told by email of emails that are held back.")
            if now.held_back
            else gettext("You will no longer be told by email of emails that are held back.")
        )
        flash(words, "success")
    return redirect(url_for("outbox.alerts"))
