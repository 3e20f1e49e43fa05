"""What has changed since a page was made."""

from __future__ import annotations

from flask import abort, request
from flask.typing import ResponseReturnValue

from core.auth.permissions import signed_in, signed_in_user
from core.live import watching
from core.live.changes import LOOK_SECONDS, current_changes
from core.live.states import outdated
from core.views.blueprint import blueprint


@blueprint.post(watching.PATH)
@signed_in
def changes() -> ResponseReturnValue:
    """Say which pieces of a page may show something old, and up to where that is known.

    The web server has held the question back until there is something to say, or for long enough; any other server lets
    it through at once, and the page asks again a few seconds later.
    """
    since, topics = (request.form.getlist(name) for name in (watching.SINCE, watching.TOPICS))
    pieces = watching.read_watched(since, topics) or abort(400)
    if any(piece.user_id != signed_in_user().id for piece in pieces):
        abort(400)  # the page of whoever was signed in before
    current = current_changes()
    current.look(after=2 * LOOK_SECONDS)
    now = current.now  # first: what comes now is told twice, and never missed
    old = outdated(topic for piece in pieces for topic in piece.states)
    fired = [place for place, piece in enumerate(pieces) if piece.fired() or piece.states & old]
    return {"now": now, "fired": fired}
