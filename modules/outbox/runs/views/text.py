"""The text of a mailing: written with fields in the editor of templates, kept while it is written."""

from __future__ import annotations

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from core.auth.permissions import requires, signed_in_user
from core.errors import UserError
from modules.mail_config.editor.form import TypedTemplate
from modules.mail_config.editor.views.page import page_of
from modules.mail_config.models import MailTemplate
from modules.mail_config.template_language.customer_mail import CUSTOMER
from modules.outbox.blueprint import blueprint
from modules.outbox.models import Run, RunState
from modules.outbox.runs import mailing_text, service
from modules.outbox.runs.drafting import SEND
from modules.outbox.runs.views.page import go_back, run_or_404

WRITE = "mail_config.template.add"


def _mailing(run_id: int) -> Run:
    """Return a mailing of the user's own that has not begun; any other is not there."""
    run, user = run_or_404(run_id, SEND), signed_in_user()
    if not run.of_customers or run.by_user_id != user.id or run.state is not RunState.DRAFT:
        abort(404)
    return run


def _text(run: Run) -> MailTemplate:
    return mailing_text.own_text(run, signed_in_user()) or abort(404)


@blueprint.post("/runs/<int:run_id>/text/begin")
@requires(WRITE)
def run_text_begin(run_id: int) -> ResponseReturnValue:
    """Let a mailing have a text of its own, and open it."""
    run = _mailing(run_id)
    try:
        mailing_text.begin_text(run, signed_in_user())
    except UserError as error:
        flash(str(error.message), "warning")
        return go_back(run)
    return redirect(url_for("outbox.run_text", run_id=run.id))


@blueprint.get("/runs/<int:run_id>/text")
@requires(WRITE)
def run_text(run_id: int) -> ResponseReturnValue:
    """Open the text of a mailing: as it was kept, or as it was saved."""
    run = _mailing(run_id)
    row, kept = _text(run), mailing_text.kept_text(run)
    if kept is None:
        return _show(run, TypedTemplate.stored(row, CUSTOMER))
    return _show(run, TypedTemplate.posted(row, CUSTOMER, kept))


@blueprint.post("/runs/<int:run_id>/text")
@requires(WRITE)
def run_text_save(run_id: int) -> ResponseReturnValue:
    """Save the text, or show it again with what is wrong."""
    run, user = _mailing(run_id), signed_in_user()
    row = _text(run)
    typed = TypedTemplate.posted(row, CUSTOMER)
    typed.check()
    problem = gettext("Some places need another look before this can be saved.") if typed.problems else ""
    if not problem:
        try:
            mailing_text.save_text(
                run, row, typed.sources, typed.attachments, seen_revision=typed.seen_revision, by=user
            )
        except UserError as error:
            problem = str(error.message)
    if problem:
        flash(problem, "danger")
        return _show(run, typed), 422
    flash(gettext("The text was saved."), "success")
    return redirect(url_for("outbox.run", run_id=run.id))


@blueprint.post("/runs/<int:run_id>/text/keep")
@requires(WRITE)
def run_text_keep(run_id: int) -> ResponseReturnValue:
    """Keep what stands in the editor."""
    run = _mailing(run_id)
    row = _text(run)
    try:
        mailing_text.keep_text(run, row, request.form)
    except UserError as error:
        return str(error.message), 422
    return str(gettext("Kept as a draft"))


@blueprint.post("/runs/<int:run_id>/text/discard")
@requires(WRITE)
def run_text_discard(run_id: int) -> ResponseReturnValue:
    """Go back to the text as it was saved."""
    run = _mailing(run_id)
    mailing_text.discard_text(run)
    return redirect(url_for("outbox.run_text", run_id=run.id))


def _show(run: Run, typed: TypedTemplate) -> str:
    return render_template(
        "outbox/runs/text.html",
        run=run,
        name=service.name_of(run),
        kept=bool(run.text_draft),
        **page_of(typed),
    )
