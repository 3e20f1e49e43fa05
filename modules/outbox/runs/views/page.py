"""A run as a whole: prepared from a list, looked through, started, paused, stopped, told of."""

from __future__ import annotations

from typing import Any

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import get_timezone, gettext, ngettext
from sqlalchemy import select
from sqlalchemy.orm import joinedload, selectinload

from core.auth.permissions import requires, signed_in_user
from core.db import db
from core.errors import UserError
from core.i18n import N_
from core.selection import back_to, list_or_404, read_selection
from core.web.downloads import posted_form, table_download
from core.web.listing import Filter, ListSpec, SortKey, paginate
from core.web.pieces import PAGE_ANEW
from modules.mail_config.models import MailTemplate
from modules.outbox import changes
from modules.outbox.blueprint import blueprint
from modules.outbox.models import OutgoingMail, Packing, Run, RunItem, RunState
from modules.outbox.permissions import READ, RESEND
from modules.outbox.runs import lines, mailing_text, service, summary, words
from modules.outbox.runs.counts import counts_of, results_of
from modules.outbox.runs.drafting import SEND
from modules.outbox.typed_times import as_typed, typed_moment

RUNS = ListSpec(
    identity=Run.id,
    sorts=(SortKey("when", N_("Prepared"), Run.id, lambda row: row.id, descending=True),),
    filters=(
        Filter("open", N_("Not ended"), Run.ended_at.is_(None), "state"),
        Filter("done", N_("Ended"), Run.ended_at.is_not(None), "state"),
    ),
)


def run_or_404(run_id: int, permission: str = READ) -> Run:
    """Return a run that a permission of the user reaches; any other is not there."""
    return service.run_for(signed_in_user(), run_id, permission) or abort(404)


def go_back(run: Run) -> ResponseReturnValue:
    """Lead back to the page of a run as it was."""
    here = url_for("outbox.run", run_id=run.id)
    back = request.form.get("back", "")
    return redirect(back if back.startswith(f"{here}?") else here)


@blueprint.get("/runs")
@requires(READ)
def runs() -> ResponseReturnValue:
    """List the runs that the user may read of, newest first."""
    statement = (
        select(Run)
        .where(service.reached(signed_in_user()))
        .options(joinedload(Run.by_user), joinedload(Run.company))
    )
    page = paginate(statement, RUNS)
    return render_template(
        "outbox/runs/runs.html",
        page=page,
        badge_of=words.badge_of_run,
        results=results_of([row.id for row in page.rows]),
        name_of=service.name_of,
    )


@blueprint.post("/runs/of/<name>")
@requires(SEND)
def run_prepare(name: str) -> ResponseReturnValue:
    """Make a run of what is selected in a list, and show what would be sent."""
    user = signed_in_user()
    declared = list_or_404(name, user, "document")
    try:
        made = service.prepare(read_selection(declared), user)
    except UserError as error:
        flash(str(error.message), "warning")
        return back_to(declared)
    return redirect(url_for("outbox.run", run_id=made.id))


@blueprint.post("/runs/to/<name>")
@requires(SEND)
def run_mailing(name: str) -> ResponseReturnValue:
    """Make a mailing to the customers that are selected in a list, and show what would be sent."""
    user = signed_in_user()
    declared = list_or_404(name, user, "partner")
    try:
        made = service.prepare_mailing(read_selection(declared), user)
    except UserError as error:
        flash(str(error.message), "warning")
        return back_to(declared)
    return redirect(url_for("outbox.run", run_id=made.id))


def _frame(run: Run) -> dict[str, Any]:
    user = signed_in_user()
    counts = counts_of(run.id)
    return {
        "run": run,
        "counts": counts,
        "words": words.progress_words(run, counts),
        "reasons": words.REASON_TITLES,
        "badge": words.badge_of_run(run),
        "standing": words.standing_of(run),
        "deed": words.deed_words(run),
        "packings": words.PACKING_TITLES,
        # Whatever state it is in, somebody else may lead it into another one.
        "working": run.ended_at is None or counts.moving > 0,
        "topics": [changes.run(run.id)],
        "mine": run.by_user_id == user.id,
        "may_act": service.run_for(user, run.id, SEND) is not None,
        "may_resend": user.can(RESEND),
    }


@blueprint.get("/runs/<int:run_id>")
@requires(READ)
def run(run_id: int) -> ResponseReturnValue:
    """Show a run: what would be sent to whom, or what became of it."""
    row, user = run_or_404(run_id), signed_in_user()
    statement = summary.lines_of(row, user).options(
        joinedload(RunItem.mail).options(
            selectinload(OutgoingMail.recipients), joinedload(OutgoingMail.document)
        )
    )
    page = paginate(statement, summary.list_of_items(row))
    frame = _frame(row)
    waiting = row.state in {RunState.DRAFT, RunState.PAUSED}
    open_ = row.state in {RunState.DRAFT, RunState.PAUSED, RunState.RUNNING}
    return render_template(
        "outbox/runs/run.html",
        page=page,
        rows=lines.packed_rows_of(row, page.rows, user),
        state_words=lines.state_words,
        forecast=summary.forecast(row, row.by_user or user) if frame["counts"].of("ready") and open_ else [],
        templates=service.templates_of(row) if waiting else [],
        template=db.session.get(MailTemplate, row.template_id) if row.template_id is not None else None,
        name=service.name_of(row),
        own_text=mailing_text.own_text(row, user) is not None,
        first_ready=service.neighbors(row, user)[1] if row.of_customers else None,
        timezone=user.timezone,
        begins=as_typed(row.not_before, user),
        **frame,
    )


