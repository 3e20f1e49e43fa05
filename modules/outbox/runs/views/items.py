"""One document of a run: its address, left out, sent all the same."""

from __future__ import annotations

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from core.auth.permissions import requires, signed_in_user
from core.errors import UserError
from modules.outbox.blueprint import blueprint
from modules.outbox.html_body import clean_html, page
from modules.outbox.permissions import READ
from modules.outbox.runs import service
from modules.outbox.runs.drafting import SEND
from modules.outbox.runs.views.page import go_back, run_or_404

MOST_ADDRESSES = 20


@blueprint.post("/runs/<int:run_id>/items/<int:item_id>/address")
@requires(SEND)
def run_item_address(run_id: int, item_id: int) -> ResponseReturnValue:
    """Send a document to an address that was typed, or to those that were chosen."""
    run, user = run_or_404(run_id, SEND), signed_in_user()
    item = service.item_for(user, run, item_id) or abort(404)
    typed = [text[:1000] for text in request.form.getlist("address")[:MOST_ADDRESSES]]
    try:
        also = service.together_with(item, run, user)
        service.choose(item, typed, user, keep="keep" in request.form, also=also)
    except UserError as error:
        flash(str(error.message), "warning")
    return go_back(run)


@blueprint.post("/runs/<int:run_id>/items/<int:item_id>/decide")
@requires(SEND)
def run_item_decide(run_id: int, item_id: int) -> ResponseReturnValue:
    """Leave a document out, take it back in, look at it again, or send it all the same."""
    run, user = run_or_404(run_id, SEND), signed_in_user()
    item = service.item_for(user, run, item_id) or abort(404)
    # Of one line all that it names, unless one document of it was meant.
    chosen = [item] if "alone" in request.form else service.together_with(item, run, user)
    try:
        match request.form.get("decision"):
            case "out":
                service.leave_out(*chosen)
            case "in":
                service.leave_out(*chosen, out=False)
            case "anyway":
                service.send_anyway(*chosen)
            case "look":
                service.look_at_held(run, *chosen)
            case _:
                abort(400)
    except UserError as error:
        flash(str(error.message), "warning")
    return go_back(run)


@blueprint.get("/runs/<int:run_id>/items/<int:item_id>/preview")
@requires(READ)
def run_item_preview(run_id: int, item_id: int) -> ResponseReturnValue:
    """Show what a customer of a mailing would get."""
    run, user = run_or_404(run_id), signed_in_user()
    item = service.item_for(user, run, item_id) or abort(404)
    if not run.of_customers:
        abort(404)
    draft, problem = None, ""
    try:
        draft = service.preview(run, item, user)
    except UserError as error:
        problem = str(error.message)
    return render_template(
        "outbox/runs/preview.html",
        run=run,
        item=item,
        name=service.name_of(run),
        draft=draft,
        problem=problem,
        text=page(clean_html(draft.body_html), draft.language) if draft is not None else "",
        neighbors=service.neighbors(run, user, item),
        may_test=service.run_for(user, run.id, SEND) is not None,
    )


@blueprint.post("/runs/<int:run_id>/items/<int:item_id>/test")
@requires(SEND)
def run_item_test(run_id: int, item_id: int) -> ResponseReturnValue:
    """Send what a customer of a mailing would get to the person who asks."""
    run, user = run_or_404(run_id, SEND), signed_in_user()
    item = service.item_for(user, run, item_id) or abort(404)
    if not run.of_customers:
        abort(404)
    try:
        mail = service.send_test(run, item, user)
    except UserError as error:
        flash(str(error.message), "warning")
        return go_back(run)
    return redirect(url_for("outbox.mail", mail_id=mail.id))
