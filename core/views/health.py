"""For programs that watch: is this process alive, can it answer pages, and how does everything fare."""

from __future__ import annotations

import hmac

from flask import Response, abort, current_app, request
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from core import metrics
from core.auth.permissions import public
from core.db import db
from core.pulse import pulse
from core.registry import current_settings
from core.views.blueprint import blueprint


def _plain(words: str, status: int = 200, content_type: str = "text/plain; charset=utf-8") -> Response:
    return Response(f"{words.rstrip()}\n", status, {"Cache-Control": "no-store"}, content_type=content_type)


@blueprint.get("/health/live")
@public
def live() -> Response:
    """Answer 200: this process takes requests. It asks nobody, so that a database that is away restarts nothing."""
    return _plain("alive")


@blueprint.get("/health/ready")
@public
def ready() -> Response:
    """Answer 200 where pages can be answered, else 503; the queue is named, but pages do without it."""
    problem_of = current_app.extensions.get("envoi_schema_problem")
    try:
        db.session.execute(text("SELECT 1"))
        db.session.rollback()
        wrong = "tables of another release" if problem_of is not None and problem_of() else ""
    except SQLAlchemyError:
        db.session.rollback()
        wrong = "database away"
    if wrong:
        return _plain(f"not ready: {wrong}", 503)
    return _plain("ready; queue away, emails wait" if pulse().away_since is not None else "ready")


@blueprint.get("/metrics")
@public
def figures() -> Response:
    """Show figures to whoever has the token of the installation; without one there is no such page."""
    token = current_settings().metrics_token
    given = request.headers.get("Authorization", "").partition("Bearer ")[2].strip()
    if not token or not hmac.compare_digest(given.encode(), token.encode()):
        abort(404)
    return _plain(metrics.page(), content_type=metrics.CONTENT_TYPE)