@blueprint.get("/runs/<int:run_id>/progress")
@requires(READ)
def run_progress(run_id: int) -> ResponseReturnValue:
    """Show how far a run is; once it is in another state, all of the page is another one."""
    row = run_or_404(run_id)
    frame = _frame(row)
    answer = render_template("outbox/runs/_progress.html", **frame)
    seen = request.args.get("seen")
    looked = request.args.get("looking") and not frame["counts"].of("unchecked")
    return (answer, PAGE_ANEW) if (seen and seen != frame["standing"]) or looked else answer


def _act(run_id: int, action: str) -> ResponseReturnValue:
    row, user = run_or_404(run_id, SEND), signed_in_user()
    try:
        if action == "start":
            typed = request.form.get("not_before", "").strip()[:40]
            service.start(row, user, not_before=typed_moment(typed, user) if typed else None)
        elif action == "move":
            typed = request.form.get("not_before", "").strip()[:40]
            service.move(row, user, None if "now" in request.form else typed_moment(typed, user))
        elif action == "look":
            service.look_at_held(row)
        elif action == "pause":
            service.pause(row, user)
        elif action == "go_on":
            service.go_on(row, user)
        else:
            canceled = service.stop(row, user)
            if canceled:
                flash(
                    ngettext("%(num)d email was canceled.", "%(num)d emails were canceled.", canceled),
                    "success",
                )
    except UserError as error:
        flash(str(error.message), "warning")
    return go_back(row)


@blueprint.post("/runs/<int:run_id>/start")
@requires(SEND)
def run_start(run_id: int) -> ResponseReturnValue:
    """Start a run, now or from a moment on."""
    return _act(run_id, "start")


@blueprint.post("/runs/<int:run_id>/pause")
@requires(SEND)
def run_pause(run_id: int) -> ResponseReturnValue:
    """Pause a run."""
    return _act(run_id, "pause")


@blueprint.post("/runs/<int:run_id>/continue")
@requires(SEND)
def run_continue(run_id: int) -> ResponseReturnValue:
    """Go on with a run that is paused."""
    return _act(run_id, "go_on")


@blueprint.post("/runs/<int:run_id>/stop")
@requires(SEND)
def run_stop(run_id: int) -> ResponseReturnValue:
    """Stop a run for good."""
    return _act(run_id, "stop")


@blueprint.post("/runs/<int:run_id>/move")
@requires(SEND)
def run_move(run_id: int) -> ResponseReturnValue:
    """Let a run that waits for its time begin at another one, or now."""
    return _act(run_id, "move")


@blueprint.post("/runs/<int:run_id>/look")
@requires(SEND)
def run_look(run_id: int) -> ResponseReturnValue:
    """Look through all that is held again, since it was mended elsewhere."""
    return _act(run_id, "look")


@blueprint.post("/runs/<int:run_id>/rest")
@requires(SEND)
def run_rest(run_id: int) -> ResponseReturnValue:
    """Make a run of what has not left of one that was stopped, and show what would be sent."""
    row = run_or_404(run_id, SEND)
    try:
        return go_back(service.send_rest(row, signed_in_user()))
    except UserError as error:
        flash(str(error.message), "warning")
        return go_back(row)


@blueprint.post("/runs/<int:run_id>/discard")
@requires(SEND)
def run_discard(run_id: int) -> ResponseReturnValue:
    """Discard a run that nobody has started."""
    row = run_or_404(run_id, SEND)
    try:
        service.discard(row)
    except UserError as error:
        flash(str(error.message), "warning")
        return go_back(row)
    flash(gettext("The batch was discarded."), "success")
    return redirect(url_for("outbox.runs"))


@blueprint.post("/runs/<int:run_id>/template")
@requires(SEND)
def run_template(run_id: int) -> ResponseReturnValue:
    """Choose the template of all documents, or of each the one that applies."""
    row = run_or_404(run_id, SEND)
    try:
        service.choose_template(row, request.form.get("template", type=int))
    except UserError as error:
        flash(str(error.message), "warning")
    return go_back(row)


@blueprint.post("/runs/<int:run_id>/packing")
@requires(SEND)
def run_packing(run_id: int) -> ResponseReturnValue:
    """Say whether each document goes in an email of its own, or those of a customer together."""
    row = run_or_404(run_id, SEND)
    try:
        service.choose_packing(row, Packing(request.form.get("packing", "")))
    except ValueError:
        abort(400)
    except UserError as error:
        flash(str(error.message), "warning")
    return go_back(row)


@blueprint.post("/runs/<int:run_id>/promotional")
@requires(SEND)
def run_promotional(run_id: int) -> ResponseReturnValue:
    """Say whether a mailing is promotional, or a service email."""
    row = run_or_404(run_id, SEND)
    try:
        service.choose_promotional(row, promotional=request.form.get("promotional") == "1")
    except UserError as error:
        flash(str(error.message), "warning")
    return go_back(row)


@blueprint.post("/runs/<int:run_id>/resend")
@requires(RESEND)
def run_resend(run_id: int) -> ResponseReturnValue:
    """Send again to those who did not get it, and to nobody else."""
    row = run_or_404(run_id)
    count = service.resend_failed(row, signed_in_user())
    flash(
        ngettext("%(num)d email is in the queue again.", "%(num)d emails are in the queue again.", count),
        "success" if count else "info",
    )
    return go_back(row)


@blueprint.post("/runs/<int:run_id>/table")
@requires(READ)
def run_table(run_id: int) -> ResponseReturnValue:
    """Take away what became of each document, as a table."""
    row = run_or_404(run_id)
    form = posted_form()
    table = summary.table_of(row, signed_in_user(), get_timezone())
    return table_download(table, form, service.name_of(row))
