"""One document of a run: its address, left out, sent all the same."""

from __future__ import annotations

from flask import abort, flash, request
from flask.typing import ResponseReturnValue

from core.auth.permissions import requires, signed_in_user
from core.errors import UserError
from modules.outbox.blueprint import blueprint
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
        service.choose(item, typed, user, keep="keep" in request.form)
    except UserError as error:
        flash(str(error.message), "warning")
    return go_back(run)


@blueprint.post("/runs/<int:run_id>/items/<int:item_id>/decide")
@requires(SEND)
def run_item_decide(run_id: int, item_id: int) -> ResponseReturnValue:
    """Leave a document out, take it back in, or send it all the same."""
    run, user = run_or_404(run_id, SEND), signed_in_user()
    item = service.item_for(user, run, item_id) or abort(404)
    try:
        match request.form.get("decision"):
            case "out":
                service.leave_out(item)
            case "in":
                service.leave_out(item, out=False)
            case "anyway":
                service.send_anyway(item)
            case _:
                abort(400)
    except UserError as error:
        flash(str(error.message), "warning")
    return go_back(run)
